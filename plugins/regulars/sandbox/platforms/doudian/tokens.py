"""The office that gives out tokens: seven days for access, fourteen for refreshing.

Times are the machine's, as on the platform: a token's life does not follow the shop's clock.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from regulars.sandbox.platforms.doudian.protocol import Parameters, Refusal
from regulars.sandbox.protocol import DAY_SECONDS, Access

ACCESS_SECONDS = 7 * DAY_SECONDS
REFRESH_SECONDS = 14 * DAY_SECONDS
CODE_SECONDS = 600

_FAILED = "dop.token-generate-failed"


@dataclass
class TokenOffice:
    """Gives out and checks tokens of one app for one shop.

    The access's session is a token from the beginning, and so are :attr:`first_refresh_token` and
    :attr:`first_code`.

    Args:
        access: what the sandbox accepts.
        shop_id: the platform's number of the shop.
        shop_name: its name.
        machine_seconds: the machine's present (unix); None lets tokens live for ever.
    """

    access: Access
    shop_id: int
    shop_name: str
    machine_seconds: Callable[[], float] | None
    _expiry: dict[str, float] = field(default_factory=dict)
    _refresh_expiry: dict[str, float] = field(default_factory=dict)
    _codes: dict[str, float] = field(default_factory=dict)
    _count: int = 0

    def __post_init__(self) -> None:
        now = self._now()
        self._expiry[self.access.session] = now + ACCESS_SECONDS
        self._refresh_expiry[self.first_refresh_token] = now + REFRESH_SECONDS
        self._codes[self.first_code] = now + CODE_SECONDS

    @property
    def first_refresh_token(self) -> str:
        """The refresh token that belongs to the access's session."""
        return self._secret("refresh", 0)

    @property
    def first_code(self) -> str:
        """The code that the shop's owner got by authorising the app; good once."""
        return self._secret("code", 0)

    def expire(self) -> None:
        """Let every access token expire now; refresh tokens stay."""
        self._expiry = dict.fromkeys(self._expiry, float("-inf"))

    def verify(self, token: str) -> None:
        """Check a call's access token.

        Raises:
            Refusal: it is missing, unknown or expired.
        """
        if not token:
            raise Refusal(40001, "isv.access-token-missing")
        if token not in self._expiry:
            raise Refusal(40003, "isv.access-token-no-existed")
        if self._now() >= self._expiry[token]:
            raise Refusal(40003, "isv.access-token-expired")

    def create(self, parameters: Parameters) -> dict[str, Any]:
        """``token.create``: by the code of an authorisation, or for an app of the shop's own.

        Raises:
            Refusal: the grant is not good.
        """
        grant = parameters.get("grant_type")
        if grant == "authorization_self":
            if str(parameters.get("shop_id", "")) != str(self.shop_id):
                raise Refusal(50001, f"{_FAILED}:the app is not the shop's")
            return self._issue()
        if grant == "authorization_code":
            if self._now() >= self._codes.pop(str(parameters.get("code", "")), float("-inf")):
                raise Refusal(50001, f"{_FAILED}:the code is unknown, used or expired")
            return self._issue()
        raise Refusal(40003, "isv.parameter-invalid", "grant_type")

    def refresh(self, parameters: Parameters) -> dict[str, Any]:
        """``token.refresh``; a refresh token is good once.

        Raises:
            Refusal: the refresh token is unknown, used or expired.
        """
        if parameters.get("grant_type") != "refresh_token":
            raise Refusal(40003, "isv.parameter-invalid", "grant_type")
        given = str(parameters.get("refresh_token", ""))
        if self._now() >= self._refresh_expiry.pop(given, float("-inf")):
            raise Refusal(50001, f"{_FAILED}:the refresh token is unknown, used or expired")
        return self._issue()

    def _issue(self) -> dict[str, Any]:
        self._count += 1
        access_token = self._secret("access", self._count)
        refresh_token = self._secret("refresh", self._count)
        self._expiry[access_token] = self._now() + ACCESS_SECONDS
        self._refresh_expiry[refresh_token] = self._now() + REFRESH_SECONDS
        return {
            "access_token": access_token,
            "expires_in": ACCESS_SECONDS,
            "scope": "SCOPE",
            "shop_id": self.shop_id,
            "shop_name": self.shop_name,
            "refresh_token": refresh_token,
        }

    def _now(self) -> float:
        return self.machine_seconds() if self.machine_seconds else 0.0

    def _secret(self, kind: str, number: int) -> str:
        text = f"{self.access.app_secret} {self.access.session} {kind} {number}"
        digest = hashlib.sha256(text.encode()).hexdigest()
        return f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"
