"""File drops of the sandbox shop, as a merchant would make them from the platform's back office.

Two kinds. The *history drop* holds the state of the whole shop as of a local midnight: orders and
lines, refunds, members, products, campaigns, mailings, coupons and their redemptions. The *event
drop* holds what no order interface delivers (members whose consent changed, campaigns, mailings,
coupons, redemptions) for a range of days, so that later nights receive it. Files are named after
their range and their content is a function of it, so the same range gives the same bytes. Times
are the shop's own wall clock.

What the data does not say stays empty: cost, repurchase cycle, birthdays, a coupon's face value.
Contact data, consent, enrolment and residence are invented (see ``regulars.sandbox.disguise``).
"""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from regulars.sandbox import disguise, journey
from regulars.sandbox.book import OrderBook, day_start
from regulars.sandbox.disguise import shares, spread
from regulars.sandbox.money import yuan
from regulars.sandbox.timeline import DAY, HOUR, NEVER, Outcome, RefundStatus
from regulars.sandbox.wire import (
    TRADE_STATUS,
    reason_of,
    refund_status,
    trade_status,
    wall_texts,
)

Int64s = NDArray[np.int64]
Row = Sequence[object]

EVENT_STREAMS = (
    "members",
    "campaigns",
    "sends",
    "coupons",
    "coupon_events",
    "platform_totals",
)
REPORT_STREAMS = ("platform_totals",)
HISTORY_STREAMS = ("orders", "order_lines", "refunds", "products", *EVENT_STREAMS)

HISTORY_UNTIL = date(2017, 10, 1)
_BEGINNING = date(2016, 1, 1)
"""Before everything in the data: its oldest campaign starts on 2016-11-14."""

_ORDER_STATUS = dict(
    zip(TRADE_STATUS, ("created", "paid", "shipped", "finished", "closed", "closed"), strict=True)
)
_REFUND_STATUS = {
    RefundStatus.WAIT_SELLER_AGREE: "requested",
    RefundStatus.WAIT_BUYER_RETURN_GOODS: "agreed",
    RefundStatus.SELLER_REFUSE_BUYER: "refused",
    RefundStatus.SUCCESS: "succeeded",
    RefundStatus.CLOSED: "cancelled",
}

# Members: the panel was recruited before its year began, each household holds the shop's card.
_ENROLLED_FROM = day_start(date(2016, 12, 1))
_CONSENT_GRANTED, _CONSENT_REFUSED = 0.88, 0.05
_REFUSED_WITHIN = (day_start(date(2017, 2, 1)), day_start(date(2017, 12, 16)))
_EVIDENCE = {
    "granted": "card application, box ticked",
    "refused": "reply to a message",
    "unknown": "",
}
_NO_PHONE, _HAS_EMAIL, _BLACKLISTED = 0.015, 0.60, 0.002
_MAILING_HOUR, _REDEMPTION_HOUR = 10, 12


@dataclass(frozen=True)
class DroppedFile:
    """One file of a drop."""

    stream: str
    path: Path
    row_count: int


def export_history(
    inbox: Path,
    shop: str,
    book: OrderBook,
    until: date = HISTORY_UNTIL,
    streams: Sequence[str] = HISTORY_STREAMS,
) -> list[DroppedFile]:
    """Drop the state of the whole shop as of ``until`` 00:00 local.

    Files go to ``<inbox>/<shop>/<stream>/``; ``until`` is the first day that is not included.
    """
    return _drop(inbox, shop, book, _BEGINNING, until, streams, f"until-{until}")


def export_events(
    inbox: Path,
    shop: str,
    book: OrderBook,
    start: date,
    until: date,
    streams: Sequence[str] = EVENT_STREAMS,
    *,
    cancels_whole_orders: bool = False,
) -> list[DroppedFile]:
    """Drop what happened from ``start`` to before ``until`` (shop-local days).

    Streams without anything new get no file. Orders, lines and refunds may be named too: they come
    as of ``until``, those modified in the range. ``cancels_whole_orders``: whether the platform's
    reports count one refund for a cancelled order, and not one for each of its lines.
    """
    name = f"{start}-until-{until}"
    return _drop(inbox, shop, book, start, until, streams, name, cancels_whole_orders)


def _drop(
    inbox: Path,
    shop: str,
    book: OrderBook,
    start: date,
    until: date,
    streams: Sequence[str],
    name: str,
    cancels_whole_orders: bool = False,
) -> list[DroppedFile]:
    view = _View(book, day_start(start), day_start(until), cancels_whole_orders)
    dropped = []
    for stream in streams:
        columns = _STREAMS[stream](view)
        row_count = len(next(iter(columns.values())))
        if not row_count:
            continue
        is_large = stream in ("orders", "order_lines")
        path = inbox / shop / stream / f"{stream}-{name}.{'parquet' if is_large else 'csv'}"
        _write(path, columns)
        dropped.append(DroppedFile(stream, path, row_count))
    return dropped


@dataclass(frozen=True)
class _View:
    """The shop as of ``until`` (wall seconds, exclusive) and what changed since ``start``."""

    book: OrderBook
    start: int
    until: int
    cancels_whole_orders: bool = False

    @property
    def clock(self) -> int:
        return self.until - 1

    def covers(self, instants: Int64s) -> NDArray[np.bool_]:
        inside: NDArray[np.bool_] = (instants >= self.start) & (instants < self.until)
        return inside

    def trades(self) -> tuple[Int64s, Int64s]:
        """Trades modified in the range and their newest modification, oldest trade first."""
        trades, modified = self.book.trade_events.modified_between(
            self.start, self.until, self.clock
        )
        order = np.argsort(trades)
        return trades[order], modified[order]


def _orders(view: _View) -> dict[str, Any]:
    book = view.book
    trades, modified = view.trades()
    status = [_ORDER_STATUS[name] for name in TRADE_STATUS]
    codes = trade_status(book, trades, view.clock)
    # The platform has no status of its own for it; the merchant's export does.
    signed = (codes == 2) & (book.signed[trades] <= view.clock)
    codes = np.where(signed, len(status), codes)
    finished = codes == TRADE_STATUS.index("TRADE_FINISHED")
    closed = np.isin(book.outcome[trades], (Outcome.UNPAID, Outcome.CLOSED))
    uids = _households_text(book, disguise.buyer_open_uid)
    places = np.searchsorted(np.unique(book.household), book.household[trades])
    return {
        "order_id": _whole_text(book.tid[trades]),
        "buyer_id": uids.take(pa.array(places)),
        "status": pa.array([*status, "signed"]).take(pa.array(codes)),
        "created_at": _time_text(book.created[trades], view.clock),
        "paid_at": _time_text(book.paid[trades], view.clock),
        "shipped_at": _time_text(book.shipped[trades], view.clock),
        "signed_at": _time_text(book.signed[trades], view.clock),
        "finished_at": _time_text(np.where(finished, book.ended[trades], NEVER), view.clock),
        "closed_at": _time_text(np.where(closed, book.ended[trades], NEVER), view.clock),
        "modified_at": _time_text(modified, view.clock),
        "currency": _repeated("CNY", len(trades)),
        "goods_amount": _money_text(book.trade_goods[trades]),
        "discount_amount": _money_text(book.trade_goods[trades] - book.trade_paid[trades]),
        "shipping_amount": _repeated("0.00", len(trades)),
        "paid_amount": _money_text(book.trade_paid[trades]),
        "store_id": _whole_text(book.store[trades]),
        "is_test": _repeated("false", len(trades)),
    }


def _order_lines(view: _View) -> dict[str, Any]:
    book = view.book
    trades, modified = view.trades()
    start = book.line_start[trades]
    counts = book.line_start[trades + 1] - start
    first = np.cumsum(counts) - counts
    position = np.arange(1, counts.sum() + 1) - np.repeat(first, counts)
    lines = np.repeat(start, counts) + position - 1
    trade = pa.array(np.repeat(np.arange(len(trades)), counts))
    tids = np.repeat(book.tid[trades], counts)
    article = pa.array(book.line_article[lines])
    product_ids = _whole_text(book.article).take(article)
    return {
        "order_id": _whole_text(book.tid[trades]).take(trade),
        "line_no": _whole_text(position),
        "line_id": _whole_text(disguise.line_ids(tids, position, np.repeat(counts, counts))),
        "product_id": product_ids,
        "sku_id": product_ids,
        "title": pa.array(book.article_title.tolist(), pa.string()).take(article),
        "quantity": _whole_text(book.line_quantity[lines]),
        "goods_amount": _money_text(book.line_goods[lines]),
        "discount_amount": _money_text(book.line_goods[lines] - book.line_paid[lines]),
        "paid_amount": _money_text(book.line_paid[lines]),
        "modified_at": _time_text(modified, view.clock).take(trade),
    }


def _refunds(view: _View) -> dict[str, Any]:
    book = view.book
    rows, modified = book.refund_events.modified_between(view.start, view.until, view.clock)
    order = np.argsort(rows)
    rows, modified = rows[order], modified[order]
    states = refund_status(book, rows, view.clock)
    succeeded = states == RefundStatus.SUCCESS
    households = book.household[book.refund_trade[rows]].tolist()
    ids = book.refund_id[rows].tolist()
    return {
        "refund_id": ids,
        "order_id": book.tid[book.refund_trade[rows]].tolist(),
        "line_id": book.refund_oid[rows].tolist(),
        "buyer_id": [disguise.buyer_open_uid(household) for household in households],
        "status": [_REFUND_STATUS[RefundStatus(state)] for state in states.tolist()],
        "created_at": wall_texts(book.refund_requested[rows]),
        "refunded_at": _times(np.where(succeeded, book.refund_ended[rows], NEVER)),
        "modified_at": wall_texts(modified),
        "refund_amount": [yuan(fee) for fee in book.refund_fee[rows].tolist()],
        "reason": [reason_of(number) for number in ids],
        "is_return_goods": _flags(book.refund_is_return[rows]),
    }


def _members(view: _View) -> dict[str, Any]:
    households = np.unique(view.book.household)
    enrolled = _ENROLLED_FROM + spread(households, "enrolled", 0, 31 * DAY)
    consent, consent_at = _consents(households, "sms consent", enrolled)
    email_consent, email_consent_at = _consents(households, "email consent", enrolled)
    modified = np.maximum(np.maximum(enrolled, consent_at), email_consent_at)
    # A refusal to come is not known yet: until then the consent given at enrolment stands.
    consent, consent_at = _as_of(view.until, consent, consent_at, enrolled)
    email_consent, email_consent_at = _as_of(view.until, email_consent, email_consent_at, enrolled)
    modified = np.where(modified < view.until, modified, enrolled)
    ages = _ages()
    members = [
        (
            f"M{household:05d}",
            disguise.buyer_open_uid(household),
            "" if lacks_phone else disguise.phone(household),
            disguise.email(household) if has_email else "",
            disguise.place(household)[1],
            disguise.place(household)[0],
            ages.get(household, ""),
        )
        for household, lacks_phone, has_email in zip(
            households.tolist(),
            (shares(households, "no phone") < _NO_PHONE).tolist(),
            (shares(households, "email") < _HAS_EMAIL).tolist(),
            strict=True,
        )
    ]
    ids, buyers, phones, emails, cities, provinces, age_bands = _transposed(members, 7)
    columns: dict[str, Any] = {
        "member_id": ids,
        "buyer_id": buyers,
        "enrolled_at": wall_texts(enrolled),
        "enrol_source": ["loyalty card"] * len(ids),
        "phone": phones,
        "email": emails,
        "city": cities,
        "province": provinces,
        "age_band": age_bands,
        "sms_consent": consent.tolist(),
        "sms_consent_at": _times(consent_at),
        "email_consent": email_consent.tolist(),
        "email_consent_at": _times(email_consent_at),
        "consent_evidence": [_EVIDENCE[choice] for choice in consent.tolist()],
        "is_employee": ["false"] * len(ids),
        "is_blacklisted": _flags(shares(households, "blacklist") < _BLACKLISTED),
        "modified_at": wall_texts(modified),
    }
    return _kept(columns, view.covers(modified))


def _consents(households: Int64s, name: str, enrolled: Int64s) -> tuple[NDArray[np.str_], Int64s]:
    """Final choice and its instant; NEVER... of an unknown one is 0."""
    draw = shares(households, name)
    granted = draw < _CONSENT_GRANTED
    refused = ~granted & (draw < _CONSENT_GRANTED + _CONSENT_REFUSED)
    choice = np.select([granted, refused], ["granted", "refused"], "unknown")
    later = spread(households, f"{name} refused", *_REFUSED_WITHIN)
    return choice, np.select([granted, refused], [enrolled, later], 0)


def _as_of(
    until: int, choice: NDArray[np.str_], chosen_at: Int64s, enrolled: Int64s
) -> tuple[NDArray[np.str_], Int64s]:
    to_come = chosen_at >= until
    return (
        np.where(to_come, "granted", choice),
        np.where(choice == "unknown", NEVER, np.where(to_come, enrolled, chosen_at)),
    )


def _products(view: _View) -> dict[str, Any]:
    first_day = day_start(date(2017, 1, 1))
    if not view.start <= first_day < view.until:
        return {"product_id": []}
    products = journey.read_products()
    known = {product.product_id for product in products}
    # 17 articles were sold that the list of products does not have.
    unlisted = [
        journey.Product(number, f"Item {number}", "", "", "")
        for number in view.book.article.tolist()
        if number not in known
    ]
    every = sorted([*products, *unlisted], key=lambda product: product.product_id)
    return {
        "product_id": [product.product_id for product in every],
        "title": [product.title for product in every],
        "product_group": [product.department for product in every],
        "category": [product.category for product in every],
        "brand_name": [product.brand for product in every],
        "cost_amount": [""] * len(every),
        "cycle_days": [""] * len(every),
        "modified_at": wall_texts(np.array([first_day])) * len(every),
    }


def _campaigns(view: _View) -> dict[str, Any]:
    rows = [
        (_campaign_id(number), f"{kind} campaign {number}", start, end)
        for number, kind, start, end in _campaign_rows(view)
    ]
    ids, names, starts, ends = _transposed(rows, 4)
    return {
        "campaign_id": ids,
        "name": names,
        "campaign_type": ["one_off"] * len(ids),
        "channel": ["post"] * len(ids),
        "started_on": starts,
        "ended_on": ends,
        "modified_at": [f"{start} 00:00:00" for start in starts],
    }


def _sends(view: _View) -> dict[str, Any]:
    started = {number: start for number, _, start, _ in _campaign_rows(view)}
    ours = set(np.unique(view.book.household).tolist())
    table = journey.read_table("campaigns")
    mailings = sorted(
        (number, household)
        for number, household in zip(
            table.column("campaign_id").to_pylist(),
            table.column("household_id").to_pylist(),
            strict=True,
        )
        if number in started and household in ours
    )
    rows = [
        (
            f"post-{number:02d}-{disguise.buyer_open_uid(household)}",
            _campaign_id(number),
            disguise.buyer_open_uid(household),
            f"{started[number]} {_MAILING_HOUR:02d}:00:00",
        )
        for number, household in mailings
    ]
    ids, campaigns, buyers, sent = _transposed(rows, 4)
    return {
        "send_id": ids,
        "campaign_id": campaigns,
        "buyer_id": buyers,
        "channel": ["post"] * len(ids),
        "planned_at": sent,
        "sent_at": sent,
        "status": ["delivered"] * len(ids),
    }


def _coupons(view: _View) -> dict[str, Any]:
    terms = {number: (start, end) for number, _, start, end in _campaign_rows(view)}
    table = journey.read_table("coupons")
    pairs = sorted(
        {
            (number, upc)
            for number, upc in zip(
                table.column("campaign_id").to_pylist(),
                table.column("coupon_upc").to_pylist(),
                strict=True,
            )
            if number in terms
        }
    )
    rows = [
        (_coupon_id(number, upc), _campaign_id(number), f"Coupon {upc}", *terms[number])
        for number, upc in pairs
    ]
    ids, campaigns, names, starts, ends = _transposed(rows, 5)
    return {
        "coupon_id": ids,
        "campaign_id": campaigns,
        "name": names,
        "valid_from": starts,
        "valid_to": ends,
    }


def _coupon_events(view: _View) -> dict[str, Any]:
    book = view.book
    table = journey.read_table("coupon_redemptions")
    days = table.column("redemption_date").to_numpy().astype("datetime64[s]").astype(np.int64)
    ours = set(np.unique(book.household).tolist())
    baskets = _coupon_baskets(book)
    rows = []
    for household, upc, number, day in sorted(
        zip(
            table.column("household_id").to_pylist(),
            table.column("coupon_upc").to_pylist(),
            table.column("campaign_id").to_pylist(),
            days.tolist(),
            strict=True,
        ),
        key=lambda redemption: (redemption[3], *redemption[:3]),
    ):
        if household not in ours or not view.start <= day < view.until:
            continue
        # Exactly one basket of that day used coupons: this one. Otherwise nobody can tell.
        candidates = baskets.get((household, day), [])
        trade = candidates[0] if len(candidates) == 1 else None
        instant = day + _REDEMPTION_HOUR * HOUR if trade is None else int(book.created[trade])
        buyer = disguise.buyer_open_uid(household)
        coupon = _coupon_id(number, upc)
        rows.append(
            (
                f"used-{coupon}-{buyer}-{day // DAY}",
                coupon,
                buyer,
                instant,
                "" if trade is None else int(book.tid[trade]),
                _campaign_id(number),
            )
        )
    ids, coupons, buyers, instants, orders, campaigns = _transposed(rows, 6)
    return {
        "event_id": ids,
        "coupon_id": coupons,
        "buyer_id": buyers,
        "event": ["used"] * len(ids),
        "occurred_at": wall_texts(np.array(instants, dtype=np.int64)),
        "order_id": orders,
        "campaign_id": campaigns,
    }


def _platform_totals(view: _View) -> dict[str, Any]:
    """The platform's own report of each day, counted from the book and not from its lists."""
    book = view.book
    first = max(view.start, int(book.created.min() // DAY * DAY)) if book.trade_count else 0
    if not book.trade_count or first >= view.until:
        return {"date": []}
    day_count = (view.until - first) // DAY
    succeeded = book.refund_ended_status == RefundStatus.SUCCESS
    ended, fees = book.refund_ended[succeeded], book.refund_fee[succeeded]
    counted = ended
    if view.cancels_whole_orders:
        trades = book.refund_trade[succeeded]
        is_first = np.diff(trades, prepend=-1) != 0
        counted = ended[is_first | (book.outcome[trades] != Outcome.CLOSED)]

    def per_day(instants: Int64s, fen: Int64s | None = None) -> list[int]:
        inside = (instants >= first) & (instants < view.until)
        days = (instants[inside] - first) // DAY
        weights = None if fen is None else fen[inside]
        sums = np.bincount(days, weights=weights, minlength=day_count)
        whole: list[int] = np.rint(sums).astype(np.int64).tolist()
        return whole

    return {
        "date": [wall_text[:10] for wall_text in wall_texts(first + DAY * np.arange(day_count))],
        "created_order_count": per_day(book.created),
        "paid_order_count": per_day(book.paid),
        "paid_amount": [yuan(fen) for fen in per_day(book.paid, book.trade_paid)],
        "refund_count": per_day(counted),
        "refund_amount": [yuan(fen) for fen in per_day(ended, fees)],
        "exported_at": [wall_texts(np.array([view.until]))[0]] * day_count,
    }


_STREAMS = {
    "orders": _orders,
    "order_lines": _order_lines,
    "refunds": _refunds,
    "members": _members,
    "products": _products,
    "campaigns": _campaigns,
    "sends": _sends,
    "coupons": _coupons,
    "coupon_events": _coupon_events,
    "platform_totals": _platform_totals,
}


def _campaign_rows(view: _View) -> list[tuple[int, str, date, date]]:
    """Number, kind, first and last day of the campaigns that start in the range."""
    table = journey.read_table("campaign_descriptions")
    starts, ends = (
        (table.column(name).to_numpy().astype("datetime64[D]")).tolist()
        for name in ("start_date", "end_date")
    )
    rows = zip(
        table.column("campaign_id").to_pylist(),
        table.column("campaign_type").to_pylist(),
        starts,
        ends,
        strict=True,
    )
    return sorted(row for row in rows if view.start <= day_start(row[2]) < view.until)


def _coupon_baskets(book: OrderBook) -> dict[tuple[int, int], list[int]]:
    """Trades with a coupon discount by (household, wall seconds of the day)."""
    coupons = book.line_goods - book.line_item_discount - book.line_paid
    used = np.flatnonzero(np.add.reduceat(coupons, book.line_start[:-1]) + book.clamped)
    found = defaultdict(list)
    for trade in used.tolist():
        day = int(book.created[trade]) // DAY * DAY
        found[int(book.household[trade]), day].append(trade)
    return found


def _campaign_id(number: int) -> str:
    return f"cj-{number:02d}"


def _coupon_id(campaign: int, upc: int) -> str:
    return f"cj-{campaign:02d}-{upc}"


def _ages() -> dict[int, str]:
    table = journey.read_table("demographics")
    return dict(
        zip(
            table.column("household_id").to_pylist(),
            (age or "" for age in table.column("age").to_pylist()),
            strict=True,
        )
    )


def _write(path: Path, columns: dict[str, Any]) -> None:
    """Write one file under a name with ``.part`` and rename it, so that no half file counts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    if path.suffix == ".parquet":
        pq.write_table(pa.table(columns), part, compression="zstd")
    else:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
        part.write_bytes(text.getvalue().encode())
    part.replace(path)


def _whole_text(values: Int64s) -> pa.Array:
    return pc.cast(pa.array(values), pa.string())


def _money_text(fen: Int64s) -> pa.Array:
    # One text per possible amount: amounts of lines and trades are small and repeat a lot.
    return _amount_texts(1 << int(fen.max(initial=0)).bit_length()).take(pa.array(fen))


@lru_cache(maxsize=8)
def _amount_texts(count: int) -> pa.Array:
    return pa.array([yuan(amount) for amount in range(count)], pa.string())


def _time_text(instants: Int64s, clock: int) -> pa.Array:
    texts = pa.array(instants).cast(pa.timestamp("s")).cast(pa.string())
    return pc.if_else(pa.array(instants <= clock), texts, pa.scalar(None, pa.string()))


def _times(instants: Int64s) -> list[str]:
    return [
        "" if never else text
        for text, never in zip(wall_texts(instants), (instants == NEVER).tolist(), strict=True)
    ]


def _flags(values: NDArray[np.bool_]) -> list[str]:
    return ["true" if value else "false" for value in values.tolist()]


def _repeated(text: str, count: int) -> pa.Array:
    return pa.repeat(text, count)


def _households_text(book: OrderBook, describe: Any) -> pa.Array:
    return pa.array(
        [describe(household) for household in np.unique(book.household).tolist()], pa.string()
    )


def _transposed(rows: Iterable[Row], width: int) -> list[list[Any]]:
    columns = [list(column) for column in zip(*rows, strict=True)]
    return columns or [[] for _ in range(width)]


def _kept(columns: dict[str, Any], keep: NDArray[np.bool_]) -> dict[str, Any]:
    places = np.flatnonzero(keep).tolist()
    return {name: [values[place] for place in places] for name, values in columns.items()}
