"""What the panel of choices and the page about cookies say, in English and Chinese."""

ALL: dict[str, tuple[str, str]] = {
    "cookies_title": ("Cookies and choices", "Cookie 与选择"),
    "cookies_lead": (
        "Every cookie that this service can set stands here. Only essential ones are set until you choose; nothing else "
        "follows from using the service.",
        "本服务可能设置的所有 Cookie 均列于此。在您作出选择之前只会设置必要 Cookie；使用本服务不代表任何其他同意。",
    ),
    "cookies_nothing_asked": (
        "Only essential cookies are set here, so there is nothing to choose.",
        "本服务仅设置必要 Cookie，因此无需作出选择。",
    ),
    "cookies_none_declared": (
        "This policy declares no cookies. Who signs in gets one that says who they are.",
        "本政策未声明任何 Cookie。登录时会设置一个用于识别身份的 Cookie。",
    ),
    "cookies_blocked": (
        "If your browser blocks cookies, every public page still works. Signing in does not: the service would forget at the "
        "next click who you are.",
        "如果您的浏览器阻止 Cookie，所有公开页面仍可正常使用，但无法登录：服务在您下一次点击时就无法识别您的身份。",
    ),
    "cookies_kind_essential": ("Essential", "必要"),
    "cookies_kind_preference": ("Preferences", "偏好设置"),
    "cookies_kind_analytics": ("Measuring use", "使用统计"),
    "cookies_kind_experience": ("Experience", "体验优化"),
    "cookies_kind_advertising": ("Advertising", "广告"),
    "cookies_always": ("always on", "始终开启"),
    "cookies_empty": ("Nothing is set under it at present.", "目前不会设置此类 Cookie。"),
    "cookies_allow": ("Allow", "允许"),
    "cookies_personal": (
        "Advertising may also be suited to me. Off: the vendor is asked for advertising that is not personalised.",
        "广告也可以根据我进行个性化。关闭时：将要求供应商提供非个性化广告。",
    ),
    "cookies_vendors": ("Who fills advertising", "广告供应商"),
    "cookies_opt_out_at": ("Opt out at the vendor", "在供应商处选择退出"),
    "cookies_not_chosen": (
        "You have not chosen yet: only essential cookies are set.",
        "您尚未选择：仅设置必要 Cookie。",
    ),
    "cookies_chosen": (
        "This browser remembers your choice. Change it here at any time.",
        "此浏览器已记住您的选择，您可随时在此更改。",
    ),
    "cookies_signed_in": (
        "You are signed in, so your choice is also on record in your account, with the text below.",
        "您已登录，因此您的选择连同下方文本也会记录在您的账户中。",
    ),
    "cookies_accept": ("Accept all", "全部接受"),
    "cookies_reject": ("Reject all", "全部拒绝"),
    "cookies_save": ("Save choice", "保存选择"),
    "cookies_one_by_one": ("Choose one by one", "逐项选择"),
    "panel_title": ("May we set more than essential cookies?", "是否允许设置必要 Cookie 以外的 Cookie？"),
    "panel_lead": (
        "Nothing optional is set unless you say so, and you can change your mind at any time.",
        "未经您同意不会设置任何可选 Cookie，您可以随时更改。",
    ),
    "panel_details": ("What you are asked", "询问内容"),
    "gpc_heeded": (
        "Your browser says Global Privacy Control, and that is honoured: nothing measures or advertises here.",
        "您的浏览器发出了全球隐私控制（GPC）信号，我们予以遵守：此处不进行统计，也不展示广告。",
    ),
    "gpc_seen": (
        "Your browser says Global Privacy Control, and that is honoured.",
        "您的浏览器发出了全球隐私控制（GPC）信号，我们予以遵守。",
    ),
    "gpc_not_seen": (
        "If your browser says Global Privacy Control (Sec-GPC: 1), that refuses what measures or advertises, whatever is chosen "
        "here.",
        "如果您的浏览器发出全球隐私控制信号（Sec-GPC: 1），则视为拒绝统计和广告，无论在此作何选择。",
    ),
    "gpc_refused": ("refused by your browser's signal", "已由浏览器信号拒绝"),
    "set_by_us": ("this service", "本服务"),
    "set_by_others": ("a third party", "第三方"),
    "until_closed": ("until the browser is closed", "至浏览器关闭"),
    "cookie_name": ("Cookie", "Cookie 名称"),
    "cookie_purpose": ("What for", "用途"),
    "cookie_setter": ("Set by", "设置方"),
    "cookie_lifetime": ("Stays for", "有效期"),
    "cookie_avow": ("says who is signed in", "识别登录身份"),
    "cookie_avow-ceremony": (
        "binds signing in with a passkey or a provider to this browser, for ten minutes at most",
        "将通行密钥或第三方登录绑定到此浏览器，最长十分钟",
    ),
    "cookie_avow-choices": (
        "remembers which kinds of cookies you allowed; it names nobody",
        "记住您允许的 Cookie 种类；不包含身份信息",
    ),
    "cookie_avow-language": ("remembers the language that you chose", "记住您选择的语言"),
    "cookie_avow-visit": (
        "says that this visit was counted, so that it is counted once; it is the same for everybody",
        "标记本次访问已计数，避免重复计数；对所有人都相同",
    ),
    "ad_title": ("Advertisement", "广告"),
    "ad_example": (
        "An example: here would stand advertising of {title}. It is not connected, and nothing was requested.",
        "示例：此处将展示 {title} 的广告。该供应商未接入，未发出任何请求。",
    ),
    "ad_by": ("Advertising of {title}", "{title} 的广告"),
    "ad_change": ("Change or end this", "更改或关闭"),
}
