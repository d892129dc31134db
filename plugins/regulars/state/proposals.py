"""Proposals: one row of an activation model, checked before anything is decided from it."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from regulars.errors import QueueError


def message_id_of(campaign: str, member_key: UUID, channel: str, occasion: str) -> str:
    """Identity of a message: the same person, campaign, channel and occasion are one message."""
    text = f"{campaign}|{member_key}|{channel}|{occasion}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _as_utc(value: Any) -> Any:
    """The warehouse's instants come without zone and are UTC."""
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return value.astimezone(UTC) if isinstance(value, datetime) else value


UtcInstant = Annotated[datetime, BeforeValidator(_as_utc)]


class Proposal(BaseModel):
    """One person considered by a campaign tonight: a row of ``activation.queue_*``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    message_id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    campaign: str
    brand: str
    platform: str
    shop: str
    member_key: UUID
    customer_key: UUID
    channel: str
    purpose: str
    occasion: str
    outcome: Literal["send", "holdout", "suppressed"]
    arm: Literal["treatment", "holdout"] | None
    reason: str | None
    is_final: bool
    bucket: Annotated[int, Field(ge=0, lt=10_000)] | None
    planned_at: UtcInstant | None
    expires_at: UtcInstant | None
    contact_ref: str | None
    contact_hash: str | None
    coupon_code: str | None
    coupon_amount: Annotated[Decimal, Field(max_digits=18, decimal_places=2)] | None
    template: str | None
    as_of_date: date

    @model_validator(mode="after")
    def _fits_together(self) -> "Proposal":
        expected = message_id_of(self.campaign, self.member_key, self.channel, self.occasion)
        if self.message_id != expected:
            raise ValueError("message_id is not that of campaign, member_key, channel and occasion")
        if (self.outcome == "suppressed") != (self.reason is not None):
            raise ValueError("a reason stands with a suppression and nowhere else")
        if not self.is_final and self.outcome != "suppressed":
            raise ValueError("only a suppression may be decided again later")
        if (self.outcome == "holdout") != (self.arm == "holdout") and self.outcome != "suppressed":
            raise ValueError("outcome and arm contradict each other")
        needed = (self.contact_ref, self.planned_at, self.expires_at, self.template)
        if self.outcome == "send" and None in needed:
            raise ValueError(
                "a message to send needs contact_ref, planned_at, expires_at, template"
            )
        return self

    def canonical(self) -> str:
        """One line of JSON that is equal when, and only when, the row is."""
        values = self.model_dump(mode="json")
        if self.expires_at is None:
            # What was decided before there was one keeps its digest.
            del values["expires_at"]
        if self.coupon_amount is not None:
            values["coupon_amount"] = f"{self.coupon_amount:.2f}"
        return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


_PROPOSALS = TypeAdapter(list[Proposal])


def read_proposals(run_id: str, campaign: str, rows: Sequence[Mapping[str, Any]]) -> list[Proposal]:
    """Check the rows of a campaign's proposals; sorted by message id.

    Raises:
        QueueError: a row is malformed, belongs to another campaign or stands twice. Values of the
            row are never shown.
    """
    where = f"{run_id} {campaign}"
    next_step = "correct the proposal model of this campaign in dbt_project/models/activation"
    try:
        proposals = _PROPOSALS.validate_python([dict(row) for row in rows])
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise QueueError(
            f"proposal {place}: {first['msg']}", where=where, next_step=next_step
        ) from None
    proposals.sort(key=lambda proposal: proposal.message_id)
    strangers = {proposal.campaign for proposal in proposals} - {campaign}
    if strangers:
        raise QueueError(
            f"proposals of another campaign: {', '.join(sorted(strangers))}",
            where=where,
            next_step=next_step,
        )
    counts = Counter(proposal.message_id for proposal in proposals)
    twice = [message_id for message_id, count in counts.items() if count > 1]
    if twice:
        raise QueueError(
            f"{len(twice)} messages are proposed twice, the first is {twice[0]}",
            where=where,
            next_step=next_step,
        )
    return proposals


def digest_of(proposals: Iterable[Proposal]) -> str:
    """SHA-256 over the canonical rows, in the order given."""
    digest = hashlib.sha256()
    for proposal in proposals:
        digest.update(proposal.canonical().encode() + b"\n")
    return digest.hexdigest()
