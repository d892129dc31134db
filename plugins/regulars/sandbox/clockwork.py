"""The present of the sandbox: one clock that all of its shops live by."""

from datetime import UTC, datetime

from regulars.sandbox.protocol import PLATFORM_ZONE


class ShopClock:
    """Wall seconds of GMT+8, moved by hand only.

    Args:
        now: the present at the start (aware).
    """

    def __init__(self, now: datetime) -> None:
        self.seconds = wall_seconds(now)
        """The present as wall seconds of GMT+8, the order book's unit."""

    @property
    def now(self) -> datetime:
        """The present (aware, GMT+8)."""
        return datetime.fromtimestamp(self.seconds, UTC).replace(tzinfo=PLATFORM_ZONE)

    @now.setter
    def now(self, instant: datetime) -> None:
        self.seconds = wall_seconds(instant)

    def tick(self, seconds: int) -> None:
        """Move on by some seconds."""
        self.seconds += seconds


def wall_seconds(instant: datetime) -> int:
    """Wall seconds of an aware instant in GMT+8."""
    return int(instant.astimezone(PLATFORM_ZONE).replace(tzinfo=UTC).timestamp())


def unix_seconds(wall: int) -> int:
    """Unix seconds of a wall second of GMT+8, for platforms that count in them."""
    return wall - 8 * 3600
