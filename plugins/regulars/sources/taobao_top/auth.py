"""Signing requests to the Taobao open platform.

All text parameters, system and business, without empty ones and ``sign`` itself, sorted by name
and run together as name + value; the digest in upper-case hex.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Literal, get_args

from regulars.credentials import Credentials
from regulars.errors import ConfigError

SignMethod = Literal["md5", "hmac", "hmac-sha256"]
SIGN_METHODS: tuple[SignMethod, ...] = get_args(SignMethod)

PRODUCTION_GATEWAY = "https://gw.api.taobao.com/router/rest"
PLATFORM_ZONE = timezone(timedelta(hours=8))
"""The platform's own zone, whatever the shop's: GMT+8 without daylight saving."""


@dataclass(frozen=True)
class TopCredentials:
    """What a signed request needs; ``repr`` shows neither secret nor session."""

    gateway: str
    app_key: str
    app_secret: str = field(repr=False)
    session: str = field(repr=False)
    sign_method: SignMethod = "hmac"


def top_credentials(credentials: Credentials) -> TopCredentials:
    """Read a Connection: login = app key, password = app secret, extra.session, host = gateway.

    ``extra.sign_method`` may name another method than ``hmac``; an empty host is the platform's
    production gateway.

    Raises:
        ConfigError: a part is missing; no value is shown.
    """
    parts = {
        "login (app key)": credentials.login,
        "password (app secret)": credentials.password,
        "extra.session (seller session)": credentials.extra.get("session", ""),
    }
    for name, value in parts.items():
        if not value:
            raise ConfigError(
                f"{name} is missing",
                where=f"connection {credentials.connection_id}",
                next_step="complete the Airflow Connection (see .env.example)",
            )
    chosen = credentials.extra.get("sign_method", "hmac")
    method = next((known for known in SIGN_METHODS if known == chosen), None)
    if method is None:
        raise ConfigError(
            "extra.sign_method is not one that the platform knows",
            where=f"connection {credentials.connection_id}",
            next_step=f"use one of {', '.join(SIGN_METHODS)}",
        )
    return TopCredentials(
        gateway=_gateway(credentials.host),
        app_key=credentials.login,
        app_secret=credentials.password,
        session=credentials.extra["session"],
        sign_method=method,
    )


def _gateway(host: str) -> str:
    if not host:
        return PRODUCTION_GATEWAY
    url = host if "://" in host else f"https://{host}"
    scheme, _, rest = url.partition("://")
    return url if rest.rstrip("/").count("/") else f"{scheme}://{rest.rstrip('/')}/router/rest"


def sign(parameters: Mapping[str, str], secret: str, method: SignMethod) -> str:
    """Signature of decoded parameters; ``sign`` and empty values take no part."""
    text = "".join(
        f"{name}{parameters[name]}"
        for name in sorted(parameters, key=str.encode)
        if name and name != "sign" and parameters[name]
    )
    if method == "md5":
        data = f"{secret}{text}{secret}".encode()
        return hashlib.md5(data, usedforsecurity=False).hexdigest().upper()
    digest = "md5" if method == "hmac" else "sha256"
    return hmac.new(secret.encode(), text.encode(), digest).hexdigest().upper()


def signed_parameters(
    credentials: TopCredentials, method: str, business: Mapping[str, str], now: datetime
) -> dict[str, str]:
    """All parameters of one call, signed.

    Args:
        credentials: whose call it is.
        method: API name.
        business: the method's own parameters; empty ones are left out.
        now: the machine's present; the gateway tolerates ten minutes.
    """
    parameters = {
        "method": method,
        "app_key": credentials.app_key,
        "session": credentials.session,
        "timestamp": now.astimezone(PLATFORM_ZONE).strftime("%Y-%m-%d %H:%M:%S"),
        "v": "2.0",
        "format": "json",
        "sign_method": credentials.sign_method,
        **business,
    }
    parameters = {name: value for name, value in parameters.items() if value}
    parameters["sign"] = sign(parameters, credentials.app_secret, credentials.sign_method)
    return parameters
