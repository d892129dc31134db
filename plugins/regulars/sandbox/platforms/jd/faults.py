"""What can be made to go wrong on JD; nothing of it happens by itself."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from regulars.sandbox.faults import HttpError


class Edit(BaseModel):
    """Changes records on their way out, whatever the book says.

    Attributes:
        order_id, service_id: the record concerned; with neither, every order.
        line: position (from 1) of the line to change instead of the order itself.
        set: members to set; drop: members to leave out.
        touch: give the order a new modification at the clock's present.
    """

    model_config = ConfigDict(extra="forbid")

    order_id: str | None = None
    service_id: str | None = None
    line: int | None = Field(None, ge=1)
    set: dict[str, Any] = Field(default_factory=dict)
    drop: list[str] = Field(default_factory=list)
    touch: bool = False


class Faults(BaseModel):
    """All faults. Numbers are calls left; a finished fault is 0 or has 0 calls.

    Attributes:
        truncate, html, cut: answers cut in the middle of the JSON, that are a web page, whose
            connection breaks in the middle.
        token_expired, system_busy: refusals 19 and 65.
        is_bare: refusals come without their wrapper.
        failed: results of a method that say they are no success.
        repeat_row: list answers whose last record comes twice.
        touch_after_page: orders to modify after each list answer (no countdown), at random but
            reproducibly among those of the window just asked for.
        tick_seconds: seconds by which the shop's clock moves after each list answer.
        beyond_end: what a page beyond the end says: no order at all with or without success, or
            the true total.
        has_epoch_dates: times of after-sales services as milliseconds since 1970.
        edits: see :class:`Edit`; they stay until the faults are replaced.
    """

    model_config = ConfigDict(extra="forbid")

    http_error: HttpError | None = None
    truncate: int = Field(0, ge=0)
    html: int = Field(0, ge=0)
    cut: int = Field(0, ge=0)
    token_expired: int = Field(0, ge=0)
    system_busy: int = Field(0, ge=0)
    is_bare: bool = False
    failed: int = Field(0, ge=0)
    repeat_row: int = Field(0, ge=0)
    touch_after_page: int = Field(0, ge=0)
    tick_seconds: int = Field(0, ge=0)
    beyond_end: Literal["nothing", "failure", "total"] = "nothing"
    has_epoch_dates: bool = False
    edits: list[Edit] = Field(default_factory=list)

    def take(self, name: str) -> bool:
        """Use up one call of a counted fault; False when none is left."""
        left: int = getattr(self, name)
        if left > 0:
            setattr(self, name, left - 1)
        return left > 0


def edit_order(record: dict[str, Any], edits: list[Edit]) -> None:
    """Apply the edits that concern an order, in place."""
    for edit in edits:
        if edit.service_id is not None or edit.order_id not in (None, record.get("orderId")):
            continue
        target = record
        if edit.line is not None:
            lines = record.get("itemInfoList", [])
            if edit.line > len(lines):
                continue
            target = lines[edit.line - 1]
        _apply(target, edit)


def edit_service(record: dict[str, Any], edits: list[Edit]) -> None:
    """Apply the edits that concern an after-sales service, in place."""
    service = str(record["sameOrderServiceBill"]["serviceId"])
    for edit in edits:
        if edit.service_id == service:
            _apply(record, edit)


def _apply(target: dict[str, Any], edit: Edit) -> None:
    target.update(edit.set)
    for name in edit.drop:
        target.pop(name, None)
