"""The messages that accounts send, in English and Chinese, put into the sealed outbox in the transaction they belong to.

A token stands in the fragment of its link, which a browser keeps to itself: it reaches no log and no other site.
"""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from avow.accounts.needs import Needs
from avow.base.ids import uuid7
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


async def _put(
    needs: Needs,
    connection: AsyncConnection,
    tenant_id: UUID,
    subject_id: UUID,
    address: str,
    subject: str,
    text: str,
) -> None:
    await outbox.put(
        connection,
        needs.vault,
        message_id=uuid7(),
        tenant_id=tenant_id,
        subject_id=subject_id,
        recipient=address,
        subject=subject,
        text=text,
    )
