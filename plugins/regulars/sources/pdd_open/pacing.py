"""How often each API may be called, and waiting before a call would be one too many."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CallLimit:
    """So many calls within so many seconds, for one caller."""

    calls: int
    seconds: float


LIMITS = {
    "pdd.order.number.list.increment.get": CallLimit(3000, 60),
    "pdd.refund.list.increment.get": CallLimit(100, 10),
}
"""The platform's published limits of one caller; APIs without one are not held back."""

USUAL_SPAN_SECONDS = 10.0
"""What is waited after a refusal for too many calls where no limit is published."""


class Pacer:
    """Holds calls back so that none exceeds its API's limit.

    Args:
        sleep: waits so many seconds.
        elapsed: seconds of a clock that only runs forward.
        limits: limit of each API.
    """

    def __init__(
        self,
        sleep: Callable[[float], None] = time.sleep,
        elapsed: Callable[[], float] = time.monotonic,
        limits: dict[str, CallLimit] | None = None,
    ) -> None:
        self._sleep = sleep
        self._elapsed = elapsed
        self._limits = LIMITS if limits is None else limits
        self._called: dict[str, deque[float]] = {}

    def before(self, method: str) -> None:
        """Wait until ``method`` may be called, and count the call."""
        limit = self._limits.get(method)
        if limit is None:
            return
        times = self._called.setdefault(method, deque(maxlen=limit.calls))
        if len(times) == limit.calls:
            left = times[0] + limit.seconds - self._elapsed()
            if left > 0:
                self._sleep(left)
        times.append(self._elapsed())

    def span(self, method: str) -> float:
        """Seconds after which the API's limit counts anew."""
        limit = self._limits.get(method)
        return limit.seconds if limit else USUAL_SPAN_SECONDS
