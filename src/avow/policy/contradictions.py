"""Rules between tables: what one sentence of a policy would make another one false. Each has a name."""

from collections.abc import Iterator
from typing import NamedTuple

from avow.policy import cookies, patterns, terms
from avow.policy.model import Keep, Part, Policy
from avow.policy.patterns import PatternWrong
from avow.policy.report import Report, shown

CONSENT_PURPOSES = {"marketing": "marketing", "ads": "ads", "training": "training"}
LAST = 1 << 40


class Found(NamedTuple):
    """One contradiction: its name, the dotted key, what is wrong and what to do."""

    name: str
    path: tuple[str, ...]
    sentence: str
    hint: str


def find(report: Report, policy: Policy) -> None:
    """Notes every contradiction between the tables of `policy`."""
    for rule in (_ads, _consents, _purposes, _processors, _backups, _rights, _locales, _cookies, _slots, _filters):
        for found in rule(policy):
            report.add(found.path, found.sentence, found.hint, found.name)


HOWS = ("words", "patterns", "hashes", "personal", "asks")


def _filters(policy: Policy) -> Iterator[Found]:
    record = policy.categories.get("moderation")
    for part in policy.named("filter"):
        path, values = ("filter", part.name), part.values
        if record is None or record.keep.kind == "never":
            hint = 'Add [category.moderation] with a period such as keep = "at most 30 days".'
            yield Found(
                "filter_without_record", path, "What a filter does is not on record, so nobody can object.", hint
            )
        if not any(values.get(how) for how in HOWS):
            hint = f"Give at least one of {', '.join(HOWS)}."
            yield Found("filter_finds_nothing", path, "Nothing says how this filter finds anything.", hint)
        if values.get("restores") and (
            values["action"] != "redact" or any(values.get(how) for how in HOWS if how != "personal")
        ):
            hint = 'Write action = "redact" and personal = […] alone, or leave restores out.'
            yield Found("filter_restores_nothing", (*path, "restores"), "Only personal data can be given back.", hint)
        if values.get("hashes") and values["action"] == "redact":
            hint = 'Write action = "block" or "flag".'
            yield Found("filter_redacts_all", (*path, "action"), "A hash knows whole texts only.", hint)
        if values.get("hashes") and "output" in values["stages"]:
            hint = 'Write stages = ["prompt"].'
            yield Found("hash_of_answers", (*path, "stages"), "Of a stream nobody has the whole text in time.", hint)
        if "image" in values["stages"] and any(values.get(how) for how in HOWS if how != "hashes"):
            hint = 'Give images a filter of their own, with stages = ["image"] and hashes = […].'
            yield Found("words_in_images", (*path, "stages"), "An image is known by its hash only.", hint)
        if {"image", "upload"} & set(values["stages"]) and values["action"] == "redact":
            hint = 'Write action = "block" or "flag".'
            yield Found("filter_cuts_files", (*path, "action"), "Nothing is taken out of files and images.", hint)
        if "asks" in values and (set(values["stages"]) != {"prompt"} or values["action"] == "redact"):
            hint = 'Write stages = ["prompt"] and action = "block" or "flag".'
            yield Found("judge_of_answers", (*path, "asks"), "A model judges whole requests only.", hint)
        for pattern in values.get("patterns", ()):
            try:
                patterns.compiled(pattern)
            except PatternWrong as wrong:
                sentence = f"The pattern {shown(pattern)} {wrong}."
                hint = "Write it in the syntax of RE2: without look-around and back-references."
                yield Found("pattern_wrong", (*path, "patterns"), sentence, hint)


def rule_of(policy: Policy, practice: str) -> str | None:
    """The rule of `[practice.NAME]`; None if the policy is silent."""
    part = policy.parts.get(f"practice.{practice}")
    return None if part is None else str(part.values["rule"])


def _ads(policy: Policy) -> Iterator[Found]:
    never = policy.parts.get("sharing")
    shown = rule_of(policy, "ads") not in (None, "none")
    path = ("practice", "ads", "rule")
    if shown and (not policy.named("share") or (never is not None and "advertising" in never.values["never"])):
        hint = 'Write rule = "none" for practice.ads, or add [share.ad_cookies] and take advertising out of never.'
        yield Found("ads_without_sharing", path, "Advertising is shown, and no data may be shared for it.", hint)
    if shown and "cookies.advertising" not in policy.parts:
        hint = 'Add [cookies.advertising], or write rule = "none".'
        yield Found("ads_without_cookies", path, "Advertising is shown, and no kind of cookie allows it.", hint)
    for id in ("cookies.advertising", "share.ad_cookies"):
        if id in policy.parts and not shown:
            sentence = f"{id} is about advertising, and practice.ads shows none."
            hint = f'Remove [{id}], or write [practice.ads] with rule = "consent".'
            yield Found("advertising_nobody_allows", tuple(id.split(".")), sentence, hint)


def _consents(policy: Policy) -> Iterator[Found]:
    asked = policy.parts["consent"].values.get("asked", ()) if "consent" in policy.parts else ()
    for part in policy.named("practice"):
        if part.values["rule"] == "consent" and part.name in terms.CONSENTS and part.name not in asked:
            sentence = f"practice.{part.name} needs a consent that is never asked for."
            yield Found("consent_not_asked", ("practice", part.name), sentence, f'Add "{part.name}" to consent.asked.')
    if "share.consent" in policy.parts and "sharing" not in asked:
        sentence = "Data is shared with consent, and it is never asked for."
        yield Found("consent_not_asked", ("share", "consent"), sentence, 'Add "sharing" to consent.asked.')
    for part in policy.named("cookies"):
        word = cookies.consent_of(part.name)
        if part.name != "essential" and word not in asked:
            sentence = f"Cookies of the kind {part.name} need a consent that is never asked for."
            yield Found("consent_not_asked", ("cookies", part.name), sentence, f'Add "{word}" to consent.asked.')


def _purposes(policy: Policy) -> Iterator[Found]:
    for category in policy.categories.values():
        for purpose, practice in CONSENT_PURPOSES.items():
            if purpose not in category.purposes:
                continue
            rule = rule_of(policy, practice)
            path = ("category", category.name, "purposes")
            if rule in ("none", "never"):
                sentence = f"{category.name} serves {purpose}, and practice.{practice} says that nothing does."
                yield Found("purpose_denied", path, sentence, f'Take "{purpose}" out of the purposes.')
            elif rule != "anonymised" and category.basis != "consent":
                sentence = f"{category.name} serves {purpose} without consent."
                hint = f'Write basis = "consent", or take "{purpose}" out of the purposes.'
                yield Found("purpose_without_consent", path, sentence, hint)


def _processors(policy: Policy) -> Iterator[Found]:
    regions = policy.parts.get("regions")
    for part in policy.named("processor"):
        path = ("processor", part.name)
        if "share.provider" not in policy.parts:
            hint = "Add [share.provider], or remove the processor."
            yield Found("processor_without_sharing", path, "Data goes to a processor, and no rule lets it.", hint)
        region = part.values["region"]
        if regions is not None and regions.values["mode"] != "listed" and region not in regions.values["countries"]:
            sentence = f"{part.name} works in {region}, and data may not lie there."
            hint = f'Take another processor, or add "{region}" to regions.countries.'
            yield Found("processor_outside_regions", (*path, "region"), sentence, hint)
        if part.values["trains"] and rule_of(policy, "third_party_training") != "consent":
            hint = 'Write trains = false with a contract that says so, or practice.third_party_training with "consent".'
            sentence = f"{part.name} trains models with what it gets, and no rule lets it."
            yield Found("processor_trains", (*path, "trains"), sentence, hint)
        yield from _kept_longer(policy, part)


def _kept_longer(policy: Policy, part: Part) -> Iterator[Found]:
    path = ("processor", part.name)
    for name in part.values["categories"]:
        category = policy.categories.get(name)
        if category is None:
            hint = f"Add [category.{name}], or take it out of the processor's categories."
            yield Found("processor_of_nothing", (*path, "categories"), f"There is no rule for {name}.", hint)
        elif category.keep.kind == "period" and longest_h(part.values["keep"]) > longest_h(category.keep):
            sentence = f"{part.name} keeps {name} longer than this policy does."
            hint = f'Agree on keep = "0" with it, or take "{name}" out of its categories.'
            yield Found("processor_keeps_longer", (*path, "keep"), sentence, hint)


def longest_h(keep: Keep) -> int:
    """The most hours of a period; the life of an account counts as longer than any."""
    return LAST if keep.hours_max is None else keep.hours_max


def _backups(policy: Policy) -> Iterator[Found]:
    part = policy.parts.get("backup")
    if part is None:
        return
    keep, after = part.values["keep"], part.values["after_deletion"]
    path = ("backup", "keep")
    for key in ("keep", "after_deletion"):
        if part.values[key].kind != "period":
            sentence = f"backup.{key} is no period."
            yield Found("backup_without_end", ("backup", key), sentence, 'Write a period, such as "7 days".')
    if longest_h(keep) > longest_h(after):
        sentence = "A backup stays longer than deleted data may stay in it."
        yield Found("backup_longer_than_promise", path, sentence, "Shorten keep, or lengthen after_deletion.")
    if part.values.get("keys_destroyed"):
        return
    for category in policy.categories.values():
        if category.keep.kind == "period" and longest_h(keep) > longest_h(category.keep):
            sentence = f"A backup stays longer than {category.name} may, and no key is destroyed."
            hint = "Write keys_destroyed = true, or shorten keep."
            yield Found("backup_longer_than_promise", path, sentence, hint)


def _rights(policy: Policy) -> Iterator[Found]:
    part = policy.parts.get("rights")
    if part is not None and f"contact.{part.values['contact']}" not in policy.parts:
        hint = f"Add [contact.{part.values['contact']}]."
        yield Found("rights_without_contact", ("rights", "contact"), "The mailbox for rights has no address.", hint)
    if policy.named("right") and part is None:
        hint = 'Add [rights] with contact, scope and deadline = { default = "1 month" }.'
        yield Found("rights_without_deadline", ("right",), "Rights are named without a time to answer.", hint)


def _locales(policy: Policy) -> Iterator[Found]:
    if policy.prevailing is not None and f"locale.{policy.prevailing}" not in policy.parts:
        hint = f"Add [locale.{policy.prevailing}] with a date."
        yield Found("prevailing_without_text", ("prevailing",), "The language that prevails has no text.", hint)


def _slots(policy: Policy) -> Iterator[Found]:
    for part in policy.named("ad"):
        vendor = policy.parts.get(f"processor.{part.values['vendor']}")
        if vendor is None or "advertising" not in vendor.values["roles"]:
            sentence = f"The advertising {part.name} comes from a party that is not in the register for it."
            hint = f'Add [processor.{part.values["vendor"]}] with the role "advertising", or remove the slot.'
            yield Found("ad_without_vendor", ("ad", part.name, "vendor"), sentence, hint)
        if rule_of(policy, "ads") in (None, "none"):
            sentence = f"ad.{part.name} is about advertising, and practice.ads shows none."
            hint = f'Remove [ad.{part.name}], or write [practice.ads] with rule = "consent".'
            yield Found("advertising_nobody_allows", ("ad", part.name), sentence, hint)


def _cookies(policy: Policy) -> Iterator[Found]:
    for part in policy.named("cookie"):
        if f"cookies.{part.values['kind']}" not in policy.parts:
            sentence = f"The cookie {part.name} is of a kind that the policy does not allow."
            yield Found("cookie_without_kind", ("cookie", part.name), sentence, f"Add [cookies.{part.values['kind']}].")
        if part.values["lifetime"].kind == "life":
            sentence = f"The cookie {part.name} would never end: a browser knows no accounts."
            hint = 'Write a period, such as "12 months", or "0" for until the browser is closed.'
            yield Found("cookie_without_end", ("cookie", part.name, "lifetime"), sentence, hint)
