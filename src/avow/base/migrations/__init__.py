"""Schema changes, in order. Functions, grants and row policies are not here: `base.migrate` makes them from their source."""
