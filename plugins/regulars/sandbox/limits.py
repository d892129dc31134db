"""Rate limit with bans and daily quota, as the platform's access control applies them."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field

from regulars.sandbox.protocol import DAY_SECONDS, Refusal

RATE_LIMITED = "accesscontrol.limited-by-api-access-count"
QUOTA_USED_UP = "accesscontrol.limited-by-app-access-count"


class Limits(BaseModel):
    """How much one app may call; None switches a limit off.

    Attributes:
        calls_per_second, burst: token bucket of each method.
        ban_seconds: how long a method stays closed after its bucket ran empty.
        daily_quota: calls of all methods per day of the shop.
    """

    model_config = ConfigDict(extra="forbid")

    calls_per_second: float | None = Field(None, gt=0)
    burst: int = Field(20, ge=1)
    ban_seconds: float = Field(1.0, gt=0)
    daily_quota: int | None = Field(None, ge=0)
    sub_code: str = RATE_LIMITED


@dataclass
class _Bucket:
    tokens: float
    filled_at: float
    banned_until: float = -math.inf


@dataclass
class AccessControl:
    """Counts calls and refuses those beyond the limits.

    Args:
        elapsed: seconds of a clock that only runs forward; bans are real time, as on a platform.
    """

    limits: Limits
    elapsed: Callable[[], float]
    _buckets: dict[str, _Bucket] = field(default_factory=dict)
    _quota_day: int = -1
    _quota_used: int = 0

    def admit(self, method: str, clock: int) -> None:
        """Count one call at the shop's wall second ``clock``.

        Raises:
            Refusal: code 7, with the ban's remaining seconds or the quota's name.
        """
        self._count_against_quota(clock)
        if self.limits.calls_per_second is None:
            return
        now = self.elapsed()
        bucket = self._buckets.setdefault(method, _Bucket(self.limits.burst, now))
        if now < bucket.banned_until:
            raise ban(bucket.banned_until - now, self.limits.sub_code)
        gained = (now - bucket.filled_at) * self.limits.calls_per_second
        bucket.tokens = min(self.limits.burst, bucket.tokens + gained)
        bucket.filled_at = now
        if bucket.tokens < 1:
            bucket.banned_until = now + self.limits.ban_seconds
            raise ban(self.limits.ban_seconds, self.limits.sub_code)
        bucket.tokens -= 1

    def _count_against_quota(self, clock: int) -> None:
        day = clock // DAY_SECONDS
        if day != self._quota_day:
            self._quota_day, self._quota_used = day, 0
        if self.limits.daily_quota is not None and self._quota_used >= self.limits.daily_quota:
            raise Refusal(7, "App Call Limited", QUOTA_USED_UP, "the daily quota is used up")
        self._quota_used += 1


def ban(seconds: float, sub_code: str = RATE_LIMITED) -> Refusal:
    """The refusal of a call during a ban."""
    left = max(1, math.ceil(seconds))
    return Refusal(7, "App Call Limited", sub_code, f"This ban will last for {left} more seconds")
