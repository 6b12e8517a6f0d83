"""The words of the policy language, each with how it reads in English and in Chinese.

A policy may only use words that stand here, so that each of them has a published sentence in both languages.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Word:
    """A word as it reads inside a sentence. English phrases are singular and begin in lower case."""

    en: str
    zh: str


@dataclass(frozen=True, slots=True)
class Kind(Word):
    """A category of personal data; `feature` is the part of Avow without which nothing of it can exist.

    `readable`: it lies in columns that the database can read, so no door asks for a purpose at each reading.
    """

    feature: str | None = None
    readable: bool = False


@dataclass(frozen=True, slots=True)
class Claim(Word):
    """A whole sentence that holds for the platform, with the code that makes it so and the code that checks it."""

    controls: tuple[str, ...]
    probes: tuple[str, ...]


CATEGORIES: Mapping[str, Kind] = {
    "account": Kind("your account data", "您的账户资料"),
    "credential": Kind(
        "your sign-in data, in which secrets are digests only,", "您的登录数据（其中密码和密钥仅以摘要形式保存）"
    ),
    "api_content": Kind("what you send to the API and what it answers", "您发送给 API 的内容及其返回的内容"),
    "usage": Kind(
        "the record of which model you called, when and how much", "您何时调用何种模型及其用量的记录", readable=True
    ),
    "payment": Kind("the record of what you paid and were charged", "您的付款和扣费记录", readable=True),
    "audit": Kind("the record of who opened your data and why", "何人因何查阅您数据的记录"),
    "consent": Kind(
        "the record of what you agreed to, objected to or had restricted",
        "您所作同意、反对或限制处理的记录",
        readable=True,
    ),
    "rights": Kind("the record of your privacy requests and our answers", "您的隐私请求及我们答复的记录"),
    "security_log": Kind(
        "the record of sign-ins and refused attempts", "登录及被拒绝尝试的记录", feature="security_log"
    ),
    "mail": Kind("mail to you that waits to be sent", "等待发送给您的邮件"),
    "conversation": Kind("what you write in chats and what is answered", "您的聊天内容及其回复", feature="chat"),
    "generation": Kind(
        "what you give to the image studio and what it makes", "您提供给图像工作室的内容及其产出", feature="studio"
    ),
    "profile": Kind("your public profile", "您的公开资料", feature="market"),
    "model": Kind("the record and the files of models that you upload or make", "您上传或创建的模型及其资料", "market"),
    "dataset": Kind(
        "the record and the files of data sets that you upload", "您上传的数据集及其说明", feature="market"
    ),
    "order": Kind("the record of your orders with your billing address", "您的订单和账单地址", feature="orders"),
    "support": Kind("what you write to our support and what it answers", "您与客服的往来内容", feature="support"),
    "lead": Kind("what you tell us at sales and events", "您在销售和活动中告知我们的信息", feature="leads"),
    "technical": Kind(
        "the technical data that your browser or device sends",
        "您的浏览器或设备发送的技术数据",
        feature="technical_log",
    ),
    "interaction": Kind(
        "the record of which functions you use, when and how long",
        "您使用何种功能、何时使用及使用时长的记录",
        "analytics",
    ),
    "moderation": Kind(
        "the record of what filters found and did, by kind and count and without text,",
        "过滤器发现情况和处理措施的记录（仅含类别和数量，不含文本）",
        "filter",
    ),
    "cache": Kind("a temporary copy of an answer", "供您再次提问时使用的回复副本", "cache"),
    "copy": Kind("the copy of your data that you asked for, until you fetch it,", "您所索取的数据副本（取回之前）"),
}

PURPOSES: Mapping[str, Word] = {
    "service": Word("to provide the service that you ask for", "提供您所请求的服务"),
    "history": Word("to show you your own past requests", "向您展示您自己的历史请求"),
    "billing": Word("to charge for what was used", "对使用量计费"),
    "security": Word("to protect accounts and the service", "保护账户和服务的安全"),
    "abuse": Word("to find and stop abuse", "发现并制止滥用"),
    "debugging": Word("to find and repair faults", "查找并修复故障"),
    "notices": Word("to send you messages about your account and this policy", "向您发送与账户和本政策有关的消息"),
    "support": Word("to answer your questions", "答复您的问题"),
    "proof": Word("to prove what was done and why", "证明所做之事及其原因"),
    "legal": Word("to meet a duty set by law", "履行法定义务"),
    "enforce": Word(
        "to enforce our terms and protect the rights and safety of people", "执行条款并保护他人的权利和安全"
    ),
    "improve": Word("to improve the service, in sums without names only", "仅以不含姓名的汇总数据改进服务"),
    "analytics": Word("to see trends of use, in sums without names only", "仅以不含姓名的汇总数据了解使用趋势"),
    "research": Word("for research and statistics, without names", "在不含姓名的前提下开展研究和统计"),
    "develop": Word("to develop new functions, in sums without names only", "仅以不含姓名的汇总数据开发新功能"),
    "personalise": Word("to suit the service to you, unless you object", "在您未反对时为您提供个性化服务"),
    "training": Word("to train models", "训练模型"),
    "marketing": Word("to send you offers", "向您发送推广信息"),
    "ads": Word("to show you advertising", "向您展示广告"),
    "market": Word("to show it to buyers of what you list", "向您所上架内容的买家展示"),
}

SUMMED: Final = ("improve", "analytics", "research", "develop")
"""Purposes that get sums over many organisations and no row of anybody."""

BASES: Mapping[str, Word] = {
    "consent": Word("your consent", "您的同意"),
    "contract": Word("our contract with you", "与您的合同"),
    "interest": Word("our legitimate interest", "我们的正当利益"),
    "law": Word("a legal duty", "法定义务"),
}

SOURCES: Mapping[str, Word] = {
    "user": Word("it comes from you", "由您提供"),
    "automatic": Word("it is recorded by itself when you use the service", "在您使用服务时自动记录"),
    "system": Word("the service makes it", "由本服务生成"),
    "processor": Word("a processor gives it to us", "由服务商提供"),
}

OWNERS: Mapping[str, Word] = {
    "person": Word("you alone", "您本人"),
    "tenant": Word("your organisation", "您所在的组织"),
}

EXPIRY: Mapping[str, Word] = {
    "delete": Word("it is deleted", "予以删除"),
    "blank": Word("its content is removed and a bare record stays", "删除其内容，仅保留空记录"),
    "detach": Word("the link to you is removed", "去除其与您的关联"),
}

ERASURE: Mapping[str, Word] = {
    "delete": Word("{what} is deleted", "{what}将被删除"),
    "blank": Word("the content of {what} is removed and a bare record stays", "{what}的内容将被删除，仅保留空记录"),
    "detach": Word("the link between you and {what} is removed", "{what}与您的关联将被去除"),
    "hold": Word("{what} stays until its period ends, because the law requires it", "{what}依法保留至其期限届满"),
}

CLOCKS: Mapping[str, Word] = {
    "collection": Word("the moment it is recorded", "记录之时"),
    "request": Word("the request", "请求之时"),
    "payment": Word("the payment or charge", "付款或扣费之时"),
    "message": Word("each message", "每条消息产生之时"),
    "last_message": Word("the last message", "最后一条消息产生之时"),
    "generation": Word("the making of the image", "图像生成之时"),
    "event": Word("the event", "事件发生之时"),
}

TECHNICAL_FIELDS = ("ip", "browser", "system", "device", "language", "referrer")
"""What a browser says of itself and can be stored, where a policy lists it."""

ACCOUNT_FIELDS: Mapping[str, Word] = {
    "email": Word("your e-mail address", "电子邮箱地址"),
    "username": Word("a user name", "用户名"),
    "name": Word("your name", "姓名"),
    "company": Word("your company", "公司"),
    "address": Word("your address", "地址"),
    "phone": Word("your phone number", "电话号码"),
}

AGE_FIELDS: Final = ("country", "of_age")
"""What `account` holds besides where the policy asks for the age: the country, and that its age was affirmed."""

STAFF: Mapping[str, Word] = {
    "support": Word("support", "客服"),
    "abuse": Word("abuse desk", "滥用处理"),
    "billing": Word("billing", "账务"),
    "privacy": Word("privacy officer", "隐私负责人"),
    "security": Word("security", "安全团队"),
    "auditor": Word("auditor", "审计员"),
    "operator": Word("operator", "运营者"),
}

STAFF_PURPOSES: Mapping[str, frozenset[str]] = {
    "support": frozenset({"support", "debugging"}),
    "abuse": frozenset({"abuse", "enforce"}),
    "billing": frozenset({"billing"}),
    "privacy": frozenset({"legal", "proof", "support"}),
    "security": frozenset({"security", "abuse"}),
    "auditor": frozenset({"proof", "security"}),
    "operator": frozenset({"debugging", "enforce", "legal", "security"}),
}
"""What each staff role may look for, where the policy lets it open a category and the category serves the purpose."""

PARTS: Mapping[str, str] = {
    "chat": "chats with models",
    "studio": "the image studio",
    "acceptance": "the recording of who accepted which version",
    "ads": "advertising slots, empty until somebody opts in",
    "age_gate": "the question of age at sign-up, by country",
    "analytics": "reports of use without names",
    "api": "the inference API",
    "cache": "the cache of answers, apart for each customer",
    "cells": "stores of their own for enterprise customers",
    "checkout": "purchase through a payment processor",
    "consents": "the asking, recording and taking back of consents",
    "contacts": "the reading of the mailboxes that the policy names",
    "cookies": "the cookie register with its panel of choices",
    "disclosures": "the register without which nothing leaves to a third party",
    "evidence": "the vault of documents that stand behind organisational claims",
    "field_choice": "leaving single fields of a category unstored",
    "backups": "backups that end on time and forget what was erased",
    "erasure": "erasure on request, with a receipt",
    "filter": "the filter of what goes to models and comes back",
    "grace": "the closing of an account with a time of grace",
    "image_api": "images over the API",
    "improvement": "the improvement of the service from sums without names",
    "leads": "the records of sales and events",
    "market": "models, data sets and their market",
    "marketing": "mail with offers, to those who asked for it",
    "moderation": "the finding of abuse and harmful content",
    "notices": "notices on page, by mail and in the dashboard",
    "opt_out": "storing nothing for those who opted out",
    "orders": "orders with billing addresses",
    "personalise": "suiting the service to a person",
    "prepaid": "a prepaid balance",
    "processors": "the register of processors",
    "refunds": "giving money back",
    "regions": "keeping every store in the countries named",
    "rights": "requests about one's own data, with their deadlines",
    "security_log": "a log of sign-ins",
    "self_service": "deleting one's own facts one by one",
    "staff": "staff with roles of their own",
    "subscriptions": "subscriptions through a payment processor",
    "support": "tickets and mail to support",
    "technical_log": "a log of addresses and browsers",
    "training": "the making of training sets from consenting people",
}
"""Parts of Avow without a sentence of their own. What a policy says with them is published where they are installed."""

AWAITED: Mapping[str, str] = {f"part_{part}": f"it works: {says}" for part, says in PARTS.items()}
"""Probes that come with their parts. Until a part is installed, what it would prove is not published."""

FEATURES: Mapping[str, Claim | None] = {
    "tls": Claim(
        "Every connection to this service is encrypted with TLS 1.3 or newer.",
        "与本服务的所有连接均使用 TLS 1.3 或更高版本加密。",
        controls=("server",),
        probes=("tls",),
    ),
    **dict.fromkeys(PARTS),
}

CLAIMS: Mapping[str, Claim] = {
    "sealed": Claim(
        "What people write is stored only encrypted (AES-256-GCM), and the keys lie outside the database and its "
        "backups.",
        "用户撰写的内容仅以加密形式（AES-256-GCM）存储，密钥存放在数据库及其备份之外。",
        controls=("vault.box", "vault.ring"),
        probes=("plaintext",),
    ),
    "separated": Claim(
        "The database itself keeps each customer's rows out of reach of every other customer.",
        "数据库自身确保任何客户都无法触及其他客户的数据行。",
        controls=("base.migrations",),
        probes=("row_security",),
    ),
    "declared": Claim(
        "Every place where data about people may lie is declared; the service does not start with one that is not.",
        "所有可能存放个人数据的位置均已申报；若存在未申报的位置，服务将不会启动。",
        controls=("catalog", "policy.check"),
        probes=("declared",),
    ),
    "ended": Claim(
        "When a period ends, the data can no longer be read; its rows and files are gone within 10 minutes, its keys "
        "within 1 hour and 10 minutes.",
        "期限届满后，数据即无法读取；其数据行和文件在 10 分钟内清除，其密钥在 1 小时 10 分钟内销毁。",
        controls=("privacy.retention", "vault.ring"),
        probes=("oldest_fact", "slots"),
    ),
    "receipt": Claim(
        "An erasure destroys the keys of what it ends, so that what they encrypt cannot be read in a backup either, "
        "and gives a signed receipt that lists every store.",
        "删除会销毁相应数据的密钥，使其加密的内容在备份中同样无法读取，并出具列明每处存储的签名回执。",
        controls=("privacy.erase", "vault.ring", "proof.receipts"),
        probes=("erased",),
    ),
    "recorded": Claim(
        "Whoever opens data about you or changes your account stands on a record that you can read; nobody can change or "
        "shorten it unnoticed.",
        "何人查阅您的数据或更改您的账户均载于记录，您可以查阅；任何人都无法在不被发现的情况下更改或删减该记录。",
        controls=("vault.door", "vault.chain"),
        probes=("record",),
    ),
    "sums": Claim(
        "A charge is never more than what was reserved for it, and a balance never falls below zero.",
        "任何扣费都不会超过为其预留的金额，余额永远不会低于零。",
        controls=("billing.ledger",),
        probes=("sums",),
    ),
    "cards": Claim(
        "A payment card number in what people write is masked but for its last four digits before anything is stored.",
        "用户所写内容中的支付卡号在存储之前即被遮盖，仅保留末四位。",
        controls=("base.cards", "vault.door"),
        probes=("cards",),
    ),
    "answered": Claim(
        "Every privacy request has a date by which it is answered; one that is late is counted here until it is answered.",
        "每项隐私请求都有答复期限；逾期未答复的请求会计入此处，直至得到答复。",
        controls=("privacy.requests",),
        probes=("deadlines",),
    ),
    "guarded": Claim(
        "Pages and answers tell browsers not to embed, guess or keep them, and no script and no other site can use the "
        "sign-in cookie.",
        "页面和应答均要求浏览器不得嵌入、猜测类型或留存，任何脚本和其他网站都无法使用登录会话凭证。",
        controls=("site.pages", "accounts.callers"),
        probes=("headers", "cookies"),
    ),
    "closed": Claim(
        "The service's files are closed to every other user of its machine, and it listens only where its operator chose.",
        "本服务的文件对其所在机器的其他用户均不可访问，且仅在运营者选定的地址上监听。",
        controls=("base.postgres", "server"),
        probes=("modes", "listening"),
    ),
    "collected": Claim(
        "Of what you do here only the fields are stored that are listed for each kind of data, whatever your browser or program "
        "sends. There is no other log of visits or calls: the service's own log files name no person, address or request "
        "and are deleted within 30 days.",
        "对于您在此处的使用，无论您的浏览器或程序发送什么，仅存储为每类数据列明的字段。除此之外没有访问或调用日志：本服务自身的日志文件"
        "不含任何个人、地址或请求的标识，并在 30 天内删除。",
        controls=("policy.check", "accounts.visits", "base.log"),
        probes=("collected", "logs"),
    ),
    "published": Claim(
        "The rules published here are the rules that this service runs by.",
        "此处公布的规则即本服务实际运行所遵循的规则。",
        controls=("policy.parse",),
        probes=("policy_hash",),
    ),
}

PROBES: Mapping[str, str] = {
    "declared": "every column, path and host belongs to a declared store",
    "oldest_fact": "the oldest fact of each category lies within its period",
    "plaintext": "no plaintext of a canary in heap, WAL, objects or logs, while a planted control is found",
    "slots": "no hour's key outlives its hour",
    "row_security": "one tenant's role reads no row of another tenant",
    "sums": "the wallets equal the ledger and none is below zero",
    "record": "no line of the record of openings and acts was changed, taken out or put in",
    "log": "the transparency log is what was signed, and what may be read of it was not changed",
    "policy_hash": "the hash served equals the hash loaded",
    "purposes": "opening a canary for a purpose outside its category's list is refused; no stranger reads a readable row",
    "not_kept": "a canary request of a tenant that did not ask leaves no row of the category",
    "erased": "no box of an erased canary can be opened",
    "sign_up": "a sign-up with a field outside the policy is refused",
    "tls": "the listener speaks TLS 1.3 and refuses older versions",
    "headers": "pages and answers carry the headers that tell browsers not to embed, guess or keep them",
    "cookies": "the session cookie has all flags that keep it from scripts and other sites",
    "modes": "no file of the home is open to other users of the machine",
    "listening": "no process listens anywhere but at the address that was chosen",
    "cards": "a card number that a canary writes is masked in what is stored",
    "grants": "the database role that makes sums can read sums, and nothing about anybody",
    "collected": "of a canary's visit and calls nothing is stored but listed fields, and nothing of what its browser says",
    "logs": "no line of the log files holds an id, an address or a field that is not listed, and none is older than 30 days",
    "deadlines": "no privacy request is open past its due date",
    "journey": "a canary lives a whole life over HTTP, from sign-up to erasure, and is found in no store afterwards",
}
"""What each probe that a clause names looks at. `proof` has one of each name; without it the clause is unproved."""

WATCHED: Mapping[str, str] = {
    "api": "a canary with a key gets an answer of the model that it chose; a stranger gets none",
    "opt_out": "nothing is stored of a canary's request, or account, that opted out, while the control is stored",
    "field_choice": "what is stored of a canary's request lacks the fields that the policy leaves out",
    "self_service": "a canary deletes what is its own by itself, and it is gone",
    "staff": "a look of staff at a canary stands on its record with its reason; without one nothing is opened",
    "processors": "no outside party gets content that the public register does not name",
    "backups": "no backup outlives its end, each knows what was erased, and none holds a key",
    "erasure": "a canary that asks for erasure gets a genuine receipt and can sign in no more",
    "rights": "what a canary restricts is not used until it lifts that; due dates are as published",
    "consents": "a canary's consent is off until given, holds once given, and is gone once taken back",
    "notices": "a canary's notice stands until dismissed, and nobody waits to be told of a published change",
    "acceptance": "a canary accepts the policy; that is recorded with its version, and no consent follows from it",
    "age_gate": "a newcomer who does not affirm the age of their country is refused, in each that the policy names",
    "security_log": "a canary that gives a wrong password and then the right one reads both on its record of sign-ins",
    "technical_log": "of a canary that signs in is stored what the policy lists and nothing else that its browser says",
    "cache": "a canary that asks the same again gets the same answer; another one, and one that opted out, do not",
    "filter": "on what each filter looks for it does what the policy says, and its record holds no text",
    "evidence": "the document behind each claim is held, unchanged and valid",
    "disclosures": "a host that nobody entered is blocked and noted; what went out went under entries that hold",
    "regions": "every part of the service stands in a country that the policy names",
    "improvement": "ten organisations of canaries make a sum, which is gone once one objects, is restricted or has ended",
    "cookies": "public pages set nothing before a choice, and then only what stands in the register",
    "ads": "no page calls an advertiser before an opt-in or under Global Privacy Control",
}
"""What the probe `part_NAME` of a part looks at; a test compares their names with `proof.probes.ALL`."""
