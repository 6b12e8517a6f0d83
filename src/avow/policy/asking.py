"""The text with which a consent is asked for: it names what is agreed to, and that it can be taken back.

Whoever gives a consent gives it to this text, and the record of it keeps the text with its SHA-256 (GDPR Art. 7(1)).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final, NamedTuple

from avow.policy import cookies, terms, words
from avow.policy.model import Clause, Policy
from avow.policy.words import Word

SHARING: Final = "sharing"


class Notice(NamedTuple):
    """A text in one language, as it is shown to who is asked."""

    locale: str
    text: str

    @property
    def hash(self) -> str:
        """SHA-256 of the text (UTF-8), hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def notices(policy: Policy, name: str) -> dict[str, Notice]:
    """The text for a consent (`ads`, `training`, `sharing:RECIPIENT`, or a purpose) in each language."""
    kind, _, recipient = name.partition(":")
    word = terms.CONSENTS.get(kind)
    what, what_zh = (word.en, word.zh) if word is not None else _use(words.PURPOSES.get(kind, Word(kind, kind)))
    to, to_zh = (f" (to {recipient} and nobody else)", f"（仅限 {recipient}）") if recipient else ("", "")
    more = list(_more(policy, kind))
    en = f"I consent to {what}{to}, and can take that back at any time as easily; what was done before stays lawful."
    zh = f"我同意：{what_zh}{to_zh}，并可随时同样方便地撤回；撤回前的处理仍然合法。"
    return {
        "en": Notice("en", " ".join((en, *(clause.en for clause in more)))),
        "zh": Notice("zh", "".join((zh, *(clause.zh for clause in more)))),
    }


def shown(policy: Policy, name: str, hash: str) -> Notice | None:
    """The text of this hash, in whatever language; None: this consent is not asked for with it."""
    return next((each for each in notices(policy, name).values() if each.hash == hash), None)


def _use(word: Word) -> tuple[str, str]:
    return f"the use of my data {word.en}", f"将我的数据用于：{word.zh}"


def _more(policy: Policy, name: str) -> Iterator[Clause]:
    """The published sentences that say what the consent is about."""
    kind = next((each for each in terms.COOKIE_KINDS if cookies.consent_of(each) == name), None)
    wanted = {f"practice.{name}", f"cookies.{kind}", *({"share.consent"} if name == SHARING else ())}
    for clause in policy.clauses:
        if clause.id in wanted or (name == "ads" and clause.id.startswith("ad.")):
            yield clause
