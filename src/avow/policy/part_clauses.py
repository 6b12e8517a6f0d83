"""The sentences of the tables that `sections` declares, in English and in Chinese."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from avow.policy import reading, terms, words
from avow.policy.canonical import of_part
from avow.policy.model import Clause, Keep, Part
from avow.policy.periods import both, date_en, date_zh, either, en, zh

Pair = tuple[str, str]
Parts = Mapping[str, Part]

TEXT_CONTROLS = ("policy.render",)
TEXT_PROBES = ("policy_hash",)
"""A sentence that is true by standing on the page: the page is made from the policy whose hash is served."""


def of(parts: Parts, prevailing: str | None) -> list[Clause]:
    """A clause for each table, and one for the prevailing language."""
    found = [_clause(part, parts) for part in parts.values()]
    if prevailing is not None:
        found.append(_prevailing(prevailing, parts))
    return found


def _clause(part: Part, parts: Parts) -> Clause:
    rule = str(part.values.get("rule", ""))
    term = reading.term_of(part.section, part.name, rule)
    says, says_zh = (term.en, term.zh) if term is not None else _MADE[part.section](part, parts)
    feature = reading.feature_of(part.section, part.name, rule)
    own = () if term is None else term.controls
    return Clause(
        id=part.id,
        kind="part",
        says=MappingProxyType(of_part(part)),
        en=says + _chosen(part)[0],
        zh=says_zh + _chosen(part)[1],
        controls=own or (TEXT_CONTROLS if feature is None else (feature,)),
        probes=_probes(term, feature),
        feature=feature,
        answers=part.answers,
        operator_choice=part.operator_choice or bool(part.chosen),
        placeholder=part.placeholder,
        evidence=str(part.values["evidence"]) if "evidence" in part.values else None,
    )


def _probes(term: terms.Term | None, feature: str | None) -> tuple[str, ...]:
    if term is not None and term.probes:
        return term.probes
    return TEXT_PROBES if feature is None else (f"part_{feature}",)


def _chosen(part: Part) -> Pair:
    """What is said where the operator chose some of the values."""
    if part.operator_choice:
        return " This is the operator's own choice.", "此项由运营者自行选定。"
    if part.chosen:
        chosen = [terms.CHOSEN.get(key, words.Word(key, key)) for key in part.chosen]
        said, said_zh = both(word.en for word in chosen), "、".join(word.zh for word in chosen)
        return f" Chosen by the operator: {said}.", f"其中由运营者自行选定：{said_zh}。"
    return "", ""


def _prevailing(locale: str, parts: Parts) -> Clause:
    word = terms.LOCALES[locale]
    held = parts.get(f"locale.{locale}")
    return Clause(
        id="prevailing",
        kind="part",
        says=MappingProxyType({"locale": locale}),
        en=f"If the texts in different languages disagree, the one in {word.en} counts.",
        zh=f"如各语言文本存在差异，以{word.zh}文本为准。",
        controls=TEXT_CONTROLS,
        probes=TEXT_PROBES,
        answers=held.answers if held is not None else (),
    )


def _operator(part: Part, parts: Parts) -> Pair:
    values = part.values
    country = terms.COUNTRIES[values["country"]]
    lines = [values["name"], *values.get("address", ())]
    said, said_zh = f"{', '.join(lines)}, based in {country.en}", f"{'，'.join(lines)}（{country.zh}）"
    site = values.get("site")
    return (
        f"This service is run by {said}" + (f"; its website is {site}." if site else "."),
        f"本服务由 {said_zh}运营" + (f"，网站为 {site}。" if site else "。"),
    )


def _contact(part: Part, parts: Parts) -> Pair:
    word, email = terms.CONTACTS[part.name], part.values["email"]
    topics = [terms.TOPICS[topic] for topic in part.values.get("topics", ())]
    more = f" ({both(topic.en for topic in topics)})" if topics else ""
    more_zh = f"（{'、'.join(topic.zh for topic in topics)}）" if topics else ""
    return f"For {word.en}{more} write to {email}.", f"{word.zh}{more_zh}请联系 {email}。"


def _locale(part: Part, parts: Parts) -> Pair:
    word, date = terms.LOCALES[part.name], part.values["date"]
    return (
        f"The text in {word.en} was last changed {'on' if len(date) > len('2026-03') else 'in'} {date_en(date)}.",
        f"{word.zh}文本最后更新于 {date_zh(date)}。",
    )


def _terms(part: Part, parts: Parts) -> Pair:
    word = terms.LOCALES[part.name]
    return f"The terms of use stand in {word.en} at /terms.", f"使用条款的{word.zh}文本载于 /terms。"


def _age(part: Part, parts: Parts) -> Pair:
    values = part.values
    minor = terms.MINORS[values["on_minor"]]
    others = [(terms.COUNTRIES[place], age) for place, age in values.get("by_country", {}).items()]
    said = f" ({', '.join(f'{age} in {word.en}' for word, age in others)})" if others else ""
    said_zh = f"（{'，'.join(f'{word.zh} {age} 岁' for word, age in others)}）" if others else ""
    return (
        f"This service is for people of {values['minimum']} years or older{said}; "
        "only your country and that you affirm it are stored. "
        f"If data of somebody younger is found, {minor.en}.",
        f"本服务面向年满 {values['minimum']} 岁的用户{said_zh}；仅记录您所在国家及您的确认。如发现未达年龄者的数据，{minor.zh}。",
    )


def _consent(part: Part, parts: Parts) -> Pair:
    asked = [terms.CONSENTS[name] for name in part.values.get("asked", ())]
    if not asked:
        return (
            "We ask for no consent, because nothing here rests on one.",
            "我们不征求任何同意，因为此处没有以同意为依据的处理。",
        )
    return (
        f"We ask for your separate consent to {both(word.en for word in asked)}. Each is off until you give it and can "
        "be taken back; using the service gives none.",
        f"以下各项须您单独同意：{'、'.join(word.zh for word in asked)}。每项默认关闭，可随时撤回；使用本服务不视为同意。",
    )


def _filter(part: Part, parts: Parts) -> Pair:
    values = part.values
    harm, action = terms.HARMS[values["finds"]], terms.ACTIONS[values["action"]]
    stages = [terms.STAGES[stage] for stage in values["stages"]]
    known = [terms.RECOGNISED[name] for name in values.get("personal", ())]
    form, form_zh = f" ({both(word.en for word in known)})", f"（{'、'.join(word.zh for word in known)}）"
    said = (
        f"{both(stage.en for stage in stages)} is searched for {harm.en}{form if known else ''}; where some is found, "
    )
    said_zh = (
        f"{'和'.join(stage.zh for stage in stages)}会被自动检查是否含有{harm.zh}{form_zh if known else ''}；如有发现，"
    )
    said, said_zh = f"{said[0].upper()}{said[1:]}{action.en}.", f"{said_zh}{action.zh}。"
    if "asks" in values:
        said += f" The model {values['asks']} is asked about it."
        said_zh += f"为此会询问模型 {values['asks']}。"
    if values.get("restores"):
        said += " The answer has it back; until then it is held in memory only."
        said_zh += "回复中会还原该内容；在此之前仅保存在内存中。"
    return (
        f"{said} Of this it is on record which filter found something in which request or its answer, of which kind, how "
        "many pieces and what was done, and no text; you can have it looked at by a person.",
        f"{said_zh}对此会记录哪个过滤器在哪次请求或其回复中有所发现、属于何种类别、数量以及所采取的措施，不记录文本；您可以要求人工复核。",
    )


def _cookies(part: Part, parts: Parts) -> Pair:
    word = terms.COOKIE_KINDS[part.name]
    theirs = [other for other in parts.values() if other.section == "cookie" and other.values["kind"] == part.name]
    names, names_zh = "", ""
    if theirs:
        names = f" They are: {both(other.name for other in theirs)}."
        names_zh = f"包括：{'、'.join(other.name for other in theirs)}。"
    if part.name == "essential":
        return f"Essential cookies are {word.en}.{names}", f"必要 Cookie 为{word.zh}。{names_zh}"
    return (
        f"{part.name.capitalize()} cookies {word.en}; they are set only after you chose them, and you can take the "
        f"choice back.{names}",
        f"可选 Cookie：{word.zh}；仅在您选择后设置，可随时撤回。{names_zh}",
    )


def _cookie(part: Part, parts: Parts) -> Pair:
    values, lifetime = part.values, part.values["lifetime"]
    setter, setter_zh = ("a third party", "第三方") if values.get("third_party") else ("this service", "本服务")
    if lifetime.kind != "period":
        return (
            f"The cookie {part.name} is set by {setter} and ends when you close the browser.",
            f"Cookie {part.name} 由{setter_zh}设置，关闭浏览器即失效。",
        )
    return (
        f"The cookie {part.name} is set by {setter} and stays for {en(lifetime)} or until you delete it.",
        f"Cookie {part.name} 由{setter_zh}设置，保留 {zh(lifetime)}或至您删除为止。",
    )


def _ad(part: Part, parts: Parts) -> Pair:
    vendor, settings = parts.get(f"processor.{part.values['vendor']}"), part.values.get("settings")
    title = str(vendor.values["title"]) if vendor else part.values["vendor"]
    return (
        f"Once you opted in, public pages without anybody's content show advertising of {title}. It is not suited to you "
        "unless you choose that too, and the vendor is told nothing of your account or content."
        + (f" You can also opt out at {settings}." if settings else ""),
        f"仅在您选择同意后，不含任何人内容的公开页面才会展示 {title} 的广告。除非您另行选择，否则广告不作个性化处理；"
        "供应商不会获知您的账户或内容。" + (f"您也可以在 {settings} 选择退出。" if settings else ""),
    )


def _processor(part: Part, parts: Parts) -> Pair:
    values, region = part.values, terms.COUNTRIES[part.values["region"]]
    roles = [terms.ROLES[role] for role in values["roles"]]
    kept, kept_zh = _kept(values["keep"])
    trains = values["trains"]
    data = [words.CATEGORIES[name] for name in values["categories"]]
    what = both(word.en.rstrip(",") for word in data)
    return (
        f"{values['title']} ({both(word.en for word in roles)}, in {region.en}) gets only {what}, "
        f"{kept}, and trains {'models with it' if trains else 'no models with it'}.",
        f"{values['title']}（{'、'.join(word.zh for word in roles)}，位于{region.zh}）仅获得"
        f"{'、'.join(word.zh for word in data)}，{kept_zh}，{'会' if trains else '不会'}用其训练模型。",
    )


def _kept(keep: Keep) -> Pair:
    if keep.kind == "never":
        return "keeps none of it", "不留存"
    if keep.kind == "life":
        return "keeps it as long as your account exists", "在账户存续期间保留"
    return f"keeps it for {en(keep)}", f"保留 {zh(keep)}"


def _sharing(part: Part, parts: Parts) -> Pair:
    never = [terms.NEVER[name] for name in part.values["never"]]
    return (
        f"We do not {either(word.en for word in never)} your personal data.",
        f"我们不会{'、'.join(word.zh for word in never)}您的个人数据。",
    )


def _regions(part: Part, parts: Parts) -> Pair:
    values = part.values
    countries = [terms.COUNTRIES[country] for country in values["countries"]]
    places, places_zh = both(word.en for word in countries), "、".join(word.zh for word in countries)
    said, said_zh = {
        "only": (f"Data lies in {places} and nowhere else", f"数据仅存放于{places_zh}"),
        "service": (
            f"Data lies where the service that you use is set up, out of {places}",
            f"数据按您所用服务的配置存放，可选区域为{places_zh}",
        ),
        "listed": (
            f"Data lies in {places} and in those other countries that the register of processors names",
            f"数据存放于{places_zh}及服务商登记中列明的其他国家",
        ),
    }[values["mode"]]
    if values.get("tell_at_sign_up"):
        said += "; if you live elsewhere it goes there, and you are told so at sign-up"
        said_zh += "；如您居住在其他国家，数据将传输至此，注册时会告知您"
    return said + ".", said_zh + "。"


def _rights(part: Part, parts: Parts) -> Pair:
    values, scope = part.values, terms.SCOPES[part.values["scope"]]
    places = {place: keep for place, keep in values["deadline"].items() if place != "default"}
    default = values["deadline"]["default"]
    more = "".join(f", in {_place_en(place)} within {en(keep)}" for place, keep in places.items())
    more_zh = "".join(f"，{_place_zh(place)}为{zh(keep)}" for place, keep in places.items())
    return (
        f"{scope.en} Write to our contact for {terms.CONTACTS[values['contact']].en}, or ask in your account; the answer "
        f"comes within {en(default)}{more}.",
        f"{scope.zh}您可以联系我们（{terms.CONTACTS[values['contact']].zh}），也可以在账户中提出；我们将在 {zh(default)}内答复"
        f"{more_zh}。",
    )


def _place_en(place: str) -> str:
    country, _, within = place.partition("-")
    name = "the European Union" if place == "EU" else terms.COUNTRIES[country].en
    return f"{within}, {name}" if within else name


def _place_zh(place: str) -> str:
    country, _, within = place.partition("-")
    name = "欧盟" if place == "EU" else terms.COUNTRIES[country].zh
    return f"{name} {within} " if within else name


def _notice(part: Part, parts: Parts) -> Pair:
    word = terms.NOTICES[part.name]
    ways = [terms.CHANNELS[channel] for channel in part.values["channels"]]
    said, said_zh = both(way.en for way in ways), "并".join(way.zh for way in ways)
    if part.values.get("any"):
        said, said_zh = either(way.en for way in ways), "或".join(way.zh for way in ways)
    return f"You are told of {word.en} {said}.", f"{word.zh}：我们将{said_zh}告知您。"


def _acceptance(part: Part, parts: Parts) -> Pair:
    how, also = terms.ACCEPTANCES[part.values["how"]], part.values.get("terms")
    return (
        f"You accept this policy{' and the terms' if also else ''} {how.en}; this is never a consent.",
        f"您以{how.zh}的方式接受本政策{'及条款' if also else ''}；这绝不视为同意数据处理。",
    )


def _isolation(part: Part, parts: Parts) -> Pair:
    if part.values["enterprise"] == "separate":
        return (
            "Data of enterprise customers lies in stores of its own, under keys of its own.",
            "企业客户的数据单独存放，并使用独立的密钥。",
        )
    return (
        "The data of each customer is kept apart in shared stores.",
        "各客户的数据在共享存储中相互隔离。",
    )


def _backup(part: Part, parts: Parts) -> Pair:
    values = part.values
    keep, after = values["keep"], values["after_deletion"]
    destroyed, destroyed_zh = "", ""
    if values.get("keys_destroyed"):
        destroyed, destroyed_zh = (
            "; its keys are destroyed, so that no backup shows it",
            "；其密钥会被销毁，因此任何备份都无法读取",
        )
    return (
        f"A backup is kept for {en(keep)}; deleted data is gone from backups within {en(after)}{destroyed}.",
        f"备份保留 {zh(keep)}；已删除的数据在 {zh(after)}内从备份中清除{destroyed_zh}。",
    )


def _billing(part: Part, parts: Parts) -> Pair:
    modes = [terms.BILLING[mode] for mode in part.values["modes"]]
    kept = [terms.LOCAL_FIELDS[name] for name in part.values["local_fields"]]
    return (
        f"{' '.join(mode.en for mode in modes)} Of a payment we store only {both(word.en for word in kept)}.",
        f"{''.join(mode.zh for mode in modes)}对于付款，我们仅存储{'、'.join(word.zh for word in kept)}。",
    )


_MADE: Mapping[str, Callable[[Part, Parts], Pair]] = {
    "operator": _operator,
    "contact": _contact,
    "locale": _locale,
    "terms": _terms,
    "age": _age,
    "consent": _consent,
    "filter": _filter,
    "cookies": _cookies,
    "cookie": _cookie,
    "ad": _ad,
    "processor": _processor,
    "sharing": _sharing,
    "regions": _regions,
    "rights": _rights,
    "notice": _notice,
    "acceptance": _acceptance,
    "isolation": _isolation,
    "backup": _backup,
    "billing": _billing,
}
