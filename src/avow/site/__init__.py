"""The public pages: what runs here, what it promises, and whether that is true. No account and no script needed."""
