"""Segments as the models find them, against the same conditions evaluated in plain Python."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regulars.errors import ConfigError
from regulars.segments.conditions import Part, clauses_of, read_conditions
from regulars.segments.definitions import Segment, Segments, SegmentVersion
from regulars.segments.fields import FieldCatalogue, load_fields
from regulars.warehouse.tables import CONFIG_TABLES
from tests.dbt.compiled import CompiledModels
from tests.dbt.project import PROJECT_DIR, Project

pytestmark = pytest.mark.slow

FIRST = date(2017, 10, 1)
LAST_DAY = 24
SECOND_VERSION = 12
"""Day on which the second version of every segment begins."""
AS_OF = FIRST + timedelta(LAST_DAY)
CURRENCIES = {"b": "CNY", "c": "USD"}
"""Base currency of each brand; both ask the same."""
ONE_BRANDED = {("s2", "c"), ("m1", "b")}
"""Segments that a brand does not have."""
MODELS = (
    "int_segments__truths",
    "mart_segment_membership",
    "mart_segment_members",
    "mart_segment_daily",
    "dim_segments",
    "mart_segment_overlaps",
)
ORDER = {
    "order_key": "uuid", "customer_key": "uuid", "brand": "varchar", "platform": "varchar",
    "shop": "varchar", "channel": "varchar", "store_id": "varchar", "currency": "varchar",
    "net_amount": "decimal(18,2)", "paid_date": "date", "void_date": "date",
    "is_valid_order": "boolean", "invalid_reason": "varchar", "shipped_at": "timestamp",
    "signed_at": "timestamp",
}  # fmt: skip
MEMBER = {
    "member_key": "uuid", "brand": "varchar", "enrolled_at": "timestamp", "gender": "varchar",
    "age_band": "varchar", "province": "varchar", "city": "varchar", "birth_month": "integer",
    "enrol_source": "varchar", "phone_masked": "varchar", "email_masked": "varchar",
    "sms_consent": "varchar", "email_consent": "varchar", "is_employee": "boolean",
    "is_blacklisted": "boolean",
}  # fmt: skip
SPAN = {
    "member_key": "uuid", "valid_from": "date", "valid_to": "date", "count_stage": "varchar",
    "activity_stage": "varchar", "cell_code": "varchar", "valid_order_count": "integer",
    "is_advocate": "boolean", "last_valid_order_date": "date",
}  # fmt: skip
PURCHASE = {
    "member_key": "uuid", "brand": "varchar", "product_group": "varchar", "purchase_date": "date",
}  # fmt: skip
RFM = {
    "member_key": "uuid", "brand": "varchar", "recency_band": "varchar",
    "frequency_band": "varchar", "aov_band": "varchar", "rfm_class": "varchar",
    "rfm_segment": "varchar", "recency_score": "integer", "frequency_score": "integer",
    "monetary_score": "integer",
}  # fmt: skip
EMPTY: dict[str, dict[str, str]] = {
    "marts.main.mart_member_lifecycle": {
        "member_key": "uuid", "brand": "varchar", "is_high_quality_sleeper": "boolean",
        "is_reactivated": "boolean", "newcomer_quality": "varchar",
        "cycle_activity_stage": "varchar",
    },
    "marts.main.mart_member_value": {
        "member_key": "uuid", "brand": "varchar", "currency": "varchar",
        "alive_probability": "decimal(9,8)", "no_order_90d_probability": "decimal(9,8)",
        "predicted_clv_amount": "decimal(18,2)", "total_clv_amount": "decimal(18,2)",
    },
    "marts.main.mart_member_tiers": {
        "member_key": "uuid", "brand": "varchar", "tier": "varchar", "tier_level": "integer",
    },
    "marts.main.mart_member_points": {
        "member_key": "uuid", "brand": "varchar", "point_balance": "bigint",
        "expiring_count": "bigint",
    },
    "marts.main.fct_order_lines": {
        "order_key": "uuid", "product_id": "varchar", "refunded_amount": "decimal(18,2)",
        "paid_amount": "decimal(18,2)",
    },
}  # fmt: skip


@dataclass
class Order:
    """A paid order; days count from FIRST."""

    paid: int
    void: int | None
    amount: Decimal
    currency: str
    channel: str | None
    parcel_days: int | None

    def counts_on(self, day: int, within: int | None) -> bool:
        until = self.void if self.void is not None else 10**6
        return self.paid <= day < min(until, self.paid + (within or 10**6))


@dataclass
class Member:
    """What is known of somebody; None is not known."""

    gender: str | None
    birth_month: int | None
    enrolled: int | None
    stages: list[tuple[int, str, int | None]]
    """First day, activity stage, day of the last valid order."""
    orders: list[Order]
    purchases: list[tuple[int, str]]
    segment: str | None
    score: int | None
    brand: str = "b"
    number: int = 0
    key: UUID = field(default=UUID(int=0))

    @property
    def known(self) -> int:
        days = [start for start, _, _ in self.stages[:1]]
        days += [self.enrolled] if self.enrolled is not None else []
        return min(days, default=0)


def _day(number: int | None) -> date | None:
    return None if number is None else FIRST + timedelta(number)


def _noon(number: int | None) -> datetime | None:
    """Noon in the shop's zone, as UTC."""
    return None if number is None else datetime.combine(FIRST + timedelta(number), time(4))


@st.composite
def orders(draw: st.DrawFn, known: int) -> Order:
    paid = draw(st.integers(known, LAST_DAY))
    return Order(
        paid=paid,
        void=draw(st.none() | st.integers(paid, LAST_DAY)),
        amount=draw(st.sampled_from([Decimal("10.00"), Decimal("20.00"), Decimal("0.01")])),
        currency=draw(st.sampled_from(["CNY", "CNY", "USD"])),
        channel=draw(st.sampled_from([None, "web", "store"])),
        parcel_days=draw(st.none() | st.integers(0, 5)),
    )


@st.composite
def members(draw: st.DrawFn) -> Member:
    starts = sorted(draw(st.sets(st.integers(0, LAST_DAY), max_size=3)))
    stages = [
        (
            start,
            draw(st.sampled_from(["active", "silent", "lost"])),
            draw(st.none() | st.integers(max(start - 5, 0), start)),
        )
        for start in starts
    ]
    enrolled = draw(st.none() | st.integers(0, LAST_DAY))
    known = min([*starts[:1], *([] if enrolled is None else [enrolled])], default=0)
    return Member(
        gender=draw(st.sampled_from([None, "f", "m"])),
        birth_month=draw(st.sampled_from([None, 1, 2, 12])),
        enrolled=enrolled,
        stages=stages,
        orders=draw(st.lists(orders(known), max_size=3)),
        purchases=draw(
            st.lists(
                st.tuples(st.integers(known, LAST_DAY), st.sampled_from(["milk", "beer"])),
                max_size=3,
            )
        ),
        segment=draw(st.sampled_from([None, "champions", "at_risk"])),
        score=draw(st.sampled_from([None, 1, 3, 5])),
        brand=draw(st.sampled_from(sorted(CURRENCIES))),
    )


def _leaf(name: str, op: st.SearchStrategy[str], value: Any, **more: Any) -> Any:
    return st.fixed_dictionaries({"field": st.just(name), "op": op, "value": value, **more})


def _texts(name: str, *values: str, other: str = "other") -> Any:
    one = _leaf(name, st.sampled_from(["eq", "ne"]), st.sampled_from(values))
    many = _leaf(
        name,
        st.sampled_from(["in", "not_in"]),
        st.lists(st.sampled_from([*values, other]), min_size=1, max_size=2),
    )
    return one | many


def _numbers(name: str, values: Any, **more: Any) -> Any:
    one = _leaf(name, st.sampled_from(["eq", "ne", "lt", "le", "gt", "ge"]), values, **more)
    pair = st.tuples(values, values).map(lambda two: sorted(two))
    return one | _leaf(name, st.just("between"), pair, **more)


def _within(strategy: Any) -> Any:
    days = st.integers(1, 12)
    return st.tuples(strategy, st.none() | days).map(
        lambda both: both[0] if both[1] is None else {**both[0], "within_days": both[1]}
    )


DATED_LEAVES = st.one_of(
    _texts("activity_stage", "active", "silent", "lost", other="dead"),
    _texts("gender", "f", "m"),
    _numbers("birth_month", st.sampled_from([1, 2, 12])),
    _numbers("days_since_last_order", st.integers(0, 9)),
    _numbers("days_since_enrolled", st.integers(0, 9)),
    _within(_numbers("order_count", st.integers(0, 3))),
    _within(_numbers("net_amount", st.sampled_from([0, 10.0, 20, 30.01]))),
    _within(_numbers("aov_amount", st.sampled_from([0.01, 10, 15.0]))),
    _numbers("logistics_days", st.integers(0, 5)),
    _within(
        _leaf("bought_product_group", st.just("in"), st.sampled_from([["milk"], ["milk", "beer"]]))
    ),
    _within(_leaf("bought_in_channel", st.just("eq"), st.sampled_from(["web", "store"]))),
    st.sampled_from(
        [
            {"field": name, "op": op}
            for name in ("gender", "aov_amount", "days_since_last_order", "logistics_days")
            for op in ("known", "missing")
        ]
    ),
)
AS_OF_LEAVES = st.one_of(
    _texts("rfm_segment", "champions", "at_risk", other="lost"),
    _numbers("recency_score", st.integers(1, 5)),
)


def _trees(leaves: Any) -> Any:
    return st.recursive(
        leaves,
        lambda below: st.one_of(
            st.builds(lambda one: {"not": one}, below),
            st.builds(lambda some: {"all": some}, st.lists(below, min_size=1, max_size=3)),
            st.builds(lambda some: {"any": some}, st.lists(below, min_size=1, max_size=3)),
        ),
        max_leaves=5,
    )


DATED = _trees(DATED_LEAVES)
MIXED = _trees(DATED_LEAVES | AS_OF_LEAVES).filter(
    lambda tree: "rfm_segment" in repr(tree) or "recency_score" in repr(tree)
)


def holds(tree: Mapping[str, Any], member: Member, day: int) -> bool | None:
    """What ``tree`` says of somebody on a day: None where it cannot be known."""
    if "not" in tree:
        below = holds(tree["not"], member, day)
        return None if below is None else not below
    if "all" in tree or "any" in tree:
        kind = "all" if "all" in tree else "any"
        told = [holds(one, member, day) for one in tree[kind]]
        decisive = kind == "any"
        if decisive in told:
            return decisive
        return None if None in told else not decisive
    if tree["field"] in ("bought_product_group", "bought_in_channel"):
        return _happened(tree, member, day)
    value = _value(tree, member, day)
    if tree["op"] in ("known", "missing"):
        return (value is not None) == (tree["op"] == "known")
    return None if value is None else _compare(tree["op"], value, tree["value"])


def _happened(tree: Mapping[str, Any], member: Member, day: int) -> bool:
    within = tree.get("within_days")
    if tree["field"] == "bought_in_channel":
        return any(
            order.channel == tree["value"] and order.counts_on(day, within)
            for order in member.orders
        )
    return any(
        group in tree["value"] and bought <= day < bought + (within or 10**6)
        for bought, group in member.purchases
    )


def _value(tree: Mapping[str, Any], member: Member, day: int) -> Any:
    if day < member.known:
        return None
    stage = next((one for one in reversed(member.stages) if one[0] <= day), (0, None, None))
    counted = [order for order in member.orders if order.counts_on(day, tree.get("within_days"))]
    own = [order for order in counted if order.currency == CURRENCIES[member.brand]]
    amount = sum((order.amount for order in own), Decimal(0))
    is_enrolled = member.enrolled is not None and member.enrolled <= day
    return {
        "gender": member.gender,
        "birth_month": member.birth_month,
        "activity_stage": stage[1],
        "days_since_last_order": None if stage[2] is None else day - stage[2],
        "days_since_enrolled": day - (member.enrolled or 0) if is_enrolled else None,
        "order_count": len(counted),
        "net_amount": amount,
        "aov_amount": amount / len(own) if own else None,
        "logistics_days": _logistics_days(member, day),
        "rfm_segment": member.segment,
        "recency_score": member.score,
    }[tree["field"]]


def _logistics_days(member: Member, day: int) -> int | None:
    signed: dict[int, int] = {}
    for order in member.orders:
        if order.void is None and order.parcel_days is not None:
            on = order.paid + order.parcel_days
            signed[on] = max(signed.get(on, 0), order.parcel_days)
    arrived = [on for on in signed if on <= day]
    return signed[max(arrived)] if arrived else None


def _compare(op: str, value: Any, wanted: Any) -> bool:
    if isinstance(value, str):
        inside = value in wanted if isinstance(wanted, list) else value == wanted
        return inside == (op in ("eq", "in"))
    if op == "between":
        low, high = (Decimal(str(one)) for one in wanted)
        return bool(low <= value <= high)
    bound = Decimal(str(wanted))
    return {
        "eq": value == bound, "ne": value != bound, "lt": value < bound, "le": value <= bound,
        "gt": value > bound, "ge": value >= bound,
    }[op]  # fmt: skip


@pytest.fixture(scope="module")
def catalogue() -> FieldCatalogue:
    return load_fields(PROJECT_DIR / "seeds")


@pytest.fixture(scope="module")
def models(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CompiledModels]:
    compiled = CompiledModels(project, tmp_path_factory.mktemp("segments"), MODELS)
    compiled.give(
        "warehouse.ops.run",
        {"run_id": "varchar", "as_of_date": "date", "previous_as_of_date": "date"},
        [("run", AS_OF, None)],
    )
    compiled.give(
        "warehouse.ops.run_shops",
        {
            "brand": "varchar", "platform": "varchar", "shop": "varchar", "zone": "varchar",
            "first_date": "date",
        },
        [(brand, "p", "east", "Asia/Shanghai", FIRST) for brand in CURRENCIES],
    )  # fmt: skip
    compiled.give("marts.main.dim_customers", {
        "customer_key": "uuid", "platform": "varchar", "shop": "varchar",
    }, [])  # fmt: skip
    for relation, columns in EMPTY.items():
        compiled.give(relation, columns, [])
    yield compiled


def _clauses(tree: Mapping[str, Any], catalogue: FieldCatalogue) -> Any:
    def refuse(place: Any, message: str, next_step: str) -> ConfigError:
        return ConfigError(message, where=str(place), next_step=next_step)

    try:
        clauses = clauses_of(read_conditions(tree, (), catalogue, refuse))
    except OverflowError:
        return None
    member = read_conditions(
        {"field": "is_member", "op": "eq", "value": True}, (), catalogue, refuse
    )
    assert isinstance(member, Part)
    return tuple(
        clause if any(not part.is_negated for part in clause) else (*clause, member)
        for clause in clauses
    )


def _give(models: CompiledModels, people: list[Member], segments: Segments) -> None:
    for table, rows in segments.warehouse_tables().items():
        columns = CONFIG_TABLES[table]
        models.give(
            f"warehouse.config.{table}",
            columns,
            [tuple(row[name] for name in columns) for row in rows],
        )
    for number, member in enumerate(people, start=1):
        member.number, member.key = number, UUID(int=number)
    models.give("marts.main.dim_members", MEMBER, [
        (
            one.key, one.brand, _noon(one.enrolled), one.gender, None, None, None, one.birth_month,
            None, None, None, "unknown", "unknown", False, False,
        )
        for one in people
    ])  # fmt: skip
    models.give(
        "marts.main.dim_member_identities",
        {"customer_key": "uuid", "member_key": "uuid", "brand": "varchar"},
        [(UUID(int=100 + one.number), one.key, one.brand) for one in people],
    )
    models.give("warehouse.intermediate.int_members__stage_spans", SPAN, [
        (
            one.key, _day(start), _day(one.stages[place + 1][0]) if one.stages[place + 1:] else
            None, "new", stage, f"new_{stage}", 1, False, _day(last),
        )
        for one in people
        for place, (start, stage, last) in enumerate(one.stages)
    ])  # fmt: skip
    models.give(
        "warehouse.intermediate.int_members__product_purchases",
        PURCHASE,
        [(one.key, one.brand, group, _day(on)) for one in people for on, group in one.purchases],
    )
    models.give(
        "marts.main.mart_member_behaviour",
        {
            "member_key": "uuid", "brand": "varchar", "first_order_date": "date",
            "loyalty_type": "varchar", "member_quality": "varchar",
            "refunded_order_count": "integer",
        },
        [],
    )  # fmt: skip
    models.give("marts.main.fct_orders", ORDER, [
        (
            UUID(int=1000 * one.number + place), UUID(int=100 + one.number), one.brand, "p", "east",
            order.channel, None, order.currency, order.amount, _day(order.paid), _day(order.void),
            order.void is None, None,
            None if order.parcel_days is None else _noon(order.paid),
            None if order.parcel_days is None else _noon(order.paid + order.parcel_days),
        )
        for one in people
        for place, order in enumerate(one.orders)
    ])  # fmt: skip
    models.give(
        "marts.main.mart_member_rfm",
        RFM,
        [
            (one.key, one.brand, None, None, None, None, one.segment, one.score, None, None)
            for one in people
        ],
    )


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    people=st.lists(members(), min_size=1, max_size=4),
    first=st.lists(DATED, min_size=3, max_size=3),
    second=st.lists(DATED, min_size=3, max_size=3),
    mixed=st.lists(MIXED, min_size=2, max_size=2),
)
def test_models_say_of_every_day_what_the_conditions_say(
    models: CompiledModels,
    catalogue: FieldCatalogue,
    people: list[Member],
    first: list[dict[str, Any]],
    second: list[dict[str, Any]],
    mixed: list[dict[str, Any]],
) -> None:
    trees = {f"s{number}": pair for number, pair in enumerate(zip(first, second, strict=True))}
    trees |= {f"m{number}": (tree,) for number, tree in enumerate(mixed)}
    compiled = {name: [_clauses(tree, catalogue) for tree in pair] for name, pair in trees.items()}
    segments = tuple(
        Segment(
            name, brand, currency, name, name, "o", "r",
            tuple(
                SegmentVersion(
                    number, FIRST if number == 1 else FIRST + timedelta(SECOND_VERSION),
                    FIRST + timedelta(SECOND_VERSION) if number < len(versions) else None,
                    "r", "s", clauses, ("p",),
                )
                for number, clauses in enumerate(versions, start=1)
            ),
        )
        for name, versions in compiled.items()
        for brand, currency in CURRENCIES.items()
        if all(versions) and (name, brand) not in ONE_BRANDED
    )  # fmt: skip
    _give(models, people, Segments(segments, catalogue))
    models.build()

    expected = {
        (member.key, segment.segment, day)
        for segment in segments
        for member in people
        if member.brand == segment.brand
        for day in range(LAST_DAY + 1)
        if len(trees[segment.segment]) == 2  # the dated ones
        if day >= member.known
        if holds(trees[segment.segment][day >= SECOND_VERSION], member, day)
    }
    found = models.rows(
        """
        select member_key, segment, entered_on, left_on, version
        from marts.main.mart_segment_membership
        """
    )
    days = [
        (key, segment, day)
        for key, segment, entered, left, _ in found
        for day in range((entered - FIRST).days, ((left or AS_OF + timedelta(1)) - FIRST).days)
    ]
    assert len(days) == len(set(days)), "a day is counted twice"
    assert set(days) == expected
    assert all(
        version == (1 if entered < FIRST + timedelta(SECOND_VERSION) else 2)
        for _, _, entered, _, version in found
    )

    tonight = {
        (member.key, segment.segment)
        for segment in segments
        for member in people
        if member.brand == segment.brand
        if member.known <= LAST_DAY
        if holds(trees[segment.segment][-1], member, LAST_DAY)
    }
    current = models.rows("select member_key, segment from marts.main.mart_segment_members")
    assert sorted(current) == sorted(tonight)

    brand_of = {member.key: member.brand for member in people}
    for brand, segment, day, count, covered, entered, left in models.rows(
        """
        select brand, segment, day_date, member_count, covered_count, entered_count, left_count
        from marts.main.mart_segment_daily where entered_count is not null
        """
    ):
        on_day = (day - FIRST).days
        today, before = (
            {key for key, *rest in expected if rest == [segment, on] and brand_of[key] == brand}
            for on in (on_day, on_day - 1)
        )
        known = [one for one in people if one.brand == brand and one.known <= on_day]
        assert (count, entered, left) == (len(today), len(today - before), len(before - today))
        assert covered == len(known)
    for brand, known_count, covered_count in models.rows(
        "select brand, known_member_count, covered_member_count from marts.main.dim_segments"
    ):
        known = [one for one in people if one.brand == brand and one.known <= LAST_DAY]
        assert (known_count, covered_count) == (len(known), len(known))
    for brand, one, other, both, rate in models.rows(
        """
        select brand, segment, other_segment, both_count, jaccard_rate
        from marts.main.mart_segment_overlaps
        """
    ):
        left_members, right_members = (
            {key for key, name in tonight if name == asked and brand_of[key] == brand}
            for asked in (one, other)
        )
        assert both == len(left_members & right_members)
        either = len(left_members | right_members)
        assert rate == (None if not either else round(Decimal(both) / either + Decimal("1e-12"), 6))
