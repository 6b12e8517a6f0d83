"""What the public pages say around the policy's own sentences, in English and Chinese."""

LOCALES = ("en", "zh")

WORDS: dict[str, tuple[str, str]] = {
    "pages": ("Pages", "页面"),
    "home_title": ("An AI API that proves its privacy policy", "一个能证明其隐私政策的 AI API"),
    "home_lead": (
        "One file is this service's privacy policy and its configuration. Probes check on the running system, sentence "
        "by sentence, that what is published is true.",
        "同一份文件既是本服务的隐私政策，也是它的配置。探针在运行中的系统上逐句检验所公布的内容是否属实。",
    ),
    "use_it": ("Use it", "开始使用"),
    "use_note": (
        "Every OpenAI client works: set its base URL to this address and add /v1.",
        "所有 OpenAI 客户端均可使用：将其 base URL 设为本站地址加 /v1 即可。",
    ),
    "see_for_yourself": ("See for yourself", "亲自查证"),
    "privacy": ("Privacy policy", "隐私政策"),
    "privacy_note": ("what is kept, why, and until when", "保存什么、为何保存、保存到何时"),
    "privacy_lead": (
        "These sentences are made from the rules that this service runs by. Beside each stands what the last check found.",
        "以下语句由本服务实际运行的规则生成，旁边是最近一次检验的结果。",
    ),
    "proof": ("Proof", "证明"),
    "proof_note": ("what the probes found, and when", "探针的检验结果与时间"),
    "proof_lead": (
        "Each probe looks at the running system: the database's files, its rows, the keys, the logs.",
        "每个探针都检查运行中的系统：数据库文件、数据行、密钥与日志。",
    ),
    "no_evidence": ("No probe has run yet. Run: avow verify", "尚未运行任何探针。请运行：avow verify"),
    "status": ("Status", "状态"),
    "status_note": ("whether each part answers", "各部分是否正常"),
    "machine_note": ("the policy for programs", "供程序读取的政策"),
    "api_note": ("accounts, keys, requests, rights", "账户、密钥、请求与权利"),
    "policy_in_force": ("is the hash of the policy in force.", "是现行政策的哈希值。"),
    "verdict_proved": ("proved", "已证明"),
    "verdict_failed": ("failed", "未通过"),
    "verdict_unproved": ("unproved", "未证明"),
    "verdict_attested": ("attested", "有文件佐证"),
    "part_database": ("Database", "数据库"),
    "part_policy": ("Policy", "政策"),
    "part_ledger": ("Ledger", "账本"),
    "up": ("answers", "正常"),
    "down": ("does not answer", "无响应"),
}


def translate(locale: str, key: str) -> str:
    """The text of `key` in `locale` (`en` or `zh`)."""
    return WORDS[key][LOCALES.index(locale)]
