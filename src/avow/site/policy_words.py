"""What the pages of the policy say around its sentences, in English and Chinese."""

from collections.abc import Mapping

PAGES: Mapping[str, tuple[str, str]] = {
    "changes": ("Changes", "变更记录"),
    "changes_lead": (
        "Every version of this policy that was published, newest first, with the sentences that changed.",
        "本政策已公布的所有版本，按时间从新到旧排列，并列出有变更的语句。",
    ),
    "data": ("Data map", "数据清单"),
    "data_lead": (
        "Every kind of personal data that this service handles: what it consists of, why it is used, how long it stays, "
        "where it lies and who else gets it. The list is made from the rules and tables that the service runs by.",
        "本服务处理的每一类个人数据：包含哪些内容、为何使用、保留多久、存放在何处以及还有谁会获得。"
        "此清单由本服务实际运行所依据的规则和数据表生成。",
    ),
    "processors": ("Processors", "数据处理服务商"),
    "processors_lead": (
        "The outside parties that may get personal data from this service. Who is not on this list gets none.",
        "可能从本服务获得个人数据的外部服务商。未列入此表者不会获得任何数据。",
    ),
    "processors_none": (
        "No outside party gets personal data from this service.",
        "本服务不向任何外部服务商提供个人数据。",
    ),
    "terms": ("Terms of use", "使用条款"),
    "terms_none": (
        "The operator of this service has published no terms of use.",
        "本服务的运营者尚未公布使用条款。",
    ),
    "terms_version": (
        "These terms belong to version {number} of the privacy policy, and change with it.",
        "本条款属于隐私政策第 {number} 版，并随其一同变更。",
    ),
    "home": ("Home", "主页"),
    "related": ("About this policy", "关于本政策"),
    "contents": ("Contents", "目录"),
    "version": ("Version {number}", "第 {number} 版"),
    "version_current": ("in force", "现行有效"),
    "version_since": ("In force since {time}", "自 {time} 起生效"),
    "version_came": ("Came into force on {time}", "曾于 {time} 生效"),
    "version_waits": ("Takes effect on {time}", "将于 {time} 生效"),
    "version_replaced": ("Never took effect; another version took its place.", "从未生效，已被其他版本取代。"),
    "version_published": ("Published on {time}", "公布于 {time}"),
    "version_old": (
        "This is how the policy read in this version. It is not the one in force.",
        "此为该版本的政策原文，并非现行版本。",
    ),
    "upcoming": (
        "Version {number} takes effect on {time}.",
        "第 {number} 版将于 {time} 生效。",
    ),
    "upcoming_read": ("Read it", "查看全文"),
    "upcoming_changes": ("See what changes", "查看变更"),
    "text_date": ("Text last changed: {date}.", "文本最后更新：{date}。"),
    "stale": (
        "The text in another language is older than this one: {locales}.",
        "以下语言的文本更新较早：{locales}。",
    ),
    "stale_own": (
        "This text is older than the one in another language, which may already say more.",
        "本文本的更新早于其他语言的文本，后者的内容可能更新。",
    ),
    "first_version": ("The first version.", "首个版本。"),
    "no_rewording": ("No sentence reads otherwise.", "没有语句变更。"),
    "added": ("Added", "新增"),
    "removed": ("Removed", "删除"),
    "reworded": ("Changed", "修改"),
    "older": ("Older versions", "更早的版本"),
    "verdict_awaited": ("first check is running", "首轮检验进行中"),
    "verdict_example": ("example", "示例"),
    "first_round": (
        "The service has just started, or its policy has just changed: the first round of checks is running, and its results "
        "appear here within minutes.",
        "本服务刚刚启动或政策刚刚变更，首轮检验正在进行，结果将在数分钟内显示于此。",
    ),
    "counted": (
        "{proved} of {count} sentences are proved by a check of the last 24 hours.",
        "共 {count} 条语句，其中 {proved} 条已由最近 24 小时内的检验证明。",
    ),
    "sentence_state": ("Result of the last check", "最近一次检验结果"),
    "fields": ("Fields", "字段"),
    "purposes": ("Purposes", "用途"),
    "purposes_none": ("none", "无"),
    "basis": ("Legal basis", "法律依据"),
    "keep": ("Kept", "保留期限"),
    "keep_never": ("not stored", "不存储"),
    "keep_life": ("as long as the account", "账户存续期间"),
    "keep_from": ("{period}, counted from {clock}", "自{clock}起 {period}"),
    "keep_ask": ("only where the organisation asks for it: {period}", "仅在组织提出要求时：{period}"),
    "on_expiry": ("At the end", "期满后"),
    "on_erasure": ("On erasure", "要求删除时"),
    "source": ("Source", "来源"),
    "source_user": ("you", "由您提供"),
    "source_automatic": ("recorded when you use the service", "使用服务时自动记录"),
    "source_system": ("made by the service", "由本服务生成"),
    "source_processor": ("a processor", "由服务商提供"),
    "lies_in": ("Location", "存放地区"),
    "lies_unsaid": ("not said by this policy", "本政策未说明"),
    "gets_it": ("Recipients", "接收方"),
    "gets_it_none": ("nobody outside", "不对外提供"),
    "opened_by": ("Staff access", "可查阅的人员"),
    "opened_by_none": ("nobody", "无人"),
    "operator_choice": ("the operator's own choice", "运营者自行选定"),
    "roles": ("Role", "职能"),
    "region": ("Location", "所在地区"),
    "contract": ("Contract", "合同"),
    "vetted": ("Last examined", "最近审查"),
    "trains": ("Trains models", "是否用于训练模型"),
    "yes": ("yes", "是"),
    "no": ("no", "否"),
    "gets": ("May receive", "可获得的数据"),
    "state": ("State", "状态"),
    "not_connected": ("not connected", "未接入"),
    "connected": ("connected", "已接入"),
    "leaving": ("Who leaves before the end of an answer", "在回答结束前离开者"),
    "leaving_estimate": (
        "pays for the input and for what was delivered; for an answer that is not streamed, all of it",
        "支付输入和已送达部分的费用；非流式回答则支付全部",
    ),
    "leaving_drain": (
        "pays for the whole answer, which the provider charges anyway",
        "支付整个回答的费用，因为服务商照常计费",
    ),
    "leaving_unbilled": (
        "pays nothing before the first token, and from then on for the input and for what was delivered",
        "首个令牌之前不付费，此后支付输入和已送达部分的费用",
    ),
    "machine_readable": ("For programs, signed", "供程序读取（已签名）"),
    "text_hash": ("SHA-256 of this text:", "本文本的 SHA-256："),
    "version_is_current": ("This is the version in force.", "此为现行版本。"),
    "with_proof": ("See it with its proof.", "查看附证明的现行政策。"),
    "to_current": ("Go to the one in force.", "前往现行政策。"),
    "skip": ("To the text", "跳至正文"),
}
"""`{…}` are filled in by the page."""

SECTIONS: Mapping[str, tuple[str, str]] = {
    "about": ("About this policy", "关于本政策"),
    "account": ("Opening an account", "开立账户"),
    "data": ("Your data, kind by kind", "各类数据"),
    "practices": ("What is done with data, and what is not", "数据的使用与不使用"),
    "sharing": ("Who else gets data", "数据的共享与传输"),
    "cookies": ("Cookies", "Cookie 的使用"),
    "security": ("How data is protected", "数据的保护"),
    "payment": ("Payment", "付款"),
    "rights": ("Your rights, and whom to write to", "您的权利与联系方式"),
    "changes": ("Changes and languages", "变更与语言"),
}
"""The headings of the page, in its order."""

CATEGORIES: Mapping[str, tuple[str, str]] = {
    "account": ("Account", "账户资料"),
    "credential": ("Sign-in", "登录凭证"),
    "api_content": ("Prompts and answers", "API 内容"),
    "usage": ("Use of the API", "用量记录"),
    "payment": ("Payments and charges", "付款与扣费"),
    "audit": ("Record of openings", "查阅记录"),
    "consent": ("Consents and objections", "同意与反对"),
    "rights": ("Privacy requests", "隐私请求"),
    "security_log": ("Record of sign-ins", "登录记录"),
    "mail": ("Mail waiting to be sent", "待发送邮件"),
    "conversation": ("Chats", "聊天"),
    "generation": ("Images and prompts", "图像与提示"),
    "profile": ("Public profile", "公开资料"),
    "model": ("Models", "模型"),
    "dataset": ("Data sets", "数据集"),
    "order": ("Orders", "订单"),
    "support": ("Support", "客服往来"),
    "lead": ("Sales and events", "销售与活动"),
    "technical": ("Technical data", "技术数据"),
    "interaction": ("Use of functions", "功能使用记录"),
    "moderation": ("Scores of abuse", "滥用评分"),
    "cache": ("Cached answers", "回复缓存"),
    "copy": ("Copy that you asked for", "您索取的副本"),
}

PROBES: Mapping[str, tuple[str, str]] = {
    "part_api": (
        "A canary with a key gets an answer of the model that it chose; a stranger gets none.",
        "持有密钥的金丝雀账户能得到所选模型的回复，陌生人则不能。",
    ),
    "part_opt_out": (
        "Nothing is stored of a canary's request, or account, that opted out, while the control is stored.",
        "选择不存储的请求和账户不留下任何内容，而对照请求会被存储。",
    ),
    "part_field_choice": (
        "What is stored of a canary's request lacks the fields that the policy leaves out.",
        "金丝雀账户请求的存储内容中不含政策排除的字段。",
    ),
    "part_cache": (
        "A canary that asks the same again gets the same answer, another one and one that opted out do not.",
        "金丝雀账户再次提出相同请求会得到同一回复，其他账户和选择不存储的请求则不会。",
    ),
    "part_security_log": (
        "A canary that gives a wrong password and then the right one reads both on its record of sign-ins.",
        "金丝雀账户先后输入错误与正确的密码，两次尝试均可在其登录记录中查到。",
    ),
    "part_technical_log": (
        "Of a canary that signs in is stored what the policy lists and nothing else that its browser says.",
        "金丝雀账户登录时，仅存储政策列明的信息，不存储其浏览器提供的其他内容。",
    ),
    "part_filter": (
        "What each filter looks for was sent by a canary: it did what the policy says, and its record holds no text.",
        "金丝雀账户发送了各过滤器所查找的内容：过滤器按政策行事，其记录不含文本。",
    ),
    "part_self_service": (
        "A canary deletes what is its own by itself, and it is gone.",
        "金丝雀账户可自行删除其内容，且删除后不再存在。",
    ),
    "part_age_gate": (
        "A newcomer who does not affirm the age of their country is refused, in each country that the policy names.",
        "未确认已达所在国家规定年龄的注册者会被拒绝，政策列明的每个国家均是如此。",
    ),
    "part_erasure": (
        "A canary that asks for erasure gets a genuine receipt and can sign in no more.",
        "请求删除的金丝雀账户会收到真实有效的回执，且无法再登录。",
    ),
    "part_backups": (
        "No backup outlives its end, each knows what was erased, and none holds a key.",
        "备份均未超出其期限，均知悉已删除的数据，且不含任何密钥。",
    ),
    "part_rights": (
        "A canary restricts the use of its data, and it is not used; it lifts that again; due dates are as published.",
        "金丝雀账户限制处理后其数据不再被使用，并可解除限制；答复期限与公布一致。",
    ),
    "part_consents": (
        "A canary's consent is off until given, holds once given, and is gone once taken back; its record has the text that "
        "was shown, and a signed receipt that stands in the log.",
        "金丝雀账户的同意默认关闭，给予后生效，撤回后即失效；记录中保存所展示的文本，并有载入日志的签名回执。",
    ),
    "part_cookies": (
        "Public pages set nothing before a choice; what is set stands in the register, no longer than it says there, and "
        "Global Privacy Control is honoured.",
        "在作出选择之前，公开页面不设置任何 Cookie；所设置的均列于登记册且不超过其有效期，并遵守全球隐私控制信号。",
    ),
    "part_ads": (
        "No page calls an advertiser before an opt-in or under Global Privacy Control; afterwards only the operator's texts "
        "do, not personalised unless that is chosen.",
        "在选择同意之前或收到全球隐私控制信号时，任何页面都不会请求广告商；同意后也仅限运营者文本页面，且除非另行选择，否则不作个性化。",
    ),
    "part_staff": (
        "A look of staff at a canary stands on the canary's record with its reason; without a reason nothing is opened.",
        "工作人员查阅金丝雀账户会连同理由记入其查阅记录；没有理由则无法查阅。",
    ),
    "part_notices": (
        "A canary's notice stands in its dashboard until dismissed, and nobody waits to be told of a published change.",
        "金丝雀账户的通知在关闭前一直显示于控制台，且所有已公布的变更均已告知所有人。",
    ),
    "part_acceptance": (
        "A canary accepts the policy; that is recorded with its version, and no consent follows from it.",
        "金丝雀账户接受政策后，会连同版本一并记录，且不因此产生任何同意。",
    ),
    "part_processors": (
        "No outside party gets content that the public register does not name.",
        "未在公开登记中列明的外部服务商不会获得任何内容。",
    ),
    "part_disclosures": (
        "A connection to a host that nobody entered is blocked and noted, an entry on a ground that the policy lacks is refused, "
        "and what went out went under entries that hold.",
        "与未登记主机的连接会被阻止并记录，政策所无依据的登记会被拒绝，所有外发均有有效登记。",
    ),
    "part_improvement": (
        "Ten organisations of canaries make a sum; it is gone once one objects, is restricted or its record has ended, and for a "
        "purpose that the policy does not list there is none.",
        "十个金丝雀组织可形成一项汇总；其中一个反对、被限制处理或记录到期后该汇总即消失；政策未列明的用途没有汇总。",
    ),
    "part_regions": (
        "Every part of the service stands in a country that the policy names, and the page of data says so.",
        "本服务的各部分均位于政策所列国家，数据页面亦如此说明。",
    ),
    "part_evidence": (
        "The document behind each claim is held, unchanged and valid.",
        "每项声明背后的文件均有存档、未被更改且在有效期内。",
    ),
}

ALL: Mapping[str, tuple[str, str]] = {
    **PAGES,
    **{f"section_{name}": pair for name, pair in SECTIONS.items()},
    **{f"category_{name}": pair for name, pair in CATEGORIES.items()},
    **{f"probe_{name}": pair for name, pair in PROBES.items()},
}
