"""What can be made to go wrong, for tests and demonstrations; nothing of it happens by itself."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from regulars.sandbox.limits import RATE_LIMITED


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Throttle(_Model):
    """The next calls are refused with a ban of ``seconds``; nothing is really closed."""

    calls: int = Field(1, ge=0)
    seconds: int = Field(1, ge=1)
    sub_code: str = RATE_LIMITED


class HttpError(_Model):
    """The next calls are answered with an HTTP error and no JSON."""

    calls: int = Field(1, ge=0)
    status: int = Field(500, ge=400, le=599)
    retry_after: int | None = Field(None, ge=0)


class Slow(_Model):
    """The next calls are answered late."""

    calls: int = Field(1, ge=0)
    seconds: float = Field(1.0, gt=0)


class Edit(_Model):
    """Changes records on their way out, whatever the book says.

    Attributes:
        tid, refund_id: the record concerned; with neither, every trade.
        line: position (from 1) of the sub-order to change instead of the trade itself.
        set: fields to set, for example an unknown status, an amount with three decimals, a field
            nobody knows, or another buyer.
        drop: fields to leave out.
        touch: give the trade a new modification at the clock's present.
    """

    tid: int | None = None
    refund_id: str | None = None
    line: int | None = Field(None, ge=1)
    set: dict[str, Any] = Field(default_factory=dict)
    drop: list[str] = Field(default_factory=list)
    touch: bool = False


class Faults(_Model):
    """All faults. Numbers are calls left; a finished fault is 0 or has 0 calls.

    Attributes:
        truncate: answers cut in the middle of the JSON.
        html: answers that are a web page.
        session_expired, system_busy: refusals 27 and 15 (``isp.`` sub code: worth a retry).
        repeat_row: list answers whose last record comes twice.
        touch_after_page: trades to modify after each list answer (no countdown), at random but
            reproducibly among those of the window just asked for: pages shift while one pages.
        tick_seconds: seconds by which the shop's clock moves after each list answer (no countdown):
            trades enter and leave the window while one pages.
        empty_list: how a list without records is written.
        edits: see :class:`Edit`; they stay until the faults are replaced.
    """

    throttle: Throttle | None = None
    http_error: HttpError | None = None
    slow: Slow | None = None
    truncate: int = Field(0, ge=0)
    html: int = Field(0, ge=0)
    session_expired: int = Field(0, ge=0)
    system_busy: int = Field(0, ge=0)
    repeat_row: int = Field(0, ge=0)
    touch_after_page: int = Field(0, ge=0)
    tick_seconds: int = Field(0, ge=0)
    empty_list: Literal["absent", "object", "list"] = "absent"
    edits: list[Edit] = Field(default_factory=list)

    def take(self, name: str) -> bool:
        """Use up one call of a counted fault; False when none is left."""
        left: int = getattr(self, name)
        if left > 0:
            setattr(self, name, left - 1)
        return left > 0


def take(fault: Throttle | HttpError | Slow | None) -> bool:
    """Use up one call of a fault with details; False when it is not set or none is left."""
    if fault is None or fault.calls <= 0:
        return False
    fault.calls -= 1
    return True


def edited(record: dict[str, Any], edits: list[Edit]) -> None:
    """Apply the edits that concern ``record`` (a trade with ``tid`` or a refund), in place."""
    for edit in edits:
        target = record
        if edit.line is not None:
            orders = record.get("orders", [])
            lines = orders["order"] if isinstance(orders, dict) else orders
            if edit.line > len(lines):
                continue
            target = lines[edit.line - 1]
        target.update(edit.set)
        for name in edit.drop:
            target.pop(name, None)
