"""What can be made to go wrong at Pinduoduo's gateway, and how much an app may call."""

from collections import deque
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from regulars.sandbox.faults import HttpError
from regulars.sandbox.platforms.pdd.protocol import DAY, Refusal


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Edit(_Model):
    """Changes records on their way out, whatever the book says.

    Attributes:
        order_sn, refund_id: the record concerned; with neither, every order.
        item: position (from 1) of the item to change instead of the order itself.
        set: fields to set.
        drop: fields to leave out.
        touch: give the order a new modification at the clock's present.
    """

    order_sn: str | None = None
    refund_id: int | None = None
    item: int | None = Field(None, ge=1)
    set: dict[str, Any] = Field(default_factory=dict)
    drop: list[str] = Field(default_factory=list)
    touch: bool = False

    def concerns(self, record: dict[str, Any]) -> bool:
        """Whether it is about this order or refund."""
        if "item_list" not in record:
            return self.refund_id is not None and self.refund_id == record["id"]
        return self.refund_id is None and self.order_sn in (None, record["order_sn"])

    def apply(self, record: dict[str, Any]) -> None:
        """Change the record in place."""
        target = record
        if self.item is not None:
            if self.item > len(record["item_list"]):
                return
            target = record["item_list"][self.item - 1]
        target.update(self.set)
        for name in self.drop:
            target.pop(name, None)


class PddFaults(_Model):
    """All faults. Numbers are calls left; a finished fault is 0.

    Attributes:
        truncate: answers cut in the middle of the JSON.
        cut: answers whose connection ends before their length is reached.
        html: answers that are a web page.
        too_often, busy, closed: refusals 70031, 52101 and 52103.
        token_expired: times that the access token in use expires (10019) until it is renewed.
        repeat_row: list answers whose last record comes twice.
        touch_after_page: orders to modify after each list answer (no countdown), at random but
            reproducibly among those of the list just given: pages shift while one pages.
        tick_seconds: seconds by which the clock moves after each list answer (no countdown).
        lag_seconds: lists show the shop as it was so many seconds ago (no countdown).
        edits: see :class:`Edit`; they stay until the faults are replaced.
    """

    http_error: HttpError | None = None
    truncate: int = Field(0, ge=0)
    cut: int = Field(0, ge=0)
    html: int = Field(0, ge=0)
    too_often: int = Field(0, ge=0)
    busy: int = Field(0, ge=0)
    closed: int = Field(0, ge=0)
    token_expired: int = Field(0, ge=0)
    repeat_row: int = Field(0, ge=0)
    touch_after_page: int = Field(0, ge=0)
    tick_seconds: int = Field(0, ge=0)
    lag_seconds: int = Field(0, ge=0)
    edits: list[Edit] = Field(default_factory=list)

    def take(self, name: str) -> bool:
        """Use up one call of a counted fault; False when none is left."""
        left: int = getattr(self, name)
        if left > 0:
            setattr(self, name, left - 1)
        return left > 0


PUBLISHED_LIMITS = {
    "pdd.order.number.list.increment.get": (3000, 60.0),
    "pdd.order.information.get": (30_000, 60.0),
    "pdd.refund.list.increment.get": (100, 10.0),
}
"""Calls and seconds of each API, as the platform publishes them for one caller."""


class PddLimits(_Model):
    """How much one app may call.

    Attributes:
        spans: calls and seconds of each API; those not named are not limited.
        test_phase_calls: calls of all APIs per day of an app that is not published yet.
    """

    spans: dict[str, tuple[int, float]] = Field(default_factory=dict)
    test_phase_calls: int | None = Field(None, ge=0)


class CallCounter:
    """Counts calls and refuses those beyond the limits.

    Args:
        elapsed: seconds of a clock that only runs forward.
    """

    def __init__(self, limits: PddLimits, elapsed: Callable[[], float]) -> None:
        self.limits = limits
        self._elapsed = elapsed
        self._times: dict[str, deque[float]] = {}
        self._day, self._calls = -1, 0

    def admit(self, method: str, clock: int) -> None:
        """Count one call at the shop's wall second ``clock``.

        Raises:
            Refusal: 70031, or 70036 when the app's calls are used up.
        """
        if clock // DAY != self._day:
            self._day, self._calls = clock // DAY, 0
        most = self.limits.test_phase_calls
        if most is not None and self._calls >= most:
            raise Refusal(70036, "应用处于测试状态，调用次数被限制")
        self._calls += 1
        if method not in self.limits.spans:
            return
        calls, seconds = self.limits.spans[method]
        times, now = self._times.setdefault(method, deque()), self._elapsed()
        while times and now - times[0] >= seconds:
            times.popleft()
        if len(times) >= calls:
            raise Refusal(70031, "调用过于频繁，请调整调用频率")
        times.append(now)
