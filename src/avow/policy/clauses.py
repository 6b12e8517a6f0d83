"""The published sentences of a policy, each with its data, the code that makes it true and the code that checks it.

Clause ids are stable: `sign_up`, `keep.CATEGORY`, `use.CATEGORY`, `end.CATEGORY`, `claim.NAME`, `feature.NAME`.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Literal

from avow.policy import owner_clauses, part_clauses, periods, words
from avow.policy.canonical import of_keep
from avow.policy.model import Account, Category, Clause, Part, Policy
from avow.policy.periods import both


def of(
    account: Account,
    categories: Mapping[str, Category],
    features: frozenset[str],
    claims: frozenset[str],
    parts: Mapping[str, Part],
    prevailing: str | None,
    answers: Mapping[str, tuple[str, ...]],
) -> tuple[Clause, ...]:
    """Every clause of a policy, in the order in which a page shows them."""
    found = [_sign_up(account, "age" in parts)]
    for category in categories.values():
        found += [_keep(category), _use(category)]
        if category.keep.kind != "never":
            found += [_end(category), *owner_clauses.of(category)]
    found += [_claim(f"claim.{name}", "claim", words.CLAIMS[name]) for name in words.CLAIMS if name in claims]
    for name, sentence in words.FEATURES.items():
        if sentence is not None and name in features:
            found.append(_claim(f"feature.{name}", "feature", sentence, feature=name))
    found += part_clauses.of(parts, prevailing)
    return tuple(_marked(clause, answers.get(clause.id, ())) for clause in found)


def _marked(clause: Clause, rows: tuple[str, ...]) -> Clause:
    """`clause` with the rows that it answers; the rule of a category says where it is the operator's own choice."""
    en, zh = (
        ("", "")
        if not clause.operator_choice or clause.kind == "part"
        else (" This is the operator's own choice.", "此项由运营者自行选定。")
    )
    if not rows and not en:
        return clause
    return replace(clause, answers=(*clause.answers, *rows), en=clause.en + en, zh=clause.zh + zh)


def published(
    policy: Policy, installed: frozenset[str] = frozenset(), evidence: frozenset[str] = frozenset()
) -> tuple[Clause, ...]:
    """The clauses that may be published where the features `installed` are: those of other features are left out.

    `evidence`: ids of the documents that are valid now. An organisational claim without its document is left out.
    """
    return tuple(
        clause
        for clause in policy.clauses
        if (clause.feature is None or clause.feature in installed)
        and (clause.evidence is None or clause.evidence in evidence)
    )


def to_json(policy: Policy, installed: frozenset[str] = frozenset(), evidence: frozenset[str] = frozenset()) -> str:
    """What `/.well-known/avow-policy.json` serves: name, version, hash and the published clauses."""
    document = {
        "name": policy.name,
        "version": policy.version,
        "hash": policy.hash,
        "clauses": [_as_data(clause) for clause in published(policy, installed, evidence)],
    }
    return json.dumps(document, ensure_ascii=False, indent=1)


def _as_data(clause: Clause) -> dict[str, object]:
    return {
        "id": clause.id,
        "kind": clause.kind,
        "says": dict(clause.says),
        "sentence": {"en": clause.en, "zh": clause.zh},
        "controls": clause.controls,
        "probes": clause.probes,
    } | ({"operator_choice": True} if clause.operator_choice else {})


def _claim(id: str, kind: Literal["claim", "feature"], claim: words.Claim, feature: str | None = None) -> Clause:
    return Clause(id, kind, _says(), claim.en, claim.zh, claim.controls, claim.probes, feature)


def _sign_up(account: Account, of_age: bool) -> Clause:
    optional = tuple(field for field in account.fields if field not in account.required)
    fields = words.ACCOUNT_FIELDS
    en = f"To open an account you give {both([*(fields[name].en for name in account.required), 'a password'])}."
    zh = f"开立账户时，您需提供{'、'.join(fields[name].zh for name in account.required)}和密码。"
    if optional:
        en += f" You may also give {both(fields[name].en for name in optional)}."
        zh += f"您也可以提供{'、'.join(fields[name].zh for name in optional)}。"
    if of_age:
        en += " You name your country and affirm that you are old enough there."
        zh += "您需注明所在国家并确认已达该国规定的年龄。"
    if account.unconfirmed is not None:
        within = periods.en(account.unconfirmed)
        en += f" Where an address must be confirmed, an account is deleted whose address nobody confirmed within {within}."
        zh += f"须确认邮箱时，{periods.zh(account.unconfirmed)}内未确认的账户将被删除。"
    return Clause(
        id="sign_up",
        kind="sign_up",
        says=_says(required=account.required, optional=optional, **({"affirmed": words.AGE_FIELDS} if of_age else {})),
        en=en + " Anything else is refused.",
        zh=zh + "其他信息一律不予接受。",
        controls=("accounts.people",),
        probes=("sign_up",),
        answers=account.answers,
        operator_choice=account.operator_choice,
    )


def _keep(category: Category) -> Clause:
    what, keep = words.CATEGORIES[category.name], category.keep
    return Clause(
        id=f"keep.{category.name}",
        kind="keep",
        says=_says(
            category=category.name,
            fields=category.fields,
            keep=keep.kind if keep.kind != "period" else {"amount": keep.amount, "unit": keep.unit},
            bound=keep.bound,
            clock=keep.clock,
            on_expiry=category.on_expiry,
            ask=category.ask,
            **_more(category),
        ),
        en=_first_upper(_kept_en(what.en, category)),
        zh=_kept_zh(what.zh, category),
        controls=("policy.plan", "privacy.retention", "vault.ring"),
        probes=_kept_probes(category),
        feature=_feature(category),
        answers=category.answers,
        operator_choice=category.operator_choice,
        placeholder=category.placeholder,
    )


def _feature(category: Category) -> str | None:
    """The part without which nothing of it can exist; that nothing is stored holds without it."""
    return None if category.keep.kind == "never" else words.CATEGORIES[category.name].feature


def _more(category: Category) -> dict[str, object]:
    """What a rule says beyond the keys that every rule has."""
    given = {
        name: of_keep(keep)
        for name in ("grace", "gone_within", "saved")
        if (keep := getattr(category, name)) is not None
    }
    flags = {name: True for name in ("self_service", "opt_out") if getattr(category, name)}
    return given | flags | ({"without": category.without} if category.without else {})


def _kept_probes(category: Category) -> tuple[str, ...]:
    if category.keep.kind == "never":
        # A canary's request shows it for content; for the rest, that no place exists where it could lie.
        return ("not_kept",) if category.name == "api_content" else ("declared",)
    part = f"part_{_feature(category)}"
    own = (part,) if part in words.AWAITED else ()
    return ("oldest_fact", "slots", *(("not_kept",) if category.ask else ()), *own)


def _kept_en(what: str, category: Category) -> str:
    keep, then = category.keep, f"after which {words.EXPIRY[category.on_expiry].en}"
    if keep.kind == "never":
        return f"{what} is not stored."
    if keep.kind == "life":
        return f"{what} is kept as long as your account exists, {then}."
    life = ", and no longer than your account exists" if keep.with_account else ""
    period = f"for {periods.en(keep)}, counted from {words.CLOCKS[keep.clock].en}{life}, {then}."
    if category.ask:
        return f"{what} is not stored unless your organisation asks for it; then it is kept {period}"
    return f"{what} is kept {period}"


def _kept_zh(what: str, category: Category) -> str:
    keep, then = category.keep, f"之后{words.EXPIRY[category.on_expiry].zh}"
    if keep.kind == "never":
        return f"{what}不会被存储。"
    if keep.kind == "life":
        return f"{what}在您的账户存续期间保留，{then}。"
    life = "，且不超过您的账户存续期间" if keep.with_account else ""
    bound, unit = periods.BOUNDS_ZH[keep.bound], periods.UNITS_ZH[keep.unit]
    period = f"自{words.CLOCKS[keep.clock].zh}起{bound}保留 {keep.amount} {unit}{life}，{then}。"
    if category.ask:
        return f"除非您所在的组织提出要求，否则{what}不会被存储；如提出要求，则{period}"
    return what + period


def _use(category: Category) -> Clause:
    what, basis = words.CATEGORIES[category.name], words.BASES[category.basis]
    purposes = [words.PURPOSES[name] for name in category.purposes]
    en = f"{what.en} is used only {both(purpose.en for purpose in purposes)}, on the ground of {basis.en}."
    zh = f"{what.zh}仅用于{'、'.join(purpose.zh for purpose in purposes)}，依据是{basis.zh}。"
    if what.readable:
        en = f"{what.en} serves {both(purpose.en for purpose in purposes)}, on the ground of {basis.en}."
        zh = f"{what.zh}用于{'、'.join(purpose.zh for purpose in purposes)}，依据是{basis.zh}。"
    if not purposes:
        en, zh = f"{what.en} is used for nothing.", f"{what.zh}不作任何用途。"
    if category.source is not None:
        source = words.SOURCES[category.source]
        en, zh = f"{en[:-1]}; {source.en}.", f"{zh[:-1]}；{source.zh}。"
    if category.owner is not None:
        owner = words.OWNERS[category.owner]
        en, zh = en + f" It belongs to {owner.en}.", zh + f"其归属于{owner.zh}。"
    if category.name == "account":
        en += " Owners and admins of an organisation see it of the people who belong to theirs."
        zh += "组织的所有者和管理员可查看其组织成员的账户资料。"
    if what.readable:
        en += " Only the programs of this service read it; each customer sees their own."
        zh += "仅本服务自身的程序可以读取，每位客户只能看到自己的记录。"
    if category.staff:
        staff = [words.STAFF[role] for role in category.staff]
        en += f" Staff who may open it, each time with a recorded reason: {both(role.en for role in staff)}."
        zh += f"可在记录理由后查阅的人员：{'、'.join(role.zh for role in staff)}。"
    return Clause(
        id=f"use.{category.name}",
        kind="use",
        says=_says(
            category=category.name,
            purposes=category.purposes,
            basis=category.basis,
            staff=category.staff,
        ),
        en=_first_upper(en),
        zh=zh,
        controls=("policy.decide", "vault.door"),
        probes=("purposes", "grants") if set(category.purposes) & {*words.SUMMED} else ("purposes",),
        feature=_feature(category),
        answers=category.answers,
    )


def _end(category: Category) -> Clause:
    what, ending = words.CATEGORIES[category.name], words.ERASURE[category.on_erasure]
    return Clause(
        id=f"end.{category.name}",
        kind="end",
        says=_says(category=category.name, on_erasure=category.on_erasure),
        en=f"When you ask for erasure, {ending.en.format(what=what.en)}.",
        zh=f"当您要求删除时，{ending.zh.format(what=what.zh)}。",
        controls=("privacy.erase", "vault.ring"),
        probes=("erased",),
        feature=_feature(category),
        answers=category.answers,
    )


def _says(**data: object) -> Mapping[str, object]:
    return MappingProxyType(data)


def _first_upper(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]
