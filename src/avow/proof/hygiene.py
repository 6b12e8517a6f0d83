"""Probes of hygiene: what browsers are told, what others on the machine can read, where we listen, and card numbers."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import Iterator
from http.cookies import SimpleCookie
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING

from avow.base.ids import uuid7
from avow.proof.evidence import Finding
from avow.vault import Ref, box

if TYPE_CHECKING:
    from avow.proof.probes import Ground

PAGE, API, V1 = "/privacy", "/api/me", "/v1/models"
STRICT = ("default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'")
FORMS = ("form-action 'none'", "form-action 'self'")
"""To nobody, or to this site where the panel of cookies is."""
OTHERS = stat.S_IRWXG | stat.S_IRWXO
CARD, CARD_KEPT = "4111 1111 1111 1111", "**** **** **** 1111"
LISTENING = "0A"


async def headers(on: Ground) -> Finding:
    """Pages and answers tell browsers not to embed, guess or keep them, and not what they are served by."""
    async with on.http() as http:
        page, api, v1 = [(await http.get(path)).headers for path in (PAGE, API, V1)]
    policy = page.get("content-security-policy", "")
    wrong = [each for each in STRICT if each not in policy]
    wrong += [] if {*FORMS} & {*policy.split("; ")} else ["form-action"]
    wrong += [f"{name} of pages" for name in ("referrer-policy",) if page.get(name) != "no-referrer"]
    for where, found in (("pages", page), ("the API", api)):
        if found.get("x-content-type-options") != "nosniff":
            wrong.append(f"nosniff of {where}")
    for where, found in (("/api", api), ("/v1", v1)):
        if "no-store" not in found.get("cache-control", ""):
            wrong.append(f"no-store of {where}")
    wrong += ["a server header" for found in (page, api, v1) if "server" in found]
    return Finding("failed", f"wrong: {', '.join(wrong[:5])}") if wrong else Finding("proved", "pages, /api and /v1")


async def cookies(on: Ground) -> Finding:
    """The cookie of a session is out of reach of scripts and of other sites; over TLS it goes nowhere else."""
    async with on.http() as http:
        answer = await http.post("/api/auth/logout", headers={"sec-fetch-site": "same-origin"})
    told = SimpleCookie(answer.headers.get("set-cookie", ""))
    if not told:
        return Finding("failed", f"answered {answer.status_code} without a cookie")
    wrong = []
    for name, cookie in told.items():
        kept = (
            cookie["httponly"],
            cookie["samesite"].lower() in ("lax", "strict"),
            cookie["path"] == "/",
            not cookie["domain"],
        )
        if not all(kept) or (on.tls and not (cookie["secure"] and name.startswith("__Host-"))):
            wrong.append(name)
    return (
        Finding("failed", f"flags are missing of {', '.join(wrong)}") if wrong else Finding("proved", ", ".join(told))
    )


async def modes(on: Ground) -> Finding:
    """Nobody but the platform's own user can read, change or enter anything in its home."""
    count, open_to_others = await asyncio.to_thread(_look_at_modes, on.home)
    if open_to_others:
        return Finding("failed", f"{len(open_to_others)} open to others, the first is {open_to_others[0]}")
    return Finding("proved", f"{count} files and folders")


async def listening(on: Ground) -> Finding:
    """No process of the platform takes connections from the network anywhere but at the address that was chosen."""
    return await asyncio.to_thread(_look_at_listeners, on.home, *on.listens)


async def cards(on: Ground) -> Finding:
    """A card number that a canary writes is masked in what is stored of it."""
    canary = await on.canaries.kept()
    ref = Ref(canary.tenant_id, canary.ref.table, canary.ref.category, uuid7(), canary.subject_id)
    sealed = on.vault.seal(ref, {"request": f"{canary.marker} {CARD}"}, canary.ends_at)
    stored = box.unseal(on.ring.key(canary.subject_id, ref.category, box.slot(sealed)), ref, sealed)
    masked = isinstance(stored, bytes) and f"{canary.marker} {CARD_KEPT}".encode() in stored
    return Finding("proved", "masked but for four digits") if masked else Finding("failed", "stored as it was written")


def _look_at_modes(home: Path) -> tuple[int, list[str]]:
    count, found = 0, []
    for path in (home, *home.rglob("*")):
        try:
            seen = path.lstat()
        except FileNotFoundError:
            continue  # it went while we looked
        count += 1
        # A socket's own mode says little; the folder that it lies in is looked at.
        if stat.S_ISLNK(seen.st_mode) or stat.S_ISSOCK(seen.st_mode):
            continue
        if seen.st_mode & OTHERS or seen.st_uid != os.geteuid():
            found.append(str(path.relative_to(home)))
    return count, found


def _look_at_listeners(home: Path, host: str, port: int) -> Finding:
    chosen = {address[4][0] for address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    sockets = dict(_listeners())
    front = {inode for inode, (_, at) in sockets.items() if at == port}
    # The parent holds the front's socket too, so all that it started is found from here, and what started it is not.
    holders = [pid for pid in _pids() if _inodes(pid) & front]
    if not holders:
        return Finding("unproved", f"no process of ours was found at port {port}")
    ours = _family({_postgres(home), *holders})
    found = {sockets[inode] for pid in ours for inode in _inodes(pid) & sockets.keys()}
    elsewhere = sorted(f"{address} port {at}" for address, at in found if at != port or address not in chosen)
    if elsewhere:
        return Finding("failed", f"listens at {', '.join(elsewhere[:3])}")
    return Finding("proved", f"only at {host} port {port}, {len(ours)} processes")


def _listeners() -> Iterator[tuple[int, tuple[str, int]]]:
    """The listening TCP sockets of this machine by inode; see proc_pid_net(5)."""
    for name in ("tcp", "tcp6"):
        for line in Path("/proc/net", name).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENING:
                address, _, at = fields[1].partition(":")
                words = [bytes.fromhex(address[n : n + 8])[::-1] for n in range(0, len(address), 8)]
                packed = b"".join(words)
                ip = IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)
                yield int(fields[9]), (str(ip), int(at, 16))


def _pids() -> list[int]:
    return [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()]


def _inodes(pid: int) -> set[int]:
    """The sockets that a process has open; nothing for a process of somebody else."""
    found = set()
    try:
        for each in Path(f"/proc/{pid}/fd").iterdir():
            target = each.readlink().name
            if target.startswith("socket:["):
                found.add(int(target[8:-1]))
    except OSError:
        return found
    return found


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])
    except OSError:
        return 0


def _postgres(home: Path) -> int:
    """The embedded server, which can be older than the platform's own processes; 0: there is none."""
    try:
        return int((home / "pg" / "postmaster.pid").read_text().split("\n")[0])
    except (OSError, ValueError):
        return 0


def _family(heads: set[int]) -> set[int]:
    """Processes and all that descend from them."""
    parents = {pid: _parent(pid) for pid in _pids()}
    ours = {pid for pid in heads if pid in parents}
    while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return ours
