import re
from datetime import UTC, datetime
from pathlib import Path

import avow.site
from avow.policy.words import PROBES
from avow.site.words import WORDS
from tests.platform import Platform

TEMPLATES = Path(avow.site.__file__).parent / "templates"


def test_every_word_that_a_page_uses_stands_in_both_languages() -> None:
    used = {key for page in TEMPLATES.glob("*.html") for key in re.findall(r"t\('(\w+)'\)", page.read_text())}
    assert used - set(WORDS) == set()
    assert {f"probe_{name}" for name in PROBES} - set(WORDS) == set()
    for key, (en, zh) in WORDS.items():
        assert en.strip() and zh.strip(), key
        assert re.search(r"[\u4e00-\u9fff]", zh), f"{key} has no Chinese text"


def test_the_names_of_things_are_told_to_everybody(platform: Platform) -> None:
    with platform.http() as http:
        en, zh = (http.get("/api/words", params={"locale": locale}).json() for locale in ("en", "zh"))
        assert en.keys() == zh.keys()
        assert {"category_usage", "purpose_billing", "field_name", "role_privacy", "probe_sums"} <= en.keys()
        assert en["category_usage"] != zh["category_usage"]
        assert http.get("/api/words", params={"locale": "fr"}).status_code == 400


def test_what_a_probe_found_is_told_to_everybody(platform: Platform) -> None:
    platform.cli("verify", "sums")
    with platform.http() as http:
        [found] = [each for each in http.get("/api/evidence").json() if each["probe"] == "sums"]
    assert found.keys() == {"probe", "verdict", "figure", "at"}
    assert found["verdict"] == "proved" and found["figure"]
    assert datetime.fromisoformat(found["at"]) <= datetime.now(UTC)
