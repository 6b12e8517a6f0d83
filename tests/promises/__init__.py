"""One test per row of `rows.tsv`, each driving the running system through what its users have: HTTP, commands, files."""
