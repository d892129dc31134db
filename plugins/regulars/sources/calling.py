"""Calling a platform: what every source's client does about failures that may pass.

A client makes one call in a function that raises :class:`Repeat` for whatever may be tried again;
:class:`Repeater` tries again, waits, and gives up by a policy. Nothing here reads an answer's
meaning: that is the client's.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
import msgspec

from regulars.errors import SourceUnavailable

T = TypeVar("T")

_LONGEST_RETRY_AFTER = 300.0
# Numbers with a point or an exponent never become floats. Two thirds of the time of any parser that
# has to be asked beforehand whether a float would lose digits.
_DECODER = msgspec.json.Decoder(float_hook=str)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long a call is repeated.

    Attributes:
        attempts: calls before giving up, bans not counted.
        first_wait_seconds: wait after the first failure; doubles each time.
        longest_wait_seconds: no wait is longer, bans excepted.
        bans: bans waited out before giving up.
    """

    attempts: int = 5
    first_wait_seconds: float = 1.0
    longest_wait_seconds: float = 30.0
    bans: int = 20

    def wait(self, failure: int) -> float:
        """Seconds to wait after the ``failure``-th failure (from 1)."""
        return min(self.first_wait_seconds * 2.0 ** (failure - 1), self.longest_wait_seconds)


class Repeat(Exception):
    """The call may be repeated after ``seconds`` (None: the policy's own wait).

    ``is_ban`` says that the platform itself named the seconds: such waits are counted apart.
    ``reason`` carries codes only, never a text of the platform.
    """

    def __init__(self, reason: str, seconds: float | None = None, *, is_ban: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.seconds = seconds
        self.is_ban = is_ban


class Repeater:
    """Repeats calls by a policy.

    Args:
        policy: how often and how long.
        sleep: waits so many seconds.
    """

    def __init__(
        self, policy: RetryPolicy | None = None, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.policy = policy or RetryPolicy()
        self._sleep = sleep

    def run(self, once: Callable[[], T], where: str, *, attempts: int | None = None) -> T:
        """What ``once`` returns, repeated as long as it raises :class:`Repeat`.

        Args:
            once: makes one call.
            where: method and the like, for the error.
            attempts: instead of the policy's.

        Raises:
            SourceUnavailable: still failing after every repetition.
        """
        allowed = attempts or self.policy.attempts
        failures = bans = 0
        while True:
            try:
                return once()
            except Repeat as again:
                if again.is_ban:
                    bans += 1
                else:
                    failures += 1
                if failures >= allowed or bans > self.policy.bans:
                    raise SourceUnavailable(
                        f"{again.reason}, after {failures + bans} calls",
                        where=where,
                        next_step="run the night again later; what is missing is asked again",
                    ) from None
                wait = again.seconds
                self._sleep(self.policy.wait(failures) if wait is None else wait)


def http_client(
    gateway: str, transport: httpx.BaseTransport | None, timeout_seconds: float = 30.0
) -> httpx.Client:
    """A client for one gateway, which it may be called on with other addresses, too."""
    # Reading the certificates takes a quarter of a second: not for a shop on loopback.
    return httpx.Client(
        transport=transport, timeout=timeout_seconds, verify=gateway.startswith("https:")
    )


@contextmanager
def transport_faults() -> Iterator[None]:
    """Turns timeouts and broken connections into :class:`Repeat`."""
    try:
        yield
    except httpx.TimeoutException:
        raise Repeat("no answer in time") from None
    except httpx.TransportError as error:
        # The exception's text may hold the request.
        raise Repeat(f"the connection failed ({type(error).__name__})") from None


def repeat_unless_answered(answer: httpx.Response) -> None:
    """Raise :class:`Repeat` for HTTP 429 and 5xx, with the seconds of Retry-After if given."""
    if answer.status_code == 429 or answer.status_code >= 500:
        raise Repeat(f"HTTP {answer.status_code}", retry_after(answer))


def retry_after(answer: httpx.Response) -> float | None:
    """Seconds of the Retry-After header, at most five minutes; None without a number."""
    text = answer.headers.get("Retry-After", "")
    return min(float(text), _LONGEST_RETRY_AFTER) if text.isdecimal() else None


def parsed_object(answer: httpx.Response) -> dict[str, Any]:
    """The answer's JSON object; numbers with a decimal point as text, exactly as written.

    Raises:
        Repeat: it is cut short, an HTML page, or anything but an object.
    """
    try:
        value = parsed(answer.content)
    except ValueError:
        raise Repeat("the answer is not complete JSON") from None
    except RecursionError:
        raise Repeat("the answer is nested beyond reason") from None
    if not isinstance(value, dict):
        raise Repeat("the answer is not a JSON object")
    return value


def parsed(content: bytes) -> Any:
    """A JSON text's value; numbers with a decimal point as text, exactly as written.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is nested beyond reason.
    """
    try:
        return _DECODER.decode(content)
    except ValueError:
        # Half a surrogate pair, NaN, a byte order mark: the slower one knows what to do.
        return json.loads(content, parse_float=str, parse_constant=str)
