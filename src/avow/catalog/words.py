"""The three words with which a table says what it holds about a person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Column, DateTime, Integer, LargeBinary, MetaData, Table, Uuid

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

FACT_COLUMNS = ("tenant_id", "subject_id", "since", "ends_at", "policy_version")


class Undeclared(TypeError):
    """A table does not say what it holds about people."""


@dataclass(frozen=True, slots=True)
class Personal:
    """Facts of one category about the subject of the row.

    `box` lists the fields inside the sealed column `column`; `clear` lists columns that the database can read, and `why`
    it must be able to. `secret` are those of both that no copy for the person holds: what opens something, digests of it
    (a copy that lies around must open nothing), and who somebody else is.

    Where the policy holds the category against an erasure, because a law asks for it: `erased` facts go with the person all the
    same, for no law asks for these; others stay because of `stays`, if that is not the law.
    """

    category: str
    box: tuple[str, ...]
    clear: tuple[str, ...]
    column: str
    why: str
    secret: frozenset[str] = frozenset()
    erased: bool = False
    stays: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.clear, self.column) if self.box else self.clear

    @property
    def fields(self) -> tuple[str, ...]:
        return (*self.box, *self.clear)


@dataclass(frozen=True, slots=True)
class NotPersonal:
    """Nothing in the row is about a person, because of `why`."""

    why: str


Access = Literal["none", "read", "insert", "append", "all"]


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restored backup brings of a table other than what was in it.

    `columns` are brought to the newest state that is known, and a row that is gone since goes again; `whole`: rows made
    since come back too. `never`: no row comes back.
    """

    columns: tuple[str, ...] = ()
    whole: bool = False
    never: bool = False


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a table holds, and what each database role may do with it (row security comes on top)."""

    holds: tuple[Personal | NotPersonal, ...]
    app: Access
    writer: Access
    restored: Restored | None = None
    analyst: Access = "none"


def newest(*columns: str, whole: bool = False) -> Restored:
    """Declare that a restore takes nothing back that was done to these `columns` since the backup, or to the rows.

    With `whole` it brings rows that were made since, too, with all their columns; then `columns` says which changes count.
    """
    return Restored(columns, whole)


def never() -> Restored:
    """Declare that no row outlives a restore."""
    return Restored(never=True)


def personal(
    category: str,
    *,
    box: Sequence[str] = (),
    clear: Sequence[str] = (),
    column: str = "box",
    why: str = "",
    secret: Sequence[str] = (),
    erased: bool = False,
    stays: str = "",
) -> Personal:
    """Declare facts about a person: `box` fields are sealed in `column`, `clear` columns stay readable because of `why`,
    `secret` ones of either are never shown to anybody. `erased` and `stays`: what an erasure does with them where their category
    is held, see Personal."""
    if not box and not clear:
        raise Undeclared(
            f"personal({category!r}) names no field: list them in box=[…] (sealed) or clear=[…] (readable)"
        )
    if clear and not why:
        raise Undeclared(
            f"personal({category!r}, clear=…) needs why=…: say why the database must read {', '.join(clear)}; "
            "if nothing sums, sorts or looks it up, put it in box=[…] instead"
        )
    if unknown := {*secret} - {*box, *clear}:
        raise Undeclared(f"personal({category!r}) calls {', '.join(sorted(unknown))} secret and does not name it")
    return Personal(category, tuple(box), tuple(clear), column, why, frozenset(secret), erased, stays)


def not_personal(why: str) -> NotPersonal:
    """Declare that no row of the table is about a person."""
    if not why:
        raise Undeclared("not_personal() needs a reason, for example not_personal('a price belongs to nobody')")
    return NotPersonal(why)


def fact_columns() -> tuple[Column[Any], ...]:
    """The columns of every table with personal data.

    `since` starts the clock, `ends_at` is the exact end (null: the life of the account), `policy_version` is the policy
    under which the fact was collected.
    """
    return (
        Column("tenant_id", Uuid, nullable=False),
        Column("subject_id", Uuid, nullable=False, index=True),
        Column("since", DateTime(timezone=True), nullable=False),
        Column("ends_at", DateTime(timezone=True), index=True),
        Column("policy_version", Integer, nullable=False),
    )


def table(
    name: str,
    *columns: Any,
    holds: Sequence[Personal | NotPersonal],
    app: Access = "all",
    writer: Access = "none",
    restored: Restored | None = None,
    analyst: Access = "none",
    **options: Any,
) -> Table:
    """Define a table together with what it holds about people.

    `app` and `writer` are what these database roles may do: `none`, `read`, `insert` (without reading), `append` (read
    and insert, never change) or `all`. Rows with a `tenant_id` are visible to `app` for its own tenant only. `analyst` is what
    the role may do that makes sums: nothing with a table about people. `restored` says what outlasts a restore of an older
    backup (None: nothing, the table is what it was). Raises `Undeclared` when a column is said nowhere.
    """
    declared = Declaration(tuple(holds), app, writer, restored, analyst)
    made = Table(name, metadata, *columns, info={"declared": declared}, **options)
    problem = _problem(made)
    if problem:
        metadata.remove(made)
        raise Undeclared(f"table {name}: {problem}")
    return made


def declaration(of: Table) -> Declaration:
    declared: Declaration = of.info["declared"]
    return declared


def facts() -> Iterator[tuple[Table, Personal]]:
    """Every (table, personal declaration) pair, children before the tables that they refer to."""
    for each in reversed(metadata.sorted_tables):
        for held in declaration(each).holds:
            if isinstance(held, Personal):
                yield each, held


def restored() -> Iterator[tuple[Table, Restored]]:
    """Every table of which a restore does not bring back what was in the backup, parents before their children."""
    for each in metadata.sorted_tables:
        if (how := declaration(each).restored) is not None:
            yield each, how


def _problem(made: Table) -> str | None:
    holds = declaration(made).holds
    held = [h for h in holds if isinstance(h, Personal)]
    if not holds:
        return "holds=[…] is empty; say personal(…) or not_personal(why)"
    restored = declaration(made).restored
    if restored is not None and (missing := [name for name in restored.columns if name not in made.c]):
        return f"restored=newest(…) names {', '.join(missing)}, which is no column"
    if held and len(held) != len(holds):
        return "it is either about people or not; in a personal table every column is declared by personal(…)"
    if not held:
        return None
    if declaration(made).analyst != "none":
        return "the role that makes sums reads no table about people; give it a view of sums"
    missing = [c for c in FACT_COLUMNS if c not in made.c]
    if missing:
        return f"personal data needs {', '.join(missing)}; add *fact_columns()"
    said = [c for h in held for c in h.columns]
    twice = {c for c in said if said.count(c) > 1}
    if twice:
        return f"{', '.join(sorted(twice))} is declared twice"
    boxes = [h.category for h in held if h.box]
    if len(boxes) != len(set(boxes)):
        return "it has two boxes of one category; put their fields into one"
    for h in held:
        if h.box and not isinstance(made.c[h.column].type, LargeBinary):
            return f"{h.column} holds a box, so its type is LargeBinary"
    keys = {c.name for c in made.primary_key.columns}
    silent = [c.name for c in made.c if c.name not in said and c.name not in FACT_COLUMNS and c.name not in keys]
    if silent:
        return (
            f"nothing says what {', '.join(silent)} holds about the person; name each in box=[…] (sealed, the default "
            "choice) or in clear=[…] with why=…"
        )
    unknown = [c for c in said if c not in made.c]
    return f"{', '.join(unknown)} is declared but is no column" if unknown else None
