"""What the owner of data can do about its keeping, and what becomes of it when the account closes: a sentence each.

They stand apart from the period itself, so that each is published where the part that makes it true is installed.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from avow.policy import periods, words
from avow.policy.canonical import of_keep
from avow.policy.model import Category, Clause, Keep

_RETENTION = ("privacy.retention", "vault.ring")


def of(category: Category) -> list[Clause]:
    """`closing.NAME`, `saved.NAME`, `delete.NAME`, `opt_out.NAME`, `without.NAME`: those that the rule has."""
    return [*_closing(category), *_saved(category), *_delete(category), *_opt_out(category), *_without(category)]


def _clause(
    category: Category,
    kind: str,
    says: Mapping[str, object],
    sentences: tuple[str, str],
    feature: str | None,
    controls: tuple[str, ...] = (),
    probes: tuple[str, ...] = (),
) -> Clause:
    what = words.CATEGORIES[category.name]
    needed = what.feature or feature
    en, zh = sentences[0].format(what=what.en.rstrip(",")), sentences[1].format(what=what.zh)
    return Clause(
        id=f"{kind}.{category.name}",
        kind="keep",
        says=MappingProxyType({"category": category.name, **says}),
        en=en,
        zh=zh,
        controls=controls or (needed or "policy.plan",),
        probes=probes or (f"part_{needed}",),
        feature=needed,
        answers=category.answers,
        operator_choice=category.operator_choice,
        placeholder=category.placeholder,
    )


def _closing(category: Category) -> Iterator[Clause]:
    grace, within = category.grace, category.gone_within
    if grace is None and within is None:
        return
    en, zh = _closing_words(grace, within)
    says = {"grace": _kept(grace), "gone_within": _kept(within)}
    feature = "grace" if grace is not None and grace.kind == "period" else "erasure"
    yield _clause(category, "closing", says, (en, zh), feature, _RETENTION)


def _closing_words(grace: Keep | None, within: Keep | None) -> tuple[str, str]:
    en, zh = "Once your account is closed, {what}", "账户关闭后，{what}"
    stays = grace is not None and grace.kind == "period"
    ends = within is not None and within.kind == "period"
    if grace is not None and stays:
        en, zh = f"{en} stays for {periods.en(grace)}, out of use, and", f"{zh}停用并保留 {periods.zh(grace)}，"
    if within is not None and ends:
        return f"{en} is gone within {periods.en(within)}.", f"{zh}在关闭后 {periods.zh(within)}内清除。"
    return (f"{en} is then deleted.", f"{zh}之后删除。") if stays else (f"{en} is deleted at once.", f"{zh}立即删除。")


def _kept(keep: Keep | None) -> list[object] | None:
    return None if keep is None else of_keep(keep)


def _saved(category: Category) -> Iterator[Clause]:
    saved = category.saved
    if saved is None or saved.kind == "never":
        return
    en, zh = (
        "Of {what}, the items that you mark stay until you delete them.",
        "{what}中您标记保留的项目将保留至您删除为止。",
    )
    if saved.kind == "period":
        en = f"Of {{what}}, the items that you mark stay for {periods.en(saved)}."
        zh = f"{{what}}中您标记保留的项目保留 {periods.zh(saved)}。"
    yield _clause(category, "saved", {"saved": of_keep(saved)}, (en, zh), "self_service")


def _delete(category: Category) -> Iterator[Clause]:
    if category.self_service:
        sentences = (
            "Of {what}, you can delete each item yourself at any time, and at once.",
            "{what}中的每一项，您均可随时自行删除，立即生效。",
        )
        if category.name == "account":
            # Nobody can be without an address and still have an account: its own deletion is that of the whole.
            sentences = (
                "You can delete your account yourself at any time, in your account; {what} goes with it.",
                "您可以随时在账户中自行删除账户，{what}将一并删除。",
            )
        yield _clause(category, "delete", {"self_service": True}, sentences, "self_service")


def _opt_out(category: Category) -> Iterator[Clause]:
    if category.opt_out:
        sentences = (
            "Of {what}, you can have nothing stored, for your account or for a single request.",
            "对于{what}，您可以为整个账户或单个请求选择不存储任何内容。",
        )
        yield _clause(category, "opt_out", {"opt_out": True}, sentences, "opt_out", ("policy.plan",))


def _without(category: Category) -> Iterator[Clause]:
    if category.without:
        names = category.without
        sentences = (f"Of {{what}}, never stored: {', '.join(names)}.", f"{{what}}中从不存储：{'、'.join(names)}。")
        yield _clause(category, "without", {"without": names}, sentences, "field_choice")
