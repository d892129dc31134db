"""What can be made to go wrong at Douyin, for tests and demonstrations."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from regulars.sandbox.faults import HttpError


class Edit(BaseModel):
    """Changes records on their way out, whatever the book says.

    Attributes:
        order_id, aftersale_id: the record concerned; with neither, every order.
        line: position (from 1) of the line to change instead of the order itself.
        set: fields to set.
        drop: fields to leave out.
        touch: give the order a new modification at the clock's present.
    """

    model_config = ConfigDict(extra="forbid")

    order_id: str | None = None
    aftersale_id: str | None = None
    line: int | None = Field(None, ge=1)
    set: dict[str, Any] = Field(default_factory=dict)
    drop: list[str] = Field(default_factory=list)
    touch: bool = False


class Faults(BaseModel):
    """All faults. Numbers are calls left.

    Attributes:
        http_error: an HTTP status without JSON; 429 with retry_after is a ban that names its
            seconds.
        truncate: answers cut in the middle of the JSON.
        html: answers that are a web page.
        rate_limited, service_error, partly_failed: refusals 60000, 20000 and 10001.
        token_expired: calls whose token is refused as expired, whatever token it is.
        daily_quota: calls refused because the day's quota is used up.
        repeat_row: list answers whose last record comes twice.
        touch_after_page: orders to modify after each list answer (no countdown), at random but
            reproducibly among those of the window just asked for.
        tick_seconds: seconds by which the clock moves after each list answer (no countdown).
        edits: see :class:`Edit`; they stay until the faults are replaced.
    """

    model_config = ConfigDict(extra="forbid")

    http_error: HttpError | None = None
    truncate: int = Field(0, ge=0)
    html: int = Field(0, ge=0)
    rate_limited: int = Field(0, ge=0)
    service_error: int = Field(0, ge=0)
    partly_failed: int = Field(0, ge=0)
    token_expired: int = Field(0, ge=0)
    daily_quota: int = Field(0, ge=0)
    repeat_row: int = Field(0, ge=0)
    touch_after_page: int = Field(0, ge=0)
    tick_seconds: int = Field(0, ge=0)
    edits: list[Edit] = Field(default_factory=list)

    def take(self, name: str) -> bool:
        """Use up one call of a counted fault; False when none is left."""
        left: int = getattr(self, name)
        if left > 0:
            setattr(self, name, left - 1)
        return left > 0


def edit_order(order: dict[str, Any], edits: list[Edit]) -> None:
    """Apply the edits that concern an order, in place."""
    for edit in edits:
        if edit.aftersale_id is not None or edit.order_id not in (None, order["order_id"]):
            continue
        target = order
        if edit.line is not None:
            if edit.line > len(order["sku_order_list"]):
                continue
            target = order["sku_order_list"][edit.line - 1]
        _apply(edit, target)


def edit_aftersale(item: dict[str, Any], edits: list[Edit]) -> None:
    """Apply the edits that concern an after-sales request, in place."""
    for edit in edits:
        if edit.aftersale_id == item["aftersale_info"]["aftersale_id"]:
            _apply(edit, item["aftersale_info"])


def _apply(edit: Edit, target: dict[str, Any]) -> None:
    target.update(edit.set)
    for name in edit.drop:
        target.pop(name, None)
