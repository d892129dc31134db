"""Value, from orders to scores: counted in SQL, fitted, recorded, and scored in SQL."""

import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from regulars.night.value_models import record_due_models, sentence
from regulars.state import StateStore, ValueModelVersion
from regulars.value.cells import OrderCells
from regulars.value.purchases import PurchaseModel, alive_probability, no_order_probability
from regulars.warehouse.control import sync_state
from tests.dbt.project import Project, open_pair
from tests.value.cdnow import CUT, HORIZON_DAYS, read_expected, read_purchases

pytestmark = pytest.mark.slow

Purchase = tuple[int, date, Decimal]
FIRST = date(2017, 1, 1)


@dataclass
class Valued:
    """A warehouse whose orders are given, and the state beside it."""

    project: Project
    directory: Path
    state: StateStore
    last_completed: date | None = None

    def fill(self, purchases: Iterable[Purchase], currency: str = "USD") -> None:
        """Give the warehouse these orders, one per purchase, in the place of what it had."""
        with open_pair(self.directory) as connection:
            for table in ("fct_orders", "dim_member_identities"):
                connection.execute(f"delete from marts.main.{table}")
            rows = [
                {
                    "order_key": UUID(int=number),
                    "customer_key": UUID(int=customer),
                    "brand": "b",
                    "currency": currency,
                    "paid_date": day,
                    "net_amount": amount,
                    "is_valid_order": True,
                }
                for number, (customer, day, amount) in enumerate(purchases)
            ]
            members = {row["customer_key"]: row for row in rows}
            _insert(connection, "marts.main.fct_orders", rows)
            _insert(
                connection,
                "marts.main.dim_member_identities",
                [{"customer_key": key, "member_key": key, "brand": "b"} for key in sorted(members)],
            )

    def night(self, day: date, *, fits: bool = True) -> list[ValueModelVersion]:
        """Count, fit what is due, and score as of a day; what was recorded."""
        with open_pair(self.directory) as connection:
            connection.execute("delete from ops.run")
            connection.execute("insert into ops.run values ('night', ?, null)", [day])
        # The views as well: those of the empty warehouse read nothing.
        self.project.run(
            self.directory, "run", "--full-refresh", "--select", "regulars.intermediate.value"
        )
        recorded = []
        with open_pair(self.directory) as connection:
            if fits:
                recorded = record_due_models(
                    connection, self.state, day, self.last_completed, lambda line: None
                )
            sync_state(connection, self.state, self.state.stream_heads())
        self.score()
        self.last_completed = day
        return recorded

    def score(self) -> None:
        """Write the scores anew."""
        self.project.run(
            self.directory, "run", "--select", "mart_member_value", "mart_value_calibration"
        )

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Rows of a query as dictionaries."""
        with open_pair(self.directory) as connection:
            cursor = connection.execute(query)
            names = [item[0] for item in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def scores(self) -> dict[int, dict[str, Any]]:
        """Rows of mart_member_value by customer."""
        rows = self.rows("select * from marts.main.mart_member_value")
        return {row["member_key"].int: row for row in rows}

    def set_parameter(self, name: str, value: object) -> None:
        """Edit a row of seed value_parameters."""
        with open_pair(self.directory) as connection:
            connection.execute(
                "update seeds.value_parameters set value = ? where name = ?", [str(value), name]
            )


def _insert(connection: Any, table: str, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows; columns that they leave out get something that fits their type."""
    defaults = {"uuid": UUID(int=0), "date": FIRST, "boolean": False, "varchar": "x"}
    described = connection.execute(f"describe {table}").fetchall()
    names = [row[0] for row in described]
    missing = {row[0]: defaults.get(row[1].lower(), 0) for row in described}
    missing |= {row[0]: FIRST for row in described if row[1].startswith("TIMESTAMP")}
    marks = ", ".join("?" for _ in names)
    connection.execute("begin")
    connection.executemany(
        f"insert into {table} ({', '.join(names)}) values ({marks})",
        [[{**missing, **row}[name] for name in names] for row in rows],
    )
    connection.execute("commit")


@pytest.fixture
def make_valued(project: Project, empty_warehouse: Path, tmp_path: Path) -> Callable[[str], Valued]:
    def make(name: str = "valued") -> Valued:
        directory = tmp_path / name
        shutil.copytree(empty_warehouse, directory)
        return Valued(project, directory, StateStore(f"sqlite:///{tmp_path}/{name}.sqlite"))

    return make


def test_cdnow_is_fitted_and_scored_as_published(make_valued: Callable[..., Valued]) -> None:
    valued = make_valued()
    # One period: the horizon of the published predictions, nothing discounted.
    valued.set_parameter("clv_period_days", HORIZON_DAYS)
    valued.set_parameter("clv_period_count", 1)
    valued.set_parameter("clv_discount_rate", 0)
    valued.fill(row for row in read_purchases() if row[1] <= CUT)
    (version,) = valued.night(CUT)
    assert version.readiness == "ready", sentence(version)
    assert (version.buyer_count, version.repeat_buyer_count) == (2357, 946)
    fitted = (version.r, (version.alpha_days or 0) / 7, version.a, version.b)
    assert fitted == pytest.approx((0.2425945, 4.4136020, 0.7929220, 2.4259064), abs=5e-7)
    assert (version.spend_p, version.spend_q, version.spend_v) == pytest.approx(
        (6.24957, 3.74422, 15.44352), abs=1e-5
    )
    found, expected = valued.scores(), read_expected()
    assert found.keys() == expected.keys()
    outlooks = {
        (row["repeat_day_count"], row["age_days"]): float(row["discounted_orders"])
        for row in valued.rows("select * from intermediate.int_value__outlooks")
    }
    for customer, row in expected.items():
        scored = found[customer]
        x, age = int(row["frequency"]), int(row["T_days"])
        assert scored["repeat_day_count"] == x
        alive = float(scored["alive_probability"])
        assert alive == pytest.approx(row["p_alive"], abs=1e-6)
        assert alive * outlooks[x, age] == pytest.approx(row["exp_orders_39w"], abs=1e-6)
        value = float(scored["expected_order_value"])
        # The published optimum is 2e-7 away from where the gradient is 0.
        assert value == pytest.approx(row["exp_avg_value"], rel=1e-6)
        worth = row["exp_orders_39w"] * row["exp_avg_value"]
        assert float(scored["predicted_clv_amount"]) == pytest.approx(worth, abs=0.0051)
    (whole,) = valued.rows(
        "select * from marts.main.mart_value_calibration where bucket_kind = 'all'"
        " and horizon_days = 90"
    )
    assert whole["is_in_force"]
    assert whole["model_version"] == 1
    assert float(whole["predicted_nones"]) == pytest.approx(whole["actual_none_count"], rel=0.05)


SETS = {
    # a below, at and above 1; rates of a day and of a year; almost nobody leaves, or everybody.
    "cdnow": PurchaseModel(0.2425945, 30.895214, 0.7929220, 2.4259064, 0.0, False),
    "one": PurchaseModel(0.5, 20.0, 1.0, 3.0, 0.0, False),
    "close_to_one": PurchaseModel(0.5, 20.0, 1.0 + 3e-6, 3.0, 0.0, False),
    "loyal": PurchaseModel(2.0, 15.0, 0.01, 4.0, 0.0, True),
    "steady": PurchaseModel(20.0, 400.0, 0.3, 0.5, 0.0, True),
    "fleeting": PurchaseModel(0.8, 60.0, 6.0, 2.0, 0.0, False),
    "hurried": PurchaseModel(0.3, 0.5, 0.4, 0.3, 0.0, False),
}
# Terms beyond the range of a double: members so uniform in how they leave that no sum stands.
UNSUMMED = PurchaseModel(0.29, 20.0, 4085.0, 10_000.0, 0.0, True)
STANDINGS = [
    (0, 0, 0),
    (0, 0, 40),
    (0, 0, 700),
    (1, 1, 1),
    (1, 30, 400),
    (9, 250, 260),
    (60, 700, 720),
]


def test_the_series_in_sql_is_the_hypergeometric_function(
    make_valued: Callable[..., Valued],
) -> None:
    valued = make_valued()
    day = FIRST + timedelta(days=800)
    with open_pair(valued.directory) as connection:
        connection.execute("delete from ops.run")
        connection.execute("insert into ops.run values ('night', ?, null)", [day])
    valued.project.run(
        valued.directory, "run", "--full-refresh", "--select", "regulars.intermediate.value"
    )
    rows = []
    for brand, model in {**SETS, "unsummed": UNSUMMED}.items():
        version = _version(day, brand=brand, r=model.r, alpha_days=model.alpha_days)
        valued.state.value_models.record(replace(version, a=model.a, b=model.b), [])
        for x, recency, age in STANDINGS:
            first = day - timedelta(days=age)
            rows.append(
                {
                    "member_key": UUID(int=len(rows)),
                    "brand": brand,
                    "currency": "USD",
                    "first_order_date": first,
                    "last_order_date": first + timedelta(days=recency),
                    "repeat_day_count": x,
                    "order_day_count": x + 1,
                }
            )
    with open_pair(valued.directory) as connection:
        _insert(connection, "intermediate.int_value__purchases", rows)
        sync_state(connection, valued.state, valued.state.stream_heads())
    valued.score()
    found = valued.scores()
    unsummed = [found[number] for number, row in enumerate(rows) if row["brand"] == "unsummed"]
    assert {row["expected_orders_365d"] for row in unsummed} == {None}
    # A month of theirs can be summed; of the value that leaves a part, which is no value.
    assert any(row["expected_orders_30d"] is not None for row in unsummed)
    assert {row["predicted_clv_amount"] for row in unsummed} == {None}
    for number, row in enumerate(rows):
        if row["brand"] == "unsummed":
            continue
        model = SETS[str(row["brand"])]
        cell = _cell(STANDINGS[number % len(STANDINGS)])
        scored = found[number]
        none = float(no_order_probability(model, cell, 90)[0])
        assert float(scored["no_order_90d_probability"]) == pytest.approx(none, abs=1e-8)
        for days in (30, 90, 365):
            orders = _by_quadrature(model, cell, days)
            name = f"expected_orders_{days}d"
            assert float(scored[name]) == pytest.approx(orders, abs=3e-8, rel=1e-7), (row, days)


def _cell(standing: tuple[int, int, int]) -> OrderCells:
    return OrderCells(*(np.array([float(value)]) for value in (*standing, 1, 0, 0)))


def _by_quadrature(model: PurchaseModel, cell: OrderCells, days: int) -> float:
    """Expected orders by their definition: the mean over the probability to leave, without series.

    Given p, a member with rate lambda orders (1 - exp(-lambda p t)) / p times, and the mean over
    the Gamma of the rates is elementary. In u = p^a the density has no pole at 0.
    """
    from scipy.integrate import quad
    from scipy.special import beta

    x, age = float(cell.repeat_days[0]), model.alpha_days + float(cell.age_days[0])
    a, b, shape = model.a, model.b + x, model.r + x

    def inner(p: float) -> float:
        if p < 1e-12:
            return shape * days / age
        return -float(np.expm1(-shape * np.log1p(p * days / age))) / p

    def lower(u: float) -> float:
        p = u ** (1 / a)
        return inner(p) * (1 - p) ** (b - 1) / a

    def upper(u: float) -> float:
        p = 1 - u ** (1 / b)
        return inner(p) * p ** (a - 1) / b

    options = {"epsabs": 0.0, "epsrel": 1e-11, "limit": 500}
    total = quad(lower, 0, 0.5**a, **options)[0] + quad(upper, 0, 0.5**b, **options)[0]
    return float(total / beta(a, b) * alive_probability(model, cell)[0])


def _version(day: date, **given: Any) -> ValueModelVersion:
    """A version that is ready, with what is given in the place of what it would have."""
    ready: dict[str, Any] = {
        "brand": "b",
        "currency": "USD",
        "version": 0,
        "valid_from": day,
        "readiness": "ready",
        "reason": None,
        "first_order_date": FIRST,
        "last_order_date": day,
        "buyer_count": 1000,
        "repeat_buyer_count": 400,
        "cell_count": 900,
        "mean_order_value": 12.5,
        "holdout_days": 90,
        "cycle_days": 30.0,
        "cycle_gap_count": 500,
        "r": 0.5,
        "alpha_days": 30.0,
        "a": 0.8,
        "b": 2.5,
        "spend_p": 6.0,
        "spend_q": 4.0,
        "spend_v": 15.0,
        "brier_score": 0.1,
        "auc_rate": 0.8,
        "calibration_error_rate": 0.02,
    }
    return ValueModelVersion(**{**ready, **given})


def _regulars(count: int, days: int) -> list[Purchase]:
    """Orders of so many members over so many days, as the model has them come and stay away."""
    chance = np.random.default_rng(20170101)
    purchases: list[Purchase] = []
    for member in range(count):
        rate, leaving = chance.gamma(0.6, 1 / 15), chance.beta(0.8, 2.4)
        day = float(chance.integers(0, days // 2))
        while day <= days:
            amount = Decimal(int(chance.integers(500, 4500))) / 100
            purchases.append((member, FIRST + timedelta(days=int(day)), amount))
            if chance.random() < leaving:
                break
            day += chance.exponential(1 / rate)
    return purchases


def test_a_fit_holds_until_the_calendar_says_so(make_valued: Callable[..., Valued]) -> None:
    valued = make_valued()
    valued.fill(_regulars(700, 400))
    day = FIRST + timedelta(days=390)
    (first,) = valued.night(day)
    assert (first.version, first.readiness) == (1, "ready"), sentence(first)
    before = valued.scores()
    # The same night again, as after a failure: it is fitted, and comes out the same.
    valued.last_completed = None
    assert [one.version for one in valued.night(day)] == [1]
    assert valued.state.stream_heads()["state__value_models"] == 1
    assert valued.night(day + timedelta(days=1)) == []
    assert valued.night(day + timedelta(days=29)) == []
    # Older by a day and by nothing else: the same parameters, other scores.
    later = valued.scores()
    assert {row["model_version"] for row in later.values()} == {1}
    assert later != before
    (second,) = valued.night(day + timedelta(days=30))
    assert (second.version, second.readiness) == (2, "ready")
    assert (second.r, second.a) != (first.r, first.a)
    assert {row["model_version"] for row in valued.scores().values()} == {2}
    # A replay of the first night knows the first version and nothing later.
    with open_pair(valued.directory) as connection:
        connection.execute("delete from raw.state__value_models where version > 1")
        connection.execute("delete from raw.state__value_calibrations where version > 1")
        connection.execute("delete from ops.run")
        connection.execute("insert into ops.run values ('night', ?, null)", [day])
    valued.score()
    assert valued.scores() == before


@pytest.mark.parametrize(
    ("purchases", "day", "reason"),
    [
        (_regulars(499, 400), 400, "too_few_buyers"),
        (_regulars(700, 170), 179, "short_history"),
        (_regulars(700, 300), 331, "no_recent_orders"),
        (
            [(member, FIRST + timedelta(days=member % 200), Decimal(9)) for member in range(700)],
            200,
            "no_frequent_buyers",
        ),
        (
            [
                (member, FIRST + timedelta(days=(member + number * 3) % 200), Decimal(9))
                for member in range(700)
                for number in range(3 if member < 49 else 1)
            ],
            200,
            "too_few_repeat_buyers",
        ),
    ],
)
def test_a_population_that_tells_too_little_is_not_fitted(
    make_valued: Callable[..., Valued], purchases: list[Purchase], day: int, reason: str
) -> None:
    valued = make_valued()
    valued.fill(purchases)
    (version,) = valued.night(FIRST + timedelta(days=day))
    assert (version.readiness, version.reason) == ("cohort", reason)
    assert version.r is None
    scores = valued.scores().values()
    assert {row["reason"] for row in scores} == {reason}
    assert {row["alive_probability"] for row in scores} == {None}
    assert {row["prediction_basis"] for row in scores} == {"cohort"}
    # What members of the same standing did within 90 days, as a share between 0 and 1.
    assert all(0 <= row["no_order_90d_probability"] <= 1 for row in scores)
    assert all(row["expected_orders_90d"] is not None for row in scores)
    # Nobody was watched for a year where the shop is younger: the pace of 90 days, and it says so.
    basis = ("cohort_365d", reason) if day > 365 else ("cohort_90d", "under_one_year")
    assert {(row["clv_basis"], row["clv_reason"]) for row in scores} == {basis}
    assert all(row["predicted_clv_amount"] is not None for row in scores)


def test_a_young_shop_is_fitted_once_it_is_ready(make_valued: Callable[..., Valued]) -> None:
    valued = make_valued()
    valued.fill(_regulars(700, 400))
    day = FIRST + timedelta(days=179)
    with_179 = [row for row in _regulars(700, 400) if row[1] <= day]
    valued.fill(with_179)
    (young,) = valued.night(day)
    assert (young.reason, young.cell_count) == ("short_history", 0)
    (ready,) = valued.night(day + timedelta(days=1))
    assert ready.readiness in ("ready", "withheld")
    assert ready.version == 2


def test_a_fit_that_fails_leaves_the_version_before_in_force(
    make_valued: Callable[..., Valued], monkeypatch: pytest.MonkeyPatch
) -> None:
    valued = make_valued()
    valued.fill(_regulars(700, 400))
    day = FIRST + timedelta(days=390)
    valued.night(day)
    monkeypatch.setattr("regulars.value.fitting.fit_purchases", _no_top)
    (failed,) = valued.night(day + timedelta(days=30))
    assert (failed.version, failed.readiness, failed.reason) == (2, "failed", "not_converged")
    assert "version before stays in force" in sentence(failed)
    scores = valued.scores().values()
    assert {(row["model_version"], row["prediction_basis"]) for row in scores} == {(1, "model")}
    in_force = valued.rows("select model_version, is_in_force from marts.mart_value_calibration")
    assert {(row["model_version"], row["is_in_force"]) for row in in_force} == {
        (1, True),
        (2, False),
    }


def test_a_first_fit_that_fails_leaves_the_cohort(
    make_valued: Callable[..., Valued], monkeypatch: pytest.MonkeyPatch
) -> None:
    valued = make_valued()
    valued.fill(_regulars(700, 400))
    monkeypatch.setattr("regulars.value.fitting.fit_purchases", _no_top)
    (failed,) = valued.night(FIRST + timedelta(days=390))
    assert (failed.readiness, failed.reason) == ("cohort", "not_converged")
    assert {row["prediction_basis"] for row in valued.scores().values()} == {"cohort"}


def _no_top(cells: OrderCells) -> PurchaseModel:
    from regulars.value.maximum import FitFailed

    raise FitFailed("not_converged")


@pytest.mark.parametrize(
    ("name", "limit", "reason"),
    [
        ("min_auc_rate", 1.01, "poor_discrimination"),
        ("max_calibration_error_rate", 0, "poor_calibration"),
    ],
)
def test_a_model_that_its_test_does_not_bear_out_is_withheld(
    make_valued: Callable[..., Valued], name: str, limit: float, reason: str
) -> None:
    valued = make_valued()
    valued.set_parameter(name, limit)
    valued.fill(_regulars(700, 400))
    (version,) = valued.night(FIRST + timedelta(days=390))
    assert (version.readiness, version.reason) == ("withheld", reason)
    assert version.r is not None
    scores = valued.scores().values()
    assert {(row["prediction_basis"], row["reason"]) for row in scores} == {("cohort", reason)}
    assert {row["alive_probability"] for row in scores} == {None}
