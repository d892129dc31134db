"""Records of erased persons are left out where landing is loaded, and nowhere else."""

import re
from datetime import UTC, date, datetime

import duckdb
import pytest
import zstandard

from regulars.keys import founded_member_key, shop_key, unnamed_buyer
from regulars.records import BatchManifest
from regulars.settings import PROJECT_ROOT, Settings
from regulars.sources.payloads import names_buyer
from regulars.state import ErasedKeys
from regulars.warehouse.load import applied_head, holds_erased, load_batches
from regulars.warehouse.session import open_warehouse
from regulars.warehouse.tables import create_tables

PLACE = ("demo", "taobao", "grocer")
ANNA = ErasedKeys(customers=frozenset({shop_key(*PLACE, "anna")}), head=1)


def key(native_id: str, shop: str = "grocer"):
    return shop_key("demo", "taobao", shop, native_id)


@pytest.fixture
def settings(tmp_path):
    made = Settings(data_dir=tmp_path)
    made.warehouse_path.parent.mkdir(parents=True)
    return made


@pytest.fixture
def warehouse(settings):
    with open_warehouse(settings, holder="test") as connection:
        create_tables(connection)
        yield connection


def land(settings, stream, *lines, shop="grocer", count=None):
    """A batch of the file source; each line is JSON without its number."""
    path = settings.landing_dir / f"{shop}-{stream}-{len(lines)}.ndjson.zst"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(f'{{"_line":{n},{line}}}\n' for n, line in enumerate(lines, start=1))
    path.write_bytes(zstandard.ZstdCompressor().compress(text.encode()))
    return BatchManifest(
        batch_id=path.name,
        source="file",
        brand="demo",
        platform="taobao",
        shop=shop,
        stream=stream,
        window_date=date(2017, 10, 1),
        path=path.name,
        sha256="",
        origin="x.csv",
        record_count=len(lines) if count is None else count,
        quarantined_count=0,
        extracted_at=datetime(2017, 10, 1, tzinfo=UTC),
        code_version="0",
    )


def load(warehouse, settings, *batches, erased=ANNA):
    return load_batches(warehouse, settings.landing_dir, batches, erased=erased)


def column(warehouse, stream, name):
    return [
        row[0]
        for row in warehouse.execute(
            f"select {name} from warehouse.raw.file__{stream} order by _line"
        ).fetchall()
    ]


def test_a_record_that_names_an_erased_buyer_is_left_out(warehouse, settings):
    batch = land(
        settings,
        "members",
        '"member_id":"1","buyer_id":"anna"',
        '"member_id":"2","buyer_id":"bert"',
    )
    assert load(warehouse, settings, batch) == {"file__members": 1}
    assert column(warehouse, "members", "buyer_id") == ["bert"]


def test_the_same_buyer_id_at_another_shop_is_another_buyer(warehouse, settings):
    batch = land(settings, "members", '"member_id":"1","buyer_id":"anna"', shop="other")
    load(warehouse, settings, batch)
    assert column(warehouse, "members", "buyer_id") == ["anna"]


@pytest.mark.parametrize(
    ("stream", "theirs", "others"),
    [
        ("order_lines", '"order_id":"11","line_no":"1"', '"order_id":"12","line_no":"1"'),
        ("refunds", '"refund_id":"1","order_id":"11"', '"refund_id":"2","order_id":"12"'),
        ("receipts", '"receipt_id":"1","send_id":"s1"', '"receipt_id":"2","send_id":"s2"'),
        ("receipts", f'"receipt_id":"1","send_id":"{"a" * 32}"', '"receipt_id":"2"'),
        ("coupon_events", '"event_id":"1","buyer_id":"anna"', '"event_id":"2","buyer_id":"b"'),
        ("reviews", '"review_id":"1","buyer_id":"x","order_id":"11"', '"review_id":"2"'),
        ("visits", '"visit_id":"1","buyer_id":"anna"', '"visit_id":"2"'),
    ],
)
def test_what_names_only_an_order_or_a_message_of_theirs_is_left_out(
    warehouse, settings, stream, theirs, others
):
    erased = ErasedKeys(
        customers=ANNA.customers,
        orders=frozenset({key("11")}),
        messages=frozenset({str(key("s1")), "a" * 32}),
        head=4,
    )
    batch = land(settings, stream, theirs, others)
    assert load(warehouse, settings, batch, erased=erased) == {f"file__{stream}": 1}
    assert warehouse.execute(f"select _line from warehouse.raw.file__{stream}").fetchall() == [(2,)]


def test_a_batch_that_is_short_is_refused_with_and_without_tombstones(warehouse, settings):
    from regulars.errors import WarehouseError

    batch = land(settings, "members", '"member_id":"1","buyer_id":"anna"', count=2)
    for erased in (ANNA, ErasedKeys()):
        with pytest.raises(WarehouseError, match="holds 1 records, its manifest says 2"):
            load(warehouse, settings, batch, erased=erased)


def test_a_batch_of_nobody_but_erased_persons_counts_as_loaded(warehouse, settings):
    batch = land(settings, "members", '"member_id":"1","buyer_id":"anna"')
    assert load(warehouse, settings, batch) == {"file__members": 0}
    assert load(warehouse, settings, batch) == {}


def test_raw_that_was_loaded_before_an_erasure_is_recognised(warehouse, settings):
    load(
        warehouse,
        settings,
        land(settings, "members", '"member_id":"1","buyer_id":"anna"'),
        land(settings, "order_lines", '"order_id":"11","line_no":"1"', '"order_id":"12"'),
        erased=ErasedKeys(),
    )
    assert holds_erased(warehouse, ANNA)
    assert holds_erased(warehouse, ErasedKeys(orders=frozenset({key("11")}), head=2))
    assert not holds_erased(warehouse, ErasedKeys(orders=frozenset({key("13")}), head=2))
    assert not holds_erased(warehouse, ErasedKeys(customers=frozenset({key("x")}), head=2))
    assert not holds_erased(warehouse, ErasedKeys())


def test_a_warehouse_remembers_which_tombstones_it_was_held_against(warehouse, settings):
    assert applied_head(warehouse) == 0
    load(warehouse, settings)
    assert applied_head(warehouse) == 1


@pytest.mark.parametrize("account", ["anna", "138****0000", "*", "a%b", "安娜", ""])
def test_loading_and_finding_and_staging_agree_on_who_is_nobody(warehouse, account):
    """A masked account stands for several people: erasing one of them must not take the others."""
    staging = PROJECT_ROOT / "dbt_project/models/staging/exports/stg_exports__orders.sql"
    [rule] = re.findall(r"case when (buyer_account [^\n]+) then buyer_account", staging.read_text())
    query = f"select coalesce({rule}, false) from (select $account as buyer_account)"
    assert duckdb.execute(query, {"account": account}).fetchone() == (names_buyer(account),)
    table = "warehouse.raw.exports__jd_orders"
    warehouse.execute(
        f"insert into {table} (_brand, _platform, _shop, buyer_account) values (?, ?, ?, ?)",
        [*PLACE, account],
    )
    erased = ErasedKeys(customers=frozenset({key(account)}), head=1)
    assert holds_erased(warehouse, erased) == names_buyer(account)


def test_keys_are_those_of_the_models():
    """The macros in dbt_project/macros/keys.sql, spelled out."""
    sql = (
        "select cast(md5('demo' || '|' || 'taobao' || '|' || 'grocer' || '|' || 'anna') as uuid) "
        "as k, cast(md5('member' || '|' || cast(k as varchar)) as uuid)"
    )
    customer, member = duckdb.sql(sql).fetchone()
    assert shop_key(*PLACE, "anna") == customer
    assert founded_member_key(customer) == member
    orders = PROJECT_ROOT / "dbt_project/models/intermediate/orders/int_orders__current.sql"
    [unnamed] = re.findall(r"coalesce\(newest_buyers.buyer_id, (.+)\) as", orders.read_text())
    query = f"select {unnamed} from (select '7' as order_id) as newest"
    assert duckdb.sql(query).fetchone() == (unnamed_buyer("7"),)
