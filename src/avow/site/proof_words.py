"""What the page of proof says, in English and Chinese."""

ALL: dict[str, tuple[str, str]] = {
    "proof_counted": (
        "{proved} of {count} sentences are proved; the oldest look behind them was {age}.",
        "共 {count} 句，其中 {proved} 句已证明；所依据的最早一次检验在{age}。",
    ),
    "proof_sentences": ("Sentence by sentence", "逐句证明"),
    "proof_clause": ("Clause", "条款"),
    "proof_control": ("Made true by", "由何实现"),
    "proof_probe": ("Checked by", "由何检验"),
    "proof_found": ("Found", "检验结果"),
    "proof_leaf": ("leaf {place} of the log", "日志第 {place} 号叶"),
    "proof_leaf_waits": ("waits to be signed, a second or so", "等待签名（约一秒）"),
    "proof_never": ("no look yet", "尚未检验"),
    "proof_program": ("for programs", "供程序读取"),
    "proof_log": ("The log", "日志"),
    "proof_log_lead": (
        "All evidence, each version of the policy and each receipt of an erasure or a consent is a leaf of one Merkle tree. "
        "Leaves are salted hashes: what must be erased can be, and all proofs still hold.",
        "所有检验结果、每一版政策以及每份删除回执和同意回执都是同一棵默克尔树的叶。叶为加盐哈希：必须删除的内容可以删除，而全部证明依然成立。",
    ),
    "proof_log_name": ("Name", "名称"),
    "proof_log_size": ("Leaves", "叶数"),
    "proof_log_root": ("Root", "根"),
    "proof_log_head": ("signed head", "签名的日志头"),
    "proof_log_key": ("key", "公钥"),
    "proof_yourself": ("Check it yourself", "自行核验"),
    "proof_yourself_lead": (
        "One file, which needs Python and the package cryptography. It believes nothing that stands on this page: it reads "
        "the log, checks every hash and signature, and holds each sentence against its evidence, and the log against that of "
        "your last visit.",
        "仅需一个文件、Python 和 cryptography 包。它不轻信本页的任何内容：读取日志，核验每个哈希和签名，"
        "将每句话与其检验结果对照，并与您上次访问时的日志对照。",
    ),
    "proof_journey": ("The last canary's journey", "最近一只金丝雀的历程"),
    "proof_journey_lead": (
        "Once a day a person of our own, whom the service does not know from others, lives a whole life here over HTTP; then "
        "every store is searched for what is left.",
        "每日一次，一个由我们扮演、服务无法分辨的用户通过 HTTP 在此走完全程，然后在每个存储中搜索其残留。",
    ),
    "proof_journey_none": ("None has set out yet.", "尚无金丝雀出发。"),
    "proof_journey_broken": (
        "It was broken off after this step, so it proves nothing; what is left of the canary is removed and another sets out.",
        "历程在此步之后中断，因此不能证明任何事；残留将被清除，另一只金丝雀会重新出发。",
    ),
    "proof_journey_under_way": ("It is under way.", "历程正在进行。"),
    "journey_passed": ("done", "完成"),
    "journey_failed": ("failed", "未通过"),
    "journey_unproved": ("could not look", "无法检验"),
    "journey_skipped": ("not here", "此处没有"),
    "proof_oldest": ("The oldest fact of each kind", "各类数据中最早的一条"),
    "proof_requests": ("Open privacy requests", "未办结的隐私请求"),
    "proof_outside": ("What is out of scope", "不在证明范围之内"),
    "proof_not_published": (
        "{count} sentences of this policy are about parts that are not installed here; they are not published.",
        "本政策有 {count} 句涉及此处未安装的部分，未予公布。",
    ),
    "proof_outside_parties": (
        "What outside parties do with what they get: their contracts and dates are on the page of processors, and nobody can "
        "look into their systems.",
        "外部服务商如何处理其所获数据：其合同与日期见服务商页面，但无人能查看其系统。",
    ),
    "proof_outside_machine": (
        "The machine itself: where it stands, who can reach it, and whether it runs the code that it shows. Whoever puts the "
        "whole machine back, keys included, can sign another log; who kept a checkpoint sees it.",
        "机器本身：位于何处、何人可接触、所运行的是否即所展示的代码。若有人将整台机器（含密钥）回退，便能签出另一份日志；保存过日志头的人能够发现。",
    ),
    "proof_outside_bytes": (
        "Freed bytes on the disk: they are overwritten when their space is used again. What stood in them was sealed, and its "
        "key is destroyed.",
        "磁盘上已释放的字节：其空间再次使用时才会被覆盖。其中内容均已密封，且密钥已销毁。",
    ),
    "proof_probes": ("All probes", "全部探针"),
    "age_now": ("just now", "刚刚"),
    "age_minutes": ("{n} min ago", "{n} 分钟前"),
    "age_hours": ("{n} h ago", "{n} 小时前"),
    "age_days": ("{n} days ago", "{n} 天前"),
    "age_never": ("never", "尚未进行"),
    "journey_going": ("under way", "进行中"),
    "step_sign_up": ("Signs up", "注册"),
    "step_sign_in": ("Signs in and reads their account", "登录并查看账户"),
    "step_key": ("Makes an API key", "创建 API 密钥"),
    "step_call": ("Asks a model, with words of their own", "以自己的话向模型提问"),
    "step_stores": ("Is found in the stores: the control of all that follows", "在存储中被找到：作为后续步骤的对照"),
    "step_copy": ("Asks for a copy of their data and reads it", "索取个人数据副本并查看"),
    "step_consent": ("Gives a consent and withdraws it", "作出同意并撤回"),
    "step_objection": ("Objects to a use", "反对某项使用"),
    "step_backup": ("A backup is made; their words are sought in it", "制作备份，并在其中搜索其文字"),
    "step_long_ago": ("Facts from long ago come to their end", "久远的数据到期"),
    "step_erase": ("Asks for erasure", "请求删除"),
    "step_receipt": ("Gets a signed receipt that stands in the log", "收到已载入日志的签名回执"),
    "step_gone": ("Is sought in every store", "在每个存储中搜索其残留"),
    "step_files": ("Is sought in all files, byte by byte", "在所有文件中逐字节搜索"),
    "step_sealed_copies": ("The backup from before: no key opens it any more", "先前的备份：已无任何密钥可以打开"),
}
