import re
from pathlib import Path

import avow.site
from avow.policy.words import PROBES
from avow.site.words import WORDS

TEMPLATES = Path(avow.site.__file__).parent / "templates"


def test_every_word_that_a_page_uses_stands_in_both_languages() -> None:
    used = {key for page in TEMPLATES.glob("*.html") for key in re.findall(r"t\('(\w+)'\)", page.read_text())}
    assert used - set(WORDS) == set()
    assert {f"probe_{name}" for name in PROBES} - set(WORDS) == set()
    for key, (en, zh) in WORDS.items():
        assert en.strip() and zh.strip(), key
        assert re.search(r"[\u4e00-\u9fff]", zh), f"{key} has no Chinese text"
