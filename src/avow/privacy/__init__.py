"""A person's data ends when its time comes or when they ask, in every store, and it can be shown that it did.

An erasure is not a DELETE: it ends the facts in every declared store, destroys the person's keys so that no copy and no
backup can be read, remembers outside the database that it happened, and says on a signed receipt how deeply each store
was cleaned. A sweep is the same loop with time as its condition. No product table is named here: what there is to end is
what the catalog declares, and how it ends is what the policy says.

    requests      what people ask: take, move, of, receipt, resume; ERASE_JOB
    erase         plan, run (handler of ERASE_JOB), look_again (handler of LOOK_JOB)
    standings     restriction and objections of a person
    consents      what people agreed to, to which text; `consent_receipts` is what they take along
    copies        copies for access and portability, made by the keeper; `archive` is the file that people get
    outsiders     requests of people without an account; routes in `outsiders_api`
    answers       what people of the operator answer; routes in `desk_api`
    versions      what was published and what is in force; `floors`, `plans` and `notices` are how it changes
    remarks       errors, of: what is to be said of a policy before it is planned
    acceptances   who accepted which version; no consent
    retention     sweep, make_slots
    stores        Store, and TableStore over the catalog; `tables()` gives one for each table
    outside       OutsideFiles: mail and the demo note, which stand for the outside world
    tombstones    what was erased, kept where no backup of the database can undo it
    newest        what rows are now that a restore may not take back, kept beside the ring; `memory` writes it down
    folders       the backups that exist: told of every erasure, removed at their end
    backup        make, restore
    renewal       catch_up, renew, replay: what a restored database is brought up to before any traffic
    export        everything about one person, opened for them
    api           ROUTES; they need `privacy: api.Desk`, `person: Actor` and `proved: bool`
    needs         Needs, and what is asked from the slices above as protocols
"""
