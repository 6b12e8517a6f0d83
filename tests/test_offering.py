"""What the operator offers, as they say it at a terminal: what is refused, and with which words."""

from __future__ import annotations

import json
import secrets

import pytest

from tests.platform import MODEL, Platform

ID = "01a20287-9ca4-7624-811d-a5584abdbf85"
STAFF = ("user", "create", "--role", "support", "--email", "staff@example.org", "--agreement", "7")
PRICED = ("model", "add", "test/odd", "--upstream", "engine")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("limit", "model", "no/such", "--parallel", "3"), ("There is no model no/such.", "avow model list")),
        (("limit", "organisation", ID, "--parallel", "3"), (f"There is no organisation {ID}.", "subject find ADDRESS")),
        (("limit", "project", ID, "--parallel", "3"), (f"There is no project {ID}.", "/api/projects")),
        (("limit", "model", MODEL, "--budget-day", "-5"), ("-5 is negative", "limit --help")),
        (("limit", "model", MODEL, "--budget-total", "1e9"), ("A budget is at most 9007199.", "")),
        ((*PRICED, "--input", "-1", "--output", "1"), ("-1 is negative", "model add --help")),
        ((*PRICED, "--input", "1", "--output", "1", "--context", "5"), ("16384 tokens (--max-output)", "context of 5")),
        (("model", "leave", MODEL, "--upstream", "nowhere"), ("no upstream 'nowhere'", "avow upstream list")),
        (("model", "leave", "no/such", "--upstream", "engine"), ("does not run at 'engine'", "avow model list shows")),
        (("upstream", "add", "bad", "notaurl"), ("An upstream url is http or https", "type the command again")),
        ((*STAFF, "--trained-until", "2020-01-01"), ("has run out already", "type the command again")),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_name(
    platform: Platform, given: tuple[str, ...], says: tuple[str, str]
) -> None:
    refused = platform.cli(*given, check=False, stdin=f"{secrets.token_hex(12)}\n")
    assert refused.returncode in (1, 2) and not refused.stdout and "openapi" not in refused.stderr
    assert all(each in refused.stderr for each in says), refused.stderr
    assert platform.sql("SELECT 1 FROM allowance WHERE id = $1::uuid", ID) == []
    assert platform.sql("SELECT 1 FROM model WHERE id = 'test/odd'") == []


def test_a_model_that_costs_nothing_is_said_to_be_free(platform: Platform) -> None:
    try:
        said = platform.cli(*PRICED, "--input", "0", "--output", "0").stdout
        assert said == "model test/odd at engine: free, for all its prices are 0\n"
        paid = platform.cli(*PRICED, "--input", "0", "--output", "0", "--reasoning", "1", "--json").stdout
        assert json.loads(paid)["free"] is False
    finally:
        for table, name in (("route", "model_id"), ("price", "model"), ("model", "id")):
            platform.sql(f"DELETE FROM {table} WHERE {name} = 'test/odd'")
