"""Whole sentences that a policy may publish by name: what the service offers, what documents stand behind, what is said."""

from collections.abc import Mapping

from avow.policy.terms import Term

OFFERS: Mapping[str, Term] = {
    "api": Term(
        "The service answers calls to its API with the model that you choose.",
        "本服务以您选择的模型响应 API 调用。",
        "api",
    ),
    "image_api": Term(
        "The service makes images from prompts that come over its API.",
        "本服务根据通过 API 发送的提示生成图像。",
        "image_api",
    ),
    "studio": Term(
        "The service makes images from your prompts and uploads and shows you their history.",
        "本服务根据您的提示和上传内容生成图像，并向您展示历史记录。",
        "studio",
    ),
    "chat": Term(
        "The service lets you talk with models and shows you your chats.", "您可以与模型对话并查看对话记录。", "chat"
    ),
    "market": Term(
        "The service hosts models and data sets and lets you list models for buyers.",
        "本服务托管模型和数据集，您可以向买家上架模型。",
        "market",
    ),
    "support": Term(
        "You can write to our support, and read there what you wrote.", "您可以联系客服并查看往来内容。", "support"
    ),
    "events": Term("The service takes part in sales and events.", "本服务参与销售和活动。", "leads"),
}

ORGANISATION: Mapping[str, Term] = {
    "audits": Term("Security audits take place regularly.", "我们定期开展安全审计。"),
    "penetration_tests": Term("Penetration tests take place regularly.", "我们定期开展渗透测试。"),
    "soc2": Term("An auditor's SOC 2 Type II report is in force.", "SOC 2 Type II 审计报告处于有效期内。"),
    "incident_procedures": Term("There are procedures for incidents.", "我们制定了事件响应流程。"),
    "breach_plan": Term("There is a plan for a breach of data.", "我们制定了数据泄露应对计划。"),
    "gdpr": Term(
        "Processing follows the General Data Protection Regulation and other rules of the European Union.",
        "数据处理遵循《通用数据保护条例》及其他欧盟规定。",
    ),
    "data_centres": Term(
        "Data lies in high-security Level 3 data centres with physical protection.",
        "数据存放于具备物理防护的高安全 Level 3 数据中心。",
    ),
    "training": Term("Staff are trained in data protection regularly.", "员工定期接受数据保护培训。"),
    "confidentiality": Term("Staff have signed confidentiality agreements.", "员工已签署保密协议。"),
    "processors_bound": Term(
        "Providers are bound by contract to confidentiality and security.", "服务商受保密和安全合同约束。"
    ),
    "reviews": Term("Our practices are reviewed continuously.", "我们持续审查自身的做法。"),
    "corporate": Term(
        "A change of ownership is registered and announced before data passes.", "所有权变更会在数据转移前登记并告知。"
    ),
}

STATEMENTS: Mapping[str, Term] = {
    "values": Term("We value your privacy and every item of your data.", "我们重视您的隐私和您的每一条数据。"),
    "scope": Term(
        "This policy covers the website, accounts, the API, payments and support.",
        "本政策适用于网站、账户、API、支付和客服。",
    ),
    "explains": Term(
        "This policy says what is collected, why, how long it stays, who gets it, how it is protected and what you can "
        "do.",
        "本政策说明收集何种数据、为何收集、保留多久、谁能获得、如何保护以及您的权利。",
    ),
    "minimal": Term("Only what the rules here list is collected.", "我们仅收集此处规则所列的数据。"),
    "no_absolute_security": Term(
        "No way of transmitting or storing data is entirely safe; we cannot guarantee absolute security.",
        "任何传输或存储方式都无法做到绝对安全；我们无法保证绝对安全。",
    ),
    "guard_keys": Term("Please guard your password and your API keys.", "请妥善保管您的密码和 API 密钥。"),
    "may_change": Term(
        "This policy may change; each version stays readable with its date.",
        "本政策可能变更；每个版本均保留并注明日期。",
    ),
    "review": Term("Please read this policy again from time to time.", "请不时查阅本政策。"),
    "decline": Term(
        "If you do not agree, please do not use the service; declining leaves nothing stored.",
        "如不同意，请勿使用本服务；拒绝后不会留下任何数据。",
    ),
    "refuse_data": Term(
        "You may refuse to give data; some functions may then not be available.",
        "您可以拒绝提供数据；部分功能可能因此无法使用。",
    ),
    "cookies_browser": Term(
        "You can accept, refuse or delete cookies in your browser; some functions, such as staying signed in, then do "
        "not work.",
        "您可以在浏览器中接受、拒绝或删除 Cookie；部分功能（例如保持登录）可能因此无法使用。",
    ),
    "cookies_what": Term(
        "Cookies are small texts that a website stores on your device.", "Cookie 是网站存储在您设备上的小型文本。"
    ),
    "gpc": Term(
        "If your browser says Global Privacy Control, that refuses cookies that measure or advertise, and passing your data on, "
        "whatever was chosen before.",
        "如果您的浏览器发出全球隐私控制（GPC）信号，即视为拒绝用于统计或广告的 Cookie 以及向他人提供您的数据，无论此前作何选择。",
        "cookies",
    ),
    "ads_opt_out": Term(
        "You can opt out of personalised advertising here, and in Google's Ads Settings.",
        "您可以在此处以及 Google 广告设置中选择退出个性化广告。",
        "ads",
    ),
    "home": Term("A link leads from this page back home.", "本页面提供返回主页的链接。"),
    "not_children": Term("We do not knowingly collect data of children.", "我们不会在知情的情况下收集儿童的数据。"),
    "account_bound": Term(
        "Images and prompts are bound to your account, and outputs to your tenant.",
        "图像和提示与您的账户绑定，输出与您的租户绑定。",
        "studio",
    ),
    "retention": Term(
        "Data is kept only as long as its purpose or the law needs, each kind by its own rule.",
        "数据仅在其目的或法律所需的期间内保留，每类数据均有各自的规则。",
    ),
    "card_numbers": Term(
        "Card numbers go to the payment processor; we never store a full card number.",
        "卡号由支付服务商处理；我们从不存储完整卡号。",
        "checkout",
    ),
}
