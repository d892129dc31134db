"""Signing requests to the Douyin Shop open platform.

The body of a call is its parameters as canonical JSON, and the signature covers exactly those
bytes: keys sorted at every depth, no spaces, no escapes that JSON does not ask for, whole numbers
without a fraction. Secret and fixed names enclose it; HMAC-SHA256 under the secret, lower-case hex.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from regulars.credentials import Credentials
from regulars.errors import ConfigError

PRODUCTION_GATEWAY = "https://openapi-fxg.jinritemai.com"
API_VERSION = "2"
SIGN_METHOD = "hmac-sha256"


@dataclass(frozen=True)
class DoudianCredentials:
    """What calls of one app for one shop need; ``repr`` shows neither secret nor token.

    Attributes:
        gateway: address without a path.
        shop_id: the platform's number of the shop; with it an app of the shop's own makes its
            tokens itself, and a token of another shop is refused.
        access_token, refresh_token: as authorised; empty when there is none.
    """

    gateway: str
    app_key: str
    app_secret: str = field(repr=False)
    shop_id: str = ""
    access_token: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)


def doudian_credentials(credentials: Credentials) -> DoudianCredentials:
    """Read a Connection: login = app key, password = app secret, host = gateway.

    An app of the shop's own needs ``extra.shop_id`` only. An app that the shop authorised needs
    ``extra.access_token`` and ``extra.refresh_token``; a refresh token alone is enough to begin.
    An empty host is the platform's production gateway.

    Raises:
        ConfigError: a part is missing; no value is shown.
    """
    extra = credentials.extra
    shop_id = extra.get("shop_id", "")
    access_token, refresh_token = extra.get("access_token", ""), extra.get("refresh_token", "")
    parts = {
        "login (app key)": credentials.login,
        "password (app secret)": credentials.password,
        "extra.access_token, extra.refresh_token or extra.shop_id": (
            access_token or refresh_token or shop_id
        ),
    }
    for name, value in parts.items():
        if not value:
            raise ConfigError(
                f"{name} is missing",
                where=f"connection {credentials.connection_id}",
                next_step="complete the Airflow Connection (docs/reference/platforms/doudian.md)",
            )
    if shop_id and not (shop_id.isascii() and shop_id.isdigit()):
        raise ConfigError(
            "extra.shop_id is not the platform's number of the shop",
            where=f"connection {credentials.connection_id}",
            next_step="copy the number that the shop's console shows beside the shop's name",
        )
    return DoudianCredentials(
        gateway=_gateway(credentials.host),
        app_key=credentials.login,
        app_secret=credentials.password,
        shop_id=shop_id,
        access_token=access_token,
        refresh_token=refresh_token,
    )


def _gateway(host: str) -> str:
    if not host:
        return PRODUCTION_GATEWAY
    return (host if "://" in host else f"https://{host}").rstrip("/")


def canonical_json(parameters: Mapping[str, Any]) -> str:
    """Parameters as the platform wants them signed and sent.

    Raises:
        ValueError: a number is not finite.
    """
    return json.dumps(
        _whole_numbers(parameters),
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    )


def _whole_numbers(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _whole_numbers(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_whole_numbers(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def sign(app_key: str, secret: str, method: str, param_json: str, timestamp: str) -> str:
    """Signature of one call.

    Args:
        app_key: the app's key.
        secret: the app's secret.
        method: API name such as ``order.searchList``.
        param_json: the body, exactly as it is sent.
        timestamp: as in the query, unix seconds.
    """
    text = (
        f"{secret}app_key{app_key}method{method}param_json{param_json}"
        f"timestamp{timestamp}v{API_VERSION}{secret}"
    )
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def signed_query(
    credentials: DoudianCredentials, method: str, param_json: str, seconds: int, token: str
) -> dict[str, str]:
    """The query of one call.

    Args:
        credentials: whose call it is.
        method: API name.
        param_json: the body, exactly as it is sent.
        seconds: the machine's present, unix seconds.
        token: access token; empty for calls that make one. It is not signed.
    """
    timestamp = str(seconds)
    query = {
        "app_key": credentials.app_key,
        "method": method,
        "timestamp": timestamp,
        "v": API_VERSION,
        "sign_method": SIGN_METHOD,
        "access_token": token,
        "sign": sign(credentials.app_key, credentials.app_secret, method, param_json, timestamp),
    }
    return {name: value for name, value in query.items() if value}
