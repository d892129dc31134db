"""Signing requests to the Pinduoduo open platform.

MD5 over the client secret, all parameters sorted by name and run together as name + value, and the
secret again; upper-case hex. What is signed is the text that is sent: booleans are ``true`` and
``false``, nested values compact JSON.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from regulars.credentials import Credentials
from regulars.errors import ConfigError

PRODUCTION_GATEWAY = "https://gw-api.pinduoduo.com/api/router"
_ROUTER = "/api/router"


@dataclass(frozen=True)
class PddCredentials:
    """What signed requests need; ``repr`` shows neither secret nor tokens.

    Attributes:
        refresh_token: renews the access token when it has expired; empty where there is none.
        has_all_refunds: whether the app may still ask for refunds of every status at once.
    """

    gateway: str
    client_id: str
    client_secret: str = field(repr=False)
    access_token: str = field(repr=False)
    refresh_token: str = field(default="", repr=False)
    has_all_refunds: bool = False


def pdd_credentials(credentials: Credentials) -> PddCredentials:
    """Read a Connection: login = client_id, password = client_secret, extra = the seller's tokens.

    ``extra.access_token`` is needed, ``extra.refresh_token`` renews it. ``extra.refunds_at_once``
    (``true`` or ``false``) says that the app may ask for refunds of every status in one call. An
    empty host is the platform's production gateway.

    Raises:
        ConfigError: a part is missing or not understood; no value is shown.
    """
    where = f"connection {credentials.connection_id}"
    parts = {
        "login (client_id)": credentials.login,
        "password (client_secret)": credentials.password,
        "extra.access_token (seller token)": credentials.extra.get("access_token", ""),
    }
    for name, value in parts.items():
        if not value:
            raise ConfigError(
                f"{name} is missing",
                where=where,
                next_step="complete the Airflow Connection (see .env.example)",
            )
    at_once = credentials.extra.get("refunds_at_once", "false").lower()
    if at_once not in ("true", "false"):
        raise ConfigError(
            "extra.refunds_at_once is neither true nor false",
            where=where,
            next_step="set it to true only if after_sales_status 1 returns every refund to the app",
        )
    return PddCredentials(
        gateway=_gateway(credentials.host),
        client_id=credentials.login,
        client_secret=credentials.password,
        access_token=credentials.extra["access_token"],
        refresh_token=credentials.extra.get("refresh_token", ""),
        has_all_refunds=at_once == "true",
    )


def _gateway(host: str) -> str:
    if not host:
        return PRODUCTION_GATEWAY
    url = (host if "://" in host else f"https://{host}").rstrip("/")
    return url if "/" in url.partition("://")[2] else url + _ROUTER


def wire_text(value: Any) -> str:
    """A parameter as it is sent and signed; nested values without spaces or escapes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return str(value)


def sign(parameters: Mapping[str, str], secret: str) -> str:
    """Signature of parameters as they are sent; ``sign`` itself takes no part."""
    text = "".join(
        f"{name}{parameters[name]}" for name in sorted(parameters, key=str.encode) if name != "sign"
    )
    data = f"{secret}{text}{secret}".encode()
    return hashlib.md5(data, usedforsecurity=False).hexdigest().upper()


def signed_parameters(
    credentials: PddCredentials,
    method: str,
    business: Mapping[str, Any],
    now: datetime,
    access_token: str,
) -> dict[str, str]:
    """All parameters of one call, signed.

    Args:
        credentials: whose call it is.
        method: API name.
        business: the method's own parameters; empty texts and None are left out.
        now: the machine's present; the gateway tolerates ten minutes.
        access_token: the seller's token; empty for calls that need none.
    """
    parameters = {
        "type": method,
        "client_id": credentials.client_id,
        "access_token": access_token,
        "timestamp": str(int(now.timestamp())),
        "data_type": "JSON",
        "version": "V1",
        **{name: wire_text(value) for name, value in business.items() if value is not None},
    }
    parameters = {name: value for name, value in parameters.items() if value}
    parameters["sign"] = sign(parameters, credentials.client_secret)
    return parameters
