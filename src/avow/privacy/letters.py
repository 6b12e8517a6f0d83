"""Letters about privacy requests, in English and Chinese. They carry no data but the answer that was asked for."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

AUTHORITIES = "https://www.edpb.europa.eu/about-edpb/about-edpb/members_en"
"""The list of the European Union's data protection authorities (GDPR Art. 77)."""


class Letter(NamedTuple):
    """What is put into the mail; `{site}` in the text becomes the address of this place."""

    subject: str
    text: str


_READY = """\
The copy of your data that you asked for ({id}) is ready. Sign in at {{site}} and fetch it by {until}; it can be fetched
once and is deleted then:

{{site}}/api/privacy/requests/{id}/copy

您所索取的数据副本（{id}）已备好。请在 {until} 之前登录 {{site}} 取回；取回后即删除。
"""

_ANSWERED = """\
This is the answer to your request {id}:

{answer}

{closing}
以上是对您的请求 {id} 的答复。{closing_zh}
"""

_COMPLAIN = """\
If you do not agree, you can complain to the data protection authority of the place where you live, free of charge. Those
of the European Union: {authorities}
"""
_COMPLAIN_ZH = "如您不同意，可免费向居住地的数据保护机构投诉；欧盟各机构名单见上。"

_LIFTED = """\
The restriction of the use of your data at {{site}} ends now, because: {reason}
Ask for it again whenever you want: POST {{{{"kind": "restrict"}}}} to {{site}}/api/privacy/requests

{{site}} 对您的数据的处理限制现已解除，原因：{reason}。您可以随时再次提出限制请求。
"""


def ready(id: UUID, until: datetime) -> Letter:
    """The copy can be fetched."""
    text = _READY.format(id=id, until=f"{until:%Y-%m-%d %H:%M} UTC")
    return Letter("Your copy is ready / 您的数据副本已备好", text)


def answered(id: UUID, answer: str, *, refused: bool) -> Letter:
    """The answer of a person at the desk; a refusal names where one can complain."""
    closing = _COMPLAIN.format(authorities=AUTHORITIES) if refused else ""
    text = _ANSWERED.format(id=id, answer=_plain(answer), closing=closing, closing_zh=_COMPLAIN_ZH if refused else "")
    return Letter("The answer to your request / 对您的请求的答复", text)


def lifted(reason: str) -> Letter:
    """A restriction ends (GDPR Art. 18(3): they are told before it does)."""
    return Letter("The restriction ends / 处理限制解除", _LIFTED.format(reason=_plain(reason)))


def _plain(written: str) -> str:
    """What somebody wrote, so that the braces in it stay braces."""
    return written.replace("{", "{{").replace("}", "}}")
