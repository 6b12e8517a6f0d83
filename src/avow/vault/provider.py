"""Who keeps the master of the ring.

The ring seals every secret under one master of 32 random bytes. The master itself lies in the ring only wrapped;
a key provider wraps and unwraps it. The default keeps its own key in a file beside the ring, so whoever can read the
whole folder can open the ring: an operator who does not want that brings a provider of a KMS or a hardware module.
"""

import os
import tempfile
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from avow.base.errors import AvowError
from avow.base.files import sync_folder

KEY_BYTES = 32
NONCE_BYTES = 12
MASTER_CONTEXT = b"avow ring master"


class KeyringTooOpen(AvowError):
    """A file or folder of the keyring can be read or changed by other users of this machine."""

    status = 500
    code = "keyring_too_open"
    hint = (
        "Give it to the user that runs Avow and take everybody else's rights away: chmod 0700 the folder, 0600 files."
    )


class MasterLost(AvowError):
    """The key that opens the keyring is missing or is not the one that closed it."""

    status = 500
    code = "master_lost"
    hint = "Put the master.key that belongs to this ring.db back beside it; without it everything sealed stays sealed."


class KeyProvider(Protocol):
    """Wraps the master of the ring; both calls may block and are made once per process."""

    def wrap(self, master: bytes) -> bytes:
        """Return `master` (32 bytes) in a form that only `unwrap` of the same provider opens."""
        ...

    def unwrap(self, wrapped: bytes) -> bytes:
        """Return the master. Raises MasterLost when this provider cannot open `wrapped`."""
        ...


class FileKeyProvider:
    """Keeps a 32-byte key in `path`, mode 0600; made once, at the first `wrap`, never replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def wrap(self, master: bytes) -> bytes:
        """See KeyProvider. Makes the key file when there is none."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_private(self._path.parent)
        if not self._path.exists():
            create_once(self._path, os.urandom(KEY_BYTES))
        nonce = os.urandom(NONCE_BYTES)
        return nonce + AESGCM(self._read()).encrypt(nonce, master, MASTER_CONTEXT)

    def unwrap(self, wrapped: bytes) -> bytes:
        """See KeyProvider. Never makes a key: a new one could open nothing."""
        if not self._path.exists():
            raise MasterLost
        try:
            return AESGCM(self._read()).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], MASTER_CONTEXT)
        except InvalidTag:
            raise MasterLost from None

    def _read(self) -> bytes:
        check_private(self._path)
        key = self._path.read_bytes()
        if len(key) != KEY_BYTES:
            raise MasterLost
        return key


def check_private(path: Path) -> None:
    """Raise KeyringTooOpen unless `path` belongs to this user and to nobody else."""
    seen = path.stat()
    if seen.st_uid != os.geteuid() or seen.st_mode & 0o077:
        raise KeyringTooOpen(f"{path} can be reached by other users of this machine.")


def create_once(path: Path, content: bytes) -> None:
    """Write `path` (mode 0600) whole or not at all; whoever comes second keeps the first one's content.

    The name appears by a hard link to a file already on the disk, so a kill at any moment leaves either no `path`
    or a complete one.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    draft = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            return
        sync_folder(path.parent)
    finally:
        draft.unlink(missing_ok=True)
