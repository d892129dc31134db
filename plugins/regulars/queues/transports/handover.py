"""What is handed to senders, and what every transport promises."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from regulars.errors import QueueError
from regulars.queues.exit import Verdict
from regulars.queues.unsubscribe import UnsubscribeLinks


@dataclass(frozen=True)
class BatchName:
    """One campaign of one night, through one channel."""

    run_id: str
    campaign: str
    channel: str

    def __str__(self) -> str:
        return f"{self.run_id} {self.campaign} {self.channel}"


@dataclass(frozen=True)
class QueueRow:
    """One message for a sender. ``contact_ref`` is a token or a platform's reference.

    Attributes:
        message_id: what receivers drop duplicates by, and what receipts name.
        coupon_amount: decimal text in the brand's base currency.
        send_at: when to send it (UTC).
        expires_at: from then on it must not be sent any more (UTC, exclusive).
        unsubscribe_url: of a marketing e-mail, for the visible link in its body.
        headers: of an e-mail, to be written as they are (RFC 8058) and signed by DKIM.
    """

    message_id: str
    run_id: str
    campaign: str
    brand: str
    platform: str
    shop: str
    channel: str
    purpose: str
    contact_ref: str
    template: str
    coupon_code: str | None
    coupon_amount: str | None
    send_at: datetime
    expires_at: datetime
    unsubscribe_url: str | None = None
    headers: Mapping[str, str] | None = None

    def as_json(self) -> str:
        """One line of JSON, the same for the same row; instants as ``2017-10-02T02:00:00Z``."""
        values = {**vars(self)}
        for name in ("send_at", "expires_at"):
            values[name] = instant_text(values[name])
        for name in ("unsubscribe_url", "headers"):
            if values[name] is None:
                del values[name]
        return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class Outlet(Protocol):
    """An open transport."""

    rows_per_handover: int | None
    """Rows to hand over before the ledger is told; None: the batch as a whole."""

    def handed_over(self, batch: BatchName, message_ids: Sequence[str]) -> dict[str, datetime]:
        """Which of the messages this transport knows it has handed over before: id -> send_at.

        Raises:
            QueueError: what was handed over is not what was asked for, or cannot be read.
        """
        ...

    def hand_over(self, batch: BatchName, rows: Sequence[QueueRow]) -> str:
        """Hand rows over durably; returns the place for the summary.

        Raises:
            QueueError: the rows are not, or not certainly, handed over.
        """
        ...


class Transport(Protocol):
    """Where messages leave to."""

    def open(self) -> AbstractContextManager[Outlet]:
        """Open it for one export.

        Raises:
            QueueError: it cannot be reached.
        """
        ...


def instant_text(instant: datetime) -> str:
    """``2017-10-02T02:00:00Z``."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def queue_row(verdict: Verdict, links: UnsubscribeLinks | None = None) -> QueueRow:
    """The row of a message that passed the exit.

    Args:
        verdict: of a message that may leave.
        links: makes the links that a marketing e-mail is unsubscribed by.

    Raises:
        QueueError: its contact reference looks like contact data itself, or it is a marketing
            e-mail that nobody could unsubscribe from.
    """
    decision = verdict.decision
    contact_ref, template = decision.contact_ref, decision.template
    if verdict.send_at is None or verdict.expires_at is None or not contact_ref or not template:
        raise ValueError("only a message that passed the exit has a queue row")
    if _looks_like_contact_data(contact_ref):
        raise QueueError(
            "a contact reference looks like a phone number or an address",
            where=f"{decision.run_id} {decision.campaign} {decision.message_id}",
            next_step="find out why contact data was not tokenised at landing; nothing was sent",
        )
    is_marketing_email = decision.channel == "email" and decision.purpose == "marketing"
    if is_marketing_email and links is None:
        raise QueueError(
            "a marketing e-mail would leave without a link to unsubscribe",
            where=f"{decision.run_id} {decision.campaign}",
            next_step="set public_url in config/receiving.yml and run `regulars receive`; "
            "nothing of this batch was sent, and it leaves with the next export",
        )
    amount = decision.coupon_amount
    return QueueRow(
        message_id=decision.message_id,
        run_id=decision.run_id,
        campaign=decision.campaign,
        brand=decision.brand,
        platform=decision.platform,
        shop=decision.shop,
        channel=decision.channel,
        purpose=decision.purpose,
        contact_ref=contact_ref,
        template=template,
        coupon_code=decision.coupon_code,
        coupon_amount=None if amount is None else f"{amount:.2f}",
        send_at=verdict.send_at,
        expires_at=verdict.expires_at,
        unsubscribe_url=links.url(decision.message_id) if links and is_marketing_email else None,
        headers=links.headers(decision.message_id) if links and is_marketing_email else None,
    )


def portions(rows: Sequence[QueueRow], size: int | None) -> Iterator[Sequence[QueueRow]]:
    """``rows`` in portions of ``size``; None: all at once. Nothing for no rows."""
    step = size or len(rows)
    for start in range(0, len(rows), step or 1):
        yield rows[start : start + step]


def _looks_like_contact_data(text: str) -> bool:
    digits = text.lstrip("+").replace("-", "").replace(" ", "")
    return "@" in text or (digits.isascii() and digits.isdigit() and 7 <= len(digits) <= 15)
