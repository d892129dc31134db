"""The shop refuses what the platform refuses, and shows the book as of its clock."""

import json
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest

from regulars.sandbox.book import OrderBook
from regulars.sandbox.clockwork import ShopClock
from regulars.sandbox.platforms.shopify import (
    Access,
    Gateway,
    ShopifyFaults,
    ShopifyLimits,
    ShopifyThrottle,
)
from regulars.sandbox.platforms.shopify.orders import decimal, gid, instant, order_id
from regulars.sandbox.protocol import PLATFORM_ZONE
from regulars.sandbox.shop import DEFAULT_NOW
from regulars.sandbox.timeline import HOUR, Outcome

TOKEN = "shpat_of_the_gateway"
LIST = """query List($q: String, $first: Int, $after: String, $key: OrderSortKeys = PROCESSED_AT) {
    orders(query: $q, first: $first, after: $after, sortKey: $key) {
        edges { cursor node { id updatedAt createdAt } }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
}"""
STATE = """query State($id: ID!) { order(id: $id) {
    displayFinancialStatus displayFulfillmentStatus cancelledAt cancelReason closedAt
    totalPriceSet { shopMoney { amount currencyCode } presentmentMoney { amount currencyCode } }
    totalRefundedSet { shopMoney { amount } }
    transactions { kind status amountSet { shopMoney { amount } } }
    fulfillments { displayStatus } refunds { id totalRefundedSet { shopMoney { amount } } }
} }"""
BULK = """mutation Run($q: String!) { bulkOperationRunQuery(query: $q) {
    bulkOperation { id status url } userErrors { code message } } }"""


@pytest.fixture(scope="module")
def book() -> OrderBook:
    return OrderBook.sample(households=60, until=date(2017, 10, 3))


@pytest.fixture
def gateway(book: OrderBook) -> Gateway:
    return Gateway(book, Access(TOKEN), ShopClock(DEFAULT_NOW))


def ask(gateway: Gateway, query: str, /, **variables: Any) -> dict[str, Any]:
    body = json.dumps({"query": query, "variables": variables}).encode()
    answer = gateway.answer("2026-10", {"x-shopify-access-token": TOKEN}, body)
    assert answer.status == 200
    found: dict[str, Any] = json.loads(answer.body)
    return found


def codes(answer: dict[str, Any]) -> list[str]:
    return [error["extensions"]["code"] for error in answer["errors"]]


@pytest.mark.parametrize("token", [None, "", "another"])
def test_a_wrong_token_is_http_401(gateway: Gateway, token: str | None) -> None:
    headers = {} if token is None else {"x-shopify-access-token": token}
    answer = gateway.answer("2026-10", headers, b'{"query": "{ shop { name } }"}')
    assert answer.status == 401
    assert "Invalid API key or access token" in answer.body.decode()


@pytest.mark.parametrize(
    ("version", "status", "served"),
    [
        ("2026-10", 200, "2026-10"),
        ("unstable", 200, "unstable"),
        ("2024-01", 200, "2025-10"),
        ("2031-01", 404, None),
        ("v1", 404, None),
    ],
)
def test_a_version_is_served_or_named(
    gateway: Gateway, version: str, status: int, served: str | None
) -> None:
    headers = {"x-shopify-access-token": TOKEN}
    answer = gateway.answer(version, headers, b'{"query": "{ shop { name } }"}')
    assert (answer.status, answer.headers.get("X-Shopify-API-Version")) == (status, served)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ shop { colour } }", "undefinedField"),
        ("{ shop(first: 1) { name } }", "argumentNotAccepted"),
        ("{ shop }", "selectionMismatch"),
        ("{ shop { name { x } } }", "selectionMismatch"),
        ("{ shop { name ", "parseError"),
        ('{ orders(first: "ten") { nodes { id } } }', "argumentLiteralsIncompatible"),
        ("{ shop { ... on Thing { name } } }", "undefinedType"),
        ("{ orders { nodes { id } } }", "BAD_REQUEST"),
        ("{ orders(first: 251) { nodes { id } } }", "BAD_REQUEST"),
        ("{ orders(first: 0) { nodes { id } } }", "BAD_REQUEST"),
        ('{ orders(first: 1, after: "x") { nodes { id } } }', "BAD_REQUEST"),
        ('{ nodes(ids: ["17"]) { id } }', "BAD_REQUEST"),
    ],
)
def test_what_the_schema_or_the_rules_forbid_is_refused(
    gateway: Gateway, query: str, code: str
) -> None:
    assert codes(ask(gateway, query)) == [code]


def test_no_query_at_all_is_http_400(gateway: Gateway) -> None:
    answer = gateway.answer("2026-10", {"x-shopify-access-token": TOKEN}, b"{}")
    assert answer.status == 400


def test_every_answer_tells_its_cost(gateway: Gateway) -> None:
    cost = ask(gateway, LIST, first=10)["extensions"]["cost"]
    assert cost["requestedQueryCost"] == 10
    assert cost["actualQueryCost"] == 10
    assert set(cost["throttleStatus"]) == {
        "maximumAvailable",
        "currentlyAvailable",
        "restoreRate",
    }


def test_a_query_of_more_than_a_thousand_points_is_refused(gateway: Gateway) -> None:
    query = "{ orders(first: 250) { nodes { lineItems(first: 4) { nodes { id } } } } }"
    answer = ask(gateway, query)
    assert codes(answer) == ["MAX_COST_EXCEEDED"]
    assert answer["errors"][0]["extensions"]["cost"] == 1250
    assert "data" not in answer


def test_the_bucket_empties_refuses_and_fills_again(book: OrderBook) -> None:
    now = [0.0]
    limits = ShopifyLimits(restore_rate=100, bucket=600)
    gateway = Gateway(book, Access(TOKEN), ShopClock(DEFAULT_NOW), limits, elapsed=lambda: now[0])
    for _ in range(2):
        assert "data" in ask(gateway, LIST, first=250)
    answer = ask(gateway, LIST, first=250)
    assert codes(answer) == ["THROTTLED"]
    assert answer["extensions"]["cost"]["actualQueryCost"] is None
    assert answer["extensions"]["cost"]["throttleStatus"]["currentlyAvailable"] == 100
    now[0] += 1.5
    assert "data" in ask(gateway, LIST, first=250)


def test_what_a_query_did_not_use_is_given_back(book: OrderBook) -> None:
    limits = ShopifyLimits(restore_rate=1, bucket=600)
    gateway = Gateway(book, Access(TOKEN), ShopClock(DEFAULT_NOW), limits, elapsed=lambda: 0.0)
    ask(gateway, LIST, q="id:1", first=250)
    cost = ask(gateway, LIST, q="id:1", first=250)["extensions"]["cost"]
    assert cost["actualQueryCost"] == 0
    assert cost["throttleStatus"]["currentlyAvailable"] == 600


@pytest.mark.parametrize("status", [200, 429])
def test_a_throttle_may_have_either_http_status(gateway: Gateway, status: Any) -> None:
    gateway.faults = ShopifyFaults(throttle=ShopifyThrottle(status=status))
    body = json.dumps({"query": LIST, "variables": {"first": 1}}).encode()
    answer = gateway.answer("2026-10", {"x-shopify-access-token": TOKEN}, body)
    assert answer.status == status
    assert codes(json.loads(answer.body)) == ["THROTTLED"]


def test_the_list_is_searched_sorted_and_paged(gateway: Gateway) -> None:
    search = "updated_at:>='2017-09-28T00:00:00Z' updated_at:<'2017-09-29T00:00:00Z'"
    found: list[dict[str, str]] = []
    after = None
    while True:
        page = ask(gateway, LIST, q=search, first=7, after=after, key="UPDATED_AT")["data"][
            "orders"
        ]
        assert page["pageInfo"]["hasPreviousPage"] is (after is not None)
        found += [edge["node"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    times = [one["updatedAt"] for one in found]
    assert len(found) > 15
    assert times == sorted(times)
    assert "2017-09-28T00:00:00Z" <= times[0] <= times[-1] < "2017-09-29T00:00:00Z"
    whole = ask(gateway, LIST, q=search, first=250, key="ID")["data"]["orders"]["edges"]
    ids = [int(edge["node"]["id"].rpartition("/")[2]) for edge in whole]
    assert ids == sorted(ids)
    assert {one["id"] for one in found} == {edge["node"]["id"] for edge in whole}


def test_an_unknown_filter_is_ignored_with_a_warning(gateway: Gateway) -> None:
    answer = ask(gateway, LIST, q="colour:red id:>=0", first=5)
    assert len(answer["data"]["orders"]["edges"]) == 5
    (warned,) = answer["extensions"]["search"]
    assert warned["warnings"][0]["field"] == "colour"


def test_a_list_ends_at_the_paging_depth(book: OrderBook) -> None:
    limits = ShopifyLimits(paging_depth=12)
    gateway = Gateway(book, Access(TOKEN), ShopClock(DEFAULT_NOW), limits)
    first = ask(gateway, LIST, first=10)["data"]["orders"]
    second = ask(gateway, LIST, first=10, after=first["pageInfo"]["endCursor"])["data"]["orders"]
    assert (len(first["edges"]), len(second["edges"])) == (10, 2)
    assert second["pageInfo"]["hasNextPage"] is False
    count = ask(gateway, "{ ordersCount(limit: 25000) { count precision } }")["data"]
    assert count["ordersCount"]["count"] > 12


def test_without_read_all_orders_older_orders_are_silently_absent(book: OrderBook) -> None:
    access = Access(TOKEN, ("read_orders",))
    gateway = Gateway(book, access, ShopClock(DEFAULT_NOW))
    days = DEFAULT_NOW - timedelta(days=60)
    oldest = days.astimezone().isoformat()
    answer = ask(gateway, LIST, q=f"created_at:<'{oldest}'", first=5)
    assert answer["data"]["orders"]["edges"] == []
    assert "errors" not in answer
    old = gid("Order", order_id(int(book.basket[0])))
    assert ask(gateway, STATE, id=old)["data"]["order"] is None


@pytest.mark.parametrize(
    ("outcome", "at", "financial", "fulfillment"),
    [
        (Outcome.FINISHED, "created", "PENDING", "UNFULFILLED"),
        (Outcome.FINISHED, "paid", "PAID", "UNFULFILLED"),
        (Outcome.FINISHED, "shipped", "PAID", "FULFILLED"),
        (Outcome.FINISHED, "ended", "PAID", "FULFILLED"),
        (Outcome.UNPAID, "ended", "VOIDED", "UNFULFILLED"),
        (Outcome.CLOSED, "ended", "REFUNDED", "UNFULFILLED"),
    ],
)
def test_an_order_lives_by_the_clock(
    outcome: Outcome, at: str, financial: str, fulfillment: str
) -> None:
    book = OrderBook.sample(households=400)
    trades = np.flatnonzero((book.outcome == outcome) & (book.trade_paid > 0))
    trade = int(trades[-1])
    gateway = Gateway(book, Access(TOKEN), ShopClock(DEFAULT_NOW))
    gateway.clock.seconds = int(getattr(book, at)[trade])
    answer = ask(gateway, STATE, id=gid("Order", order_id(int(book.basket[trade]))))
    order = answer["data"]["order"]
    found = (order["displayFinancialStatus"], order["displayFulfillmentStatus"])
    assert found == (financial, fulfillment)
    has_ended = at == "ended"
    is_cancelled = outcome != Outcome.FINISHED
    assert (order["cancelledAt"] is not None) is (has_ended and is_cancelled)
    assert (order["closedAt"] is not None) is (has_ended and not is_cancelled)
    assert bool(order["fulfillments"]) is (fulfillment == "FULFILLED")
    paid = decimal(int(book.trade_paid[trade]))
    assert order["totalPriceSet"]["shopMoney"] == {"amount": paid, "currencyCode": "CNY"}
    kinds = {one["kind"] for one in order["transactions"]}
    expected = {"PENDING": set(), "VOIDED": set(), "PAID": {"SALE"}}
    assert kinds == expected.get(financial, {"SALE", "REFUND"})
    if financial == "REFUNDED":
        parts = [one["totalRefundedSet"]["shopMoney"]["amount"] for one in order["refunds"]]
        assert sum(map(float, parts)) == pytest.approx(float(paid))


def test_money_is_written_as_the_platform_writes_it() -> None:
    assert [decimal(fen) for fen in (0, 1, 10, 100, 1234, -250)] == [
        "0.0",
        "0.01",
        "0.1",
        "1.0",
        "12.34",
        "-2.5",
    ]


def test_times_are_utc() -> None:
    clock = ShopClock(DEFAULT_NOW.replace(tzinfo=PLATFORM_ZONE))
    assert instant(clock.seconds) == "2017-09-30T16:00:00Z"
    assert instant(clock.seconds + 8 * HOUR) == "2017-10-01T00:00:00Z"


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("{ shop { name } }", "at least one connection"),
        ("{ orders { edges { node { name } } } }", "must select id"),
        ("{ orders { edges { node { id colour } } } }", "colour"),
        ("{ orders { edges { node { id } } } shop { name } }", "one top-level field"),
        (
            "{ orders { edges { node { id refunds { refundLineItems { edges { node { id } } } } } }"
            " } }",
            "within a list field",
        ),
        ("{ orders {", "syntax error"),
        ("mutation { bulkOperationCancel(id: 1) { userErrors { message } } }", "one query"),
    ],
)
def test_bulk_operations_refuse_what_cannot_run_in_bulk(
    gateway: Gateway, query: str, says: str
) -> None:
    payload = ask(gateway, BULK, q=query)["data"]["bulkOperationRunQuery"]
    assert payload["bulkOperation"] is None
    assert [error["code"] for error in payload["userErrors"]] == ["INVALID"]
    assert says in payload["userErrors"][0]["message"]


def test_a_sixth_bulk_operation_is_refused_until_one_ends(gateway: Gateway) -> None:
    query = "{ orders { edges { node { id } } } }"
    started = [ask(gateway, BULK, q=query)["data"]["bulkOperationRunQuery"] for _ in range(6)]
    assert [bool(one["bulkOperation"]) for one in started] == [True] * 5 + [False]
    assert started[5]["userErrors"][0]["code"] == "OPERATION_IN_PROGRESS"
    cancel = "mutation Stop($id: ID!) { bulkOperationCancel(id: $id) { bulkOperation { status } } }"
    stopped = ask(gateway, cancel, id=started[0]["bulkOperation"]["id"])["data"]
    assert stopped["bulkOperationCancel"]["bulkOperation"]["status"] == "CANCELED"
    again = ask(gateway, BULK, q=query)["data"]["bulkOperationRunQuery"]
    assert again["bulkOperation"]["status"] == "CREATED"


def test_the_address_of_a_file_dies_after_seven_days(gateway: Gateway) -> None:
    query = '{ orders(query: "id:>0") { edges { node { id } } } }'
    number = ask(gateway, BULK, q=query)["data"]["bulkOperationRunQuery"]["bulkOperation"]["id"]
    poll = "query Poll($id: ID!) { bulkOperation(id: $id) { status url objectCount fileSize } }"
    states = [ask(gateway, poll, id=number)["data"]["bulkOperation"] for _ in range(2)]
    assert [one["status"] for one in states] == ["RUNNING", "COMPLETED"]
    name = states[1]["url"].rpartition("/")[2]
    answer = gateway.file(name, {})
    assert answer.status == 200
    assert len(answer.body.splitlines()) == int(states[1]["objectCount"])
    assert len(answer.body) == int(states[1]["fileSize"])
    gateway.clock.tick(7 * 86_400 + 1)
    assert gateway.file(name, {}).status == 403
    assert gateway.file("bulk-99.jsonl", {}).status == 404


def test_ids_are_the_same_in_every_cut_of_the_book(book: OrderBook) -> None:
    small = OrderBook.sample(households=10, until=date(2017, 10, 3))
    numbers = {order_id(int(basket)) for basket in small.basket}
    assert numbers <= {order_id(int(basket)) for basket in book.basket}
    assert len(numbers) == small.trade_count
