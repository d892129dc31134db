"""What a connection must say."""

from typing import Any

import pytest

from regulars.credentials import Credentials
from regulars.errors import ConfigError
from regulars.sources import open_source, raw_columns, source_names
from regulars.sources.shopify_admin import ShopifyAdmin
from regulars.sources.shopify_admin.auth import shopify_credentials
from tests.landing.conftest import FixedClock
from tests.sources.shopify_shop import shopify_shop

COMPLETE = {"access_token": "shpat_1", "shop_domain": "demo-grocer.myshopify.com"}


def read(host: str = "", password: str = "", **extra: str) -> Any:
    return shopify_credentials(Credentials("regulars_x", host=host, password=password, extra=extra))


def test_the_shops_own_domain_is_called() -> None:
    found = read(**COMPLETE)
    url = "https://demo-grocer.myshopify.com/admin/api/2026-10/graphql.json"
    assert (found.endpoint, found.version, found.access_token) == (url, "2026-10", "shpat_1")


def test_a_host_replaces_the_domain_and_the_token_may_be_the_password() -> None:
    found = read(host="http://127.0.0.1:8080/", password="shpat_2", version="unstable")
    assert found.endpoint == "http://127.0.0.1:8080/admin/api/unstable/graphql.json"
    assert found.access_token == "shpat_2"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"access_token": ""}, "access_token"),
        ({"shop_domain": ""}, "shop_domain .* is missing"),
        ({"shop_domain": "shop.example.com"}, "not of the form"),
        ({"shop_domain": "demo.myshopify.com/admin"}, "not of the form"),
        ({"version": "2026-11"}, "no version"),
    ],
)
def test_an_incomplete_connection_is_named_without_its_values(
    changes: dict[str, str], says: str
) -> None:
    with pytest.raises(ConfigError, match=says) as raised:
        read(**{**COMPLETE, **changes})
    assert "regulars_x" in str(raised.value)
    assert "shpat" not in str(raised.value)


def test_the_source_is_found_by_its_name() -> None:
    assert "shopify_admin" in source_names()
    credentials = Credentials("regulars_x", extra=COMPLETE)
    source = open_source(shopify_shop(), credentials, FixedClock())
    assert isinstance(source, ShopifyAdmin)
    assert source.streams() == ("orders", "refunds")
    source.close()


def test_no_contact_has_a_column_of_its_own() -> None:
    columns = raw_columns("shopify_admin", "orders")
    for name in ("email", "phone", "customer_first_name", "shipping_address_address1"):
        assert name not in columns
        assert f"{name}_ref" in columns
