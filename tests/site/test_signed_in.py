"""The page of the app and its files: what a browser is told about them, and what happens where the app was not built."""

from __future__ import annotations

import gzip
import importlib.util
import json
import re
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest
from litestar.datastructures import State
from litestar.di import Provide
from litestar.testing import create_test_client

from avow.policy import parse
from avow.site import app_build, errors, signed_in
from avow.site.layout import Site
from avow.site.reader import Reader
from avow.site.words import WORDS
from tests.house.conftest import ROOT
from tests.platform import Platform, policy_text

LANDING_BYTES_MAX = 250 * 1024
"""What the first screen may weigh, packed: scripts and styles that the page names, and that screen."""


@pytest.fixture(scope="module")
def dist() -> Path:
    """The folder of the build."""
    found = next((folder for folder in app_build.folders() if (folder / app_build.PAGE).is_file()), None)
    if found is None:
        pytest.skip("the app was not built: tools/ui")
    return found


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"tools_{name}", ROOT / "tools" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[made.__name__] = made  # where the framework looks for the types of its functions
    spec.loader.exec_module(made)
    return made


def test_what_the_app_knows_of_the_api_is_what_the_api_says() -> None:
    api = script("api")
    assert json.loads((ROOT / "ui" / "api.json").read_text()) == json.loads(api.text()), "run: python tools/api.py"


def test_a_page_lets_in_its_own_styles_by_a_nonce_and_nothing_else(platform: Platform, dist: Path) -> None:
    with platform.http() as http:
        one, other = http.get("/app"), http.get("/app/keys")
        policy = one.headers["content-security-policy"]
        nonce = re.search(r"'nonce-([\w-]+)'", policy)
        assert nonce is not None and f'nonce="{nonce[1]}"' in one.text and nonce[1] not in other.text
        assert "unsafe" not in policy and "http" not in policy and "default-src 'none'" in policy
        assert one.headers["cache-control"] == "no-store" and "set-cookie" not in one.headers
        assert not re.findall(r'(?:src|href)="(?!/app/assets/)', one.text.partition("<noscript>")[0])


def test_a_file_is_kept_for_good_and_comes_packed(platform: Platform, dist: Path) -> None:
    with platform.http() as http:
        name = re.findall(r'src="(/app/assets/[^"]+\.js)"', http.get("/app").text)[0]
        for encoding in ("br", "gzip", "identity"):
            with http.stream("GET", name, headers={"accept-encoding": encoding}) as answer:
                assert answer.headers.get("content-encoding", "identity") == encoding
                assert "immutable" in answer.headers["cache-control"]
                assert answer.headers["content-type"].startswith("text/javascript")
                assert answer.headers["x-content-type-options"] == "nosniff"
        for missing in ("/app/assets/no.js", f"{name}.br", "/app/assets/..%2findex.html"):
            assert http.get(missing).status_code == 404, missing


def test_the_first_screen_is_light(dist: Path) -> None:
    manifest = json.loads((dist / "manifest.json").read_text())
    wanted, files = ["index.html", "src/screens/Home.tsx", "locales/en.po"], set()
    while wanted:
        entry = manifest[wanted.pop()]
        new = {entry["file"], *entry.get("css", ())} - files
        files |= new
        wanted += entry.get("imports", ()) if new else ()
    sizes = {name: len(gzip.compress((dist / name).read_bytes(), 9)) for name in files}
    assert sum(sizes.values()) <= LANDING_BYTES_MAX, sizes
    desk = {entry["file"] for name, entry in manifest.items() if "/desk/" in name}
    assert len(desk) > 10 and not desk & files, "the desk is loaded when staff go there"


def test_what_the_build_is_made_of_is_named_with_its_licence(dist: Path) -> None:
    told = (dist / "assets" / "licences.txt").read_text()
    packages = json.loads((ROOT / "ui" / "package.json").read_text())["dependencies"]
    assert all(f"{name} " in told for name in packages)
    assert "SIL OPEN FONT LICENSE" in told.upper() and "MIT License" in told


UNASKED = ("signer", "log", "clock", "started_at", "database", "evidence", "parts", "connected", "documents", "figures")
"""What of a site a page without figures does not ask for."""


def _who(reader: Any) -> Callable[[], Any]:
    """Gives whoever reads, to a route that asks who does."""
    return lambda: reader


def test_where_the_app_was_not_built_its_address_says_so(tmp_path: Path) -> None:
    policy, unasked = parse(policy_text()), dict.fromkeys(UNASKED, cast(Any, None))
    site = Site(
        name="Avow",
        base_url="http://127.0.0.1",
        model="",
        in_force=lambda: policy,
        installed=frozenset(),
        app=app_build.built((tmp_path,)),
        places=(),
        metrics_token="",
        visits=Counter(),
        **unasked,
    )
    here = Reader(policy, datetime.now(UTC), "/app", None, "", {}, gpc=False, secure=False)
    zh = replace(here, asked="zh")
    for reader, said in zip((here, zh), WORDS["app_missing_title"], strict=True):
        with create_test_client(
            signed_in.ROUTES,
            state=State({"site": site}),
            dependencies={"reader": Provide(_who(reader), sync_to_thread=False)},
            exception_handlers=errors.handlers(),
        ) as client:
            answer = client.get("/app/keys")
            assert answer.status_code == 503 and said in answer.text
            assert client.get("/app/assets/index.js").status_code == 404
