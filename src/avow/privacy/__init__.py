"""A person's data ends when its time comes or when they ask, in every store, and it can be shown that it did.

An erasure is not a DELETE: it ends the facts in every declared store, destroys the person's keys so that no copy and no
backup can be read, remembers outside the database that it happened, and says on a signed receipt how deeply each store
was cleaned. A sweep is the same loop with time as its condition. No product table is named here: what there is to end is
what the catalog declares, and how it ends is what the policy says.

    requests      what people ask: take, move, of, receipt, resume; ERASE_JOB
    erase         plan, run (handler of ERASE_JOB), look_again (handler of LOOK_JOB)
    standings     restriction and objections of a person
    consents      what people agreed to, to which text; `consent_receipts` is what they take along; `lapses` ends those that
                  the policy asks for no more
    purpose_rules the purposes of the policy in force, as rows that views of the database join
    copies        copies for access and portability, made by the keeper; `archive` is the file that people get
    stored        what is stored about somebody right now, in numbers; `silence`: until when a legal process keeps some of it
    outsiders     requests of people without an account; routes in `outsiders_api`
    answers       what people of the operator answer; routes in `desk_api`
    letters       what is written to people about their requests
    versions      what was published and what is in force; `floors`, `plans` and `notices` are how it changes
    remarks       errors, of: what is to be said of a policy before it is planned
    acceptances   who accepted which version; no consent
    notices_api   the routes of notices and acceptances
    outlook       what a change would do to the data that is there; `summary` tells it in lines of text
    shortening    what a stricter policy means for what is stored already
    wishes        what staff want done about the policy, which the keeper does; routes in `policy_api`
    retention     sweep, make_slots; `figures` counts what is late, and the oldest fact of each category
    levels        how deeply each store was cleaned, as a receipt says it; `progress`: how far an erasure came
    turns         one at a time, of two processes that are given the same request
    caches        keys that processes still have in memory when a person's are destroyed
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
