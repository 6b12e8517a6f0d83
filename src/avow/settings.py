"""Settings: one typed value, read once from the environment (`AVOW_*`) over `avow.toml` in the home folder."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from avow.base.errors import AvowError


class SettingsWrong(AvowError):
    """A setting is wrong."""

    status = 500
    code = "settings_wrong"
    hint = "Correct it in the environment (AVOW_…) or in avow.toml and start again."


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an operator can set. Each name is `AVOW_` + its upper case in the environment."""

    home: str = ""
    """Folder of the database, keys, logs and sockets. Default: /var/lib/avow/home for the system user, else ~/.avow/home."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 8080
    """Port to listen on."""
    workers: int = 0
    """Gateway processes; 0 means one per core."""
    policy: str = "default"
    """A profile's name, or the path of a policy file."""
    origin: str = ""
    """The public URL, as people type it; default: http(s)://host:port."""
    database_url: str = ""
    """postgresql://admin@host/avow?sslmode=verify-full, or empty for the embedded PostgreSQL (also read from DATABASE_URL)."""
    tls_cert: str = ""
    """PEM file with the certificate chain; TLS 1.3 is spoken when it is set."""
    tls_key: str = ""
    """PEM file with the certificate's private key."""
    smtp_url: str = ""
    """smtp://user:password@host:587 or smtps://…; empty: messages go to files under mail/."""
    mail_from: str = "avow@localhost"
    """Sender of all mail."""
    operator_mail: str = ""
    """An address that hears of attacks on accounts, with the account's id; empty: only the person does."""
    oidc_issuer: str = ""
    """The identity provider with which people may sign in too (OpenID Connect), exactly as it calls itself; empty: none."""
    oidc_client_id: str = ""
    """The name under which this place is known to the identity provider."""
    oidc_client_secret: str = ""
    """The secret of that name; empty for a public client."""
    region: str = ""
    """The country of this machine, as in the policy, for example DE: of the database, files, queue, logs, keys and engine."""
    database_processor: str = ""
    """Who runs a database that AVOW_DATABASE_URL reaches over the network: a processor of the policy, or own."""
    database_region: str = ""
    """The country of the database, where AVOW_DATABASE_URL reaches over the network; default: that of this machine."""
    backup_region: str = ""
    """The country of the folders to which backups go; default: that of this machine."""
    mail_region: str = ""
    """The country of the mail relay; default: that of this machine, for a relay that runs on it."""
    metrics_token: str = ""
    """What Prometheus shows at /metrics, as a bearer token of 16 characters or more; empty: there is no such page."""
    otlp_endpoint: str = ""
    """Where traces of requests go, without content or ids: an OpenTelemetry collector's https://…/v1/traces; empty: nowhere."""
    otlp_header: str = ""
    """A header that the collector asks for, as `name: value`."""
    otlp_processor: str = ""
    """The collector's party by its name in the policy, which must give it `usage`; empty: it runs on this machine."""
    otlp_share: float = 0.05
    """Of how many requests traces are made, 0 to 1; chosen by chance."""
    engine: bool = True
    """Run the small embedded language model."""

    @property
    def home_path(self) -> Path:
        return Path(self.home).expanduser().resolve() if self.home else default_home()

    @property
    def tls(self) -> bool:
        return bool(self.tls_cert)

    @property
    def base_url(self) -> str:
        return self.origin.rstrip("/") or f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"

    @property
    def worker_count(self) -> int:
        return self.workers or len(os.sched_getaffinity(0))


def default_home() -> Path:
    system = Path("/var/lib/avow")
    return system / "home" if Path.home() == system else Path.home() / ".avow" / "home"


def read(environment: Mapping[str, str], **given: Any) -> Settings:
    """Settings from `avow.toml` in the home, then the environment, then what the command line gave (later wins).

    Raises `SettingsWrong` naming the key, and the nearest known one when it is unknown.
    """
    names = msgspec.structs.fields(Settings)
    known = {f.name for f in names}
    values = {k.removeprefix("AVOW_").lower(): v for k, v in environment.items() if k.startswith("AVOW_")}
    if "DATABASE_URL" in environment:
        values.setdefault("database_url", environment["DATABASE_URL"])
    values.update({k: v for k, v in given.items() if v is not None})
    home = values.get("home")
    file = (Path(str(home)).expanduser() if home else default_home()) / "avow.toml"
    merged = {**_file(file), **values}
    for key in sorted(set(merged) - known):
        near = difflib.get_close_matches(key, known, n=1)
        hint = f"Did you mean AVOW_{near[0].upper()}?" if near else f"Known: {', '.join(sorted(known))}."
        raise SettingsWrong(f"AVOW_{key.upper()} is not a setting.", hint=hint)
    try:
        made = msgspec.convert(merged, Settings, strict=False)
    except msgspec.ValidationError as wrong:
        raise SettingsWrong(_unfit(str(wrong))) from None
    return _sound(made)


TAKES = {"int": "a whole number, for example {0}", "float": "a number, for example {0}", "bool": "true or false"}
"""What a setting takes, by its type; an example is what it is by itself."""


def _unfit(said: str) -> str:
    """What msgspec says of a value that is of another type, with the setting's name and without the value."""
    place = re.search(r"`\$\.(\w+)`", said)
    found = [each for each in msgspec.structs.fields(Settings) if place and each.name == place[1]]
    if not found:
        return f"A setting does not fit: {said}."
    takes = TAKES.get(getattr(found[0].type, "__name__", ""), "a text")
    return f"AVOW_{found[0].name.upper()} takes {takes.format(found[0].default)}."


def smtp_parts(url: str) -> dict[str, Any]:
    """`smtp://user:password@host:587` as arguments of `SmtpMail`."""
    parts = urlsplit(url)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise SettingsWrong("AVOW_SMTP_URL is not smtp://… or smtps://….")
    tls = parts.scheme == "smtps"
    return {
        "host": parts.hostname,
        "port": parts.port or (465 if tls else 587),
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "tls": tls,
    }


def _file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except PermissionError as wrong:
        # A home that is closed to us holds no settings of ours; what needs the home says so itself.
        if os.access(path.parent, os.X_OK):
            raise SettingsWrong(f"{path} cannot be read: {wrong}.") from None
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as wrong:
        raise SettingsWrong(f"{path} cannot be read: {wrong}.") from None


def _check_otlp(made: Settings) -> None:
    url = urlsplit(made.otlp_endpoint)
    is_local = url.scheme == "http" and url.hostname in ("localhost", "127.0.0.1", "::1")
    if made.otlp_endpoint and not (url.hostname and (url.scheme == "https" or is_local)):
        raise SettingsWrong("AVOW_OTLP_ENDPOINT is not https://…, nor http:// to this machine.")
    if url.username is not None or url.query:
        raise SettingsWrong("AVOW_OTLP_ENDPOINT holds a credential; that belongs into AVOW_OTLP_HEADER.")
    if not 0 <= made.otlp_share <= 1:
        raise SettingsWrong(f"AVOW_OTLP_SHARE is {made.otlp_share:g}; it is 0 to 1.")
    if made.otlp_header and not re.fullmatch(r"[A-Za-z0-9-]{1,64}: ?[!-~][ -~]{0,4096}", made.otlp_header):
        raise SettingsWrong("AVOW_OTLP_HEADER is not `name: value`.")


def _sound(made: Settings) -> Settings:
    if not 1 <= made.port <= 65535:
        raise SettingsWrong(f"AVOW_PORT is {made.port}; a port is 1 to 65535.")
    if not 0 <= made.workers <= 256:
        raise SettingsWrong(f"AVOW_WORKERS is {made.workers}; it is 0 (one per core) to 256.")
    for name in ("region", "database_region", "backup_region", "mail_region"):
        if (country := getattr(made, name)) and not re.fullmatch("[A-Z]{2}", country):
            raise SettingsWrong(f"AVOW_{name.upper()} is two capital letters (ISO 3166), for example DE.")
    if bool(made.tls_cert) != bool(made.tls_key):
        raise SettingsWrong("AVOW_TLS_CERT and AVOW_TLS_KEY are set together or not at all.")
    if bool(made.oidc_issuer) != bool(made.oidc_client_id):
        raise SettingsWrong("AVOW_OIDC_ISSUER and AVOW_OIDC_CLIENT_ID are set together or not at all.")
    if made.metrics_token and not re.fullmatch(r"[!-~]{16,256}", made.metrics_token):
        raise SettingsWrong("AVOW_METRICS_TOKEN is 16 to 256 characters of ASCII without spaces.")
    _check_otlp(made)
    for name in ("tls_cert", "tls_key"):
        path = getattr(made, name)
        if path and not Path(path).is_file():
            raise SettingsWrong(f"AVOW_{name.upper()} names {path}, which is no file.")
    if made.smtp_url:
        smtp_parts(made.smtp_url)
    return made


def profiles() -> dict[str, Path]:
    """The profiles that come with the package, by name; in a checkout they lie beside `src`."""
    package = Path(__file__).parent
    folders = (package.parents[1] / "profiles", package / "profiles")
    return {path.stem: path for folder in folders for path in folder.glob("*.toml")}
