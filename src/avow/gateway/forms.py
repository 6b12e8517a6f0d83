"""Bodies of `multipart/form-data` (RFC 7578): read with suspicion, and sent on written anew.

Of a file its bytes pass, the kind that its name ends in, and its media type; its name does not: people give files the names of
people. Text fields pass as in JSON: those that name somebody are taken out, unknown ones go on.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from avow.gateway.refusals import InvalidRequest, TooLarge

BYTES_MAX = 26 * 1024 * 1024
"""Of a whole body: a file of 25 MB, which is what OpenAI takes of sound, and its fields."""
PARTS_MAX = 64
FILES_MAX = 17
NAME_CHARS_MAX = 255
TEXT_BYTES_MAX = 256 * 1024
BOUNDARY = f"avow-{secrets.token_hex(16)}"
"""Between the parts of what we send; nobody who sends us something knows it."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}(\[[A-Za-z0-9_.-]{0,64}\]){0,4}")
_ENDING = re.compile(r"[a-z0-9]{1,5}")
_TYPE = re.compile(r"[a-z]{1,16}/[a-z0-9.+-]{1,64}")
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{1,70}")
_encode = msgspec.json.Encoder().encode
NOT_A_FORM = "The body is not a valid form (multipart/form-data)."


class File(msgspec.Struct, frozen=True):
    """A file of a form: the field, the kind that its name ends in, its media type as it was said, and what is in it."""

    field: str
    ending: str
    type: str
    data: bytes
    name: str = ""
    """As it was given: for who keeps the file, sealed; it goes nowhere else."""
    digests: frozenset[str] = frozenset()
    """Of a picture: by what it is known to filters."""

    def __repr__(self) -> str:
        return f"File({len(self.data)} bytes)"


class Form(msgspec.Struct, frozen=True):
    """`fields` by their name; those that occur several times (`name[]`) as a list."""

    fields: dict[str, Any]
    files: tuple[File, ...]

    def __repr__(self) -> str:
        return f"Form({len(self.files)} files)"


def boundary(content_type: bytes) -> bytes | None:
    """What stands between the parts of a body; None: it is no form."""
    kind, options = parse_options_header(content_type.decode("latin-1"))
    found = options.get("boundary", "")
    return found.encode() if kind == "multipart/form-data" and _BOUNDARY.fullmatch(found) else None


def read(body: bytes, between: bytes) -> Form:
    """A form. Raises `TooLarge` or `InvalidRequest`; neither repeats what was sent."""
    fields: dict[str, Any] = {}
    files: list[File] = []
    try:
        for segment, data in _parts(body, between):
            name = segment.name or ""
            if segment.disposition != "form-data" or not _NAME.fullmatch(name):
                raise InvalidRequest("The name of a field is not valid.")
            if segment.filename is not None:
                files.append(_file(name, segment.filename, segment.content_type, data))
            else:
                _add(fields, name, data)
    except (MultipartError, UnicodeError, ValueError):
        raise InvalidRequest(NOT_A_FORM) from None
    if len(files) > FILES_MAX:
        raise InvalidRequest(f"There are more than {FILES_MAX} files.")
    return Form(fields, tuple(files))


def digest(form: Form) -> bytes:
    """What tells a form from others, whatever stands between its parts and in whatever order its fields came."""
    files = [(file.field, file.ending, file.type, hashlib.sha256(file.data).hexdigest()) for file in form.files]
    return hashlib.sha256(_encode((sorted(form.fields.items()), files))).digest()


def encode(fields: Mapping[str, Any], files: Iterable[File]) -> bytes:
    """The body that is sent on, its parts between `BOUNDARY`."""
    parts: list[bytes] = []
    for name, value in fields.items():
        for each in value if isinstance(value, list) else (value,):
            parts += [b'--%b\r\ncontent-disposition: form-data; name="%b"' % (BOUNDARY.encode(), name.encode())]
            parts += [b"\r\n\r\n", str(each).encode(), b"\r\n"]
    for file in files:
        head = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="{file.field}"; filename="file.{file.ending}"'
        parts += [head.encode(), f"\r\ncontent-type: {file.type}\r\n\r\n".encode(), file.data, b"\r\n"]
    return b"".join([*parts, b"--%b--\r\n" % BOUNDARY.encode()])


def _parts(body: bytes, between: bytes) -> Iterator[tuple[MultipartSegment, bytes]]:
    """Each part with its bytes. The parser copies none of them before it has counted them."""
    with PushMultipartParser(
        between,
        content_length=len(body),
        max_header_size=1024,
        max_header_count=8,
        max_segment_count=PARTS_MAX,
        strict=True,
    ) as parser:
        segment: MultipartSegment | None = None
        data: list[bytes] = []
        for event in parser.parse(body):
            if isinstance(event, MultipartSegment):
                segment, data = event, []
            elif event is not None:
                data.append(bytes(event))
            elif segment is not None:
                yield segment, data[0] if len(data) == 1 else b"".join(data)


def _add(fields: dict[str, Any], name: str, data: bytes) -> None:
    if len(data) > TEXT_BYTES_MAX:
        raise TooLarge()
    text = data.decode()
    if "\0" in text:
        raise InvalidRequest("The body holds a NUL character.")
    if name.endswith("[]"):
        fields.setdefault(name, []).append(text)
    elif name in fields:
        raise InvalidRequest("A field occurs twice.")
    else:
        fields[name] = text


def _file(field: str, filename: str, kind: str | None, data: bytes) -> File:
    name = "".join(char for char in filename if char.isprintable())[:NAME_CHARS_MAX]
    return File(field, _ending(filename), _type(kind), data, name)


def _ending(filename: str) -> str:
    ending = filename.rpartition(".")[2].lower()
    return ending if _ENDING.fullmatch(ending) and "." in filename else "bin"


def _type(given: str | None) -> str:
    return given if given is not None and _TYPE.fullmatch(given) else "application/octet-stream"
