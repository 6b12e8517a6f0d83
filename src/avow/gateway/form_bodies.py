"""What the forms of `/v1` hold, said for its OpenAPI document alone: `media` reads them, for fields of a form are texts."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from avow.gateway.media import IMAGES_MAX
from avow.gateway.wire import Name

Sent = Annotated[str, msgspec.Meta(extra_json_schema={"format": "binary"})]
"""A file."""
Count = Annotated[int, msgspec.Meta(ge=1, le=IMAGES_MAX)]


class Edit(msgspec.Struct):
    """Pictures stand in `image`, or several in `image[]`; one of both is needed."""

    model: Name
    prompt: str
    image: Sent | UnsetType = UNSET
    images: list[Sent] | UnsetType = msgspec.field(name="image[]", default=UNSET)
    mask: Sent | UnsetType = UNSET
    n: Count | UnsetType = UNSET


class Variation(msgspec.Struct):
    """A picture, of which there are to be others."""

    model: Name
    image: Sent
    n: Count | UnsetType = UNSET


class Recording(msgspec.Struct):
    """Sound, one file."""

    model: Name
    file: Sent
    prompt: str | UnsetType = UNSET
    response_format: str | UnsetType = UNSET


class Transcribed(Recording):
    """Sound to be written down; a stream has `json` as its format."""

    language: str | UnsetType = UNSET
    stream: bool | UnsetType = UNSET
