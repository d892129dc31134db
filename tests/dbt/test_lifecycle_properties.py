"""What holds for the stages of any order book: searched for, not shown by example."""

import random
from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.dbt.compiled import CompiledModels
from tests.dbt.project import Project

pytestmark = pytest.mark.slow

FIRST = date(2017, 1, 1)
LAST_DAY = 430
WINDOWS = ((15, "active"), (60, "silent"), (180, "lost"))
# Stages change seldom: these days and the last are looked at, each as the history has them.
STEP = 7

_LIMITS = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@dataclass(frozen=True)
class Order:
    """An order of a member; days are counted from ``FIRST``."""

    member: int
    created: int
    paid: int | None
    void: int | None

    def seen_on(self, day: int) -> "Order | None":
        """The order as it stood at the end of ``day``."""
        if self.created > day:
            return None
        paid = self.paid if self.paid is not None and self.paid <= day else None
        void = self.void if self.void is not None and self.void <= day else None
        return Order(self.member, self.created, paid, void if paid is not None else None)


@st.composite
def orders(draw: st.DrawFn) -> Order:
    created = draw(st.integers(0, LAST_DAY))
    paid = draw(st.one_of(st.none(), st.integers(0, 3), st.integers(0, 3)))
    # A refund may come after a year as well.
    void = draw(st.one_of(st.none(), st.none(), st.integers(0, 90), st.integers(365, LAST_DAY)))
    paid_on = None if paid is None else created + paid
    void_on = None if void is None or paid_on is None else paid_on + void
    return Order(draw(st.integers(1, 3)), created, paid_on, void_on)


books = st.lists(orders(), min_size=1, max_size=9)
spoken = st.dictionaries(st.integers(1, 3), st.integers(0, LAST_DAY), max_size=2)


def _key(number: int) -> UUID:
    return UUID(int=number)


def _on(day: int) -> date:
    return FIRST + timedelta(days=day)


def _cell(book: list[Order], advocacy: dict[int, int], member: int, day: int) -> str | None:
    """The cell of a member at the end of a day by the words of the definition; None before any."""
    own = [order for order in book if order.member == member and order.created <= day]
    if not own:
        return None
    valid = [
        order.paid
        for order in own
        if order.paid is not None and order.paid <= day and (order.void is None or order.void > day)
    ]
    if not valid:
        return "prospect"
    silence = day - max(valid)
    activity = next((name for last, name in WINDOWS if silence <= last), "dead")
    if activity == "dead":
        return "dead"
    if len(valid) >= 2 and advocacy.get(member, LAST_DAY + 1) <= day:
        count = "fan"
    else:
        count = "loyal" if len(valid) >= 3 else "returning" if len(valid) == 2 else "new"
    return f"{count}_{activity}"


@pytest.fixture(scope="module")
def models(project: Project, tmp_path_factory: pytest.TempPathFactory) -> CompiledModels:
    folder: Path = tmp_path_factory.mktemp("compiled")
    compiled = CompiledModels(
        project,
        folder,
        [
            "int_members__stage_spans",
            "mart_member_lifecycle_history",
            "mart_member_lifecycle",
            "mart_stage_flows",
            "mart_churn_monthly",
        ],
    )
    compiled.give(
        "marts.main.dim_member_identities",
        {"customer_key": "uuid", "member_key": "uuid", "brand": "varchar"},
        [(_key(100 + number), _key(number), "b") for number in (1, 2, 3)],
    )
    for relation, columns in {
        "warehouse.intermediate.int_rfm__member_values": {
            "member_key": "uuid", "brand": "varchar", "currency": "varchar",
            "first_valid_order_date": "date", "window_net_amount": "decimal(18,2)",
            "window_order_count": "bigint", "window_money_order_count": "bigint",
        },
        "warehouse.intermediate.int_members__product_purchases": {
            "member_key": "uuid", "brand": "varchar", "product_group": "varchar",
            "is_repurchasable": "boolean", "is_telling": "boolean",
        },
        "marts.main.mart_product_cycles": {
            "brand": "varchar", "product_group": "varchar", "window_basis": "varchar",
            "active_last_day": "integer", "silent_last_day": "integer",
            "lost_last_day": "integer", "at_risk_days": "integer", "lapsed_days": "integer",
        },
        "marts.main.mart_member_behaviour": {
            "member_key": "uuid", "gap_count": "integer", "gap_p80_days": "integer",
            "first_order_date": "date",
            "first_order_currency": "varchar", "first_order_net_amount": "decimal(18,2)",
            "is_first_order_full_price": "boolean", "refunded_order_count": "integer",
        },
        "warehouse.intermediate.int_customers__visits": {
            "brand": "varchar", "platform": "varchar", "shop": "varchar", "customer_key": "uuid",
            "visited_at": "timestamp",
        },
    }.items():  # fmt: skip
        compiled.give(relation, columns, [])
    return compiled


def _tell(models: CompiledModels, book: list[Order], advocacy: dict[int, int], day: int) -> None:
    """Build the lifecycle as of ``day`` from what was known by then."""
    seen = [order.seen_on(day) for order in book]
    models.give(
        "marts.main.fct_orders",
        {
            "order_key": "uuid", "customer_key": "uuid", "created_date": "date",
            "paid_date": "date", "void_date": "date", "invalid_reason": "varchar",
        },
        [
            (
                _key(1000 + number),
                _key(100 + order.member),
                _on(order.created),
                None if order.paid is None else _on(order.paid),
                None if order.void is None else _on(order.void),
                None,
            )
            for number, order in enumerate(seen)
            if order is not None
        ],
    )  # fmt: skip
    models.give(
        "warehouse.intermediate.int_members__advocacy",
        {"member_key": "uuid", "first_advocacy_date": "date", "photo_review_count": "bigint"},
        [(_key(member), _on(said), 1) for member, said in advocacy.items() if said <= day],
    )
    models.give(
        "warehouse.ops.run",
        {"run_id": "varchar", "as_of_date": "date", "previous_as_of_date": "date"},
        [("run", _on(day), None)],
    )
    models.build()


AS_OF = """
    select member_key, cell_code
    from marts.main.mart_member_lifecycle_history
    where valid_from <= $1 and (valid_to is null or valid_to > $1)
    order by member_key
"""


@_LIMITS
@given(books, spoken)
@example([Order(1, 0, 0, 400), Order(1, 390, 390, None), Order(2, 5, 5, 420)], {2: 7})
def test_history_holds_each_member_once_on_every_day_in_the_defined_cell(
    models: CompiledModels, book: list[Order], advocacy: dict[int, int]
) -> None:
    _tell(models, book, advocacy, LAST_DAY)
    for day in [*range(0, LAST_DAY, STEP), LAST_DAY]:
        expected = [
            (_key(member), cell)
            for member in (1, 2, 3)
            if (cell := _cell(book, advocacy, member, day)) is not None
        ]
        assert models.rows(AS_OF, _on(day)) == expected, day
    current = models.rows(
        "select member_key, cell_code from marts.main.mart_member_lifecycle order by member_key"
    )
    assert current == models.rows(AS_OF, _on(LAST_DAY))


@_LIMITS
@given(books, spoken, st.integers(0, LAST_DAY))
def test_replay_of_a_day_is_what_history_remembers_of_it(
    models: CompiledModels, book: list[Order], advocacy: dict[int, int], day: int
) -> None:
    _tell(models, book, advocacy, LAST_DAY)
    remembered = models.rows(AS_OF, _on(day))
    _tell(models, book, advocacy, day)
    assert models.rows(
        "select member_key, cell_code from marts.main.mart_member_lifecycle order by member_key"
    ) == remembered  # fmt: skip


@_LIMITS
@given(books, spoken, st.randoms(use_true_random=False))
def test_order_of_rows_changes_nothing(
    models: CompiledModels, book: list[Order], advocacy: dict[int, int], dice: random.Random
) -> None:
    everything = "select * from marts.main.mart_member_lifecycle order by all"
    _tell(models, book, advocacy, LAST_DAY)
    first = models.rows(everything)
    shuffled = list(book)
    dice.shuffle(shuffled)
    _tell(models, shuffled, advocacy, LAST_DAY)
    assert models.rows(everything) == first


@_LIMITS
@given(books, spoken)
def test_flows_are_those_of_the_members_and_nobody_gets_lost(
    models: CompiledModels, book: list[Order], advocacy: dict[int, int]
) -> None:
    _tell(models, book, advocacy, LAST_DAY)
    told = Counter(
        {
            (month, start, end): count
            for month, start, end, count in models.rows(
                """
                select month_start_date, from_cell_code, to_cell_code, member_count
                from marts.main.mart_stage_flows where member_count <> 0
                """
            )
        }
    )
    expected: Counter[tuple[date, str, str]] = Counter()
    months = sorted({_on(day).replace(day=1) for day in range(LAST_DAY + 1)})
    for month in months:
        start = (month - FIRST).days - 1
        following = (month.replace(day=28) + timedelta(days=4)).replace(day=1)
        end = min((following - FIRST).days - 1, LAST_DAY)
        for member in (1, 2, 3):
            closing = _cell(book, advocacy, member, end)
            if closing is not None:
                opening = _cell(book, advocacy, member, start) or "none"
                expected[month, opening, closing] += 1
    assert told == expected
    churn = models.rows(
        "select month_start_date, opening_kept_count, lost_count from marts.main.mart_churn_monthly"
    )
    for month, kept, lost in churn:
        flows = {key: count for key, count in expected.items() if key[0] == month}
        alive = {k: n for k, n in flows.items() if k[1].endswith(("_active", "_silent"))}
        assert kept == sum(alive.values())
        assert lost == sum(n for k, n in alive.items() if k[2].endswith("_lost") or k[2] == "dead")
