import pytest
from sqlalchemy import Column, LargeBinary, Text, Uuid

from avow.catalog import (
    Undeclared,
    fact_columns,
    newest,
    not_personal,
    personal,
    restored,
    table,
    undeclared_columns,
    undeclared_paths,
)
from avow.catalog.words import metadata


def define(*columns: Column, holds: list) -> None:  # type: ignore[type-arg]
    made = table("scratch", Column("id", Uuid, primary_key=True), *columns, holds=holds)
    metadata.remove(made)


def test_a_column_that_nobody_declares_keeps_the_table_from_loading() -> None:
    with pytest.raises(Undeclared, match=r"internal_note .*box="):
        define(
            *fact_columns(),
            Column("box", LargeBinary),
            Column("internal_note", Text),
            holds=[personal("conversation", box=["title"])],
        )
    assert "scratch" not in metadata.tables


def test_readable_columns_need_a_reason() -> None:
    with pytest.raises(Undeclared, match="why="):
        personal("usage", clear=["model"])


def test_a_personal_table_needs_its_clock_and_owner() -> None:
    with pytest.raises(Undeclared, match="fact_columns"):
        define(Column("box", LargeBinary), holds=[personal("conversation", box=["title"])])


def test_a_table_must_say_something() -> None:
    with pytest.raises(Undeclared, match="holds="):
        define(holds=[])
    with pytest.raises(Undeclared, match="reason"):
        not_personal("")


def test_what_exists_and_is_declared_nowhere_is_found() -> None:
    found = {
        "public.policy_version": ["version", "hash", "note"],
        "public.stray": ["x"],
        "public.alembic_version": ["v"],
    }
    assert undeclared_columns(found) == ["policy_version.note", "public.stray"]
    assert undeclared_paths(["pg/base/1", "log/x.log", "stray.txt"]) == ["stray.txt"]


def test_what_outlasts_a_restore_names_columns_that_are_there() -> None:
    columns = [Column("id", Uuid, primary_key=True), Column("state", Text)]
    with pytest.raises(Undeclared, match="stat, which is no column"):
        table("scratch", *columns, holds=[not_personal("a state")], restored=newest("stat"))
    assert "scratch" not in metadata.tables


def test_every_table_that_lets_somebody_in_says_what_a_restore_brings() -> None:
    """A row with what a token or key is compared with, or with a role."""
    lets_in = {
        each.name
        for each in metadata.sorted_tables
        for column in each.c
        if column.name.endswith(("_hmac", "token_hash")) or column.name == "role"
    }
    assert {"api_key", "outside_ask", "staff"} <= lets_in, "what is looked for is found"
    # By the record nobody gets in; a recovery code that was used or replaced has a tombstone.
    assert lets_in - {"audit", "recovery_code"} <= {each.name for each, _ in restored()}
