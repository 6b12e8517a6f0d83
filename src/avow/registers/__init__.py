"""Registers: what stands behind claims, who outside gets data and on what ground, and what went wrong at the border.

A claim that people make true, and not code, stands in the policy only while a document of it is valid and unchanged
(`documents`). An incident is something that the operator has to look at: a connection that was refused, a document that ran
out (`incidents`).

    documents        the vault of evidence; which claims may be published now
    incidents        what the desk has to look at
    desk_api         the desk's routes
"""
