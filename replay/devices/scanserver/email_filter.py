"""The e-mail filter: one mail with the images attached, by the mail server that the user named.

Only that server is contacted; over TLS and with authentication where the user says so. A name or address from the
network never becomes a header line of its own: an address that is not of the form ``name@domain`` is InvalidArgs, and
the others get their mail.

Sources: email pages of the driver documentation; MS-BDSRR 2.2.4.74, 2.2.4.75, 2.2.5.5; RFC 5321, RFC 5322.
"""

from __future__ import annotations

import smtplib
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid

from replay.base.threads import in_thread
from replay.devices.scanserver.filenames import document_name, media_type_of, safe_name
from replay.devices.scanserver.filters import Done, FilterJob, FilterResult, MailServer, Places, is_address
from replay.devices.scanserver.instructions import FilterInstructions

__all__ = ["run_email"]

MAX_MAIL = 64 << 20
"""Bytes of images in one mail; servers refuse far smaller ones."""

_OWN_NAME = "localhost"
"""Name in EHLO. Python would look up the machine's own name, which asks name servers."""


class _NoServer(Exception):
    """The server cannot be reached or is none."""


async def run_email(instructions: FilterInstructions, job: FilterJob, places: Places) -> FilterResult:
    """Mail the images of a job.

    Returns:
        CompletedSuccessfully; CompletedWithErrors with InvalidSMTPServer (none given, not reachable, no SMTP, no TLS or
        a certificate that is not trusted), UnableToSendEmail (login or mail refused, in whole or in part), InvalidArgs
        (bad addresses), ServerOutOfMemory or UnknownError (an image cannot be read); Canceled where the job was.
    """
    done = Done()
    if job.canceled():
        return done.result(canceled=True)
    wanted = list(instructions.addresses) + ([job.user] if instructions.to_scan_user else [])
    good = [one for one in dict.fromkeys(wanted) if is_address(one)]
    for one in dict.fromkeys(wanted):
        if one not in good:
            done.failed("InvalidArgs", f"{one!r} is no e-mail address")
    if not wanted:
        done.note("the e-mail filter has no receiver: nothing is sent")
    elif places.smtp is None:
        done.failed("InvalidSMTPServer", "no mail server is given")
    elif not job.images:
        done.note("the job has no image: nothing is sent")
    elif sum(one.size for one in job.images) > MAX_MAIL:
        done.failed("UnableToSendEmail", f"the images are longer than {MAX_MAIL} bytes, too long for a mail")
    elif good:
        message = await _compose(good, job, places, done)
        if job.canceled():
            return done.result(canceled=True)
        if message is not None:
            await _send(message, good, places, places.smtp, done)
    return done.result()


async def _compose(receivers: list[str], job: FilterJob, places: Places, done: Done) -> EmailMessage | None:
    message = EmailMessage(policy=policy.SMTP)
    root = safe_name(job.document_root_name, 200)
    message["From"] = places.sender
    message["To"] = ", ".join(receivers)
    message["Subject"] = root
    message["Date"] = format_datetime(datetime.fromtimestamp(job.created // 1_000_000_000, UTC))
    message["Message-ID"] = make_msgid(domain=places.sender.rpartition("@")[2] or _OWN_NAME)
    message.set_content(
        f"{len(job.images)} scanned document{'s' if len(job.images) != 1 else ''} of {safe_name(job.user)}, "
        f"post-scan job {safe_name(job.token)}.\n"
    )
    used: dict[str, int] = {}
    for image in job.images:
        if job.canceled():
            return None
        try:
            data = await in_thread(image.path.read_bytes)
            key = document_name(job.document_root_name, job.created, job.user, image.format)
            number = used[key] = used.get(key, 0) + 1
            name = document_name(job.document_root_name, job.created, job.user, image.format, number)
            main, _, sub = media_type_of(image.format).partition("/")
            message.add_attachment(data, maintype=main, subtype=sub, filename=name)
        except OSError as error:
            done.failed("UnknownError", f"image {image.document_id} cannot be read: {error.strerror or error}")
            return None
        except MemoryError:
            done.failed("ServerOutOfMemory", "the images do not fit into memory")
            return None
    return message


async def _send(message: EmailMessage, receivers: list[str], places: Places, server: MailServer, done: Done) -> None:
    shown = str(server)
    try:
        refused = await in_thread(_deliver, message, receivers, places.sender, server, places.timeout)
    except _NoServer as error:
        done.failed("InvalidSMTPServer", f"mail server {shown}: {error}")
    except smtplib.SMTPRecipientsRefused as error:
        done.failed("UnableToSendEmail", f"mail server {shown} refused all receivers: {_first(error.recipients)}")
    except (smtplib.SMTPException, OSError, ValueError) as error:
        done.failed("UnableToSendEmail", f"mail server {shown}: {_told(error)}")
    else:
        for one in receivers:
            if one not in refused:
                done.wrote(f"mailto:{one}")
        if refused:
            done.failed("UnableToSendEmail", f"mail server {shown} refused {', '.join(refused)}: {_first(refused)}")


def _deliver(
    message: EmailMessage, receivers: list[str], sender: str, server: MailServer, timeout: float
) -> dict[str, tuple[int, bytes]]:
    """Send; gives the receivers that were refused, with the answers."""
    try:
        smtp: smtplib.SMTP
        if server.tls == "tls":
            smtp = smtplib.SMTP_SSL(
                server.host, server.port, local_hostname=_OWN_NAME, timeout=timeout, context=server.context()
            )
        else:
            smtp = smtplib.SMTP(server.host, server.port, local_hostname=_OWN_NAME, timeout=timeout)
    except (smtplib.SMTPException, OSError, ValueError) as error:
        raise _NoServer(_told(error)) from error
    try:
        smtp.ehlo_or_helo_if_needed()
        if server.tls == "starttls":
            smtp.starttls(context=server.context())
            smtp.ehlo()
    except (smtplib.SMTPException, OSError, ValueError) as error:
        smtp.close()
        raise _NoServer(_told(error)) from error
    try:
        if server.login is not None:
            smtp.login(*server.login)
        return smtp.send_message(message, sender, receivers)
    finally:
        try:
            smtp.quit()
        except (smtplib.SMTPException, OSError):
            smtp.close()


def _first(refused: dict[str, tuple[int, bytes]]) -> str:
    code, text = next(iter(refused.values()))
    return f"{code} {text.decode('ascii', 'replace')}"


def _told(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        answer = error.smtp_error
        said = answer.decode("ascii", "replace") if isinstance(answer, bytes) else str(answer)
        return f"{error.smtp_code} {said}"
    return str(getattr(error, "strerror", None) or error) or type(error).__name__
