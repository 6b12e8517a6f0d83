"""Seeded privacy bugs: each breaks one promise in the source, and a test must turn red.

    python -m tests.mutants [NAME …]

A mutant is a declaration in one of the TOML files here: what of the source is replaced by what, what promise that breaks,
and the tests that are expected to see it. Each is applied alone to a copy of the tree. What no test sees survives, and is a
test that is missing.
"""
