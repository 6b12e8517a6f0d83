"""What the platform holds about people, said beside each table.

A table says, where it is defined, what it holds about a person, in one of three words: sealed (`personal(…, box=…)`),
readable (`personal(…, clear=…, why=…)`) or nothing (`not_personal(why)`). Retention, erasure, export, the registers, row
security and the published list of data are loops over these declarations; none of them names a product table. Places that
are not tables (folders, memory, processors, the outside world) are declared with `store`. What is declared nowhere keeps
the program from starting. What a restore of an older backup may not take back is said there too (`newest`, `never`). `part`
says that a part of which a policy can speak is installed.
"""

from avow.catalog.declared import Place, check, holdings, places, store, undeclared_columns, undeclared_paths
from avow.catalog.parts import Part, controls, part, parts
from avow.catalog.words import (
    FACT_COLUMNS,
    NotPersonal,
    Personal,
    Restored,
    Undeclared,
    declaration,
    fact_columns,
    facts,
    metadata,
    never,
    newest,
    not_personal,
    personal,
    restored,
    table,
)

__all__ = [
    "FACT_COLUMNS",
    "NotPersonal",
    "Part",
    "Personal",
    "Place",
    "Restored",
    "Undeclared",
    "check",
    "controls",
    "declaration",
    "fact_columns",
    "facts",
    "holdings",
    "metadata",
    "never",
    "newest",
    "not_personal",
    "part",
    "parts",
    "personal",
    "places",
    "restored",
    "store",
    "table",
    "undeclared_columns",
    "undeclared_paths",
]
