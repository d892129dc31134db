"""The book's trades as Shopify's orders: ids, states, money and times as of a clock."""

import hashlib
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from regulars.sandbox import disguise
from regulars.sandbox.book import OrderBook
from regulars.sandbox.clockwork import unix_seconds
from regulars.sandbox.timeline import Outcome, RefundStatus

_ORDER_ID, _CUSTOMER_ID, _PRODUCT_ID = 4_000_000_000_000, 6_000_000_000_000, 7_000_000_000_000
_LINES_AT_MOST = 100_000
# Cents of the buyer's currency for a hundred fen; only to show that currencies are kept apart.
_PRESENTMENT_RATE = 14
_FAMILY = ("Smith", "Jones", "王", "李", "Müller", "Nguyễn", "García", "Suzuki", "Iva", "O'Neill")
_GIVEN = ("Ann", "Bo", "小明", "Chloé", "Dmitri", "Eve", "芳", "Günther", "Hana", "Ida")


def order_id(basket: int) -> int:
    """Number of an order."""
    return _ORDER_ID + basket


def basket_of(number: int) -> int:
    """Basket of an order's number."""
    return number - _ORDER_ID


def line_number(basket: int, position: int) -> int:
    """Number of an order's line, and of the refund of that line."""
    return basket * _LINES_AT_MOST + position


def gid(kind: str, number: int) -> str:
    """Global id of an object."""
    return f"gid://shopify/{kind}/{number}"


def instant(wall: int) -> str:
    """A wall second of the book as ISO-8601 in UTC."""
    text = np.datetime_as_string(np.datetime64(unix_seconds(wall), "s"))
    return f"{text}Z"


def decimal(minor: int) -> str:
    """An amount as the platform writes it: at least one decimal, no further zero."""
    sign, size = ("-", -minor) if minor < 0 else ("", minor)
    text = f"{sign}{size // 100}.{size % 100:02d}"
    return text.removesuffix("0")


@lru_cache(maxsize=20_000)
def _number(value: int, salt: str) -> int:
    digest = hashlib.sha256(f"shopify {salt} {value}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


def customer_name(household: int) -> tuple[str, str]:
    """Given and family name of a household's customer."""
    number = _number(household, "name")
    return _GIVEN[number % 10], _FAMILY[number // 10 % 10]


def customer_id(household: int) -> int:
    """Number of a household's customer."""
    return _CUSTOMER_ID + household * 7919


def is_guest(basket: int) -> bool:
    """Whether the order knows no customer, as sales at a till do."""
    return _number(basket, "guest") % 25 == 0


def is_foreign(household: int) -> bool:
    """Whether the household pays in the buyer's currency."""
    return _number(household, "currency") % 6 == 0


class Lazy:
    """An object whose members are computed when they are asked for.

    Attributes:
        kind: GraphQL type.
        members: member -> function of the arguments.
    """

    __slots__ = ("kind", "members")

    def __init__(self, kind: str, members: dict[str, Callable[..., Any]]) -> None:
        self.kind = kind
        self.members = members


class Part:
    """A long list of which only parts are ever made."""

    def __init__(self, count: int, make: Callable[[int], Any]) -> None:
        self._count, self._make = count, make

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, places: slice) -> list[Any]:
        return [self._make(place) for place in range(self._count)[places]]


class Trade:
    """One trade as of a clock.

    Args:
        book: the trades.
        index: which one.
        clock: the present, wall seconds.
        modified: wall second of its newest modification.
        currency, presentment: ISO codes of the shop and of foreign buyers.
    """

    def __init__(
        self,
        book: OrderBook,
        index: int,
        clock: int,
        modified: int,
        currency: str = "CNY",
        presentment: str = "USD",
    ) -> None:
        self.book, self.index, self.clock, self.modified = book, index, clock, modified
        self.currency, self._foreign = currency, presentment
        self.basket = int(book.basket[index])
        self.household = int(book.household[index])
        self.first = int(book.line_start[index])
        self.count = int(book.line_start[index + 1]) - self.first

    def reached(self, wall: Any) -> str | None:
        """An instant that has come, else None."""
        return instant(int(wall)) if int(wall) <= self.clock else None

    @property
    def presentment(self) -> str:
        """The currency that the buyer saw."""
        return self._foreign if is_foreign(self.household) else self.currency

    def bag(self, fen: int) -> dict[str, Any]:
        """Money in the shop's and in the buyer's currency."""
        is_same = self.presentment == self.currency
        shown = fen if is_same else (fen * _PRESENTMENT_RATE + 50) // 100
        return {
            "shopMoney": {"amount": decimal(fen), "currencyCode": self.currency},
            "presentmentMoney": {"amount": decimal(shown), "currencyCode": self.presentment},
        }

    @cached_property
    def goods(self) -> int:
        """List price of the lines, fen."""
        return int(self.book.line_goods[self.first : self.first + self.count].sum())

    @cached_property
    def paid(self) -> int:
        """What the buyer pays, fen."""
        return int(self.book.line_paid[self.first : self.first + self.count].sum())

    @property
    def is_paid(self) -> bool:
        """Whether the money has come."""
        return int(self.book.paid[self.index]) <= self.clock

    @cached_property
    def refund_rows(self) -> list[int]:
        """Rows of the refunds that have been paid out; a request alone is no refund here."""
        book = self.book
        if not len(book.refund_line):
            return []
        rows = book.refund_of_line[self.first : self.first + self.count].astype(np.int64)
        return [
            row
            for row in rows[rows >= 0].tolist()
            if book.refund_ended_status[row] == RefundStatus.SUCCESS
            and book.refund_ended[row] <= self.clock
        ]

    @cached_property
    def refunded(self) -> int:
        """Fen that went back."""
        return sum(int(self.book.refund_fee[row]) for row in self.refund_rows)

    @property
    def financial_status(self) -> str:
        """OrderDisplayFinancialStatus."""
        if not self.is_paid:
            return "VOIDED" if self.cancelled_at else "PENDING"
        if self.refunded and self.refunded >= self.paid:
            return "REFUNDED"
        return "PARTIALLY_REFUNDED" if self.refunded else "PAID"

    @property
    def fulfillment_status(self) -> str:
        """OrderDisplayFulfillmentStatus."""
        shipped = int(self.book.shipped[self.index]) <= self.clock
        return "FULFILLED" if shipped else "UNFULFILLED"

    @property
    def cancelled_at(self) -> str | None:
        """When the order was cancelled."""
        is_cancelled = self.book.outcome[self.index] in (Outcome.UNPAID, Outcome.CLOSED)
        return self.reached(self.book.ended[self.index]) if is_cancelled else None

    @property
    def closed_at(self) -> str | None:
        """When the order was archived."""
        return None if self.cancelled_at else self.reached(self.book.ended[self.index])

    @property
    def cancel_reason(self) -> str | None:
        """OrderCancelReason."""
        if self.cancelled_at is None:
            return None
        return "CUSTOMER" if self.book.outcome[self.index] == Outcome.CLOSED else "DECLINED"

    def transactions(self) -> list[dict[str, Any]]:
        """Payments and refunds of money; a free order has none."""
        book, found = self.book, []
        if self.is_paid and self.paid:
            number = line_number(self.basket, 0)
            found.append(self._transaction(number, "SALE", int(book.paid[self.index]), self.paid))
        for row in self.refund_rows:
            found.append(self.refund_transaction(row))
        return found

    def refund_transaction(self, row: int) -> dict[str, Any]:
        """The transaction of one refund."""
        book = self.book
        number = line_number(self.basket, int(book.refund_line[row]) - self.first + 1)
        fee, ended = int(book.refund_fee[row]), int(book.refund_ended[row])
        return self._transaction(number, "REFUND", ended, fee)

    def _transaction(self, number: int, kind: str, wall: int, fen: int) -> dict[str, Any]:
        return {
            "id": gid("OrderTransaction", number),
            "kind": kind,
            "status": "SUCCESS",
            "gateway": "shopify_payments",
            "processedAt": instant(wall),
            "createdAt": instant(wall),
            "amountSet": self.bag(fen),
            "errorCode": None,
            "test": False,
        }

    def fulfillments(self) -> list[dict[str, Any]]:
        """One parcel, once it has left."""
        shipped = self.reached(self.book.shipped[self.index])
        if shipped is None:
            return []
        delivered = self.reached(self.book.signed[self.index])
        number = order_id(self.basket)
        return [
            {
                "id": gid("Fulfillment", number),
                "legacyResourceId": str(number),
                "status": "SUCCESS",
                "displayStatus": "DELIVERED" if delivered else "IN_TRANSIT",
                "createdAt": shipped,
                "inTransitAt": shipped,
                "updatedAt": delivered or shipped,
                "deliveredAt": delivered,
            }
        ]

    def customer(self) -> dict[str, Any] | None:
        """The buyer; None for a guest."""
        if is_guest(self.basket):
            return None
        number = customer_id(self.household)
        given, family = customer_name(self.household)
        address = disguise.email(self.household)
        phone = f"+86{disguise.phone(self.household)}"
        return {
            "id": gid("Customer", number),
            "legacyResourceId": str(number),
            "displayName": f"{given} {family}",
            "firstName": given,
            "lastName": family,
            "email": address,
            "phone": phone,
            "defaultEmailAddress": {
                "emailAddress": address,
                "marketingState": "SUBSCRIBED" if number % 3 else "NOT_SUBSCRIBED",
                "marketingOptInLevel": "SINGLE_OPT_IN",
                "marketingUpdatedAt": None,
                "validFormat": True,
            },
            "defaultPhoneNumber": {"phoneNumber": phone},
            "numberOfOrders": "1",
            "state": "ENABLED",
            "locale": "en",
            "createdAt": instant(int(self.book.created[self.index])),
            "updatedAt": instant(self.modified),
        }

    def address(self) -> dict[str, Any]:
        """Where the parcel goes."""
        province, city, _, street = disguise.place(self.household)
        return {
            "id": gid("MailingAddress", customer_id(self.household)),
            "name": " ".join(customer_name(self.household)),
            "phone": f"+86{disguise.phone(self.household)}",
            "address1": f"{street}{_number(self.household, 'house') % 900 + 1}号",
            "city": city,
            "province": province,
            "country": "China",
            "countryCodeV2": "CN",
        }

    def line(self, position: int) -> dict[str, Any]:
        """One line, from 1: its list price and what the discounts gave to it."""
        book, row = self.book, self.first + position - 1
        goods, quantity = int(book.line_goods[row]), int(book.line_quantity[row])
        automatic = int(book.line_item_discount[row])
        code = goods - automatic - int(book.line_paid[row])
        unit = (2 * goods + max(quantity, 1)) // (2 * max(quantity, 1))
        article = int(book.article[book.line_article[row]])
        product = str(_PRODUCT_ID + article)
        title = str(book.article_title[book.line_article[row]])
        return {
            "id": gid("LineItem", line_number(self.basket, position)),
            "title": title,
            "name": title,
            "variantTitle": None,
            "sku": str(article),
            "vendor": "Demo Grocer",
            "quantity": quantity,
            "currentQuantity": quantity,
            "refundableQuantity": quantity,
            "isGiftCard": False,
            "requiresShipping": True,
            "originalUnitPriceSet": self.bag(unit),
            "originalTotalSet": self.bag(goods),
            "discountedTotalSet": self.bag(goods - automatic),
            "totalDiscountSet": self.bag(automatic),
            "discountAllocations": [
                {"allocatedAmountSet": self.bag(fen), "discountApplication": application}
                for fen, application in ((automatic, _AUTOMATIC), (code, _CODE))
                if fen
            ],
            "product": {"id": gid("Product", int(product)), "legacyResourceId": product},
            "variant": {"id": gid("ProductVariant", int(product)), "legacyResourceId": product},
        }

    def refund(self, row: int) -> dict[str, Any]:
        """One refund, of one line."""
        book = self.book
        position = int(book.refund_line[row]) - self.first + 1
        number = line_number(self.basket, position)
        fee, ended = int(book.refund_fee[row]), int(book.refund_ended[row])
        return {
            "__kind": "Refund",
            "id": gid("Refund", number),
            "legacyResourceId": str(number),
            "createdAt": instant(ended),
            "processedAt": instant(ended),
            "updatedAt": instant(ended),
            "note": None,
            "totalRefundedSet": self.bag(fee),
            "transactions": [self.refund_transaction(row)],
            "refundLineItems": [
                {
                    "id": gid("RefundLineItem", number),
                    "lineItem": self.line(position),
                    "quantity": int(book.line_quantity[book.refund_line[row]]),
                    "restockType": "RETURN" if book.refund_is_return[row] else "NO_RESTOCK",
                    "restocked": bool(book.refund_is_return[row]),
                    "subtotalSet": self.bag(fee),
                    "totalTaxSet": self.bag(0),
                }
            ],
        }

    def node(self) -> Lazy:
        """The order as a GraphQL object."""
        return Lazy("Order", {name: _bound(one, self) for name, one in _ORDER.items()})


_AUTOMATIC = {"__kind": "AutomaticDiscountApplication", "index": 0, "title": "Offer of the week"}
_CODE = {"__kind": "DiscountCodeApplication", "index": 1, "code": "COUPON"}


def _bound(member: Callable[[Trade], Any], trade: Trade) -> Callable[..., Any]:
    return lambda **_: member(trade)


def _refunds(trade: Trade) -> list[dict[str, Any]]:
    order = trade.node()
    return [{**trade.refund(row), "order": order} for row in trade.refund_rows]


def _codes(trade: Trade) -> list[str]:
    lines = slice(trade.first, trade.first + trade.count)
    book = trade.book
    coupons = (
        book.line_goods[lines] - book.line_item_discount[lines] - book.line_paid[lines]
    ).sum()
    return ["COUPON"] if coupons else []


_ORDER: dict[str, Callable[[Trade], Any]] = {
    "id": lambda one: gid("Order", order_id(one.basket)),
    "legacyResourceId": lambda one: str(order_id(one.basket)),
    "name": lambda one: f"#D{one.basket}",
    "number": lambda one: one.basket % 2**31,
    "confirmationNumber": lambda one: f"{_number(one.basket, 'confirmation'):016X}"[:9],
    "createdAt": lambda one: instant(int(one.book.created[one.index])),
    "processedAt": lambda one: instant(int(one.book.created[one.index])),
    "updatedAt": lambda one: instant(one.modified),
    "closedAt": lambda one: one.closed_at,
    "closed": lambda one: one.closed_at is not None,
    "cancelledAt": lambda one: one.cancelled_at,
    "cancelReason": lambda one: one.cancel_reason,
    "confirmed": lambda one: True,
    "displayFinancialStatus": lambda one: one.financial_status,
    "displayFulfillmentStatus": lambda one: one.fulfillment_status,
    "returnStatus": lambda one: "RETURNED" if one.refund_rows else "NO_RETURN",
    "fullyPaid": lambda one: one.is_paid,
    "unpaid": lambda one: not one.is_paid,
    "test": lambda one: False,
    "edited": lambda one: False,
    "sourceName": lambda one: "pos" if is_guest(one.basket) else "web",
    "sourceIdentifier": lambda one: None,
    "currencyCode": lambda one: one.currency,
    "presentmentCurrencyCode": lambda one: one.presentment,
    "taxesIncluded": lambda one: True,
    "discountCode": lambda one: next(iter(_codes(one)), None),
    "discountCodes": _codes,
    "paymentGatewayNames": lambda one: ["shopify_payments"],
    "tags": lambda one: [],
    "customerLocale": lambda one: "en",
    "email": lambda one: None if is_guest(one.basket) else disguise.email(one.household),
    "phone": lambda one: None,
    "originalTotalPriceSet": lambda one: one.bag(one.paid),
    "totalPriceSet": lambda one: one.bag(one.paid),
    "totalPrice": lambda one: decimal(one.paid),
    "subtotalPriceSet": lambda one: one.bag(one.paid),
    "currentTotalPriceSet": lambda one: one.bag(one.paid - one.refunded),
    "totalShippingPriceSet": lambda one: one.bag(0),
    "totalTaxSet": lambda one: one.bag(0),
    "totalTipReceivedSet": lambda one: one.bag(0),
    "totalDiscountsSet": lambda one: one.bag(one.goods - one.paid),
    "totalRefundedSet": lambda one: one.bag(one.refunded),
    "totalReceivedSet": lambda one: one.bag(one.paid if one.is_paid else 0),
    "totalOutstandingSet": lambda one: one.bag(0 if one.is_paid else one.paid),
    "netPaymentSet": lambda one: one.bag(one.paid - one.refunded if one.is_paid else 0),
    "retailLocation": lambda one: (
        {
            "id": gid("Location", int(one.book.store[one.index])),
            "legacyResourceId": str(int(one.book.store[one.index])),
            "name": f"Store {int(one.book.store[one.index])}",
        }
        if is_guest(one.basket)
        else None
    ),
    "customer": lambda one: one.customer(),
    "shippingAddress": lambda one: None if is_guest(one.basket) else one.address(),
    "lineItems": lambda one: Part(one.count, lambda place: one.line(place + 1)),
    "transactions": lambda one: one.transactions(),
    "fulfillments": lambda one: one.fulfillments(),
    "refunds": _refunds,
}
