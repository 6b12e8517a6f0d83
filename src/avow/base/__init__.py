"""The ground that knows no slice: database, jobs, clock, ids, money, mail, errors, and who is asking."""
