"""Message caps: at most so many messages in any window of so many hours."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from regulars.errors import ConfigError

EVERY_CHANNEL = "all"


@dataclass(frozen=True)
class Cap:
    """At most ``max_messages`` of a purpose in any ``window_hours`` (rolling, not calendar days).

    Attributes:
        channel: ``sms``, ``email``, ... or ``all`` for every channel together.
    """

    purpose: str
    channel: str
    window_hours: int
    max_messages: int

    @property
    def window(self) -> timedelta:
        """The window's length."""
        return timedelta(hours=self.window_hours)

    def covers(self, purpose: str, channel: str) -> bool:
        """Whether a message counts."""
        return purpose == self.purpose and self.channel in (channel, EVERY_CHANNEL)

    def allows(self, send_at: datetime, others: Iterable[datetime]) -> bool:
        """Whether one more message at ``send_at`` leaves every window within the cap.

        A window is half-open: of two messages exactly ``window_hours`` apart, each stands in a
        window of its own. Messages planned after ``send_at`` count as well.
        """
        near = [at for at in others if abs(at - send_at) < self.window]
        ends = [send_at, *(at for at in near if at > send_at)]
        return all(
            1 + sum(end - self.window < at <= end for at in near) <= self.max_messages
            for end in ends
        )


def read_caps(path: Path) -> tuple[Cap, ...]:
    """Read the seed ``message_caps.csv``: purpose, channel, window_hours, max_messages, reason.

    Raises:
        ConfigError: the file is missing, has other columns, or a number is none; names the line.
    """
    caps = []
    line = 1
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in (reader := csv.DictReader(file)):
                line = reader.line_num
                caps.append(
                    Cap(
                        purpose=row["purpose"],
                        channel=row["channel"],
                        window_hours=int(row["window_hours"]),
                        max_messages=int(row["max_messages"]),
                    )
                )
    except OSError as error:
        raise ConfigError(
            f"the message caps cannot be read: {error.strerror}",
            where=str(path),
            next_step="restore the seed; nothing is sent without caps",
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            "a message cap needs purpose, channel, and whole window_hours and max_messages",
            where=f"{path}:{line}",
            next_step="correct the line",
        ) from error
    if not caps:
        raise ConfigError(
            "there are no message caps",
            where=str(path),
            next_step="restore the seed; nothing is sent without caps",
        )
    return tuple(caps)
