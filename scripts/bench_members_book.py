"""The order book of bench_members.py: skewed, drawn from hashes, told as a shop's files tell it.

Buyers' orders follow a Pareto distribution (alpha 1.1, cap 500: mean 5.2, about 53 % buy once),
each order has two lines. A buyer's orders lie between the first and the end of the buyer's time
with the shop; order numbers follow time, so what one buyer bought lies scattered as in real files.
Nothing is random: the same scale gives the same rows, byte for byte, on the same engine.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import duckdb

BRAND, PLATFORM, SHOP, ZONE = "bench", "file", "bench_shop", "Asia/Shanghai"
FIRST_DATE = date(2014, 10, 1)
HISTORY_DAYS = 1095
FIRST_NIGHT = FIRST_DATE + timedelta(days=HISTORY_DAYS - 1)
"""The history's last day, and the business date of the full build."""
ORDERS_PER_BUYER = 5.2
PARETO_ALPHA, LARGEST_ORDER_COUNT = 1.1, 500
FIXED_CHANGES = 30_000
DELTA_SHARE = 0.004
"""New and changed orders of a further night, in equal parts, as a share of all orders."""
SCALES = {"10k": 10_000, "1m": 1_000_000, "10m": 10_000_000, "50m": 50_000_000}
PRODUCTS, GROUPS, CATEGORIES = 2_000, 25, 5
FINISHED_AFTER = 10 * 86400
"""Seconds from an order to its end; reviews come before."""

_UNIFORM = "((hash({what}) % 1000000007) + 1) / 1000000009.0"


def _uniform(*what: str) -> str:
    """SQL of a number strictly between 0 and 1, drawn from the hash of ``what``."""
    return _UNIFORM.format(what=", ".join(what))


def _one_in(many: int, *what: str) -> str:
    return f"(hash({', '.join(what)}) % {many} = 0)"


_BOOK = f"""
    create or replace table book.orders as
    with buyers as (
        select
            buyer,
            least({LARGEST_ORDER_COUNT}, cast(floor(
                pow({_uniform("buyer", "'count'")}, -1 / {PARETO_ALPHA})
            ) as integer)) as order_count,
            {HISTORY_DAYS} * 86400.0 * {_uniform("buyer", "'start'")} as start_second,
            -ln({_uniform("buyer", "'stay'")}) * 400 * 86400.0 as stay_seconds
        from range({{buyers}}) as numbers (buyer)
    ),

    numbered as (
        select *, unnest(range(order_count)) as number
        from buyers
    ),

    dated as (
        select
            buyer,
            number,
            cast(start_second + case
                when number = 0 then 0
                else
                    least(stay_seconds, {HISTORY_DAYS} * 86400.0 - start_second)
                    * {_uniform("buyer", "number", "'when'")}
            end as integer) as second
        from numbered
    )

    select
        row_number() over (order by least(second, {HISTORY_DAYS} * 86400 - 1), buyer, number)
            as order_no,
        buyer,
        least(second, {HISTORY_DAYS} * 86400 - 1) as second
    from dated
    order by order_no
"""
_NEW = """
    insert into book.orders
    select
        {last} + row_number() over (order by second, draw) as order_no,
        buyer,
        second
    from (
        select
            draw,
            -- Half of what is bought is bought by somebody new.
            case
                when draw % 2 = 0 then {buyers} + {last} + draw
                else hash(draw, {last}, 'who') % {buyers}
            end as buyer,
            {day} * 86400 + cast(hash(draw, {last}, 'second') % 86400 as integer) as second
        from range({count}) as numbers (draw)
    )
    order by order_no
"""

_AT = "strftime(timestamp '{first}' + to_seconds(cast({second} as bigint)), '%Y-%m-%d %H:%M:%S')"


def _at(second: str) -> str:
    """SQL of the wall clock, as text, so many seconds after the history's first midnight."""
    return _AT.format(first=FIRST_DATE.isoformat(), second=second)


# What an order is like follows from its number; {changed} is the second of a changed version, or
# null. A fresh order is paid and no more; older ones have arrived.
_TOLD = f"""
    select
        order_no,
        buyer,
        second,
        {{changed}} as changed_second,
        cast(order_no as varchar) as order_id,
        'b' || buyer as buyer_id,
        {_one_in(25, "order_no", "'unpaid'")} as is_unpaid,
        second >= {{fresh_from}} as is_fresh,
        {_one_in(5, "order_no", "'coupon'")} as is_discounted,
        1000 + cast(hash(order_no, 1) % 19000 as integer) as first_fen,
        500 + cast(hash(order_no, 2) % 9500 as integer) as second_fen
    from {{orders}} as orders
"""
_MONEY = "printf('%d.%02d', {fen} // 100, {fen} % 100)"


def _money(fen: str) -> str:
    return _MONEY.format(fen=f"({fen})")


_DISCOUNT = "case when is_discounted then {fen} // 10 else 0 end"
_DISCOUNTS = f"({_DISCOUNT.format(fen='first_fen')} + {_DISCOUNT.format(fen='second_fen')})"
_FINISHED = f"second + {FINISHED_AFTER}"
_LAST_SECOND = (
    f"coalesce(changed_second, case when is_fresh then second + 300 else {_FINISHED} end)"
)

_ORDERS = f"""
    select
        order_id,
        buyer_id,
        case
            when is_unpaid then 'created'
            when is_fresh and changed_second is null then 'paid'
            else 'finished'
        end as status,
        {_at("second")} as created_at,
        case when not is_unpaid then {_at("second + 300")} end as paid_at,
        case when not is_unpaid and not is_fresh then {_at("second + 86400")} end as shipped_at,
        case when not is_unpaid and not is_fresh then {_at("second + 345600")} end as signed_at,
        case when not is_unpaid and not is_fresh then {_at(_FINISHED)} end as finished_at,
        {_at(_LAST_SECOND)} as modified_at,
        'CNY' as currency,
        {_money("first_fen + second_fen")} as goods_amount,
        {_money(_DISCOUNTS)} as discount_amount,
        '0.00' as shipping_amount,
        {_money(f"first_fen + second_fen - {_DISCOUNTS}")} as paid_amount,
        'p' || buyer as receiver_phone_ref,
        sha256('phone ' || case
            when {_one_in(100, "buyer // 2", "'shared'")} then buyer // 2 * 2 else buyer
        end) as receiver_phone_hash,
        '138****' || lpad(cast(buyer % 10000 as varchar), 4, '0') as receiver_phone_masked,
        'bench' as _key_id
    from told
"""
_LINES = f"""
    select
        order_id,
        cast(line as varchar) as line_no,
        order_id || '-' || line as line_id,
        'g' || cast(
            floor({PRODUCTS} * pow({_uniform("order_no", "line", "'product'")}, 2)) as integer
        ) as product_id,
        'Goods' as title,
        '1' as quantity,
        {_money("fen")} as list_price,
        {_money("fen")} as goods_amount,
        {_money(_DISCOUNT.format(fen="fen"))} as discount_amount,
        {_money(f"fen - {_DISCOUNT.format(fen='fen')}")} as paid_amount,
        {_at(_LAST_SECOND)} as modified_at
    from (
        select
            *,
            unnest([1, 2]) as line,
            unnest([first_fen, second_fen]) as fen
        from told
    )
"""
# Three in a hundred come back, and every other one of what changes later.
_REFUNDS = f"""
    select
        'r' || order_id as refund_id,
        order_id,
        buyer_id,
        'succeeded' as status,
        {_at("refund_second")} as created_at,
        {_at("refund_second")} as refunded_at,
        {_at("refund_second")} as modified_at,
        {_money(f"first_fen + second_fen - {_DISCOUNTS}")} as refund_amount,
        'true' as is_return_goods
    from (
        select *, coalesce(changed_second, second + 432000) as refund_second
        from told
        where
            not is_unpaid
            and case
                when changed_second is null then not is_fresh and hash(order_no, 'back') % 100 < 3
                else order_no % 2 = 0
            end
    )
"""
_REVIEWS = f"""
    select
        'v' || order_id as review_id,
        order_id,
        buyer_id,
        'good' as result,
        'As described' as content,
        case when {_one_in(3, "order_no", "'photo'")} then '1' else '0' end as photo_count,
        {_at("second + 860000")} as created_at
    from told
    where
        changed_second is null and not is_unpaid and not is_fresh
        and {_one_in(20, "order_no", "'review'")}
"""
_MEMBERS = f"""
    select
        'm' || buyer as member_id,
        'b' || buyer as buyer_id,
        {_at("min(second)")} as enrolled_at,
        'counter' as enrol_source,
        strftime(date '1950-01-01' + cast(hash(buyer, 'birthday') % 18000 as integer), '%Y-%m-%d')
            as birthday,
        'unknown' as sms_consent,
        {_at("min(second)")} as modified_at,
        'bench' as _key_id
    from told
    where hash(buyer, 'enrolled') % 10 < 3
    group by buyer
"""
_PRODUCTS = f"""
    select
        'g' || product as product_id,
        'Goods ' || product as title,
        'group ' || product % {GROUPS} as product_group,
        'category ' || product % {CATEGORIES} as category,
        '5.00' as cost_amount,
        -- One group lasts: nobody is late to buy it again.
        case when product % {GROUPS} = {GROUPS - 1} then 'none' else 'yes' end as repurchase,
        {_at("0")} as modified_at
    from range({PRODUCTS}) as numbers (product)
"""
STREAMS = {
    "orders": _ORDERS,
    "order_lines": _LINES,
    "refunds": _REFUNDS,
    "reviews": _REVIEWS,
    "members": _MEMBERS,
    "products": _PRODUCTS,
}
_DAILY = ("orders", "order_lines", "refunds")


@dataclass(frozen=True)
class Night:
    """One night of the benchmark.

    Attributes:
        name: of its batches and its step.
        as_of_date: business date.
        new_count: orders of that day.
        changed_count: older orders that get a new version that day.
    """

    name: str
    as_of_date: date
    new_count: int = 0
    changed_count: int = 0

    @property
    def day(self) -> int:
        """Days since the history's first."""
        return (self.as_of_date - FIRST_DATE).days


def nights(order_count: int) -> tuple[Night, ...]:
    """The full build and the two further nights of a book of so many orders."""
    half = max(1, int(order_count * DELTA_SHARE / 2))
    return (
        Night("full", FIRST_NIGHT),
        Night("night", FIRST_NIGHT + timedelta(days=1), half, half),
        Night("fixed", FIRST_NIGHT + timedelta(days=2), 0, min(FIXED_CHANGES, order_count // 10)),
    )


def write_book(connection: duckdb.DuckDBPyConnection, order_count: int) -> int:
    """Draw the history's orders into ``book.orders``; how many there are: about ``order_count``."""
    buyers = round(order_count / ORDERS_PER_BUYER)
    connection.execute(_BOOK.format(buyers=buyers))
    return _count(connection)


def land(
    connection: duckdb.DuckDBPyConnection, night: Night, order_count: int
) -> Iterator[tuple[str, int]]:
    """Write what the night lands into the raw tables; each stream with its rows.

    Args:
        connection: the warehouse, with the book attached as ``book``.
        night: which; the full build lands the whole history.
        order_count: as :func:`write_book` was asked for.
    """
    last = _count(connection)
    starts = night.day * 86400
    # What is not ten days old at the night's end has been paid and no more.
    fresh_from = starts + 86400 - FINISHED_AFTER
    if night.new_count:
        buyers = round(order_count / ORDERS_PER_BUYER)
        connection.execute(
            _NEW.format(last=last, buyers=buyers, day=night.day, count=night.new_count)
        )
    is_first = night.name == "full"
    fresh = "book.orders" if is_first else f"(select * from book.orders where order_no > {last})"
    changed = (
        "(select * from book.orders "
        f"where order_no <= {last} order by hash(order_no, '{night.name}') "
        f"limit {night.changed_count})"
    )
    for stream in STREAMS if is_first else _DAILY:
        parts = [_TOLD.format(orders=fresh, changed="cast(null as bigint)", fresh_from=fresh_from)]
        if night.changed_count:
            second = f"{starts} + 3600 + order_no % 40000"
            parts.append(_TOLD.format(orders=changed, changed=second, fresh_from=fresh_from))
        yield stream, _insert(connection, night, stream, " union all ".join(parts))


def _insert(connection: duckdb.DuckDBPyConnection, night: Night, stream: str, told: str) -> int:
    fixed = {
        "_batch_id": f"'{batch_id(night, stream)}'",
        "_brand": f"'{BRAND}'",
        "_platform": f"'{PLATFORM}'",
        "_shop": f"'{SHOP}'",
        "_extracted_at": f"timestamp '{extracted_at(night):%Y-%m-%d %H:%M:%S}'",
    }
    listed = ", ".join(f"{value} as {name}" for name, value in fixed.items())
    rows = connection.execute(
        f"insert into warehouse.raw.file__{stream} by name "
        f"with told as ({told}), records as ({STREAMS[stream]}) "
        f"select {listed}, row_number() over () as _line, records.* from records"
    ).fetchone()
    return int(rows[0]) if rows else 0


def batch_id(night: Night, stream: str) -> str:
    """The one batch of a stream that the night lands."""
    return f"{night.name}-{stream}"


def extracted_at(night: Night) -> datetime:
    """When the night's batches were taken (UTC): after its midnight."""
    return datetime.combine(night.as_of_date, datetime.min.time()) + timedelta(hours=18)


def batch_streams(night: Night) -> Mapping[str, str]:
    """Batch id and stream of everything that the night lands."""
    streams = STREAMS if night.name == "full" else _DAILY
    return {batch_id(night, stream): stream for stream in streams}


def _count(connection: duckdb.DuckDBPyConnection) -> int:
    found: tuple[Any, ...] | None = connection.execute(
        "select count(*) from book.orders"
    ).fetchone()
    return int(found[0]) if found else 0
