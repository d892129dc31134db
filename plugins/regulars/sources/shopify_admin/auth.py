"""Who calls the Admin API of which shop."""

import re
from dataclasses import dataclass, field

from regulars.credentials import Credentials
from regulars.errors import ConfigError

DEFAULT_VERSION = "2026-10"
"""Version of the API whose schema the queries are written for."""

_SHOP_DOMAIN = re.compile(r"[a-z0-9][a-z0-9-]*\.myshopify\.com")
_VERSION = re.compile(r"20\d{2}-(?:01|04|07|10)|unstable")


@dataclass(frozen=True)
class ShopifyCredentials:
    """What a call needs; ``repr`` does not show the token.

    Attributes:
        endpoint: address of the GraphQL endpoint, version included.
        version: version of the API.
        access_token: Admin API access token of the app in this shop.
    """

    endpoint: str
    version: str
    access_token: str = field(repr=False)


def shopify_credentials(credentials: Credentials) -> ShopifyCredentials:
    """Read a Connection.

    ``extra.access_token`` (or the password) is the Admin API access token, ``extra.shop_domain``
    the shop's own domain (``name.myshopify.com``), ``extra.version`` the version of the API if not
    2026-10. A host replaces ``https://<shop domain>``.

    Raises:
        ConfigError: a part is missing or malformed; no value is shown.
    """
    token = credentials.extra.get("access_token") or credentials.password
    if not token:
        raise _wrong(credentials, "extra.access_token (Admin API access token) is missing")
    version = credentials.extra.get("version") or DEFAULT_VERSION
    if not _VERSION.fullmatch(version):
        raise _wrong(credentials, "extra.version is no version of the API such as 2026-10")
    domain = credentials.extra.get("shop_domain", "")
    if domain and not _SHOP_DOMAIN.fullmatch(domain):
        raise _wrong(credentials, "extra.shop_domain is not of the form name.myshopify.com")
    if not domain and not credentials.host:
        raise _wrong(credentials, "extra.shop_domain (name.myshopify.com) is missing")
    host = credentials.host.rstrip("/") or domain
    base = host if "://" in host else f"https://{host}"
    return ShopifyCredentials(f"{base}/admin/api/{version}/graphql.json", version, token)


def _wrong(credentials: Credentials, what: str) -> ConfigError:
    return ConfigError(
        what,
        where=f"connection {credentials.connection_id}",
        next_step="complete the Airflow Connection (docs/reference/platforms/shopify.md)",
    )
