#!/usr/bin/env python3
"""Cut the sandbox's Shopify schema out of the official one.

The official introspection of the Admin API is in the npm package ``@shopify/dev-mcp`` (ISC
licence, its notice stands at the head of the file that this script writes). Get it and run:

    npm pack @shopify/dev-mcp@1.16.0 && tar xzf shopify-dev-mcp-1.16.0.tgz
    .venv/bin/python scripts/build_shopify_schema.py package

Kept are the members in KEPT and the types that they name, with arguments, nullability and
deprecations exactly as published; descriptions are left out. A member that is not in KEPT is one
that the sandbox does not serve.
"""

import gzip
import json
import sys
from pathlib import Path
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    build_client_schema,
    get_named_type,
    print_schema,
)

VERSION = "2026-10"
TARGET = Path(__file__).parents[1] / "plugins/regulars/sandbox/platforms/shopify/schema.graphql"

_ORDER = """
    cancelReason cancelledAt closed closedAt confirmationNumber confirmed createdAt currencyCode
    currentTotalPriceSet customer customerLocale discountCode discountCodes displayFinancialStatus
    displayFulfillmentStatus edited email fulfillments fullyPaid id legacyResourceId lineItems name
    netPaymentSet number originalTotalPriceSet paymentGatewayNames phone presentmentCurrencyCode
    processedAt refunds retailLocation returnStatus shippingAddress sourceIdentifier sourceName
    subtotalPriceSet tags taxesIncluded test totalDiscountsSet totalOutstandingSet totalPrice
    totalPriceSet totalReceivedSet totalRefundedSet totalShippingPriceSet totalTaxSet
    totalTipReceivedSet transactions unpaid updatedAt
"""
KEPT = {
    "QueryRoot": "bulkOperation currentAppInstallation node nodes order orders ordersCount refund "
    "shop",
    "Mutation": "bulkOperationCancel bulkOperationRunQuery",
    "Order": _ORDER,
    "OrderConnection": "edges nodes pageInfo",
    "OrderEdge": "cursor node",
    "LineItem": "currentQuantity discountAllocations discountedTotalSet id isGiftCard name "
    "originalTotalSet originalUnitPriceSet product quantity refundableQuantity requiresShipping "
    "sku title totalDiscountSet variant variantTitle vendor",
    "LineItemConnection": "edges nodes pageInfo",
    "LineItemEdge": "cursor node",
    "Product": "id legacyResourceId title",
    "ProductVariant": "id legacyResourceId sku",
    "DiscountAllocation": "allocatedAmountSet discountApplication",
    "DiscountApplication": "index",
    "AutomaticDiscountApplication": "index title",
    "DiscountCodeApplication": "code index",
    "Customer": "createdAt defaultEmailAddress defaultPhoneNumber displayName email firstName id "
    "lastName legacyResourceId locale numberOfOrders phone state updatedAt",
    "CustomerEmailAddress": "emailAddress marketingOptInLevel marketingState marketingUpdatedAt "
    "validFormat",
    "CustomerPhoneNumber": "phoneNumber",
    "MailingAddress": "address1 address2 city country countryCodeV2 id name phone province "
    "provinceCode zip",
    "Location": "id legacyResourceId name",
    "OrderTransaction": "amountSet createdAt errorCode gateway id kind processedAt status test",
    "OrderTransactionConnection": "edges nodes pageInfo",
    "OrderTransactionEdge": "cursor node",
    "Fulfillment": "createdAt deliveredAt displayStatus id inTransitAt legacyResourceId status "
    "updatedAt",
    "Refund": "createdAt id legacyResourceId note order processedAt refundLineItems "
    "totalRefundedSet transactions updatedAt",
    "RefundLineItem": "id lineItem quantity restockType restocked subtotalSet totalTaxSet",
    "RefundLineItemConnection": "edges nodes pageInfo",
    "RefundLineItemEdge": "cursor node",
    "MoneyBag": "presentmentMoney shopMoney",
    "MoneyV2": "amount currencyCode",
    "PageInfo": "endCursor hasNextPage hasPreviousPage startCursor",
    "Count": "count precision",
    "Shop": "currencyCode id myshopifyDomain name",
    "AppInstallation": "accessScopes id",
    "AccessScope": "description handle",
    "Node": "id",
    "BulkOperation": "completedAt createdAt errorCode fileSize id objectCount partialDataUrl query "
    "rootObjectCount status type url",
    "BulkOperationRunQueryPayload": "bulkOperation userErrors",
    "BulkOperationCancelPayload": "bulkOperation userErrors",
    "BulkOperationUserError": "code field message",
    "UserError": "field message",
}


def pruned(schema: GraphQLSchema) -> GraphQLSchema:
    """The schema with nothing but the kept members; raises KeyError for one that is not there."""
    for name, members in KEPT.items():
        kind: Any = schema.type_map[name]
        kind.fields = {member: kind.fields[member] for member in members.split()}
    for kind in schema.type_map.values():
        _shortened(kind)
    # Types that nothing kept names any more fall away with the new type map.
    return GraphQLSchema(
        query=schema.query_type,
        mutation=schema.mutation_type,
        types=[
            kind
            for name, kind in schema.type_map.items()
            if name in KEPT and isinstance(kind, GraphQLObjectType)
        ],
        assume_valid=True,
    )


def _shortened(kind: Any) -> None:
    kind.description = None
    if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
        kind.interfaces = tuple(one for one in kind.interfaces if one.name in KEPT)
        for member in kind.fields.values():
            _bare(member)
    elif isinstance(kind, GraphQLEnumType):
        for value in kind.values.values():
            value.description = None
    elif isinstance(kind, GraphQLUnionType):
        kind.types = tuple(one for one in kind.types if one.name in KEPT)


def _bare(member: GraphQLField) -> None:
    member.description = None
    for argument in member.args.values():
        argument.description = None
        get_named_type(argument.type).description = None


def main(package: Path) -> None:
    """Write the schema that ``package`` (the unpacked npm package) gives."""
    path = package / f"dist/data/admin_{VERSION}.json.gz"
    with gzip.open(path) as file:
        found = json.load(file)
    schema = pruned(build_client_schema(found.get("data", found), assume_valid=True))
    for directive in schema.directives:
        directive.description = None
        for argument in directive.args.values():
            argument.description = None
    notice = (package / "LICENSE").read_text(encoding="utf-8").strip()
    head = [
        f"Members of the Shopify Admin API {VERSION} that the sandbox serves, cut out of the",
        "official schema by scripts/build_shopify_schema.py. The official schema is published in",
        "the npm package @shopify/dev-mcp under this licence:",
        "",
        *notice.splitlines(),
    ]
    lines = "".join(f"# {line}".rstrip() + "\n" for line in head)
    TARGET.write_text(f"{lines}\n{print_schema(schema)}\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
