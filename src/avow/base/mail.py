"""Mail transport: a folder that stands for mailboxes, or a relay over SMTP."""

from __future__ import annotations

import ssl
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol

import aiosmtplib

from avow.base.errors import AvowError


class MailRefused(AvowError):
    """The mail relay did not take the message."""

    status = 502
    code = "mail_refused"
    hint = "Check AVOW_SMTP_URL and the relay's log; the message stays in the outbox and is tried again."


class Mail(Protocol):
    """Hands one message over. Sending the same `message_id` twice is harmless: readers drop the copy."""

    async def send(self, message_id: str, to: str, subject: str, text: str) -> None: ...


def _message(sender: str, message_id: str, to: str, subject: str, text: str, *, readable: bool = False) -> EmailMessage:
    """`readable`: the text as it is, for a file that somebody looks at; a relay may ask for seven bits."""
    made = EmailMessage()
    made["From"], made["To"], made["Subject"], made["Message-ID"] = sender, to, subject, f"<{message_id}>"
    made["Auto-Submitted"] = "auto-generated"
    if readable:
        made.set_content(text, cte="8bit")
    else:
        made.set_content(text)
    return made


class FolderMail:
    """Writes each message to `folder/<message id>.eml`, readable by the owner only. For `avow up`."""

    def __init__(self, folder: Path, sender: str = "avow@localhost") -> None:
        self.folder, self.sender = folder, sender

    async def send(self, message_id: str, to: str, subject: str, text: str) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.folder / f"{message_id.partition('@')[0]}.eml"
        path.touch(mode=0o600)
        path.write_bytes(bytes(_message(self.sender, message_id, to, subject, text, readable=True)))


class SmtpMail:
    """Hands messages to a relay: STARTTLS (or TLS from the start) is required unless the relay is on this machine. No TLS
    older than `least` is spoken with it."""

    def __init__(
        self, host: str, port: int, sender: str, user: str = "", password: str = "", tls: bool = False
    ) -> None:
        self.host, self.port, self.sender, self.user, self.tls = host, port, sender, user, tls
        self._password = password
        self.least = ssl.TLSVersion.TLSv1_2
        self._local = host in ("localhost", "127.0.0.1", "::1")

    async def send(self, message_id: str, to: str, subject: str, text: str) -> None:
        context = ssl.create_default_context()
        context.minimum_version = self.least
        try:
            await aiosmtplib.send(
                _message(self.sender, message_id, to, subject, text),
                hostname=self.host,
                port=self.port,
                username=self.user or None,
                password=self._password or None,
                use_tls=self.tls,
                start_tls=None if self.tls or self._local else True,
                tls_context=context,
                timeout=20,
            )
        except (aiosmtplib.SMTPException, OSError) as failed:
            # The library's texts quote the address: only the kind of failure may leave this function.
            raise MailRefused(f"The mail relay failed with {type(failed).__name__}.") from None
