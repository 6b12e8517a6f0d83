"""A restore of an older backup on a whole Avow: killed between changes and the list of them, then brought back."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from avow.base.postgres import FOLDER, Cluster
from avow.privacy.memory import LOCK
from tests import LIMIT_S
from tests.platform import Platform, new_platform, wait_until

EVE, PASSWORD = "eve@example.org", "a long word for eve"


def test_a_restore_brings_back_no_key_no_role_and_no_use_that_was_ended(tmp_path: Path) -> None:
    backup = str(tmp_path / "backup")
    with new_platform(engine="0") as platform:
        platform.start()
        platform.hire("privacy", EVE, PASSWORD)
        with platform.http() as ada:
            me = platform.sign_up(ada)
            key = platform.key(ada)
            assert models(platform, key["secret"]) == 200
            assert desk(platform) == "second_factor_missing"
            platform.cli("backup", backup)
            with nobody_remembers(platform):
                listed = (platform.home / "keyring" / "newest").read_bytes()
                rotated = ada.post(f"/api/keys/{key['id']}/rotate", json={"overlap_h": 0})
                assert rotated.is_success, rotated.text
                assert ada.post("/api/privacy/requests", json={"kind": "restrict"}).status_code == 202
                platform.cli("user", "remove", "--email", EVE)
                platform.kill()
                assert (platform.home / "keyring" / "newest").read_bytes() == listed, "it was written down before"
            refused = platform.cli("restore", backup, check=False)
            assert refused.returncode == 1
            assert "--replace" in refused.stderr
            platform.cli("restore", backup, "--replace")
            platform.start()
            assert [models(platform, key["secret"]), models(platform, rotated.json()["secret"])] == [401, 200]
            assert ada.get("/api/me").status_code == 401, "a session of the time of the backup"
            platform.sign_in(ada, me["email"], me["password"])
            assert ada.get("/api/privacy/standing").json()["restricted"]
            assert desk(platform) == "not_permitted"
            assert "proved" in platform.cli("verify", "record").stdout
            # A restore that is killed behind the change of databases has not anchored the record: the next start does.
            platform.kill()
            restore_and_die(platform, backup)
            platform.start()
            wait_until(lambda: not platform.sql("SELECT count(*) AS n FROM restoration")[0]["n"])
            assert "proved" in platform.cli("verify", "record").stdout
            [act] = platform.sql("SELECT count(*) AS n FROM audit WHERE act = 'restore a backup'")
            assert act["n"] == 1, "the line of the first restore went with the database"
            # The machine is lost with its database; keyring and log were kept elsewhere. Who was erased since stays so.
            platform.sign_in(ada, me["email"], me["password"])
            platform.erase(ada, me["password"])
            platform.stop()
            shutil.rmtree(platform.home / FOLDER)
            platform.cli("restore", backup)
            platform.start()
            refused_to = {"email": me["email"], "password": me["password"]}
            assert ada.post("/api/auth/login", json=refused_to).status_code == 401
            assert not platform.sql(f"SELECT id FROM person WHERE id = '{me['id']}'")


KILLED = """
import os, sys
from avow import cli, desk
desk.Desk.finish_restore = lambda *_: os._exit(9)
cli.main(["restore", sys.argv[1], "--replace"])
"""


def restore_and_die(platform: Platform, folder: str) -> None:
    """The command, killed as soon as the restored database has its name."""
    command = [sys.executable, "-c", KILLED, folder]
    done = subprocess.run(command, env=platform.environment(), check=False, timeout=LIMIT_S, capture_output=True)
    assert done.returncode == 9, done.stderr


@contextmanager
def nobody_remembers(platform: Platform) -> Iterator[None]:
    """Meanwhile the keeper waits for its turn to write down what a restore may not take back."""
    dsn = Cluster(platform.home, platform.superuser_password()).dsn()
    loop = asyncio.new_event_loop()
    connection = loop.run_until_complete(asyncpg.connect(**dsn.arguments()))
    try:
        loop.run_until_complete(connection.execute(f"SELECT pg_advisory_lock({LOCK})"))
        yield
    finally:
        loop.run_until_complete(connection.close())
        loop.close()


def models(platform: Platform, secret: str) -> int:
    with platform.http(headers={"authorization": f"Bearer {secret}"}) as http:
        return http.get("/v1/models").status_code


def desk(platform: Platform) -> str:
    """Why a route of the staff refuses Eve."""
    with platform.http() as http:
        platform.sign_in(http, EVE, PASSWORD)
        return str(http.post("/api/desk/requests", json={}).json()["code"])
