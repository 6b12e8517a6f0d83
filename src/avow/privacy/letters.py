"""Letters about privacy requests, in English and Chinese. They carry no data but the answer that was asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from avow.policy import periods, words

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

您所索取的数据副本（{id}）已备好。请在 {until_zh} 之前登录 {{site}} 取回；取回后即删除。
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


_PROVE = """\
Somebody asks at {{site}} about the data that is stored about this address: {what}. If it was you, confirm it within 24 hours:

{{site}}/privacy/ask#{token}

Without a browser: POST {{{{"token": "{token}"}}}} to {{site}}/api/privacy/outside/prove
If it was not you, do nothing: nothing was looked up, and what was typed is deleted after 24 hours.

有人在 {{site}} 就此邮箱的相关数据提出请求：{what_zh}。如果是您本人，请在 24 小时内打开上面的链接确认。
如果不是，请忽略本邮件：系统未作任何查询，所填内容将在 24 小时后删除。
"""
_KINDS = {
    "access": ("what is stored", "查询所存内容"),
    "erase": ("to have it deleted", "删除所存内容"),
    "rectify": ("to have something put right", "更正"),
    "complain": ("a complaint", "投诉"),
}

_HAS_ACCOUNT = """\
This is the answer to your request {id}.

This address has an account at {{site}}. Who asks about an account signs in there and asks again, so that nobody else can:
POST /api/privacy/requests. If you cannot sign in, or did not make the account, set a password of your own first:

{{site}}/reset

此邮箱在 {{site}} 已有账户。请登录后在账户中重新提出请求；如无法登录，或账户并非您所创建，请先通过上面的链接设置密码。
"""

_HELD = """\
This is the answer to your request {id}.

{found}
Besides, this request itself is kept as the record of what you asked and got{until}.

以上是对您的请求 {id} 的答复。{found_zh}此外，本次请求作为您所提请求及其答复的记录予以保存{until_zh}。
"""
_FOUND = ("Stored about this address, which has no account:", "此邮箱没有账户，存有以下数据：")
_ENDED = (
    "This was stored about this address, which has no account, and is deleted now:",
    "此邮箱没有账户，以下数据现已删除：",
)
_NOTHING = ("Nothing is stored about this address, and it has no account.\n", "此邮箱没有账户，也未存有任何数据。")


def prove(token: str, kind: str) -> Letter:
    """Asks the owner of an address whether they asked."""
    what, what_zh = _KINDS[kind]
    text = _PROVE.format(token=token, what=what, what_zh=what_zh)
    return Letter("Your request about your data / 您的数据请求", text)


def has_account(id: UUID) -> Letter:
    """Whoever has an account asks there."""
    return Letter("The answer to your request / 对您的请求的答复", _HAS_ACCOUNT.format(id=id))


def held(id: UUID, found: Sequence[Mapping[str, Any]], until: datetime | None, *, erased: bool) -> Letter:
    """What is stored about an address without an account, or was until it was erased: a line for each store."""
    lines, lines_zh = "", ""
    for each in found:
        kinds = [words.CATEGORIES[name] for name in each["categories"]]
        lines += f"  {', '.join(kind.en.rstrip(',') for kind in kinds)}: {each['facts']}\n"
        lines_zh += f"  {'、'.join(kind.zh for kind in kinds)}：{each['facts']}\n"
    head, head_zh = _ENDED if erased else _FOUND
    text = _HELD.format(
        id=id,
        found=f"{head}\n{lines}" if found else _NOTHING[0],
        found_zh=f"{head_zh}\n{lines_zh}" if found else _NOTHING[1],
        until=f" until {periods.day(until, 'en')}" if until else "",
        until_zh=f"至 {periods.day(until, 'zh')}" if until else "",
    )
    return Letter("The answer to your request / 对您的请求的答复", text)


def ready(id: UUID, until: datetime) -> Letter:
    """The copy can be fetched."""
    text = _READY.format(id=id, until=periods.minute(until, "en"), until_zh=periods.minute(until, "zh"))
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
