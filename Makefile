# The commands of Avow. Each installs what it needs first, and says so; see CONTRIBUTING.md.
#
#   AVOW_HOME=DIR AVOW_PORT=N AVOW_POLICY=FILE|PROFILE make run
#   make test PYTEST_ARGS="-k ledger tests/billing"

.PHONY: help run test lint bench promises faults mutants fuzz soak screenshots lock migration clean

help:
	@sed -n 's/^#: //p' Makefile

#: make run       install all, start everything, print a first answer; http://127.0.0.1:8080
run:
	@tools/bootstrap run
	@tools/avow up

#: make test      all tests (PYTEST_ARGS="…" for some)
test:
	@tools/bootstrap test
	@tools/in-tree tools/test $(PYTEST_ARGS)

#: make lint      ruff, mypy --strict, the rules of who imports whom
lint:
	@tools/bootstrap test
	@tools/lint

#: make bench     the benchmark tables; bench/results/*.json (BENCH="gateway ledger" for some)
bench:
	@tools/bootstrap test
	@tools/peers
	@KEEP=bench/results tools/in-tree python -m bench $(BENCH)

#: make promises  which rows of tests/promises/rows.tsv are proved on the running system
promises:
	@tools/bootstrap test
	@tools/in-tree tools/test tests/promises $(PYTEST_ARGS)

#: make faults    the long form of the tests that kill things
faults:
	@tools/bootstrap test
	@FAULTS=long tools/in-tree python -m pytest tests/faults $(PYTEST_ARGS)

#: make mutants   privacy bugs, seeded one at a time, each to turn a test red (MUTANTS="name …" for some; a kind is a name)
mutants:
	@tools/bootstrap test
	@KEEP=bench/results tools/in-tree python -m tests.mutants $(MUTANTS)

#: make fuzz      arbitrary bytes to all that reads strangers' bytes (FUZZ="streams …" for some, SECONDS="600" each)
fuzz:
	@tools/bootstrap test
	@KEEP=tests/fuzz/found tools/fuzz $(FUZZ)

#: make soak      half an hour at 60 % load with faults (SECONDS="600" for less); bench/results/soak.json
soak:
	@tools/bootstrap test
	@KEEP=bench/results tools/in-tree python -m bench.soak $(SECONDS)

#: make screenshots   a picture of every screen into build/screenshots: wide, narrow, light, dark, both languages
screenshots:
	@tools/bootstrap test
	@KEEP=build/screenshots tools/in-tree python -m tests.browser.screenshots build/screenshots

#: make lock      newest versions into requirements/*.txt, with hashes
lock:
	@tools/lock

#: make migration WHAT="…"   write the next migration from what the tables say
migration:
	@tools/bootstrap test
	@KEEP=src/avow/base/migrations/versions tools/in-tree python tools/migration.py "$(WHAT)"

#: make clean     remove environments and caches, never data
clean:
	@tools/clean
