"""The Admin API's calling protocol: token, versions, envelopes, limits.

A refusal is an answer, not an error of this program. Most have HTTP status 200.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

SUPPORTED_VERSIONS = ("2025-10", "2026-01", "2026-04", "2026-07", "2026-10", "unstable")
_THROTTLED_DOC = "https://shopify.dev/api/usage/rate-limits"


@dataclass(frozen=True)
class Access:
    """What the shop accepts; ``repr`` shows no secret.

    Attributes:
        token: Admin API access token of the app.
        scopes: what the app was granted.
    """

    token: str = field(repr=False)
    scopes: tuple[str, ...] = ("read_orders", "read_all_orders", "read_customers")


class ShopifyLimits(BaseModel):
    """How much one app may ask for.

    Attributes:
        restore_rate: points per second that come back; None switches the bucket off.
        bucket: points of a full bucket; 20 times the rate of the standard plan.
        largest_query: points that one query may cost.
        largest_page: objects of the largest page.
        paging_depth: objects after which a list ends, however long it is.
        bulk_operations: bulk operations at a time.
        depth_days: how old an order may be, by its creation, without read_all_orders.
        url_seconds: how long the address of a bulk operation's file lives.
    """

    model_config = ConfigDict(extra="forbid")

    restore_rate: float | None = Field(None, gt=0)
    bucket: float = Field(2000.0, gt=0)
    largest_query: int = Field(1000, ge=1)
    largest_page: int = Field(250, ge=1)
    paging_depth: int = Field(25_000, ge=1)
    bulk_operations: int = Field(5, ge=1)
    depth_days: int = Field(60, ge=1)
    url_seconds: int = Field(7 * 86_400, ge=1)


class Refused(Exception):
    """The whole query is refused with this code; ``details`` go into the error's extensions."""

    def __init__(self, code: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code, self.message, self.details = code, message, details

    def envelope(self) -> dict[str, Any]:
        """The JSON body, without cost."""
        extensions = {"code": self.code, **self.details}
        return {"errors": [{"message": self.message, "extensions": extensions}]}


@dataclass
class Bucket:
    """Points of one app in one shop, as they leak back.

    Args:
        limits: size and rate.
        elapsed: seconds of a clock that only runs forward.
    """

    limits: ShopifyLimits
    elapsed: Callable[[], float]

    def __post_init__(self) -> None:
        self._available = self.limits.bucket
        self._at = self.elapsed()

    def admit(self, requested: int) -> None:
        """Reserve the points of one query.

        Raises:
            Refused: THROTTLED, there are not enough.
        """
        self._fill()
        if self.limits.restore_rate is not None and requested > self._available:
            raise throttled()
        self._available -= requested

    def give_back(self, points: int) -> None:
        """What a query was thought to cost and did not."""
        self._available = min(self.limits.bucket, self._available + points)

    def status(self) -> dict[str, float]:
        """What answers tell of the bucket."""
        self._fill()
        return {
            "maximumAvailable": self.limits.bucket,
            "currentlyAvailable": int(self._available),
            "restoreRate": self.limits.restore_rate or 100.0,
        }

    def _fill(self) -> None:
        now = self.elapsed()
        rate = self.limits.restore_rate
        gained = self.limits.bucket if rate is None else (now - self._at) * rate
        self._available = min(self.limits.bucket, self._available + gained)
        self._at = now


def throttled() -> Refused:
    """The refusal of a query for which there are not enough points."""
    return Refused("THROTTLED", "Throttled", documentation=_THROTTLED_DOC)


def too_expensive(cost: int, largest: int) -> Refused:
    """The refusal of a query that costs more than one query may."""
    message = f"Query cost is {cost}, which exceeds the single query max cost limit ({largest})."
    return Refused("MAX_COST_EXCEEDED", message, cost=cost, maxCost=largest)
