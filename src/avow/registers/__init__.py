"""Registers: who outside gets data and on what ground, what stands behind claims, and what went wrong at the border.

Nothing goes to anybody outside without an entry (`entries.Entry`) that names the recipient, the ground, the categories and their
fields; a connection to a host of which no entry speaks is blocked.

A claim that people make true, and not code, stands in the policy only while a document of it is valid and unchanged
(`documents`). An incident is something that the operator has to look at: a connection that was refused, a document that ran
out (`incidents`).

    entries          what an entry is, and the rules that it must stand
    book             making, approving and ending entries; whether one may be used now
    broker           the one way out; what is not entered is blocked
    disclosures      what goes to others about a person, and nothing beside it
    ropa             the records of processing (GDPR Art. 30), and what was observed
    documents        the vault of evidence; which claims may be published now
    incidents        what the desk has to look at
    api, desk_api    a person's routes, and the desk's
"""
