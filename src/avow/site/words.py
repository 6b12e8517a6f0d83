"""What the public pages say around the policy's own sentences, in English and Chinese."""

from avow.site import cookie_words, policy_words, proof_words

LOCALES = ("en", "zh")

WORDS: dict[str, tuple[str, str]] = {
    "examples": (
        "A demonstration: the operator's name, addresses and processors in this policy are examples and not connected.",
        "演示：本政策中的运营者名称、地址和服务商均为示例，并未接入。",
    ),
    "pages": ("Pages", "页面"),
    "home_title": ("An AI API that proves its privacy policy", "一个能证明其隐私政策的 AI API"),
    "home_lead": (
        "One file is this service's privacy policy and its configuration. Probes check on the running system, sentence "
        "by sentence, that what is published is true.",
        "同一份文件既是本服务的隐私政策，也是它的配置。探针在运行中的系统上逐句检验所公布的内容是否属实。",
    ),
    "home_sentences": ("published sentences", "已公布的语句"),
    "home_proved": ("shown true at the last check", "最近检验属实"),
    "home_failed": ("found untrue", "检验不符"),
    "home_looked": ("Last check: {time}.", "最近检验：{time}。"),
    "home_read": ("Read them, each with its proof", "逐句阅读及其证明"),
    "use_it": ("Use it", "开始使用"),
    "use_note": (
        "Every OpenAI client works: set its base URL to this address and add /v1.",
        "所有 OpenAI 客户端均可使用：将其 base URL 设为本站地址加 /v1 即可。",
    ),
    "use_key": ("Make a key", "创建密钥"),
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
        "Below each sentence of the policy stands what makes it true, what checks it on the running system, what was found and "
        "when, and where that stands in a signed log. Whoever compares the log with what they saw before, or with what others "
        "saw, sees whether it was changed, by us too.",
        "在政策的每一句话之下，列出使其成真的代码、在运行中的系统上检验它的探针、检验结果与时间，以及该结果在签名日志中的位置。"
        "将日志与自己先前所见或他人所见相比对，即可发现其是否被更改，包括被我们更改。",
    ),
    "no_evidence": (
        "No probe has run yet. The first round begins a minute after the start and takes a minute or two; then each looks again "
        "every hour, or once a day where it reads all files or lives a canary's life, and whenever the policy changes.",
        "尚未运行任何探针。首轮检验在启动一分钟后开始，约需一至两分钟；此后每小时检验一次，读取全部文件或以金丝雀账户实测的探针每日一次，政策变更时亦会进行。",
    ),
    "confirm_title": ("Confirm your e-mail address", "确认您的电子邮箱地址"),
    "confirm_wait": ("One moment …", "请稍候……"),
    "confirm_done": ("Thank you. Your address is confirmed.", "谢谢。您的邮箱地址已确认。"),
    "confirm_refused": (
        "This link was used before or is too old. Sign up again with the same address and a new message is sent.",
        "此链接已被使用或已过期。请用同一邮箱重新注册，系统会发送新的邮件。",
    ),
    "reset_title": ("Choose a new password", "设置新密码"),
    "reset_email": ("Your e-mail address", "您的电子邮箱地址"),
    "reset_password": ("New password: 15 characters or more", "新密码：至少 15 个字符"),
    "reset_go": ("Continue", "继续"),
    "reset_asked": (
        "If this address has an account, a message with a link is on its way. The link works once, within an hour.",
        "如果该邮箱已有账户，含链接的邮件即将送达。该链接在一小时内有效，且仅可使用一次。",
    ),
    "reset_done": (
        "Your password is changed, and all sessions have ended. Sign in with the new one.",
        "密码已更改，所有会话均已结束。请使用新密码登录。",
    ),
    "ask_title": ("Ask about your data", "询问您的数据"),
    "ask_lead": (
        "For people without an account. A message goes to your address; the link in it takes your request, and the answer "
        "comes by mail. Who has an account signs in and asks there.",
        "供没有账户的人使用。系统会向您的邮箱发送邮件，打开其中的链接即提交请求，答复将以邮件送达。已有账户者请登录后提出。",
    ),
    "ask_kind": ("What you ask", "您的请求"),
    "ask_access": ("What is stored about this address", "查询此邮箱相关的数据"),
    "ask_erase": ("Delete what is stored about it", "删除相关数据"),
    "ask_rectify": ("Put something right", "更正"),
    "ask_complain": ("Complain", "投诉"),
    "ask_text": ("In your words; needed to put something right and to complain", "说明（更正和投诉必填）"),
    "ask_asked": (
        "Thank you. A message was sent to this address; the link in it works for 24 hours.",
        "谢谢。邮件已发送至该邮箱，其中的链接在 24 小时内有效。",
    ),
    "ask_proved": (
        "Thank you. Your request is taken; the answer comes by mail, at the latest on",
        "谢谢。您的请求已受理，答复将以邮件送达，最迟于",
    ),
    "ask_noscript": (
        'This page needs its few lines of script. Without: POST {"email": "…", "kind": "access"} to /api/privacy/outside; '
        "the message names the command that follows.",
        '此页面需要运行几行脚本。也可 POST {"email": "…", "kind": "access"} 至 /api/privacy/outside，后续命令见邮件。',
    ),
    "confirm_noscript": (
        "This page needs its few lines of script: the secret after the # never leaves your browser by itself. The message "
        "names a command that does the same.",
        "此页面需要运行几行脚本：# 之后的密钥不会自行离开您的浏览器。邮件中也给出了等效的命令。",
    ),
    "refusal_field_refused": ("This e-mail address cannot be right.", "此邮箱地址不正确。"),
    "refusal_invalid_request": ("Fill in what is missing, then send it again.", "请填写缺少的内容后重新提交。"),
    "refusal_password_refused": (
        "This password is too easy to guess. A longer one is better: 15 characters or more.",
        "此密码过于容易被猜中，请使用更长的密码：15 个字符或以上。",
    ),
    "refusal_reset_refused": (
        "This link is not known, was used, or is too old. Ask for a new message.",
        "此链接无效、已被使用或已过期。请重新索取邮件。",
    ),
    "refusal_proof_refused": (
        "This link is not known, was used, or is too old. Ask again with the same address.",
        "此链接无效、已被使用或已过期。请用同一邮箱重新提出请求。",
    ),
    "refusal_network_slowed": (
        "There were too many attempts from this network. Try again later.",
        "来自此网络的尝试过多，请稍后再试。",
    ),
    "refusal_mailbox_slowed": (
        "Messages were sent to this address a moment ago. Look into your mailbox.",
        "刚刚已向此邮箱发送过邮件，请查收。",
    ),
    "refusal_unreachable": (
        "The service cannot be reached. Your input is still here; try again in a moment.",
        "暂时无法连接服务。您填写的内容仍在，请稍后再试。",
    ),
    "refusal_other": ("This was refused:", "请求未被接受（英文说明）："),
    "app": ("Sign in", "登录"),
    "app_missing_title": ("The app was not built here", "此处未构建应用"),
    "app_missing_lead": (
        "Everything else works: whatever the app shows, the platform API answers too. The app is built when the npm registry "
        "can be reached at installation: run `make run` again.",
        "其他功能均可正常使用：应用所显示的一切，平台 API 同样可以查询。"
        "安装时若能访问 npm 仓库即会构建应用：请再次运行 `make run`。",
    ),
    "status": ("Status", "状态"),
    "missing_title": ("There is no such page", "没有此页面"),
    "missing_lead": (
        "There is nothing at this address, or not any more. The start page leads to all that is public.",
        "此地址没有内容，或内容已不存在。首页可通往所有公开页面。",
    ),
    "broken_title": ("Something went wrong here", "此处出了问题"),
    "broken_lead": (
        "The fault is ours, and it is noted. Try again in a moment; if it stays, tell the operator when it was.",
        "这是我们的问题，已被记录。请稍后再试；如仍出现，请告知运营者发生的时间。",
    ),
    "errors": ("Errors", "错误"),
    "errors_lead": (
        "Each refusal names one of these codes. Beside it stands the status, below it what to do next.",
        "每次拒绝都会给出下列代码之一。右侧为状态码，下方为后续应采取的操作（英文）。",
    ),
    "status_note": ("whether each part answers", "各部分是否正常"),
    "machine_note": ("the policy for programs", "供程序读取的政策"),
    "api_note": ("accounts, keys, requests, rights", "账户、密钥、请求与权利"),
    "policy_in_force": ("is the hash of the policy in force.", "是现行政策的哈希值。"),
    "probe_declared": (
        "Every column, path and host belongs to a declared store.",
        "每一列、路径和主机都属于已申报的存储。",
    ),
    "probe_oldest_fact": (
        "The oldest fact of each category lies within its period.",
        "每一类别中最早的数据仍在其期限之内。",
    ),
    "probe_deadlines": (
        "No privacy request is open past the date by which it is answered.",
        "没有任何隐私请求超过其答复期限仍未答复。",
    ),
    "probe_plaintext": (
        "The words of a canary stand nowhere in the clear in tables, write-ahead log, files or logs; a planted control is "
        "found.",
        "金丝雀账户的文字在数据表、预写日志、文件和日志中均无明文；预置的对照标记可被找到。",
    ),
    "probe_slots": ("No hour's key outlives its hour.", "任何小时密钥都不会超出其小时而存在。"),
    "probe_row_security": (
        "The role of one tenant reads no row of another.",
        "一个租户的角色读不到另一租户的任何数据行。",
    ),
    "probe_sums": ("The wallets equal the ledger, and none is below zero.", "钱包与账本一致，且无一低于零。"),
    "probe_record": (
        "No line of the record of openings and acts was changed, taken out or put in.",
        "查阅与操作记录中没有任何一行被更改、删除或插入。",
    ),
    "probe_log": (
        "The transparency log is what was signed, and what may be read of it was not changed.",
        "透明日志与所签名的一致，其中可读的内容未被更改。",
    ),
    "probe_journey": (
        "A canary lives a whole life over HTTP, from sign-up to erasure, and is found in no store afterwards.",
        "一只金丝雀通过 HTTP 走完从注册到删除的全程，此后在任何存储中都找不到其残留。",
    ),
    "probe_policy_hash": (
        "The policy that is served, loaded and on record is one and the same.",
        "对外公布、已加载与记录在案的政策完全一致。",
    ),
    "probe_purposes": (
        "Opening a canary's data for a purpose outside its list is refused; records that are readable to the service's own "
        "programs can be read by nobody else.",
        "以列表之外的目的打开金丝雀账户的数据会被拒绝；仅供本服务自身程序读取的记录，他人无法读取。",
    ),
    "probe_not_kept": (
        "The request of a tenant that did not ask for a history leaves no row and no trace in any file.",
        "未要求保存历史的租户，其请求不留下任何数据行，也不在任何文件中留下痕迹。",
    ),
    "probe_erased": (
        "What was sealed for an erased canary cannot be opened any more, and its rows are gone.",
        "已删除的金丝雀账户，其密封内容无法再被打开，数据行也已消失。",
    ),
    "probe_sign_up": ("A sign-up with a field outside the policy is refused.", "包含政策之外字段的注册会被拒绝。"),
    "probe_tls": (
        "The listener speaks TLS 1.3 and refuses older versions.",
        "监听端口使用 TLS 1.3，并拒绝更旧的版本。",
    ),
    "probe_headers": (
        "Pages and answers tell browsers not to embed, guess or keep them.",
        "页面和应答均要求浏览器不得嵌入、猜测类型或留存。",
    ),
    "probe_cookies": (
        "The session cookie has every flag that keeps it from scripts and other sites.",
        "会话 Cookie 带有防止脚本和其他网站使用的全部标志。",
    ),
    "probe_modes": (
        "No file of the service is open to other users of its machine.",
        "本服务的文件对所在机器的其他用户均不开放。",
    ),
    "probe_listening": (
        "No process listens anywhere but at the address that the operator chose.",
        "任何进程都不在运营者选定的地址之外监听。",
    ),
    "probe_cards": (
        "A card number that a canary writes is masked in what is stored of it.",
        "金丝雀账户所写的支付卡号在存储时已被遮盖。",
    ),
    "probe_collected": (
        "Of a canary's visit and calls nothing is stored but listed fields, and no word of what its browser says.",
        "金丝雀账户的访问和调用仅留下列明的字段，其浏览器所述内容均未留存。",
    ),
    "probe_grants": (
        "The database role that makes sums can read sums over many organisations, and no table about anybody.",
        "生成汇总数据的数据库角色仅能读取多个组织的汇总，无法读取任何有关个人的数据表。",
    ),
    "probe_logs": (
        "No line of the log files names a person, an address or a request, and none is older than 30 days.",
        "日志文件中没有任何一行标识个人、地址或请求，且均不超过 30 天。",
    ),
    "places": ("Where the parts of the service stand", "本服务各部分所在地"),
    "place_database": ("database", "数据库"),
    "place_queue": ("queue of jobs", "任务队列"),
    "place_objects": ("files", "文件"),
    "place_cache": ("cache", "缓存"),
    "place_logs": ("logs", "日志"),
    "place_keys": ("keys", "密钥"),
    "place_engine": ("engine", "推理引擎"),
    "place_backups": ("backups", "备份"),
    "place_mail": ("mail relay", "邮件中继"),
    "place_traces": ("collector of traces", "追踪收集器"),
    "documents_changes": ("Sentences that rest on documents", "以文件为依据的语句"),
    "document_valid": ("stands: its document is valid", "成立：文件有效"),
    "document_early": ("not yet: its document begins later", "尚未成立：文件尚未生效"),
    "document_lapsed": ("left: its document ran out", "已撤下：文件已过期"),
    "document_missing": ("left: its document is missing", "已撤下：文件缺失"),
    "document_changed": ("left: its document was changed", "已撤下：文件被更改"),
    "document_withdrawn": ("left: its document was withdrawn", "已撤下：文件已撤回"),
    "verdict_proved": ("proved", "已证明"),
    "verdict_failed": ("failed", "未通过"),
    "verdict_unproved": ("unproved", "未证明"),
    "verdict_attested": ("attested", "有文件佐证"),
    "part_database": ("Database", "数据库"),
    "part_policy": ("Policy", "政策"),
    "part_ledger": ("Ledger", "账本"),
    "up": ("answers", "正常"),
    "down": ("does not answer", "无响应"),
    **cookie_words.ALL,
    **policy_words.ALL,
    **proof_words.ALL,
}


def refusals(locale: str) -> dict[str, str]:
    """What the pages with a form say of a refusal, by its code; `other` stands before what has no text of its own."""
    begins = "refusal_"
    return {key.removeprefix(begins): translate(locale, key) for key in WORDS if key.startswith(begins)}


def translate(locale: str, key: str) -> str:
    """The text of `key` in `locale` (`en` or `zh`)."""
    return WORDS[key][LOCALES.index(locale)]
