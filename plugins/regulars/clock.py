"""Clocks. No model asks one; extraction asks how far a source's present has come."""

from datetime import UTC, datetime
from typing import Protocol

import httpx

from regulars.errors import SourceUnavailable


class Clock(Protocol):
    """Tells the present of the shops."""

    def now(self) -> datetime:
        """The present instant (aware, UTC)."""
        ...

    def advance_to(self, instant: datetime) -> None:
        """Move a simulated present forward to ``instant``; the machine's clock stays as it is."""
        ...


class SystemClock:
    """The machine's clock, for real shops."""

    def now(self) -> datetime:
        """The machine's present."""
        return datetime.now(UTC)

    def advance_to(self, instant: datetime) -> None:
        """Does nothing: nobody moves the real present."""


class RemoteClock:
    """The clock of a simulated shop, at ``url`` (GET and PUT of ``{"now": ISO instant}``)."""

    def __init__(self, url: str, timeout_seconds: float = 60.0) -> None:
        self._url = url
        # Loading certificates takes longer than asking, and plain http needs none.
        self._client = httpx.Client(timeout=timeout_seconds, verify=url.startswith("https:"))

    def now(self) -> datetime:
        """The simulated present."""
        return self._call("GET", None)

    def advance_to(self, instant: datetime) -> None:
        """Move the simulated present forward; an earlier instant changes nothing."""
        if instant > self.now():
            self._call("PUT", {"now": instant.isoformat()})

    def _call(self, method: str, body: dict[str, str] | None) -> datetime:
        try:
            answer = self._client.request(method, self._url, json=body)
            answer.raise_for_status()
            return datetime.fromisoformat(answer.json()["now"]).astimezone(UTC)
        except (httpx.HTTPError, KeyError, ValueError) as error:
            raise SourceUnavailable(
                f"the shop's clock did not answer ({type(error).__name__})",
                where=self._url,
                next_step="start the sandbox (regulars sandbox serve) or unset REGULARS_CLOCK_URL",
            ) from error


def clock_for(url: str) -> Clock:
    """The clock at ``url``, or the machine's when ``url`` is empty."""
    return RemoteClock(url) if url else SystemClock()
