"""The tables of the policy language beside `[account]` and `[category.NAME]`, each with its keys.

The parser, the JSON Schema, the reference page, `diff` and `meet` read these declarations.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from avow.policy import language, practices, statements, terms, words
from avow.policy.language import Key


@dataclass(frozen=True, slots=True)
class Section:
    """One kind of table. `names`: the words that may stand behind the dot; a pattern for free names; None: no dot.

    `feature` is the part of Avow that makes its sentences true; None: each sentence says it itself, or none is needed.
    `presence`: whether having the table is the stricter (`more`), lacking it (`fewer`), or neither.
    """

    meaning: str
    keys: tuple[Key, ...] = ()
    names: Collection[str] | re.Pattern[str] | None = None
    feature: str | None = None
    presence: language.Strict = "free"


def _line(name: str, meaning: str, strictest: str, required: bool = True) -> Key:
    return Key(
        name,
        "text",
        meaning,
        strictest,
        required=required,
        shape=language.LINE,
        shape_in_words="Write one line of at most 200 characters, without < > { }",
    )


def _list(
    name: str,
    meaning: str,
    strictest: str,
    known: Collection[str] | None,
    strict: language.Strict,
    required: bool = True,
) -> Key:
    return Key(name, "list", meaning, strictest, required=required, words=known, strict=strict)


_RULE = _line("rule", "Which sentence holds: one of the words that the name takes.", '"the first word"')
_REGION = Key("region", "text", "The country in which it works.", '"DE"', words=terms.COUNTRIES)

SECTIONS: Mapping[str, Section] = {
    "operator": Section(
        "Who is responsible for the service (the controller).",
        (
            _line("name", "The name of the operator.", '"Example Operator"'),
            Key(
                "address",
                "list",
                "The lines of the postal address.",
                "[]",
                required=False,
                shape=language.LINE,
                shape_in_words="Write one line in each element",
                ordered=True,
            ),
            Key("country", "text", "Where the operator is based.", '"DE"', words=terms.COUNTRIES),
            Key(
                "site",
                "text",
                "The address of the website.",
                '"https://example.org"',
                required=False,
                shape=language.SITE,
                shape_in_words="Write an address that begins with https://",
            ),
        ),
    ),
    "contact": Section(
        "A mailbox, and what it is for.",
        (
            Key(
                "email",
                "text",
                "Its address.",
                '"privacy@example.org"',
                shape=language.EMAIL,
                shape_in_words="Write an e-mail address",
            ),
            _list("topics", "What to write there for.", '["rights"]', terms.TOPICS, "more", required=False),
        ),
        terms.CONTACTS,
        presence="more",
    ),
    "locale": Section(
        "A language in which the text is published. One without a date is not publishable.",
        (
            Key(
                "date",
                "date",
                "When this text was last changed: a day or a month. A version in which sentences of it read otherwise is planned "
                "only with a later one, or with the same while that is not over.",
                '"2026-03-17"',
            ),
        ),
        terms.LOCALES,
    ),
    "terms": Section(
        "The terms of use in one language: the operator's own text, of the same version as this policy. Stands at /terms.",
        (
            Key(
                "text",
                "text",
                "The text. An empty line begins a paragraph, and a line that begins with # is a heading.",
                '"The law applies."',
                shape=language.PROSE,
                shape_in_words="Write at most 100,000 characters, without < > { }",
            ),
        ),
        terms.LOCALES,
    ),
    "offer": Section("What the service offers.", (), statements.OFFERS),
    "statement": Section("A sentence that binds the service to nothing but saying it.", (), statements.STATEMENTS),
    "age": Section(
        "How old somebody must be. Only whether it was affirmed is stored, never a date of birth.",
        (
            Key("minimum", "integer", "The age where no country says otherwise.", "18", strict="higher"),
            Key("by_country", "ages", "Other ages by country.", "{}", required=False, strict="higher"),
            Key(
                "on_minor",
                "text",
                "What happens to data of somebody younger.",
                '"delete"',
                words=terms.MINORS,
                strict="earlier",
            ),
        ),
        feature="age_gate",
        presence="more",
    ),
    "consent": Section(
        "What is asked for separately. No consent follows from use or from accepting this policy.",
        (_list("asked", "What consent is asked for.", "[]", terms.CONSENTS, "more", required=False),),
        feature="consents",
    ),
    "practice": Section("What is done with data, or not.", (_RULE,), practices.PRACTICES),
    "filter": Section(
        "What is looked for in what goes to a model and in what comes back. At least one of `words`, `patterns`, `hashes`, "
        "`personal`, `asks` says how; all of it stands in the policy for programs.",
        (
            Key(
                "finds",
                "text",
                "What it looks for; the record holds this word and never a text.",
                '"house"',
                words=terms.HARMS,
            ),
            _list("stages", "Where it looks.", '["prompt", "output"]', terms.STAGES, "more"),
            Key(
                "action",
                "text",
                "What happens when it finds something.",
                '"block"',
                words=terms.ACTIONS,
                strict="earlier",
            ),
            Key(
                "words",
                "list",
                "Words and phrases, whole, in small or capital letters.",
                "[]",
                required=False,
                shape=language.LINE,
                shape_in_words="Write one line of at most 200 characters, without < > { }",
                strict="more",
            ),
            Key(
                "patterns",
                "list",
                "Patterns in the syntax of RE2, which takes time in proportion to the text and no more.",
                "[]",
                required=False,
                shape=language.PATTERN,
                shape_in_words="Write one line of at most 500 characters",
                strict="more",
            ),
            Key(
                "hashes",
                "list",
                "SHA-256 (hexadecimal) of whole texts of a request, in small letters with single spaces between the words, and "
                "of images as they are.",
                "[]",
                required=False,
                shape=language.DIGEST,
                shape_in_words="Write 64 hexadecimal digits",
                strict="more",
            ),
            _list("personal", "Personal data that is known by its form.", '["email"]', terms.RECOGNISED, "more", False),
            Key(
                "asks",
                "text",
                "A model of this platform that judges what is sent, after the other filters: by its moderation, or with `chats`. "
                "Where it does not answer, what it would have to block goes nowhere.",
                '"omni-moderation-latest"',
                required=False,
                shape=language.LINE,
                shape_in_words="Write the name of a model, as clients ask for it",
                strict="given",
            ),
            Key(
                "chats",
                "flag",
                "`true`: the model in `asks` is asked in a chat and says `safe` or `unsafe` first, as Llama Guard does.",
                "false",
                required=False,
            ),
            Key(
                "restores",
                "flag",
                "`true`: a model gets a placeholder for each piece of personal data, and the answer has it back. What stood "
                "there is held in memory for that request only.",
                "false",
                required=False,
            ),
        ),
        language.NAME,
        "filter",
        presence="more",
    ),
    "security": Section("How data is protected.", (_RULE,), practices.SECURITY, presence="more"),
    "organisation": Section(
        "What people do, not code. Published only while a valid document stands behind it.",
        (_line("evidence", "The id of the document in the vault of evidence.", '"soc2-report"'),),
        statements.ORGANISATION,
        "evidence",
        presence="more",
    ),
    "cookies": Section(
        "A kind of cookie. All but `essential` need a choice first and can be taken back.",
        (),
        terms.COOKIE_KINDS,
        "cookies",
        presence="fewer",
    ),
    "cookie": Section(
        "One cookie.",
        (
            Key("kind", "text", "Its kind.", '"essential"', words=terms.COOKIE_KINDS, strict="earlier"),
            Key(
                "lifetime",
                "keep",
                'How long it stays; `"0"`: until the browser is closed.',
                '"0"',
                strict="shorter",
            ),
            Key("third_party", "flag", "Whether somebody else sets it.", "false", required=False, strict="no"),
        ),
        re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}"),
        "cookies",
        presence="fewer",
    ),
    "ad": Section(
        "A place for advertising on public pages, filled by a processor with the role `advertising` for people who opted in.",
        (
            Key(
                "vendor",
                "text",
                "The processor that fills it.",
                '"ads"',
                shape=language.NAME,
                shape_in_words="Write the NAME of a [processor.NAME]",
            ),
            Key(
                "frame",
                "text",
                "The page of the vendor that is shown there. It is told nothing but the switch below.",
                '"https://ads.example.org/frame"',
                shape=language.FRAME,
                shape_in_words="Write an address that begins with https:// and has no query",
            ),
            Key(
                "non_personalised",
                "text",
                "What is added to the address, unless somebody chose personalised advertising.",
                '"npa=1"',
                shape=language.QUERY,
                shape_in_words="Write a name and a value, such as npa=1",
            ),
            Key(
                "settings",
                "text",
                "Where the vendor lets people opt out.",
                '"https://ads.example.org/settings"',
                required=False,
                shape=language.SITE,
                shape_in_words="Write an address that begins with https://",
            ),
        ),
        language.NAME,
        "ads",
        presence="fewer",
    ),
    "processor": Section(
        "An outside party that gets data. One that is not listed gets none.",
        (
            _line("title", "Its name.", '"Example Hosting"'),
            _list("roles", "What it does.", '["hosting"]', terms.ROLES, "fewer"),
            _list("categories", "What it may get.", "[]", words.CATEGORIES, "fewer"),
            Key(
                "fields",
                "list",
                "The only fields that it may get.",
                "[the fields that its task needs]",
                required=False,
                shape=language.FIELD,
                shape_in_words="Name fields of the categories",
                strict="fewer",
            ),
            _REGION,
            _line("contract", "The id of the data processing agreement.", '"dpa-hosting"'),
            Key("vetted", "date", "When it was last examined.", '"2026-03-01"', required=False),
            Key("keep", "keep", "How long it keeps what it gets.", '"0"', strict="shorter"),
            Key("trains", "flag", "Whether it trains models with what it gets.", "false", strict="no"),
        ),
        language.NAME,
        "processors",
        presence="fewer",
    ),
    "sharing": Section(
        "What is never done with data.",
        (_list("never", "What does not happen.", '["sale", "rent", "trade", "marketing"]', terms.NEVER, "more"),),
        feature="disclosures",
        presence="more",
    ),
    "share": Section(
        "A ground on which data may leave. Without its table it does not.", (), terms.SHARES, presence="fewer"
    ),
    "regions": Section(
        "Where data lies.",
        (
            Key(
                "mode",
                "text",
                "`only`: nowhere else; `service`: where the service is set up, out of these; `listed`: here, and in "
                "other countries that the register names.",
                '"only"',
                words=("only", "service", "listed"),
                strict="earlier",
            ),
            _list("countries", "The countries.", '["DE"]', terms.COUNTRIES, "fewer"),
            Key(
                "tell_at_sign_up",
                "flag",
                "Whether people elsewhere are told at sign-up that their data goes there.",
                "true",
                required=False,
                strict="yes",
            ),
        ),
        feature="regions",
        presence="more",
    ),
    "transfer": Section(
        "What transfers abroad rest on. Published only while a valid document stands behind it.",
        (_line("evidence", "The id of the document in the vault of evidence.", '"scc-2021-914"'),),
        terms.TRANSFERS,
        "evidence",
        presence="more",
    ),
    "right": Section("A right of everybody.", (), terms.RIGHTS, "rights", presence="more"),
    "rights": Section(
        "How rights are exercised.",
        (
            Key("contact", "text", "The mailbox to write to.", '"privacy"', words=terms.CONTACTS),
            Key("scope", "text", "Whose law gives them.", '"everyone"', words=terms.SCOPES, strict="earlier"),
            Key(
                "deadline",
                "periods",
                "The time to answer by jurisdiction: `default`, `EU`, a country, or a country and a part of it.",
                '{ default = "1 month" }',
                strict="shorter",
            ),
        ),
        feature="rights",
        presence="more",
    ),
    "notice": Section(
        "What people are told, and how.",
        (
            _list("channels", "The ways.", '["page", "email", "banner"]', terms.CHANNELS, "more"),
            Key("any", "flag", "`true`: one of the ways is enough.", "false", required=False, strict="no"),
        ),
        terms.NOTICES,
        "notices",
        presence="more",
    ),
    "acceptance": Section(
        "How this policy is accepted. Accepting is never a consent.",
        (
            Key("how", "text", "The act.", '"explicit"', words=terms.ACCEPTANCES, strict="earlier"),
            Key("terms", "flag", "Whether the terms are accepted with it.", "false", required=False),
        ),
        feature="acceptance",
        presence="more",
    ),
    "isolation": Section(
        "How customers are kept apart.",
        (
            Key(
                "enterprise",
                "text",
                "`separate`: stores and keys of their own for enterprise customers.",
                '"separate"',
                words=("separate", "shared"),
                strict="earlier",
            ),
        ),
        feature="cells",
        presence="more",
    ),
    "backup": Section(
        "Copies for recovery.",
        (
            Key("keep", "keep", "How long a backup stays.", '"7 days"', strict="shorter"),
            Key(
                "after_deletion",
                "keep",
                "The longest that deleted data stays in a backup.",
                '"7 days"',
                strict="shorter",
            ),
            Key(
                "keys_destroyed",
                "flag",
                "`true`: the keys of deleted data are destroyed, so that no backup shows it.",
                "true",
                required=False,
                strict="yes",
            ),
        ),
        feature="backups",
        presence="more",
    ),
    "billing": Section(
        "How is paid, and what stays here of a payment.",
        (
            _list("modes", "The ways of paying.", '["prepaid"]', terms.BILLING, "free"),
            _list(
                "local_fields", "All that is stored here of a payment.", '["reference"]', terms.LOCAL_FIELDS, "fewer"
            ),
        ),
        feature="checkout",
    ),
}
