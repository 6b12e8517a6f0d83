"""The vault seals what is about people and is the only way back to it.

A box is what one row holds about one person in one category. Its key is derived from two random halves, the person's
and the hour's in which the fact ends; both lie in the ring, outside the database. Destroy the one and a person is
unreadable in every copy and backup, destroy the other and an hour of everybody is; a box whose key is gone reads as
`Gone`, which is an answer. To open a box one says who, for which purpose and, as staff, why: the policy and the
person's standing decide, and the opening is on record where that person can read it.

    Vault          prepare, seal, open, open_many; seal_credential, open_credential
    Act, record_act      an administrative act, put on the record of the person whom it concerns
    Ref, Gone      the address of a box; what a box reads as once its key is destroyed
    Ring           the halves: destroy_holders, destroy_slots, make_slots, graves, named secrets
    Chain          the chain over that record: extend, verify, release, trim, anchor
    standing       record and load what people consented to, objected to and had restricted
    outbox         put and drain mail that waits, sealed
    tlog           append what is to stand in the public log, in the transaction that makes it so
    keys           tell other processes that keys were destroyed
    blind_index    find an e-mail address without storing it readably
    fact           the columns that every fact begins with, filled from the policy
"""

from avow.vault import fact, keys, outbox, standing, tlog
from avow.vault.blind import blind_index
from avow.vault.box import BoxBroken, Gone, GoneType, PayloadRefused, Ref
from avow.vault.chain import Chain, ChainBroken
from avow.vault.door import Act, NotPrepared, Opened, OpenRefused, Vault
from avow.vault.mirror import FileMirror, Grave, Mirror
from avow.vault.provider import FileKeyProvider, KeyProvider, KeyringTooOpen, MasterLost
from avow.vault.ring import Buried, ClockJump, Destroyed, Ring, RingBroken, RingBusy, hour_of

__all__ = [
    "Act",
    "BoxBroken",
    "Buried",
    "Chain",
    "ChainBroken",
    "ClockJump",
    "Destroyed",
    "FileKeyProvider",
    "FileMirror",
    "Gone",
    "GoneType",
    "Grave",
    "KeyProvider",
    "KeyringTooOpen",
    "MasterLost",
    "Mirror",
    "NotPrepared",
    "OpenRefused",
    "Opened",
    "PayloadRefused",
    "Ref",
    "Ring",
    "RingBroken",
    "RingBusy",
    "Vault",
    "blind_index",
    "fact",
    "hour_of",
    "keys",
    "outbox",
    "standing",
    "tlog",
]
