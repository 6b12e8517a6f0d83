"""What is done with data or not, and how it is protected: for each name a choice between sentences, the strictest first."""

from collections.abc import Mapping

from avow.policy.terms import Levels, Term

PRACTICES: Mapping[str, Levels] = {
    "training": Levels(
        {
            "never": Term(
                "We train no models with your data.",
                "我们不使用您的数据训练模型。",
                None,
                ("policy.decide",),
                ("purposes",),
            ),
            "consent": Term(
                "We train our models with what you send or receive only if you gave explicit consent; it is off until "
                "you turn it on.",
                "只有在您明确同意后，我们才会使用您的输入和输出训练我们的模型；该选项默认关闭。",
                "training",
            ),
            "anonymised": Term(
                "We may improve our models with conversations, but only after removing everything that leads to you; "
                "you can object, and enterprise conversations are left out.",
                "我们可能使用对话改进模型，但仅在去除一切可关联到您的信息之后；您可以反对，企业用户的对话不会被使用。",
                "training",
            ),
        }
    ),
    "third_party_training": Levels(
        {
            "never": Term(
                "Your data is not used to train the models of others.",
                "您的数据不会用于训练第三方模型。",
                None,
                ("policy.decide",),
                ("purposes",),
            ),
            "consent": Term(
                "Your data is used to train the models of others only if you gave explicit consent.",
                "只有在您明确同意后，您的数据才会用于训练第三方模型。",
                "training",
            ),
        }
    ),
    "improvement": Levels(
        {
            "none": Term(
                "Your data is not used to improve the service.",
                "您的数据不会用于改进服务。",
                None,
                ("policy.decide",),
                ("purposes",),
            ),
            "aggregate": Term(
                "We improve the service from sums over many people only; nothing of what you write is in them.",
                "我们仅依据多人的汇总数据改进服务，其中不包含您撰写的任何内容。",
                "improvement",
            ),
            "anonymised": Term(
                "We improve the service from sums and from data that no longer leads to anybody.",
                "我们依据汇总数据和无法关联到任何人的数据改进服务。",
                "improvement",
            ),
        }
    ),
    "marketing": Levels(
        {
            "none": Term(
                "We send no mail with offers.", "我们不发送推广邮件。", None, ("policy.decide",), ("purposes",)
            ),
            "consent": Term(
                "We send mail with offers only to those who asked for it, and each has a link that ends it.",
                "我们仅向主动同意的用户发送推广邮件，每封邮件均附有退订链接。",
                "marketing",
            ),
        }
    ),
    "ads": Levels(
        {
            "none": Term(
                "There is no advertising in this service.", "本服务不含广告。", None, ("policy.decide",), ("purposes",)
            ),
            "consent": Term(
                "Advertising by third parties is shown only after you opted in; no request goes to them before.",
                "仅在您选择同意后才会展示第三方广告；在此之前不会向第三方发出任何请求。",
                "ads",
            ),
        }
    ),
    "content_for_ads": Levels(
        {
            "never": Term(
                "What you send to the API and what it answers is not used for advertising.",
                "您发送给 API 的内容及其返回的内容不会用于广告。",
                None,
                ("policy.decide",),
                ("purposes",),
            ),
        }
    ),
    "personalise": Levels(
        {
            "none": Term(
                "We do not suit the service to you.", "我们不提供个性化服务。", None, ("policy.decide",), ("purposes",)
            ),
            "consent": Term(
                "We suit the service to you only where you allowed it.",
                "仅在您允许时我们才提供个性化服务。",
                "personalise",
            ),
            "objection": Term(
                "We suit the service to your use of it, until you object.",
                "我们会根据您的使用情况提供个性化服务，您可随时反对。",
                "personalise",
            ),
        }
    ),
    "moderation": Levels(
        {
            "limits": Term("Abuse is stopped by limits only.", "我们仅通过限额制止滥用。", "moderation"),
            "abuse": Term(
                "We look for fraud, abuse and unusual access; cases hold scores and no text.",
                "我们会检测欺诈、滥用和异常访问；案件中仅保留评分，不保留文本。",
                "moderation",
            ),
            "filter": Term(
                "Automatic filters look for harmful content; their log holds kinds and counts and no text, and you can appeal.",
                "我们使用自动系统检测并过滤有害内容；其日志仅保留类别和数量，不保留文本，您可以申诉。",
                "filter",
            ),
        }
    ),
}

SECURITY: Mapping[str, Levels] = {
    "transit": Levels(
        {
            "every hop": Term(
                "Every transmission of data is encrypted with TLS, also between our own machines.",
                "所有数据传输均使用 TLS 加密，包括我们自己的机器之间。",
                "tls",
                ("server",),
                ("tls",),
            ),
            "TLS 1.3": Term(
                "Data on its way is encrypted with TLS 1.3.",
                "传输中的数据使用 TLS 1.3 加密。",
                "tls",
                ("server",),
                ("tls",),
            ),
            "TLS": Term(
                "Data on its way is encrypted with TLS.", "传输中的数据使用 TLS 加密。", "tls", ("server",), ("tls",)
            ),
        }
    ),
    "rest": Levels(
        {
            "AES-256": Term(
                "Data at rest is encrypted with AES-256.",
                "静态数据使用 AES-256 加密。",
                None,
                ("vault.box", "vault.ring"),
                ("plaintext",),
            ),
            "encrypted": Term(
                "Data at rest is encrypted.", "静态数据已加密。", None, ("vault.box", "vault.ring"), ("plaintext",)
            ),
        }
    ),
    "access": Levels(
        {
            "roles": Term(
                "Access needs authentication, and each role reaches only what the policy gives it.",
                "访问均须身份验证，每个角色仅能访问政策授予的内容。",
                None,
                ("policy.decide", "base.access"),
                ("row_security", "purposes"),
            )
        }
    ),
    "monitoring": Levels(
        {
            "recorded": Term(
                "Openings of people's data are recorded, with who, what and why, and access is watched.",
                "对个人数据的每次查阅均记录何人、何内容及何原因，访问受到持续监测。",
                None,
                ("vault.door", "vault.chain"),
                ("record",),
            )
        }
    ),
    "credentials": Levels(
        {
            "isolated": Term(
                "A key is shown once and kept as a digest; keys of providers are sealed and used by the gateway only.",
                "密钥仅显示一次，仅以摘要形式保存；供应商密钥加密保存，仅供网关使用。",
                None,
                ("accounts.keys", "vault.box"),
                ("plaintext",),
            )
        }
    ),
}
