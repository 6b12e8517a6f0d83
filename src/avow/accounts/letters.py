"""The messages that accounts send, in English and Chinese, put into the sealed outbox in the transaction they belong to.

A token stands in the fragment of its link, which a browser keeps to itself: it reaches no log and no other site.
"""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from avow.accounts import people
from avow.accounts.needs import Needs
from avow.base.ids import uuid7
from avow.policy import ANSWER
from avow.vault import outbox

ASK_SUBJECT = "Confirm your address / 确认您的邮箱"
ASK = """\
Somebody signed up at {site} with this address. If it was you, confirm it within 24 hours:

{site}/confirm#{token}

Without a browser: POST {{"token": "{token}"}} to {site}/api/auth/confirm
If it was not you, do nothing.

有人使用此邮箱在 {site} 注册。如果是您本人，请在 24 小时内打开上面的链接确认；如果不是，请忽略本邮件。
"""

REMIND_SUBJECT = "You already have an account / 您已有账户"
REMIND = """\
Somebody tried to sign up at {site} with this address. It already has an account, and nothing was changed.
If it was you, sign in with your password. If it was not you, do nothing.

有人尝试使用此邮箱在 {site} 注册。该邮箱已有账户，未作任何更改。如果是您本人，请直接登录；如果不是，请忽略本邮件。
"""

RESET_SUBJECT = "Set a new password / 设置新密码"
RESET = """\
Somebody asked for a new password at {site} for this address. If it was you, set it within one hour:

{site}/reset#{token}

Without a browser: POST {{"token": "{token}", "password": "…"}} to {site}/api/auth/reset/finish
All sessions end when it is set. If it was not you, do nothing: nothing was changed.

有人请求为此邮箱在 {site} 的账户设置新密码。如果是您本人，请在一小时内打开上面的链接；设置后所有会话将结束。
如果不是，请忽略本邮件。
"""

CHANGED_SUBJECT = "Your account was changed / 您的账户已更改"
CHANGED = """\
At {site}: {what_en}.
If it was not you, ask for a new password at once: {site}/reset

在 {site}：{what_zh}。如果不是您本人，请立即重设密码：{site}/reset
"""

FOOTER = """
--
Privacy policy / 隐私政策: {site}/privacy
"""

PASSWORD_CHANGED = ("your password was changed, and other sessions were ended", "您的密码已更改，其他会话已结束")
FACTOR_ADDED = ("a second factor was added, and other sessions were ended", "已添加第二重验证，其他会话已结束")
FACTOR_REMOVED = ("the second factor was removed", "已移除第二重验证")
CODES_RENEWED = ("new recovery codes were made; the old ones are void", "已生成新的恢复码，旧恢复码作废")
PASSKEY_ADDED = ("a passkey was added", "已添加通行密钥")
PASSKEY_REMOVED = ("a passkey was removed", "已移除通行密钥")
IDENTITY_ADDED = ("an identity provider was linked", "已关联身份提供方")
IDENTITY_REMOVED = ("an identity provider was unlinked", "已取消关联身份提供方")
CODE_USED = ("a recovery code was used", "使用了一个恢复码")

ALERT_SUBJECT = "Somebody tries to sign in / 有人尝试登录"
ALERT = """\
Ten attempts in a row to sign in to your account at {site} were refused. They are slowed down, and your sessions go on.
If it was not you: a second factor or a passkey keeps guessers out even if they hit on your password. Add one at {site}.

您在 {site} 的账户连续十次登录失败。后续尝试已被减速，您已登录的会话不受影响。
如果不是您本人，建议添加第二重验证或通行密钥。
"""

ALERT_OPERATOR_SUBJECT = "Refused sign-ins / 登录失败"
ALERT_OPERATOR = """\
Ten attempts in a row to sign in to the account {subject_id} at {site} were refused. They are slowed down; the person was told.

{site} 的账户 {subject_id} 连续十次登录失败。后续尝试已被减速，并已通知本人。
"""

LEAK_SUBJECT = "An API key of yours was found and revoked / 您的 API 密钥已泄露并被撤销"
LEAK = """\
Somebody found an API key of yours and reported it to {site}. It was revoked at once and does not work any more.
The key: {key_id}. Make a new one, and look where the old one was written down: it may still be public there.

您的一个 API 密钥（{key_id}）被发现泄露并已报告给 {site}，该密钥已立即撤销。请创建新的密钥，并检查旧密钥曾写在何处。
"""


async def ask(
    needs: Needs, connection: AsyncConnection, tenant_id: UUID, subject_id: UUID, address: str, token: str
) -> None:
    """Ask the owner of an address to confirm it."""
    text = ASK.format(site=needs.base_url, token=token)
    await _put(needs, connection, tenant_id, subject_id, address, ASK_SUBJECT, text)


async def remind(needs: Needs, connection: AsyncConnection, tenant_id: UUID, subject_id: UUID, address: str) -> None:
    """Tell the owner of an account that somebody signed up with their address again."""
    await _put(needs, connection, tenant_id, subject_id, address, REMIND_SUBJECT, REMIND.format(site=needs.base_url))


async def tell_of_leak(
    needs: Needs, connection: AsyncConnection, tenant_id: UUID, subject_id: UUID, address: str, key_id: UUID
) -> None:
    """Tell a person that a key of theirs was found by somebody and revoked."""
    text = LEAK.format(site=needs.base_url, key_id=key_id)
    await _put(needs, connection, tenant_id, subject_id, address, LEAK_SUBJECT, text)


async def reset(
    needs: Needs, connection: AsyncConnection, tenant_id: UUID, subject_id: UUID, address: str, token: str
) -> None:
    """Send the owner of an account the token with which they set a new password."""
    text = RESET.format(site=needs.base_url, token=token)
    await _put(needs, connection, tenant_id, subject_id, address, RESET_SUBJECT, text, ANSWER)


async def changed(
    needs: Needs, connection: AsyncConnection, tenant_id: UUID, subject_id: UUID, what: tuple[str, str]
) -> None:
    """Tell a person, in English and Chinese, what was changed in the ways to sign in (ASVS 5.0, 6.3.7)."""
    address = await people.open_address(needs, connection, tenant_id, subject_id)
    if address is not None:
        text = CHANGED.format(site=needs.base_url, what_en=what[0], what_zh=what[1])
        await _put(needs, connection, tenant_id, subject_id, address, CHANGED_SUBJECT, text)


async def alert(needs: Needs, connection: AsyncConnection, tenant_id: UUID, subject_id: UUID) -> None:
    """Tell a person, and the operator where one is set, that somebody may be guessing."""
    address = await people.open_address(needs, connection, tenant_id, subject_id)
    if address is not None:
        text = ALERT.format(site=needs.base_url)
        await _put(needs, connection, tenant_id, subject_id, address, ALERT_SUBJECT, text)
    if needs.operator_mail:
        text = ALERT_OPERATOR.format(site=needs.base_url, subject_id=subject_id)
        await _put(needs, connection, tenant_id, subject_id, needs.operator_mail, ALERT_OPERATOR_SUBJECT, text)


async def _put(
    needs: Needs,
    connection: AsyncConnection,
    tenant_id: UUID,
    subject_id: UUID,
    address: str,
    subject: str,
    text: str,
    purpose: str = "service",
) -> None:
    await outbox.put(
        connection,
        needs.vault,
        message_id=uuid7(),
        tenant_id=tenant_id,
        subject_id=subject_id,
        recipient=address,
        subject=subject,
        text=text + FOOTER.format(site=needs.base_url),
        purpose=purpose,
    )
