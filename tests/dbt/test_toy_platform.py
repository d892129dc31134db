"""A new platform is one staging folder: nothing else of the dbt project knows it."""

import shutil
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.dbt.nights import EXTRACTED_AT, Warehouse, utc
from tests.dbt.project import PROJECT_DIR, Project, open_pair
from tests.dbt.shop_story import Batch, Night

pytestmark = pytest.mark.slow

TOY = Path(__file__).parent / "toy"
RAW = {
    "toy__orders": (
        "number varchar, buyer varchar, state varchar, bought varchar, changed varchar, "
        "cents varchar, lines struct(position varchar, item varchar, cents varchar)[]"
    ),
    "toy__refunds": "refund varchar, number varchar, given_back varchar, cents varchar",
    "toy__parcels": "number varchar, arrived varchar",
}
METADATA = (
    "_batch_id varchar, _line bigint, _brand varchar, _platform varchar, _shop varchar, "
    "_extracted_at timestamp"
)


def _seconds(text: str) -> str:
    return str(int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()))


def _line(number: int, item: str, cents: int) -> dict[str, str]:
    return {"position": str(number), "item": item, "cents": str(cents)}


ORDERS: list[tuple[Any, ...]] = [
    ("1", "u1", "paid", _seconds("2017-10-01"), _seconds("2017-10-01"), "900",
     [_line(1, "i1", 500), _line(2, "i2", 400)]),
    ("1", "u1", "paid", _seconds("2017-10-01"), _seconds("2017-10-02"), "501",
     [_line(1, "i1", 501)]),
    ("2", "u2", "paid", _seconds("2017-10-01"), _seconds("2017-10-01T01:00"), "700",
     [_line(1, "i1", 700)]),
]  # fmt: skip
REFUNDS: list[tuple[Any, ...]] = [("r1", "1", _seconds("2017-10-02"), "123")]
PARCELS: list[tuple[Any, ...]] = [("1", _seconds("2017-10-01T18:00"))]
NIGHT = Night(
    date(2017, 10, 2),
    {"east": utc(2017, 10, 2, 16), "west": utc(2017, 10, 3, 4)},
    # The merchant's own export tells of the second order at the very same moment.
    [
        Batch("f1", "file", "orders", "east", [
            {"order_id": "2", "buyer_id": "u2", "status": "closed", "paid_amount": "1.00",
             "created_at": "2017-10-01T00:00:00Z", "modified_at": "2017-10-01T01:00:00Z"},
        ]),
    ],
)  # fmt: skip


def _land(warehouse: Warehouse, stream: str, rows: list[tuple[Any, ...]]) -> None:
    batch = Batch(f"toy-{stream}", "toy", stream, "east", [])
    with open_pair(warehouse.directory) as connection:
        table = f"raw.toy__{stream}"
        connection.execute(f"create table {table} ({METADATA}, {RAW[f'toy__{stream}']})")
        for line, row in enumerate(rows, start=1):
            values = [batch.batch_id, line, "b", "p", "east", EXTRACTED_AT, *row]
            marks = ", ".join("?" for _ in values)
            connection.execute(f"insert into {table} values ({marks})", values)
    warehouse.pending.append(batch)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """A warehouse that the toy platform and one file have filled, built in one night."""
    directory = tmp_path_factory.mktemp("toy_platform")
    copy = directory / "dbt_project"
    shutil.copytree(PROJECT_DIR, copy, ignore=shutil.ignore_patterns("target", "logs"))
    shutil.copytree(TOY, copy / "models" / "staging" / "toy")
    warehouse = Warehouse(Project(directory / "work", copy), directory / "warehouse")
    warehouse.prepare()
    warehouse.land(NIGHT)
    _land(warehouse, "orders", ORDERS)
    _land(warehouse, "refunds", REFUNDS)
    _land(warehouse, "parcels", PARCELS)
    warehouse.build(NIGHT, "--select", "tag:core")
    return warehouse


def _rows(warehouse: Warehouse, sql: str) -> list[tuple[str, ...]]:
    with open_pair(warehouse.directory) as connection:
        return [tuple(map(str, row)) for row in connection.execute(sql).fetchall()]


def test_orders_of_a_new_platform_come_out_as_facts(warehouse: Warehouse) -> None:
    found = _rows(
        warehouse,
        """
        select order_id, order_status, created_at, record_source, paid_amount, refunded_amount
        from marts.fct_orders
        order by order_id
        """,
    )
    assert found == [
        ("1", "paid", "2017-10-01 00:00:00", "toy", "5.01", "1.23"),
        # A source without a row in seed source_ranks knows better than a file.
        ("2", "paid", "2017-10-01 00:00:00", "toy", "7.00", "0.00"),
    ]


def test_lines_and_refunds_of_a_new_platform_come_out_as_facts(warehouse: Warehouse) -> None:
    # The second version of order 1 lists one line, so the other is gone.
    assert _rows(
        warehouse,
        """
        select orders.order_id, lines.line_no, lines.product_id, lines.net_amount
        from marts.fct_order_lines as lines
        inner join marts.fct_orders as orders on lines.order_key = orders.order_key
        order by all
        """,
    ) == [("1", "1", "i1", "3.78"), ("2", "1", "i1", "7.00")]
    assert _rows(warehouse, "select refund_id, refund_status from marts.fct_refunds") == [
        ("r1", "succeeded")
    ]


def test_a_platform_that_follows_parcels_adds_their_events(warehouse: Warehouse) -> None:
    assert _rows(
        warehouse,
        "select event, event_date, told_by from marts.fct_order_events where event = 'in_city'",
    ) == [("in_city", "2017-10-02", "parcel")]


def test_of_a_platform_that_says_nothing_its_fields_are_unknown(warehouse: Warehouse) -> None:
    said = "select record_source, platform, availability, count(*) > 50 "
    assert _rows(
        warehouse,
        f"{said} from marts.dim_field_availability where record_source = 'toy' group by all",
    ) == [("toy", "p", "unknown", "True")]
    fields = "select availability from marts.dim_field_availability where platform = 'pdd'"
    assert _rows(
        warehouse, f"{fields} and record_source = 'pdd_open' and field = 'buyer_id' group by all"
    ) == [("absent",)]
