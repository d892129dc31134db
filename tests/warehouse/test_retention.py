"""Raw from compacted batches is raw from the batches themselves; old versions leave and return."""

from datetime import UTC, date, datetime, timedelta

import orjson
import pytest

from regulars.errors import WarehouseError
from regulars.keys import shop_key
from regulars.landing import list_batches
from regulars.landing.batches import BatchWriter, Origin, Place
from regulars.landing.compaction import compact, months_to_compact
from regulars.settings import Settings
from regulars.sources import payload_model, raw_streams, source_names
from regulars.state import ErasedKeys
from regulars.warehouse.control import release_batches
from regulars.warehouse.load import load_batches, reload_batches
from regulars.warehouse.prune import prune_raw, pruned_batches, shrink_files
from regulars.warehouse.session import open_warehouse
from regulars.warehouse.tables import create_tables

NOBODY = ErasedKeys()
ANNA = ErasedKeys(customers=frozenset({shop_key("demo", "taobao", "grocer", "anna")}), head=1)
LONG_AFTER = datetime(2018, 6, 1, tzinfo=UTC)


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


def land(settings, day, *records, stream="members", read_on=None, source="file"):
    """One batch of a source of files, read from its file on ``read_on`` (its day without)."""
    place = Place(source, "demo", "taobao", "grocer", stream, date(2017, 9, day))
    read_at = datetime(2017, 9, read_on or day, 3, tzinfo=UTC)
    with BatchWriter(settings, place, "night") as writer:
        for line, record in enumerate(records, start=1):
            writer.write(orjson.dumps({"_line": line, **record}) + b"\n", 1)
        return writer.commit(Origin("x.csv", read_at, sha256=f"{day:02d}{read_on or 0:02d}" * 16))


def member(member_id, buyer="bert", modified="2017-09-01", **more):
    return {
        "member_id": member_id,
        "buyer_id": buyer,
        "modified_at": f"{modified} 10:00:00",
        **more,
    }


def load(warehouse, settings, erased=NOBODY):
    return load_batches(warehouse, settings.landing_dir, list_batches(settings), erased=erased)


def consume_all(warehouse):
    warehouse.execute(
        "insert into warehouse.ops.consumed_batches "
        "select batch_id, 'night-1' from warehouse.ops.loaded_batches"
    )


def raw(warehouse, stream="members"):
    return sorted(warehouse.execute(f"select * from warehouse.raw.file__{stream}").fetchall())


def test_a_compacted_month_loads_as_its_batches_did(warehouse, settings):
    land(settings, 1, member("1", "anna"), member("2"), member("3", city='{"a":\n"新"}'))
    land(settings, 2)
    land(settings, 3, member("4"), member("1", "anna"))
    for erased in (NOBODY, ANNA):
        for table in ("raw.file__members", "ops.loaded_batches"):
            warehouse.execute(f"delete from warehouse.{table}")
        load(warehouse, settings, erased)
        before = raw(warehouse)
        marks = warehouse.execute("from warehouse.ops.loaded_batches order by 1").fetchall()
        assert len(before) == (5 if erased is NOBODY else 3)
        if erased is NOBODY:
            used = {one.batch_id for one in list_batches(settings)}
            [month] = months_to_compact(settings, date(2017, 10, 1), used)
            compact(settings, month)
        for table in ("raw.file__members", "ops.loaded_batches"):
            warehouse.execute(f"delete from warehouse.{table}")
        assert load(warehouse, settings, erased) == {"file__members": len(before)}
        assert raw(warehouse) == before
        found = warehouse.execute("from warehouse.ops.loaded_batches order by 1").fetchall()
        assert found == marks
        assert load(warehouse, settings, erased) == {}


def test_of_a_compacted_month_only_what_is_wanted_is_loaded(warehouse, settings):
    first, second, third = (land(settings, day, member(str(day))) for day in (1, 2, 3))
    used = {first.batch_id, second.batch_id, third.batch_id}
    compact(settings, months_to_compact(settings, date(2017, 10, 1), used)[0])
    wanted = [one for one in list_batches(settings) if one.batch_id != second.batch_id]
    load_batches(warehouse, settings.landing_dir, wanted[:1], erased=NOBODY)
    load_batches(warehouse, settings.landing_dir, wanted, erased=NOBODY)
    assert {row[0] for row in raw(warehouse)} == {first.batch_id, third.batch_id}


def test_a_compacted_batch_that_is_short_is_refused_whole(warehouse, settings):
    for day in (1, 2):
        land(settings, day, member(str(day)))
    used = {one.batch_id for one in list_batches(settings)}
    compact(settings, months_to_compact(settings, date(2017, 10, 1), used)[0])
    first, second = list_batches(settings)
    short = second.model_copy(update={"record_count": 2})
    with pytest.raises(WarehouseError, match="holds 1 records, its manifest says 2"):
        load_batches(warehouse, settings.landing_dir, [first, short], erased=NOBODY)
    assert raw(warehouse) == []


def test_raw_keeps_the_newest_version_and_those_of_the_retention(warehouse, settings):
    land(settings, 1, member("1"), member("2"), member("3", modified="2017-09-09"))
    land(settings, 2, member("1", modified="2017-09-02"), member("3", modified="2017-09-01"))
    land(settings, 5, member("1", modified="2017-09-05"))
    load(warehouse, settings)
    consume_all(warehouse)
    at_five = datetime(2017, 9, 5, 3, tzinfo=UTC)
    assert prune_raw(warehouse, at_five - timedelta(days=3)) == {"file__members": 1}
    assert prune_raw(warehouse, at_five - timedelta(days=3)) == {}
    left = [(row[0].split("-")[2], row[1]) for row in raw(warehouse)]
    # Of 3 the first is the younger, the second the later read.
    assert left == [
        ("20170901", 2),
        ("20170901", 3),
        ("20170902", 1),
        ("20170902", 2),
        ("20170905", 1),
    ]
    assert prune_raw(warehouse, at_five) == {"file__members": 1}
    assert [row[1] for row in raw(warehouse)] == [2, 3, 2, 1]


def test_a_batch_that_no_good_night_has_consumed_keeps_everything(warehouse, settings):
    land(settings, 1, member("1"))
    land(settings, 2, member("1"))
    load(warehouse, settings)
    assert prune_raw(warehouse, LONG_AFTER) == {}
    consume_all(warehouse)
    warehouse.execute(
        "insert into warehouse.ops.pending_batches "
        "select batch_id, 'file', 'members', 'demo', 'taobao', 'grocer' "
        "from warehouse.ops.loaded_batches"
    )
    assert prune_raw(warehouse, LONG_AFTER) == {}
    warehouse.execute("delete from warehouse.ops.pending_batches")
    assert prune_raw(warehouse, LONG_AFTER) == {"file__members": 1}


def test_records_of_other_shops_and_streams_without_a_key_stay(warehouse, settings):
    row = {"order_id": "1", "product_id": "2", "title": "tea"}
    for day in (1, 2):
        land(settings, day, row, stream="jd_orders", source="exports")
        land(settings, day, member("1"))
    load(warehouse, settings)
    consume_all(warehouse)
    warehouse.execute("update warehouse.raw.file__members set _shop = 'other' where _line = 1")
    warehouse.execute(
        "update warehouse.raw.file__members set _shop = 'grocer' where _extracted_at < '2017-09-02'"
    )
    assert prune_raw(warehouse, LONG_AFTER) == {}


VERSIONED = {
    ("file", "campaign_arms"): {"campaign_id": "c", "buyer_id": "b"},
    ("file", "tags"): {"buyer_id": "b", "tag": "vip"},
    ("file", "industry_daily"): {"date": "2017-09-01", "category": "snacks", "figure": "visitors"},
    ("exports", "taobao_orders"): {"order_id": "1"},
    ("exports", "pdd_orders"): {"order_id": "170901-1"},
    ("exports", "douyin_orders"): {"order_id": "1", "line_id": "2"},
}


@pytest.mark.parametrize(("source", "stream"), VERSIONED)
def test_of_a_record_without_an_age_the_last_reading_stays(warehouse, settings, source, stream):
    record = VERSIONED[source, stream]
    others = [{**record, name: "other"} for name in record]
    for day in (1, 2):
        land(settings, day, record, *others[: 2 - day], stream=stream, source=source)
    land(settings, 3, *others[1:], stream=stream, source=source)
    load(warehouse, settings)
    consume_all(warehouse)
    table = f"{source}__{stream}"
    at_two = datetime(2017, 9, 2, 3, tzinfo=UTC)
    assert prune_raw(warehouse, at_two - timedelta(days=1)) == {}
    assert prune_raw(warehouse, at_two) == {table: 1}
    assert prune_raw(warehouse, LONG_AFTER) == {}
    names = ", ".join(f'"{name}"' for name in record)
    left = warehouse.execute(
        f"select _extracted_at, {names} from warehouse.raw.{table} order by all"
    ).fetchall()
    days = [1, 2, *[3] * len(others[1:])]
    expected = [others[0], record, *others[1:]]
    assert left == sorted(
        (datetime(2017, 9, day, 3), *one.values())  # noqa: DTZ001  # raw's times are UTC
        for day, one in zip(days, expected, strict=True)
    )


def test_pruned_batches_are_loaded_again_whole(warehouse, settings):
    land(settings, 1, member("1"), member("2"))
    land(settings, 2, member("1"))
    load(warehouse, settings)
    consume_all(warehouse)
    whole = raw(warehouse)
    prune_raw(warehouse, LONG_AFTER)
    gone = pruned_batches(warehouse)
    assert len(gone) == 1
    assert pruned_batches(warehouse, ["file__orders"]) == set()
    assert pruned_batches(warehouse, ["file__members"]) == gone
    wanted = [one for one in list_batches(settings) if one.batch_id in gone]
    assert reload_batches(warehouse, settings.landing_dir, wanted, erased=NOBODY) == 2
    assert raw(warehouse) == whole
    assert pruned_batches(warehouse) == set()


def test_a_released_batch_is_not_consumed_any_more(warehouse, settings):
    batch = land(settings, 1, member("1"))
    land(settings, 2, member("2"))
    load(warehouse, settings)
    consume_all(warehouse)
    release_batches(warehouse, [batch.batch_id])
    left = warehouse.execute("select count(*) from warehouse.ops.consumed_batches").fetchone()
    assert left == (1,)


def test_a_file_that_is_largely_free_space_is_written_anew(settings):
    with open_warehouse(settings, holder="test") as connection:
        create_tables(connection)
        connection.execute(
            "create table warehouse.raw.big as select range as n from range(3000000)"
        )
        connection.execute("create table marts.main.facts as select 1 as n")
        connection.execute("create view warehouse.raw.seen as select * from marts.main.facts")
        connection.execute("checkpoint warehouse")
    sizes = {one.path: (one.before, one.after) for one in shrink_files(settings, holder="test")}
    assert all(before == after for before, after in sizes.values())
    with open_warehouse(settings, holder="test") as connection:
        connection.execute("delete from warehouse.raw.big where n % 100 <> 0")
        connection.execute("checkpoint warehouse")
    before, after = {
        one.path: (one.before, one.after) for one in shrink_files(settings, holder="test")
    }[settings.warehouse_path]
    assert after < before * 0.6
    with open_warehouse(settings, holder="test") as connection:
        assert connection.execute("select count(*) from warehouse.raw.big").fetchone() == (30000,)
        assert connection.execute("select n from warehouse.raw.seen").fetchall() == [(1,)]
        create_tables(connection)


@pytest.mark.parametrize(
    ("source", "stream"),
    [(source, stream) for source in source_names() for stream in raw_streams(source)],
)
def test_a_key_is_made_of_fields_that_a_record_must_have(source, stream):
    model = payload_model(source, stream)
    assert set(model.key) <= model.names
    assert not model.modified or model.modified in model.names
    # Else records without it would pass for versions of one another.
    assert not model.key or set(model.key) & set(model.required)
