"""What is asked for. Every query is checked against the official schema by a test.

Only what a payload model knows is asked for. Deprecated members are not: they vanish with some
later version. Customer fields that need the platform's approval come back null without it, so only
members that may be null are asked for: who bought stays known.
"""

_MONEY = "{ shopMoney { amount currencyCode } }"

INLINE_LINES = 10
"""Lines of an order that come with it; the others are read after it."""
INLINE_LIST = 5
"""Transactions and fulfillments of an order that come with it."""
LONGEST_LIST = 250
"""Elements that are asked for first of a list that cannot be paged."""

_TRANSACTION = f"{{ id kind status gateway processedAt amountSet {_MONEY} }}"
_FULFILLMENT = "{ id status displayStatus createdAt deliveredAt }"

ORDER_MEMBERS = f"""
    id legacyResourceId name createdAt processedAt updatedAt closedAt cancelledAt cancelReason
    displayFinancialStatus displayFulfillmentStatus returnStatus test edited sourceName
    currencyCode presentmentCurrencyCode taxesIncluded discountCodes paymentGatewayNames tags
    customerLocale email phone
    originalTotalPriceSet {_MONEY}
    totalPriceSet {{ shopMoney {{ amount currencyCode }} presentmentMoney {{ amount }} }}
    currentTotalPriceSet {_MONEY}
    totalShippingPriceSet {_MONEY}
    totalTaxSet {_MONEY}
    totalDiscountsSet {_MONEY}
    totalRefundedSet {_MONEY}
    retailLocation {{ legacyResourceId }}
    customer {{
        legacyResourceId firstName lastName
        defaultEmailAddress {{ emailAddress marketingState }}
        defaultPhoneNumber {{ phoneNumber }}
    }}
    shippingAddress {{ name phone address1 city province countryCodeV2 }}
"""

LINE_MEMBERS = f"""
    id title variantTitle sku vendor quantity currentQuantity isGiftCard
    originalUnitPriceSet {_MONEY}
    originalTotalSet {_MONEY}
    discountAllocations {{
        allocatedAmountSet {_MONEY}
        discountApplication {{ index ... on DiscountCodeApplication {{ code }} }}
    }}
    product {{ legacyResourceId }}
    variant {{ legacyResourceId }}
"""

_REFUND_LINE = f"""
    id quantity restockType lineItem {{ id }} subtotalSet {_MONEY} totalTaxSet {_MONEY}
"""

REFUND_MEMBERS = f"""
    id legacyResourceId createdAt processedAt updatedAt note
    totalRefundedSet {_MONEY}
    order {{ legacyResourceId updatedAt currencyCode customer {{ legacyResourceId }} }}
"""

LIST_ORDERS = """
query ListOrders($first: Int!, $query: String!, $sortKey: OrderSortKeys!) {
    orders(first: $first, query: $query, sortKey: $sortKey) {
        nodes { id updatedAt }
        pageInfo { hasNextPage }
    }
}
"""

LIST_ORDERS_WITH_REFUNDS = """
query ListOrdersWithRefunds($first: Int!, $query: String!, $sortKey: OrderSortKeys!) {
    orders(first: $first, query: $query, sortKey: $sortKey) {
        nodes { id updatedAt refunds(first: 1) { id } }
        pageInfo { hasNextPage }
    }
}
"""

READ_ORDERS = f"""
query ReadOrders($ids: [ID!]!) {{
    nodes(ids: $ids) {{
        ... on Order {{
            {ORDER_MEMBERS}
            transactions(first: {INLINE_LIST}) {_TRANSACTION}
            fulfillments(first: {INLINE_LIST}) {_FULFILLMENT}
            lineItems(first: {INLINE_LINES}) {{
                nodes {{ {LINE_MEMBERS} }}
                pageInfo {{ hasNextPage endCursor }}
            }}
        }}
    }}
}}
"""

READ_LINES = f"""
query ReadLines($id: ID!, $first: Int!, $after: String) {{
    order(id: $id) {{
        updatedAt
        lineItems(first: $first, after: $after) {{
            nodes {{ {LINE_MEMBERS} }}
            pageInfo {{ hasNextPage endCursor }}
        }}
    }}
}}
"""

READ_TRANSACTIONS = f"""
query ReadTransactions($id: ID!, $first: Int!) {{
    order(id: $id) {{ updatedAt transactions(first: $first) {_TRANSACTION} }}
}}
"""

READ_FULFILLMENTS = f"""
query ReadFulfillments($id: ID!, $first: Int!) {{
    order(id: $id) {{ updatedAt fulfillments(first: $first) {_FULFILLMENT} }}
}}
"""

READ_REFUND_IDS = """
query ReadRefundIds($ids: [ID!]!, $refunds: Int!) {
    nodes(ids: $ids) { ... on Order { id refunds(first: $refunds) { id } } }
}
"""

READ_ALL_REFUND_IDS = """
query ReadAllRefundIds($id: ID!, $first: Int!) {
    order(id: $id) { updatedAt refunds(first: $first) { id } }
}
"""

READ_REFUNDS = f"""
query ReadRefunds($ids: [ID!]!) {{
    nodes(ids: $ids) {{
        ... on Refund {{
            {REFUND_MEMBERS}
            transactions(first: {INLINE_LIST}) {{
                nodes {_TRANSACTION}
                pageInfo {{ hasNextPage endCursor }}
            }}
            refundLineItems(first: {INLINE_LINES}) {{
                nodes {{ {_REFUND_LINE} }}
                pageInfo {{ hasNextPage endCursor }}
            }}
        }}
    }}
}}
"""

READ_REFUND_LINES = f"""
query ReadRefundLines($id: ID!, $first: Int!, $after: String) {{
    refund(id: $id) {{
        updatedAt
        refundLineItems(first: $first, after: $after) {{
            nodes {{ {_REFUND_LINE} }}
            pageInfo {{ hasNextPage endCursor }}
        }}
    }}
}}
"""

READ_REFUND_TRANSACTIONS = f"""
query ReadRefundTransactions($id: ID!, $first: Int!, $after: String) {{
    refund(id: $id) {{
        updatedAt
        transactions(first: $first, after: $after) {{
            nodes {_TRANSACTION}
            pageInfo {{ hasNextPage endCursor }}
        }}
    }}
}}
"""

READ_SCOPES = """
query ReadScopes { currentAppInstallation { accessScopes { handle } } }
"""

_BULK_STATE = "id status errorCode objectCount rootObjectCount url partialDataUrl"

# groupObjects is said, because its default differs between versions.
RUN_BULK = f"""
mutation RunBulk($query: String!) {{
    bulkOperationRunQuery(query: $query, groupObjects: false) {{
        bulkOperation {{ {_BULK_STATE} }}
        userErrors {{ code field }}
    }}
}}
"""

POLL_BULK = f"""
query PollBulk($id: ID!) {{ bulkOperation(id: $id) {{ {_BULK_STATE} }} }}
"""


def bulk_orders(search: str) -> str:
    """The inner query of a bulk operation over orders with their lines."""
    return f"""
{{
    orders(query: "{search}", sortKey: UPDATED_AT) {{
        edges {{ node {{
            {ORDER_MEMBERS}
            transactions(first: {LONGEST_LIST}) {_TRANSACTION}
            fulfillments(first: {LONGEST_LIST}) {_FULFILLMENT}
            lineItems {{ edges {{ node {{ {LINE_MEMBERS} }} }} }}
        }} }}
    }}
}}
"""


def bulk_orders_with_refunds(search: str) -> str:
    """The inner query of a bulk operation that finds orders with refunds.

    Bulk operations refuse a connection inside a list, as the lines of a refund are, so the refunds
    themselves are read by their ids afterwards.
    """
    return f"""
{{
    orders(query: "{search}", sortKey: UPDATED_AT) {{
        edges {{ node {{ id updatedAt refunds(first: {LONGEST_LIST}) {{ id }} }} }}
    }}
}}
"""
