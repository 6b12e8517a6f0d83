"""Who somebody is, and how they show it.

A tenant is an organisation with one wallet; a person belongs to one, and who signs up alone has a tenant of one. A person
shows who they are with a password and perhaps a code, with a passkey, or through an identity provider, and is then known
by a session; a program shows an API key, which acts for one person and spends from one wallet. What a person told about
themselves is exactly what the policy lists, sealed; passwords, sessions, keys and tokens are kept only as hashes and keyed
digests. Nobody learns here whether an address has an account: sign-up, sign-in and reset do the same work and read the same
for everybody, and the owner hears the rest by mail.

What somebody may call stands in one table, role by route. Staff look at others' data for a purpose, with a reason, and on a
record that the person concerned reads; nobody can act as somebody else.

    Needs            what this slice needs from the rest; `FirstCredit` opens a new tenant's wallet
    Directory        `find(key)` gives a `KeyRecord`, from memory for at most 2 s; `watch()` hears of changes
    api              the routes; `dependencies()` gives every slice `who`, `person`, `fresh`, `current` and `accounts` by name
    surface          the checks every request to /api passes, and the one rendering of errors
    permissions, admission       who may call what, and the guard of every route that asks
    sign_up, sessions, people, keys, tenants, projects, members, invitations, staff      the rules, for the command line too
    affirmations, unconfirmed, ownership      who may come in, who goes because nobody confirmed, whose it is what a key made
    looking, openings            looking at data as staff; who looked at one's own
    KeyRefused, KeyRevoked, KeyExpired, NotConfirmed      why a key does not work
"""

from avow.accounts import api, keys, people, sessions, sign_up, surface, tenants
from avow.accounts.directory import Directory, KeyExpired, KeyRecord, KeyRefused, KeyRevoked, NotConfirmed
from avow.accounts.needs import FirstCredit, Needs, pepper
from avow.accounts.passwords import Passwords

__all__ = [
    "Directory",
    "FirstCredit",
    "KeyExpired",
    "KeyRecord",
    "KeyRefused",
    "KeyRevoked",
    "Needs",
    "NotConfirmed",
    "Passwords",
    "api",
    "keys",
    "people",
    "pepper",
    "sessions",
    "sign_up",
    "surface",
    "tenants",
]
