"""Mail and the demo note end with the person they were for, and after a day."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base.ids import uuid7
from avow.base.mail import FolderMail
from avow.privacy import erase, retention
from avow.privacy.needs import Needs
from avow.privacy.outside import OutsideFiles
from tests.conftest import Databases
from tests.privacy import scratch
from tests.privacy.scratch import Person

ADA, BOB = Person(), Person()


async def addresses(c: AsyncConnection, subject_id: UUID) -> Sequence[str]:
    assert c.in_transaction()  # of the caller: a restore works in a database of its own
    return {ADA.id: ["Ada@Example.org"], BOB.id: ["bob@example.org"]}.get(subject_id, [])


@pytest.fixture
def outside(on: Needs, database: Databases, tmp_path: Path) -> Needs:
    files = OutsideFiles(tmp_path, addresses)
    return scratch.needs(database.keeper, on.ring, on.clock, tmp_path, first=[files])


async def fill(home: Path) -> None:
    mail = FolderMail(home / "mail")
    await mail.send(f"{uuid7()}@avow", "ada@example.org", "hello", "to ada")
    await mail.send(f"{uuid7()}@avow", "Bob <bob@example.org>", "hello", "about ada@example.org")
    (home / "demo.json").write_text(json.dumps({"email": "ada@example.org", "api_key": "k"}))


async def test_mail_and_the_demo_note_of_the_person_end(outside: Needs, tmp_path: Path) -> None:
    await fill(tmp_path)
    await erase.run(outside, await ADA.ask(outside))
    assert not (tmp_path / "demo.json").exists()
    assert ["about ada" in path.read_text() for path in (tmp_path / "mail").iterdir()] == [True]


async def test_a_message_can_be_read_in_its_file(tmp_path: Path) -> None:
    await FolderMail(tmp_path / "mail").send(
        f"{uuid7()}@avow", "ada@example.org", "hello", "open /confirm#abc 请打开链接"
    )
    assert ["open /confirm#abc 请打开链接" in path.read_text() for path in (tmp_path / "mail").iterdir()] == [True]


async def test_files_go_after_a_day(outside: Needs, tmp_path: Path) -> None:
    await fill(tmp_path)
    now = outside.clock.now()
    old = (now - timedelta(hours=25)).timestamp()
    os.utime(tmp_path / "demo.json", (old, old))
    swept = await retention.sweep(outside, now)
    assert swept.ended == {"outside files": 1}
    assert len(list((tmp_path / "mail").iterdir())) == 2


async def test_a_file_that_nobody_can_read_stops_nothing(outside: Needs, tmp_path: Path) -> None:
    await fill(tmp_path)
    (tmp_path / "demo.json").write_bytes(b"\xff[")
    (tmp_path / "mail" / "x.eml").write_bytes(b"\xff\x00 no mail")
    steps = {step.store: step.facts for step in await erase.plan(outside, ADA.id)}
    assert steps["outside files"] == 1
