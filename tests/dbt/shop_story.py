"""A shop's history as its platform and its files tell it, night by night, drawn from a seed.

Trades live through their states; each night sees only the current version of what changed, in
overlapping windows, some of it dated after the business date. Buyers change, lines vanish,
refunds come in part, in full, too high and late, staff flags are corrected, old versions arrive
late. Small on purpose: the point is what happens, not how much.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

OFFSET = timedelta(hours=8)
SHOPS = ("east", "west")
ZONES = {"east": "Asia/Shanghai", "west": "America/New_York"}
Record = dict[str, Any]


def _text(instant: datetime | None) -> str | None:
    """An instant (UTC) as Taobao writes it."""
    return None if instant is None else (instant + OFFSET).strftime("%Y-%m-%d %H:%M:%S")


def _iso(instant: datetime | None) -> str | None:
    return None if instant is None else instant.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Batch:
    """Records of one stream of one shop, as one landing batch."""

    batch_id: str
    source: str
    stream: str
    shop: str
    records: list[Record]


@dataclass
class Night:
    """What one night finds landed, and the end of its business date per shop (UTC)."""

    as_of_date: date
    visible_until: dict[str, datetime]
    batches: list[Batch] = field(default_factory=list)
    refusals: list[tuple[Any, ...]] = field(default_factory=list)
    decisions: list[tuple[Any, ...]] = field(default_factory=list)
    """What is decided by hand: seq, brand, two customer keys, kind, instant."""


@dataclass(frozen=True)
class Version:
    """A trade as it stands from ``modified`` on."""

    tid: str
    shop: str
    buyer: str
    modified: datetime
    created: datetime
    paid: datetime | None
    shipped: datetime | None
    signed: datetime | None
    ended: datetime | None
    status: str
    lines: tuple[tuple[str, str, str, str, str], ...]  # oid, product, price, num, paid

    @property
    def payment(self) -> float:
        return sum(float(line[4]) for line in self.lines)


class Story:
    """The history; ``nights()`` yields what each night finds."""

    def __init__(self, seed: int, first_date: date, night_count: int, orders: int = 60) -> None:
        random = self._random = Random(seed)
        self._first = first_date
        self._count = night_count
        self._versions: dict[str, list[Version]] = {}
        self._refunds: dict[str, list[Record]] = {}
        self._batch_number = 0
        first = datetime.combine(first_date, datetime.min.time())
        for number in range(orders):
            # Half of the orders are young enough to change during the nights.
            days_before = 70 if number % 2 else 4
            span = (night_count + days_before) * 86400
            start = first - timedelta(days=days_before)
            self._live_through(number, start + timedelta(seconds=random.randrange(span)))

    def _buyer(self) -> str:
        return f"AA{self._random.randrange(14):02d}"

    def _live_through(self, number: int, created: datetime) -> None:
        random = self._random
        tid = str(9_007_199_254_740_993 + number)
        lines = tuple(
            (
                f"{tid}{position}",
                f"i{random.randrange(9)}",
                f"{random.randrange(1, 30)}.00",
                str(random.randrange(1, 3)),
                f"{random.randrange(1, 40)}.{random.randrange(100):02d}",
            )
            for position in range(random.randrange(1, 4))
        )
        # Some buyers have this one order only: when it moves away, nothing of them is left.
        buyer = f"AX{number}" if random.random() < 0.4 else self._buyer()
        version = Version(
            tid, random.choice(SHOPS), buyer, created, created, None, None, None, None,
            "WAIT_BUYER_PAY", lines,
        )  # fmt: skip
        history = [version]
        moment = created

        def change(hours: float, **fields: Any) -> None:
            nonlocal moment
            moment += timedelta(seconds=int(hours * 3600 * random.random()) + 1)
            values = {name: moment if value is True else value for name, value in fields.items()}
            history.append(replace(history[-1], modified=moment, **values))

        if random.random() < 0.15:
            change(48, ended=True, status="TRADE_CLOSED_BY_TAOBAO")
        else:
            change(30, paid=True, status="WAIT_SELLER_SEND_GOODS")
            if random.random() < 0.3:
                change(20, buyer=self._buyer())
            if len(lines) > 1 and random.random() < 0.2:
                change(20, lines=lines[1:])
            change(60, shipped=True, status="WAIT_BUYER_CONFIRM_GOODS")
            if random.random() < 0.7:
                change(60, signed=True)
            closed = random.random() < 0.1
            change(90, ended=True, status="TRADE_CLOSED" if closed else "TRADE_FINISHED")
        self._versions[tid] = history
        if history[-1].paid and random.random() < 0.4:
            self._refund(history[-1], moment)

    def _refund(self, order: Version, after: datetime) -> None:
        random = self._random
        for number in range(random.randrange(1, 3)):
            line = random.choice(order.lines)
            amount = random.choice([order.payment, float(line[4]), 1.0, order.payment + 3])
            asked = after + timedelta(hours=random.randrange(200))
            record: Record = {
                "refund_id": f"r{order.tid}{number}",
                "shop": order.shop,
                "tid": order.tid,
                "oid": random.choice([line[0], None]),
                "buyer_open_uid": order.buyer,
                "refund_fee": f"{amount:.2f}",
                "created": asked,
                "modified": asked,
                "status": "WAIT_SELLER_AGREE",
                "has_good_return": "false",
                "reason": "late",
            }
            steps = [record]
            for status in random.choice(
                [
                    ["SUCCESS"],
                    ["SUCCESS", "SUCCESS"],
                    ["CLOSED"],
                    ["SELLER_REFUSE_BUYER", "SUCCESS"],
                ]
            ):
                later = steps[-1]["modified"] + timedelta(hours=random.randrange(1, 60))
                steps.append({**steps[-1], "status": status, "modified": later})
            self._refunds[record["refund_id"]] = steps

    def nights(self) -> Iterator[Night]:
        """The nights in order. Night 0 comes by file drop, the others by API and small files."""
        for index in range(self._count):
            day = self._first + timedelta(days=index)
            midnight = datetime.combine(day + timedelta(days=1), datetime.min.time())
            present = midnight - OFFSET + timedelta(hours=14)
            visible = {"east": midnight - OFFSET, "west": midnight + timedelta(hours=4)}
            night = Night(day, visible)
            for shop in SHOPS:
                if index == 0:
                    night.batches += self._file_drop(shop, present)
                else:
                    night.batches += self._api(shop, present - timedelta(hours=26), present, index)
                night.batches += self._small_files(shop, present, index)
            night.refusals = self._refusals(index, present)
            yield night

    def _batch(self, source: str, stream: str, shop: str, records: list[Record]) -> list[Batch]:
        if not records:
            return []
        self._batch_number += 1
        name = f"{stream}-{self._batch_number:04d}"
        return [Batch(name, source, stream, shop, records)]

    def _api(self, shop: str, start: datetime, end: datetime, index: int) -> list[Batch]:
        trades = []
        for history in self._versions.values():
            current = [version for version in history if version.modified < end]
            if not current or current[-1].shop != shop:
                continue
            shown = current[-1]
            # Now and then an old version arrives late, as from a replayed window.
            if len(current) > 1 and self._random.random() < 0.05:
                shown = current[-2]
            elif shown.modified < start:
                continue
            trades.append(_api_trade(shown))
        refunds = []
        for steps in self._refunds.values():
            told = [step for step in steps if step["modified"] < end]
            if told and told[-1]["shop"] == shop and told[-1]["modified"] >= start:
                refunds.append(_api_refund(told[-1]))
        return self._batch("taobao_top", "orders", shop, trades) + self._batch(
            "taobao_top", "refunds", shop, refunds
        )

    def _file_drop(self, shop: str, present: datetime) -> list[Batch]:
        orders, lines, refunds = [], [], []
        for history in self._versions.values():
            current = [version for version in history if version.modified < present]
            if not current or current[-1].shop != shop:
                continue
            orders.append(_file_order(current[-1], self._random))
            lines += _file_lines(current[-1], self._random)
        for steps in self._refunds.values():
            told = [step for step in steps if step["modified"] < present]
            if told and told[-1]["shop"] == shop:
                refunds.append(_file_refund(told[-1]))
        return [
            *self._batch("file", "orders", shop, orders),
            *self._batch("file", "order_lines", shop, lines),
            *self._batch("file", "refunds", shop, refunds),
            *self._batch("file", "products", shop, [_product(n, "first") for n in range(6)]),
            *self._batch("file", "members", shop, [self._member(n, present) for n in range(12)]),
            *self._batch("file", "campaigns", shop, [_campaign(self._first)]),
        ]

    def _member(self, number: int, present: datetime) -> Record:
        random = self._random
        phone = f"h{number % 10}"
        changed = present - timedelta(hours=random.randrange(-3, 40))
        return {
            "member_id": f"m{number}",
            "buyer_id": f"AA{number:02d}",
            "enrolled_at": _iso(present - timedelta(hours=random.randrange(-8, 900))),
            "enrol_source": "store",
            "phone_ref": f"token-{phone}",
            "phone_hash": phone,
            "phone_masked": "138****0000",
            "sms_consent": random.choice(["granted", "granted", "refused", "unknown"]),
            "sms_consent_at": _iso(present - timedelta(hours=random.randrange(-8, 200))),
            "is_employee": random.choice(["false"] * 5 + ["true"]),
            "is_blacklisted": random.choice(["false"] * 9 + ["true"]),
            "modified_at": _iso(changed),
        }

    def _small_files(self, shop: str, present: datetime, index: int) -> list[Batch]:
        random = self._random

        def some(hours: int = 40) -> str | None:
            return _iso(present - timedelta(hours=random.randrange(-6, hours)))

        batches: list[Batch] = []
        if index:
            numbers = random.sample(range(14), 3)
            members = [self._member(number, present) for number in numbers]
            batches += self._batch("file", "members", shop, members)
            product = _product(random.randrange(12), f"night {index}")
            batches += self._batch("file", "products", shop, [product])
        reviews = [
            {"review_id": f"v{shop}{index}{n}", "order_id": random.choice(list(self._versions)),
             "buyer_id": self._buyer(), "product_id": "i1", "result": "good",
             "content": random.choice(["", "fresh and quick"]), "photo_count": "1",
             "created_at": some()}
            for n in range(2)
        ]  # fmt: skip
        interactions = [
            {"interaction_id": f"x{shop}{index}", "buyer_id": self._buyer(),
             "kind": random.choice(["share", "follow", "question"]), "occurred_at": some(),
             "detail": None}
        ]  # fmt: skip
        sends = [
            {"send_id": f"s{shop}{index}{n}", "campaign_id": "c1", "buyer_id": self._buyer(),
             "channel": "sms", "planned_at": None, "sent_at": some(), "status": "delivered",
             "coupon_id": "cp1", "cost_amount": "0.05"}
            for n in range(3)
        ]  # fmt: skip
        receipts = [
            {"receipt_id": f"e{shop}{index}", "send_id": f"s{shop}{max(index - 1, 0)}0",
             "event": random.choice(["delivered", "failed", "clicked"]), "occurred_at": some(),
             "code": None}
        ]  # fmt: skip
        coupons = [
            {"event_id": f"k{shop}{index}", "coupon_id": "cp1", "buyer_id": self._buyer(),
             "event": random.choice(["claimed", "used"]), "occurred_at": some(),
             "order_id": random.choice(list(self._versions)), "campaign_id": "c1"}
        ]  # fmt: skip
        traffic = [
            {"date": (self._first + timedelta(days=index)).isoformat(), "channel": "all",
             "visitors": str(random.randrange(10, 90)), "new_visitors": "5",
             "returning_visitors": "4", "page_views": "200"}
        ]  # fmt: skip
        # The platform reports a day and restates the one before.
        totals = [
            {"date": (self._first + timedelta(days=index - back)).isoformat(),
             "created_order_count": str(3 + back), "paid_order_count": str(2 + back),
             "paid_amount": f"{40 + back}.00", "refund_count": "1", "refund_amount": "1.00",
             "currency": None, "exported_at": _iso(present)}
            for back in (0, 1)
        ]  # fmt: skip
        # So does the business advisor; the industry's averages come with it.
        business = [
            {"date": (self._first + timedelta(days=index - back)).isoformat(),
             "visitors": str(50 + back), "returning_visitors": str(20 + back)}
            for back in (0, 1)
        ]  # fmt: skip
        industry = [
            {"date": (self._first + timedelta(days=index)).isoformat(), "category": None,
             "figure": "visitors", "average": str(40 + index)}
        ]  # fmt: skip
        for stream, records in (
            ("reviews", reviews), ("interactions", interactions), ("sends", sends),
            ("receipts", receipts), ("coupon_events", coupons), ("traffic", traffic),
            ("platform_totals", totals), ("business_daily", business),
            ("industry_daily", industry),
        ):  # fmt: skip
            batches += self._batch("file", stream, shop, records)
        return batches

    def _refusals(self, index: int, present: datetime) -> list[tuple[Any, ...]]:
        if index == 0:
            return []
        said = present - timedelta(hours=self._random.randrange(-3, 30))
        phone = f"h{self._random.randrange(10)}"
        kind = self._random.choice(["refusal", "refusal", "consent"])
        return [(index, "b", phone, None, "sms", kind, said, "reply")]


def _api_trade(version: Version) -> Record:
    goods = sum(float(line[2]) * int(line[3]) for line in version.lines)
    return {
        "tid": version.tid,
        "status": version.status,
        "created": _text(version.created),
        "modified": _text(version.modified),
        "pay_time": _text(version.paid),
        "consign_time": _text(version.shipped),
        # As the increment list does, which leaves the signing out.
        "sign_time": None,
        "end_time": _text(version.ended),
        "buyer_open_uid": version.buyer,
        "payment": f"{version.payment:.2f}",
        "total_fee": f"{goods:.2f}",
        "post_fee": "0.00",
        "orders": [
            {"oid": oid, "num_iid": product, "title": f"API {product}", "price": price,
             "num": num, "payment": paid, "divide_order_fee": paid}
            for oid, product, price, num, paid in reversed(version.lines)
        ],
    }  # fmt: skip


def _api_refund(step: Record) -> Record:
    told = {name: value for name, value in step.items() if name != "shop"}
    return {**told, "created": _text(step["created"]), "modified": _text(step["modified"])}


_FILE_STATUS = {
    "WAIT_BUYER_PAY": "created",
    "WAIT_SELLER_SEND_GOODS": "paid",
    "WAIT_BUYER_CONFIRM_GOODS": "shipped",
    "TRADE_FINISHED": "finished",
    "TRADE_CLOSED": "closed",
    "TRADE_CLOSED_BY_TAOBAO": "closed",
}


def _file_order(version: Version, random: Random) -> Record:
    status = _FILE_STATUS[version.status]
    return {
        "order_id": version.tid,
        "buyer_id": version.buyer,
        "status": status,
        "created_at": _iso(version.created),
        "paid_at": _iso(version.paid),
        "shipped_at": _iso(version.shipped),
        "signed_at": _iso(version.signed),
        "finished_at": _iso(version.ended) if status == "finished" else None,
        "closed_at": _iso(version.ended) if status == "closed" else None,
        "modified_at": _iso(version.modified) if random.random() < 0.8 else None,
        "paid_amount": f"{version.payment:.2f}",
        "store_id": random.choice(["s1", "s2", None]),
        "channel": "app",
        "is_gift": None,
        "is_test": random.choice(["false"] * 9 + ["true"]),
    }


def _file_lines(version: Version, random: Random) -> list[Record]:
    return [
        {"order_id": version.tid, "line_no": str(number), "line_id": oid, "product_id": product,
         "title": f"File {product}", "quantity": num, "list_price": price, "paid_amount": paid,
         "coupon_id": random.choice([None, None, "cp1"]), "modified_at": None}
        for number, (oid, product, price, num, paid) in enumerate(version.lines, start=1)
    ]  # fmt: skip


def _file_refund(step: Record) -> Record:
    status = {
        "SUCCESS": "succeeded",
        "CLOSED": "cancelled",
        "SELLER_REFUSE_BUYER": "refused",
        "WAIT_SELLER_AGREE": "requested",
    }[step["status"]]
    return {
        "refund_id": step["refund_id"],
        "order_id": step["tid"],
        "line_id": step["oid"],
        "buyer_id": step["buyer_open_uid"],
        "status": status,
        "created_at": _iso(step["created"]),
        "refunded_at": _iso(step["modified"]) if status == "succeeded" else None,
        "modified_at": _iso(step["modified"]),
        "refund_amount": step["refund_fee"],
        "is_return_goods": "false",
    }


def _product(number: int, title: str) -> Record:
    is_first = title == "first"
    return {
        "product_id": f"i{number}",
        "title": title,
        # A product that is recorded again has moved to another group, and its buyers with it; some
        # only cost more than they did.
        "product_group": f"g{number % 3}" if is_first or number in (0, 2, 4) else "moved",
        "cost_amount": "1.00" if is_first else "1.50",
        "list_price": "10.00",
        "cycle_days": str(10 * (number + 1)),
        "repurchase": "none" if number == 5 else "yes",
    }


def _campaign(first: date) -> Record:
    return {
        "campaign_id": "c1",
        "name": "Autumn",
        "campaign_type": "one_off",
        "channel": "sms",
        "started_on": (first - timedelta(days=3)).isoformat(),
        "ended_on": (first + timedelta(days=3)).isoformat(),
        "cost_amount": "100.00",
        "holdout_share": "0",
    }
