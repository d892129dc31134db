"""The quarantine share is that of a stream, not of its smallest batch."""

from datetime import UTC, date, datetime

import pytest

from regulars.errors import QuarantineExceeded
from regulars.landing import check_quarantine_share
from regulars.landing.batches import batch_id_of
from regulars.night.steps import _per_stream
from regulars.records import BatchManifest
from regulars.settings import PROJECT_ROOT
from regulars.shops import load_shops


def batch(shop, stream, good, bad, name):
    return BatchManifest(
        batch_id=name,
        source="taobao_top",
        brand="demo",
        platform="taobao",
        shop=shop,
        stream=stream,
        window_date=date(2017, 10, 1),
        path=f"{name}.ndjson.zst",
        sha256="0" * 64,
        origin="api",
        record_count=good,
        quarantined_count=bad,
        quarantine_reasons={"status: unknown": bad} if bad else {},
        extracted_at=datetime(2017, 10, 2, tzinfo=UTC),
        code_version="0",
    )


def check(*batches):
    shop = load_shops(PROJECT_ROOT / "config" / "shops.yml").shop("demo_grocer")
    for whole in _per_stream(batches):
        check_quarantine_share(shop, whole)


def test_one_bad_record_of_a_small_overlap_does_not_stop_a_large_stream():
    check(
        batch("demo_grocer", "orders", 19, 1, "a"),
        batch("demo_grocer", "orders", 1000, 0, "b"),
    )


def test_a_streams_batches_are_added_up_and_streams_are_not():
    with pytest.raises(QuarantineExceeded, match="22 of 1022"):
        check(
            batch("demo_grocer", "orders", 500, 11, "a"),
            batch("demo_grocer", "orders", 500, 11, "b"),
            batch("demo_grocer", "refunds", 9000, 0, "c"),
        )


def test_two_shops_that_drop_the_same_file_have_two_batches():
    ids = {batch_id_of(shop, "products", date(2017, 10, 1), "ab" * 32) for shop in ("one", "two")}
    assert len(ids) == 2
