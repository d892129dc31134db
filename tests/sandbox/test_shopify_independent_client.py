"""Shopify's own Python client, unchanged, reads the sandbox's shop over HTTP."""

import json
import urllib.error
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
import shopify

from regulars.sandbox.book import OrderBook
from regulars.sandbox.clockwork import ShopClock
from regulars.sandbox.platforms.shopify import Access, Gateway, ShopifyFaults, ShopifyThrottle
from regulars.sandbox.server import PlatformServer
from regulars.sandbox.shop import DEFAULT_NOW

TOKEN = "shpat_of_another_client"
PAGE = """query Page($q: String!, $after: String) {
    orders(first: 20, after: $after, sortKey: UPDATED_AT, query: $q) {
        edges { cursor node { id legacyResourceId totalPriceSet { shopMoney { amount } } } }
        pageInfo { hasNextPage endCursor }
    }
}"""
DAY = "updated_at:>='2017-09-29T16:00:00Z' updated_at:<'2017-09-30T16:00:00Z'"


@pytest.fixture(scope="module")
def server() -> Iterator[PlatformServer]:
    book = OrderBook.sample(households=120, until=date(2017, 10, 3))
    with PlatformServer(Gateway(book, Access(TOKEN), ShopClock(DEFAULT_NOW))) as running:
        yield running


@pytest.fixture
def client(server: PlatformServer) -> Iterator[Any]:
    yield from session(server, TOKEN)


def session(server: PlatformServer, token: str) -> Iterator[Any]:
    opened = shopify.Session("demo-grocer.myshopify.com", "unstable", token)
    shopify.ShopifyResource.activate_session(opened)
    # The session knows only real addresses; the client itself calls whatever stands here.
    shopify.ShopifyResource.set_site(f"{server.url}/admin/api/unstable")
    try:
        yield shopify.GraphQL()
    finally:
        shopify.ShopifyResource.clear_session()


def gateway_of(server: PlatformServer) -> Gateway:
    gateway = server.gateway
    assert isinstance(gateway, Gateway)
    return gateway


def test_shopifyapi_pages_through_a_day(client: Any, server: PlatformServer) -> None:
    found: list[str] = []
    after = None
    while True:
        answer = json.loads(client.execute(PAGE, {"q": DAY, "after": after}))
        orders = answer["data"]["orders"]
        found += [edge["node"]["legacyResourceId"] for edge in orders["edges"]]
        after = orders["pageInfo"]["endCursor"]
        if not orders["pageInfo"]["hasNextPage"]:
            break
    count = "query Count($q: String!) { ordersCount(limit: null, query: $q) { count precision } }"
    told = json.loads(client.execute(count, {"q": DAY}))["data"]["ordersCount"]
    assert len(found) == len(set(found)) == told["count"] > 40
    assert told["precision"] == "EXACT"


def test_shopifyapi_runs_a_bulk_operation(client: Any, server: PlatformServer) -> None:
    run = """mutation Run($q: String!) { bulkOperationRunQuery(query: $q, groupObjects: true) {
        bulkOperation { id status } userErrors { message } } }"""
    lines_of = "lineItems { edges { node { id sku } } }"
    inner = f'{{ orders(query: "{DAY}") {{ edges {{ node {{ id {lines_of} }} }} }} }}'
    payload = json.loads(client.execute(run, {"q": inner}))["data"]["bulkOperationRunQuery"]
    assert payload["userErrors"] == []
    poll = "query Poll($id: ID!) { bulkOperation(id: $id) { status url objectCount } }"
    operation: dict[str, Any] = {"status": "CREATED"}
    while operation["status"] in ("CREATED", "RUNNING"):
        given = {"id": payload["bulkOperation"]["id"]}
        operation = json.loads(client.execute(poll, given))["data"]["bulkOperation"]
    name = operation["url"].rpartition("/")[2]
    assert operation["url"] == f"{server.url}/storage/{name}"
    lines = [json.loads(one) for one in gateway_of(server).file(name, {}).body.splitlines()]
    assert len(lines) == int(operation["objectCount"])
    parent = ""
    for line in lines:  # grouped: each line follows its order
        if "__parentId" in line:
            assert line["__parentId"] == parent
        else:
            parent = line["id"]


def test_shopifyapi_is_told_that_its_token_is_wrong(server: PlatformServer) -> None:
    for client in session(server, "shpat_wrong"):
        with pytest.raises(urllib.error.HTTPError) as raised:
            client.execute("{ shop { name } }")
        assert raised.value.code == 401


def test_shopifyapi_sees_throttles_and_misspelt_members(
    client: Any, server: PlatformServer
) -> None:
    gateway_of(server).faults = ShopifyFaults(throttle=ShopifyThrottle(calls=1, status=200))
    answer = json.loads(client.execute("{ shop { name } }"))
    assert answer["errors"][0]["extensions"]["code"] == "THROTTLED"
    assert "data" not in answer
    answer = json.loads(client.execute("{ shop { nmae } }"))
    assert answer["errors"][0]["extensions"]["code"] == "undefinedField"
