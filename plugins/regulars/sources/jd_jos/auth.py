"""Signing calls to the JD open platform (JOS), and the token that they carry.

Every parameter that is sent takes part in the signature, except ``sign`` itself: sorted by name,
run together as name + value between two secrets; MD5 in upper-case hex. The method's own
parameters are one JSON text, ``360buy_param_json``, which is signed exactly as it is sent.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import urlsplit, urlunsplit

from regulars.credentials import Credentials
from regulars.errors import ConfigError

PRODUCTION_GATEWAY = "https://api.jd.com/routerjson"
PRODUCTION_OAUTH = "https://open-oauth.jd.com/oauth2/refresh_token"
BUSINESS_PARAMETER = "360buy_param_json"
PLATFORM_ZONE = timezone(timedelta(hours=8))
"""The platform's own zone, whatever the shop's: GMT+8 without daylight saving."""
RENEWABLE = timedelta(hours=24)
"""A token is renewed in its last 24 hours only; once it has expired, never."""

_PLATFORM_HOSTS = (".jd.com", ".360buy.com")


@dataclass(frozen=True)
class Token:
    """What the seller's authorisation gave; ``repr`` shows none of it.

    Attributes:
        expires_at: aware instant, None when the connection does not tell.
    """

    access: str = field(repr=False)
    refresh: str = field(default="", repr=False)
    expires_at: datetime | None = None

    def as_extra(self) -> dict[str, str]:
        """Itself as members of a connection's extra."""
        extra = {"access_token": self.access, "refresh_token": self.refresh}
        if self.expires_at is not None:
            extra["token_expires_at"] = self.expires_at.isoformat()
        return extra

    def is_due(self, now: datetime) -> bool:
        """Whether it is in its last 24 hours and can be renewed."""
        if not self.refresh or self.expires_at is None:
            return False
        return self.expires_at - RENEWABLE <= now < self.expires_at


@dataclass(frozen=True)
class JdCredentials:
    """What a signed call needs; ``repr`` shows neither secret nor token."""

    gateway: str
    oauth: str
    app_key: str
    app_secret: str = field(repr=False)
    token: Token = field(repr=False)


def jd_credentials(credentials: Credentials) -> JdCredentials:
    """Read a Connection: login = app key, password = app secret, extra.access_token, host.

    ``extra.refresh_token`` and ``extra.token_expires_at`` (ISO instant with offset) let the token
    be renewed. An empty host is the platform's gateway. ``extra.oauth_url`` names another place
    for renewing; otherwise it is the platform's, or the gateway's own host for a gateway that is
    not the platform's.

    Raises:
        ConfigError: a part is missing or malformed; no value is shown.
    """
    where = f"connection {credentials.connection_id}"
    parts = {
        "login (app key)": credentials.login,
        "password (app secret)": credentials.password,
        "extra.access_token (the seller's token)": credentials.extra.get("access_token", ""),
    }
    for name, value in parts.items():
        if not value:
            raise ConfigError(
                f"{name} is missing",
                where=where,
                next_step="complete the Airflow Connection (docs/reference/platforms/jd.md)",
            )
    gateway = _gateway(credentials.host)
    return JdCredentials(
        gateway=gateway,
        oauth=credentials.extra.get("oauth_url") or _oauth(gateway),
        app_key=credentials.login,
        app_secret=credentials.password,
        token=Token(
            credentials.extra["access_token"],
            credentials.extra.get("refresh_token", ""),
            _instant(credentials.extra.get("token_expires_at", ""), where),
        ),
    )


def _instant(text: str, where: str) -> datetime | None:
    if not text:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise ConfigError(
            "extra.token_expires_at is not an instant with an offset",
            where=where,
            next_step="write it as 2026-12-01T08:00:00+08:00, or leave it out",
        )
    return instant.astimezone(UTC)


def _gateway(host: str) -> str:
    if not host:
        return PRODUCTION_GATEWAY
    url = urlsplit(host if "://" in host else f"https://{host}")
    path = url.path if url.path.strip("/") else "/routerjson"
    return urlunsplit((url.scheme, url.netloc, path, "", ""))


def _oauth(gateway: str) -> str:
    url = urlsplit(gateway)
    # The app's secret goes to the platform, or to the very host that the connection names.
    if f".{url.hostname}".endswith(_PLATFORM_HOSTS):
        return PRODUCTION_OAUTH
    return urlunsplit((url.scheme, url.netloc, "/oauth2/refresh_token", "", ""))


def sign(parameters: Mapping[str, str], secret: str) -> str:
    """Signature of decoded parameters; only ``sign`` itself takes no part."""
    text = "".join(
        f"{name}{parameters[name]}" for name in sorted(parameters, key=str.encode) if name != "sign"
    )
    data = f"{secret}{text}{secret}".encode()
    return hashlib.md5(data, usedforsecurity=False).hexdigest().upper()


def signed_parameters(
    credentials: JdCredentials,
    token: Token,
    method: str,
    business: Mapping[str, object],
    now: datetime,
) -> dict[str, str]:
    """All parameters of one call, signed.

    Args:
        credentials: whose call it is.
        token: the seller's present token.
        method: API name.
        business: the method's own parameters.
        now: the machine's present; the gateway tolerates six minutes.
    """
    parameters = {
        "method": method,
        "app_key": credentials.app_key,
        "access_token": token.access,
        "timestamp": now.astimezone(PLATFORM_ZONE).strftime("%Y-%m-%d %H:%M:%S"),
        "v": "2.0",
        "format": "json",
        # Escaped to ASCII, the text is the same in whatever encoding the gateway hashes it.
        BUSINESS_PARAMETER: json.dumps(business, separators=(",", ":")),
    }
    parameters["sign"] = sign(parameters, credentials.app_secret)
    return parameters
