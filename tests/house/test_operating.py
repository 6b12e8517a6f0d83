"""The page about running Avow names every setting, with its default."""

import re
import tomllib

import msgspec

from avow.settings import Settings
from tests.house.conftest import ROOT

PAGE = (ROOT / "docs" / "reference" / "operating.md").read_text()


def test_every_setting_stands_on_the_page_with_its_default() -> None:
    told = dict(re.findall(r"^\| `AVOW_(\w+)` \| (?:`(.*?)`|empty) \|", PAGE, re.MULTILINE))
    assert told == {each.name.upper(): _text(each.default) for each in msgspec.structs.fields(Settings)}


def test_the_file_that_the_page_shows_is_one() -> None:
    shown = re.search(r"^    port = .*\n(?:    .*\n)+", PAGE, re.MULTILINE)
    assert shown is not None
    msgspec.convert(tomllib.loads(shown[0].replace("    ", "")), Settings)


def _text(default: object) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default)
