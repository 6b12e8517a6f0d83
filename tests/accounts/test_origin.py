"""Another site's page may not act with a visitor's cookie."""

import pytest

from avow.accounts import origin
from avow.accounts.origin import CrossSite

HOST = {"host": "127.0.0.1:8080"}


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
        {"origin": "http://127.0.0.1:8080"},
        {},
        {"sec-fetch-site": "same-origin", "origin": "https://proxy.example"},
    ],
)
def test_the_own_site_and_callers_without_a_browser_pass(headers: dict[str, str]) -> None:
    origin.check("POST", HOST | headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": ""},
        {"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1:8080"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://127.0.0.1:8081"},
        {"origin": "http://[broken"},
        {"origin": "http://127.0.0.1:8080.evil.example"},
        {"origin": "http://user@127.0.0.1:8080"},
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_another_site_is_refused(method: str, headers: dict[str, str]) -> None:
    with pytest.raises(CrossSite):
        origin.check(method, HOST | headers)


def test_reading_is_never_refused() -> None:
    origin.check("GET", HOST | {"sec-fetch-site": "cross-site", "origin": "https://evil.example"})


def test_an_origin_without_a_called_host_is_refused() -> None:
    with pytest.raises(CrossSite):
        origin.check("POST", {"origin": "http://"})
