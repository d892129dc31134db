"""The queries hold against the official schema, and cost less than one query may."""

import gzip
import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import pytest
from graphql import GraphQLSchema, NoDeprecatedCustomRule, build_client_schema, parse, validate

from regulars.sandbox.platforms.shopify import schema
from regulars.sandbox.platforms.shopify.bulk import BulkOperations
from regulars.sandbox.platforms.shopify.cost import CostRules
from regulars.sources.shopify_admin import payload, queries, streams
from regulars.sources.shopify_admin.client import LARGEST_COST
from regulars.sources.shopify_admin.nodes import LARGEST_INPUT

ROOT = Path(__file__).parents[2]
SEARCH = "updated_at:>='2026-11-20T00:00:00Z' updated_at:<'2026-11-21T00:00:00Z'"
BULK = {
    "bulk_orders": queries.bulk_orders(SEARCH),
    "bulk_orders_with_refunds": queries.bulk_orders_with_refunds(SEARCH),
}
DOCUMENTS = {
    name: text
    for name, text in vars(queries).items()
    if isinstance(text, str) and text.lstrip().startswith(("query ", "mutation "))
}
PACKAGES = (os.environ.get("SHOPIFY_DEV_MCP", ""), "node_modules/@shopify/dev-mcp", "package")


def full_schema() -> GraphQLSchema | None:
    """The whole official schema, where the npm package stands on this machine."""
    for folder in filter(None, PACKAGES):
        path = ROOT / folder / "dist/data/admin_2026-10.json.gz"
        if path.exists():
            with gzip.open(path) as file:
                found = json.load(file)
            return build_client_schema(found.get("data", found), assume_valid=True)
    return None


@pytest.fixture(scope="module")
def official() -> GraphQLSchema:
    found = full_schema()
    if found is None:
        pytest.skip("npm pack @shopify/dev-mcp@1.16.0, and name its folder in SHOPIFY_DEV_MCP")
    return found


def cost_of(text: str, **variables: Any) -> int:
    return CostRules(schema(), parse(text), variables).requested()


def test_there_are_queries() -> None:
    assert len(DOCUMENTS) == 14


@pytest.mark.parametrize("name", [*DOCUMENTS, *BULK])
def test_a_query_holds_against_the_members_of_the_official_schema(name: str) -> None:
    assert validate(schema(), parse({**DOCUMENTS, **BULK}[name])) == []


@pytest.mark.parametrize("name", [*DOCUMENTS, *BULK])
def test_a_query_holds_against_the_whole_official_schema(
    official: GraphQLSchema, name: str
) -> None:
    assert validate(official, parse({**DOCUMENTS, **BULK}[name])) == []


def test_the_closed_sets_are_those_of_the_official_schema() -> None:
    types: Any = schema().type_map
    assert set(types["OrderDisplayFinancialStatus"].values) == set(payload.FINANCIAL_STATUSES)
    assert set(types["OrderDisplayFulfillmentStatus"].values) == set(payload.FULFILLMENT_STATUSES)
    assert set(types["OrderTransactionStatus"].values) == set(payload.TRANSACTION_STATUSES)
    assert set(types["OrderTransactionKind"].values) == set(payload.TRANSACTION_KINDS)


def test_nothing_deprecated_is_asked_for() -> None:
    names = {
        name
        for kind in schema().type_map.values()
        for name, member in getattr(kind, "fields", {}).items()
        if getattr(member, "deprecation_reason", None)
    }
    assert {"totalPrice", "email"} <= names  # Order.totalPrice, Customer.email
    for text in {**DOCUMENTS, **BULK}.values():
        assert validate(schema(), parse(text), [NoDeprecatedCustomRule]) == []


def test_a_schema_without_a_member_refuses_the_query() -> None:
    (problem,) = validate(schema(), parse("{ shop { colour } }"))
    assert "colour" in problem.message


def test_the_first_query_of_each_kind_stays_below_the_limit() -> None:
    gids = [f"gid://shopify/Order/{number}" for number in range(LARGEST_INPUT)]
    first = {
        "LIST_ORDERS": {"first": 250},
        "LIST_ORDERS_WITH_REFUNDS": {"first": 250},
        "READ_ORDERS": {"ids": gids[: streams.FIRST_ORDERS]},
        "READ_LINES": {"first": streams.FIRST_LINES},
        "READ_TRANSACTIONS": {"first": queries.LONGEST_LIST},
        "READ_FULFILLMENTS": {"first": queries.LONGEST_LIST},
        "READ_ALL_REFUND_IDS": {"first": queries.LONGEST_LIST},
        "READ_REFUND_IDS": {"ids": gids[: streams.FIRST_REFUND_LISTS], "refunds": 25},
        "READ_REFUNDS": {"ids": gids[: streams.FIRST_REFUNDS]},
        "READ_REFUND_LINES": {"first": streams.FIRST_LINES},
        "READ_REFUND_TRANSACTIONS": {"first": streams.FIRST_LINES},
        "READ_SCOPES": {},
        "RUN_BULK": {},
        "POLL_BULK": {},
    }
    costs = {name: cost_of(DOCUMENTS[name], **given) for name, given in first.items()}
    assert costs == {
        "LIST_ORDERS": 250,
        "LIST_ORDERS_WITH_REFUNDS": 500,
        "READ_ORDERS": 604,
        "READ_LINES": 661,
        "READ_TRANSACTIONS": 751,
        "READ_FULFILLMENTS": 251,
        "READ_ALL_REFUND_IDS": 251,
        "READ_REFUND_IDS": 650,
        "READ_REFUNDS": 640,
        "READ_REFUND_LINES": 361,
        "READ_REFUND_TRANSACTIONS": 181,
        "READ_SCOPES": 2,
        "RUN_BULK": 13,
        "POLL_BULK": 1,
    }
    assert max(costs.values()) < LARGEST_COST


@pytest.mark.parametrize(
    ("text", "cost"),
    [
        ("{ shop { name myshopifyDomain } }", 1),  # scalars cost nothing, an object 1
        ("{ orders(first: 10) { nodes { id } pageInfo { hasNextPage } } }", 10),
        ("{ orders(first: 10) { edges { cursor node { id } } } }", 10),
        ("{ orders(first: 10) { nodes { customer { id } } } }", 20),
        ("{ orders(first: 3) { nodes { lineItems(first: 5) { nodes { id } } } } }", 18),
        (
            "{ orders(first: 1) { nodes { lineItems(first: 1) { nodes { discountAllocations { "
            "discountApplication { ... on DiscountCodeApplication { code } index } } } } } } }",
            4,
        ),
        ('mutation { bulkOperationCancel(id: "x") { userErrors { message } } }', 12),
    ],
)
def test_costs_follow_the_documented_rules(text: str, cost: int) -> None:
    assert cost_of(text) == cost


@pytest.mark.parametrize("name", BULK)
def test_the_bulk_queries_keep_to_the_rules_of_bulk_operations(name: str) -> None:
    assert BulkOperations(schema(), lambda document: None).refusal(BULK[name]) is None


def test_the_schema_can_be_made_again(official: GraphQLSchema) -> None:
    path = ROOT / "scripts/build_shopify_schema.py"
    spec = importlib.util.spec_from_file_location("build_shopify_schema", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = module.TARGET.read_text(encoding="utf-8")
    assert len(text.encode()) < 200_000
    assert "Permission to use, copy, modify" in text
    assert module.print_schema(module.pruned(official)) in text
