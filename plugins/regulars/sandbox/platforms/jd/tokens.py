"""Access tokens that expire, and their renewal in the last 24 hours."""

import hashlib
from collections.abc import Mapping
from typing import Any

from regulars.sandbox.platforms.jd.protocol import Refusal
from regulars.sandbox.protocol import Access

RENEWABLE_SECONDS = 86_400
LIFETIME_SECONDS = 365 * 86_400


class Tokens:
    """The one token of a shop.

    Args:
        access: app and first token (``session``).
        refresh: the first refresh token.
        expires_at: when the token expires, in the machine's epoch seconds; None for never.
    """

    def __init__(
        self, access: Access, refresh: str = "sandbox-refresh", expires_at: float | None = None
    ) -> None:
        self._access = access
        self.current, self.refresh, self.expires_at = access.session, refresh, expires_at

    def verify(self, given: str, now: float) -> None:
        """Check a call's token.

        Raises:
            Refusal: it is missing (18), wrong or expired (19).
        """
        if not given:
            raise Refusal(18, "Missing Access Token")
        if given != self.current or (self.expires_at is not None and now >= self.expires_at):
            raise Refusal(19, "Invalid Access Token")

    def renew(self, form: Mapping[str, str], now: float) -> dict[str, Any]:
        """The answer to a renewal: a new token, which replaces the old one, or a refusal."""
        if (form.get("app_key"), form.get("app_secret")) != (
            self._access.app_key,
            self._access.app_secret,
        ):
            return {"code": 401, "msg": "app refused"}
        if form.get("grant_type") != "refresh_token" or form.get("refresh_token") != self.refresh:
            return {"code": 402, "msg": "refresh token refused"}
        if self.expires_at is not None and not (
            self.expires_at - RENEWABLE_SECONDS <= now < self.expires_at
        ):
            return {"code": 403, "msg": "not within the last 24 hours of the token"}
        digest = hashlib.sha256(self.current.encode()).hexdigest()
        self.current, self.refresh = digest[:32], digest[32:]
        self.expires_at = now + LIFETIME_SECONDS
        return {
            "access_token": self.current,
            "refresh_token": self.refresh,
            "expires_in": LIFETIME_SECONDS,
            "scope": "snsapi_base",
            "xid": "o*sandbox",
        }
