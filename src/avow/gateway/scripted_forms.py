"""How a scripted upstream reads a form: as strictly as real ones, and with another parser than the gateway's."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import HTTP
from typing import Any

SOUNDS = ("flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "wav", "webm")
PICTURES = ("png", "jpg", "jpeg", "webp")


def read(content_type: str, body: bytes) -> dict[str, Any]:
    """The fields; files as text (Latin-1), several of a name (`image[]`) as one. Raises ValueError."""
    whole = message_from_bytes(b"content-type: " + content_type.encode() + b"\r\n\r\n" + body, policy=HTTP)
    if whole.defects or not whole.is_multipart():
        raise ValueError("not a form")
    fields: dict[str, Any] = {}
    for part in whole.iter_parts():
        options = dict(part.get_params(header="content-disposition", unquote=True) or ())
        name, data = options["name"].removesuffix("[]"), bytes(part.get_payload(decode=True))
        filename = part.get_filename()
        if filename is None:
            fields[name] = data.decode()
        elif filename.rpartition(".")[2] not in (SOUNDS if name == "file" else PICTURES):
            raise ValueError("a kind of file that nobody reads")
        else:
            fields[name] = data.decode("latin-1")
    return fields
