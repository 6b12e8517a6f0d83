"""The words of the tables `[KIND.NAME]`, each with the sentence that it publishes, in English and in Chinese.

A sentence names the part of Avow that makes it true; where that part is not installed it is not published.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from avow.policy.words import Word


@dataclass(frozen=True, slots=True)
class Term(Word):
    """A sentence. `feature`: the part that makes it true. None: the text itself, or code that always runs."""

    feature: str | None = None
    controls: tuple[str, ...] = ()
    """What makes it true, where that is more than its part."""
    probes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Levels:
    """A choice between sentences, by the word that is written for it; the strictest stands first."""

    levels: Mapping[str, Term]


COUNTRIES: Mapping[str, Word] = {
    "AT": Word("Austria", "奥地利"),
    "BE": Word("Belgium", "比利时"),
    "BG": Word("Bulgaria", "保加利亚"),
    "CA": Word("Canada", "加拿大"),
    "CH": Word("Switzerland", "瑞士"),
    "CN": Word("China", "中国"),
    "CY": Word("Cyprus", "塞浦路斯"),
    "CZ": Word("Czechia", "捷克"),
    "DE": Word("Germany", "德国"),
    "DK": Word("Denmark", "丹麦"),
    "EE": Word("Estonia", "爱沙尼亚"),
    "ES": Word("Spain", "西班牙"),
    "FI": Word("Finland", "芬兰"),
    "FR": Word("France", "法国"),
    "GB": Word("the United Kingdom", "英国"),
    "GR": Word("Greece", "希腊"),
    "HR": Word("Croatia", "克罗地亚"),
    "HU": Word("Hungary", "匈牙利"),
    "IE": Word("Ireland", "爱尔兰"),
    "IT": Word("Italy", "意大利"),
    "JP": Word("Japan", "日本"),
    "KR": Word("South Korea", "韩国"),
    "LT": Word("Lithuania", "立陶宛"),
    "LU": Word("Luxembourg", "卢森堡"),
    "LV": Word("Latvia", "拉脱维亚"),
    "MT": Word("Malta", "马耳他"),
    "NL": Word("the Netherlands", "荷兰"),
    "NO": Word("Norway", "挪威"),
    "PL": Word("Poland", "波兰"),
    "PT": Word("Portugal", "葡萄牙"),
    "RO": Word("Romania", "罗马尼亚"),
    "SE": Word("Sweden", "瑞典"),
    "SG": Word("Singapore", "新加坡"),
    "SI": Word("Slovenia", "斯洛文尼亚"),
    "SK": Word("Slovakia", "斯洛伐克"),
    "US": Word("the United States", "美国"),
}

EU = frozenset(COUNTRIES) - {"CA", "CH", "CN", "GB", "JP", "KR", "NO", "SG", "US"}

LOCALES: Mapping[str, Word] = {"en": Word("English", "英文"), "zh": Word("Chinese", "中文")}

CONTACTS: Mapping[str, Word] = {
    "privacy": Word("questions about privacy and your rights", "隐私问题和权利请求"),
    "dpo": Word("our data protection officer", "数据保护官"),
    "support": Word("support", "客服"),
}

TOPICS: Mapping[str, Word] = {
    "questions": Word("questions", "一般问题"),
    "rights": Word("your rights", "您的权利"),
    "complaints": Word("complaints", "投诉"),
    "minors": Word("data of a child", "未成年人数据"),
    "cookies": Word("cookies", "Cookie"),
    "technical": Word("telemetry and encryption", "遥测和加密"),
}

MINORS: Mapping[str, Word] = {
    "delete": Word(
        "it is deleted at once, without any time of grace; only what the law holds stays",
        "将立即删除，不设宽限期；仅保留法律要求保留的部分",
    ),
    "restrict": Word("it is deleted, or restricted where the law holds it", "将予以删除，法律要求保留的则限制处理"),
}

CONSENTS: Mapping[str, Word] = {
    "training": Word("training our models with your data", "使用您的数据训练我们的模型"),
    "third_party_training": Word("training the models of others with your data", "使用您的数据训练第三方模型"),
    "marketing": Word("mail with offers", "推广邮件"),
    "ads": Word("advertising", "广告"),
    "analytics": Word("cookies that measure use", "用于统计的 Cookie"),
    "preference": Word("cookies that remember settings", "用于记住设置的 Cookie"),
    "experience": Word("cookies that improve what you see", "用于优化体验的 Cookie"),
    "sharing": Word("passing data on where you direct it", "按您的指示向他人提供数据"),
}

NEVER: Mapping[str, Word] = {
    "sale": Word("sell", "出售"),
    "rent": Word("rent out", "出租"),
    "trade": Word("trade", "交易"),
    "marketing": Word("pass on for the marketing of others", "为第三方营销而提供"),
    "advertising": Word("pass on for advertising", "为广告而提供"),
}

SHARES: Mapping[str, Term] = {
    "provider": Term(
        "Data goes to the providers listed here, each getting only what its task needs.",
        "数据仅提供给此处列明的服务商，且仅限其任务所需。",
        "processors",
    ),
    "legal": Term(
        "Data is disclosed where law or a valid request under it demands it, and then as little as possible.",
        "仅在法律或依法有效的请求要求时披露数据，并以最小范围为限。",
        "disclosures",
    ),
    "corporate": Term(
        "In a merger, acquisition or sale of assets data may pass to the new owner; you are told before.",
        "在合并、收购或资产出售时，数据可能转移给新的所有者；我们会事先通知您。",
        "disclosures",
    ),
    "protection": Term(
        "Data may be disclosed to protect the rights, property and safety of people, with the reason recorded.",
        "为保护他人的权利、财产和安全，可在记录理由后披露数据。",
        "disclosures",
    ),
    "public_safety": Term(
        "Data may be disclosed in the interest of public safety to the authorities in charge.",
        "为公共安全之目的，可向主管机关披露数据。",
        "disclosures",
    ),
    "interest": Term(
        "Data may be disclosed to protect our legitimate interests, after weighing them against yours in writing.",
        "为保护我们的正当利益，可在书面权衡您的利益之后披露数据。",
        "disclosures",
    ),
    "consent": Term(
        "Data is passed on where you explicitly agreed or directed it, to that recipient only.",
        "仅在您明确同意或指示时，才向该接收方提供数据。",
        "disclosures",
    ),
    "marketplace": Term(
        "When you list a model, buyers see your public profile; never your e-mail address or billing data.",
        "当您上架模型时，买家可看到您的公开资料，但绝不会看到您的电子邮箱或账单信息。",
        "market",
    ),
    "ad_cookies": Term(
        "Third-party vendors set advertising cookies and serve ads from your visits, only after you opted in; they get "
        "nothing of your account or content.",
        "第三方供应商仅在您选择同意后才会设置广告 Cookie 并根据您的访问投放广告；他们不会获得您的账户信息或内容。",
        "ads",
    ),
}

TRANSFERS: Mapping[str, Term] = {
    "scc": Term(
        "Transfers abroad rest on standard contractual clauses of the European Commission.",
        "跨境传输以欧盟委员会批准的标准合同条款为依据。",
    ),
    "dpa": Term("Transfers to providers rest on data processing agreements.", "向服务商的传输以数据处理协议为依据。"),
    "adequacy": Term("Transfers rest on adequacy decisions where there is one.", "在适用时，传输以充分性决定为依据。"),
    "certification": Term(
        "Transfers rest on a certification under privacy frameworks.", "传输以隐私框架下的认证为依据。"
    ),
}

RIGHTS: Mapping[str, Term] = {
    "access": Term(
        "You can get a copy of the personal data that we hold about you.", "您可以获取我们持有的您的个人数据副本。"
    ),
    "rectify": Term("You can have wrong or incomplete data corrected.", "您可以要求更正不准确或不完整的数据。"),
    "erase": Term(
        "You can have your personal data deleted at any time; what the law holds is listed to you with the reason.",
        "您可以随时要求删除您的个人数据；依法保留的部分会连同理由一并告知您。",
        "erasure",
        ("privacy.erase", "vault.ring"),
        ("erased",),
    ),
    "port": Term(
        "You can take your data along in a structured, common, machine-readable form.",
        "您可以以结构化、通用、机器可读的格式带走您的数据。",
    ),
    "restrict": Term("You can have the use of your data restricted.", "您可以要求限制对您数据的处理。"),
    "object": Term("You can object to the use of your data for a purpose.", "您可以反对为特定目的处理您的数据。"),
    "withdraw": Term(
        "You can take back a consent at any time, as easily as you gave it; what was done before stays lawful.",
        "您可以随时撤回同意，且与给予同意同样方便；撤回前的处理仍然合法。",
        "consents",
    ),
    "complain": Term(
        "You can complain to a data protection authority.", "您有权向数据保护监管机构投诉。", None, ("policy.render",)
    ),
}

NOTICES: Mapping[str, Word] = {
    "policy": Word("a change of this policy", "本政策的任何变更"),
    "policy_material": Word("a material change of this policy", "本政策的重大变更"),
    "terms": Word("a change of the terms", "条款的变更"),
    "cookies": Word("a change of cookies", "Cookie 的变更"),
    "security": Word("a security alert", "安全警报"),
    "technical": Word("a technical notice", "技术通知"),
    "update": Word("an update of the service", "服务更新"),
    "maintenance": Word("maintenance", "维护"),
    "transaction": Word("a transaction", "交易"),
    "support": Word("support", "客服答复"),
    "transfer": Word("a transfer of data abroad", "数据跨境传输"),
    "breach": Word("a breach of your data", "您的数据泄露"),
}

CHANNELS: Mapping[str, Word] = {
    "page": Word("on this page", "在本页面公布"),
    "email": Word("by e-mail", "通过电子邮件"),
    "banner": Word("in the dashboard", "在控制台显示"),
}

ACCEPTANCES: Mapping[str, Word] = {
    "explicit": Word("by clicking “I agree” when asked", "点击“我同意”"),
    "use": Word("by using the service after it takes effect", "在其生效后使用本服务"),
}

SCOPES: Mapping[str, Word] = {
    "everyone": Word("Everybody has these rights, wherever they live.", "无论居住何地，所有人均享有这些权利。"),
    "law": Word(
        "The law of where you live may limit these rights; we grant them to everybody.",
        "您所在地的法律可能限制这些权利；我们向所有人提供这些权利。",
    ),
    "EU": Word(
        "The law of the European Union gives these rights to people within it; we grant them to everybody.",
        "欧盟法律赋予其境内个人这些权利；我们向所有人提供这些权利。",
    ),
}

COOKIE_KINDS: Mapping[str, Word] = {
    "essential": Word("needed for signing in, security and basic functions", "登录、安全和基本功能所必需"),
    "preference": Word("remember your settings", "记住您的设置"),
    "analytics": Word("help us to understand how the service is used", "帮助我们了解服务的使用情况"),
    "experience": Word("improve what you see", "优化您的体验"),
    "advertising": Word("show advertising of third parties", "展示第三方广告"),
}

ROLES: Mapping[str, Word] = {
    "payment": Word("payment", "支付"),
    "hosting": Word("hosting", "托管"),
    "infrastructure": Word("infrastructure", "基础设施"),
    "edge": Word("routing at the edge", "边缘路由"),
    "database": Word("the database", "数据库"),
    "analytics": Word("analytics", "统计"),
    "support": Word("support", "客服"),
    "mail": Word("mail", "邮件"),
    "model": Word("running models", "模型运行"),
    "advertising": Word("advertising", "广告"),
}

BILLING: Mapping[str, Term] = {
    "purchase": Term("Purchases are paid through a payment processor.", "购买通过支付服务商付款。", "checkout"),
    "prepaid": Term(
        "You pay ahead, and what you use is taken from the balance.", "您预先充值，用量从余额中扣除。", "prepaid"
    ),
    "refund": Term("A balance that is not used can be paid back.", "未使用的余额可以退还。", "refunds"),
    "subscription": Term(
        "Subscriptions are paid through a payment processor.", "订阅通过支付服务商付款。", "subscriptions"
    ),
    "orders": Term("Orders and their history are in your account.", "订单及其历史记录可在您的账户中查看。", "orders"),
}

STAGES: Mapping[str, Word] = {
    "prompt": Word("what you send", "您发送的内容"),
    "image": Word("each image that you send", "您发送的每张图片"),
    "upload": Word("each file that you upload", "您上传的文件"),
    "output": Word("what is answered", "返回的内容"),
}
"""Where a filter looks: at a request and its images before a model sees them, at a file before it is kept, and at an answer
before you have it."""

ACTIONS: Mapping[str, Word] = {
    "block": Word("it is refused", "即予拒绝"),
    "redact": Word("that part is taken out before it goes on", "该部分会在继续传送之前移除"),
    "flag": Word("that is noted", "即予记录"),
}

HARMS: Mapping[str, Word] = {
    "personal": Word("personal data", "个人数据"),
    "hate": Word("hatred", "仇恨内容"),
    "harassment": Word("harassment", "骚扰内容"),
    "self-harm": Word("self-harm", "自残内容"),
    "sexual": Word("sexual content", "色情内容"),
    "minors": Word("sexual content about minors", "涉及未成年人的色情内容"),
    "violence": Word("violence", "暴力内容"),
    "illicit": Word("crime", "违法内容"),
    "house": Word("what the house rules forbid", "违反使用规则的内容"),
}
"""What a filter looks for; the word under which the record holds what it found."""

RECOGNISED: Mapping[str, Word] = {
    "email": Word("e-mail addresses", "电子邮箱地址"),
    "phone": Word("telephone numbers", "电话号码"),
    "card": Word("payment card numbers", "支付卡号"),
    "iban": Word("bank account numbers (IBAN)", "银行账号（IBAN）"),
    "ip": Word("IP addresses", "IP 地址"),
}

LOCAL_FIELDS: Mapping[str, Word] = {
    "reference": Word("the processor's reference", "支付服务商的编号"),
    "amount": Word("amounts", "金额"),
    "status": Word("the state", "状态"),
    "channel_id": Word("the identifier of the payment channel", "支付渠道标识"),
    "records": Word("records of payments", "付款记录"),
    "billing_address": Word("the billing address", "账单地址"),
    "method": Word("the kind of payment method", "付款方式"),
    "history": Word("the history of transactions", "交易历史"),
}

CHOSEN: Mapping[str, Word] = {
    "minimum": Word("the age", "最低年龄"),
    "by_country": Word("the ages by country", "各国家的年龄"),
    "countries": Word("the countries", "国家"),
    "deadline": Word("the time to answer", "答复期限"),
    "lifetime": Word("the lifetime", "有效期"),
    "keep": Word("the period", "保留期限"),
    "after_deletion": Word("the time after a deletion", "删除后的期限"),
    "keys_destroyed": Word("the destruction of keys", "密钥的销毁"),
}
"""How the keys read that an operator chose; others read as they are written."""
