"""Every stream says whose its records are, or an erased person could come back through it."""

import re

import pytest

from regulars.settings import PROJECT_ROOT
from regulars.sources import payload_model, raw_streams, source_names

# What describes the shop, its goods or its days, and nobody who bought there.
OF_NOBODY = {
    *("products", "stores", "campaigns", "coupons"),
    *("traffic", "platform_totals", "business_daily", "industry_daily"),
}
# Platforms that name no buyer: every order is its own buyer's.
WITHOUT_BUYERS = {"pdd_open"}
# Two names of one buyer, of which an order carries the one or the other; an order and what was
# given for it, each of which may be the one that is erased.
WITH_TWO_NAMES = {("jd_jos", "orders"), ("file", "store_services")}
STREAMS = [(source, stream) for source in source_names() for stream in raw_streams(source)]


@pytest.mark.parametrize(("source", "stream"), STREAMS)
def test_a_stream_says_whose_its_records_are(source: str, stream: str) -> None:
    model = payload_model(source, stream)
    links = set(model.links.values())
    if stream in OF_NOBODY:
        assert not model.contacts, "a contact is somebody's"
        return
    assert links, f"mark the field that names a buyer, an order or a message: {sorted(model.names)}"
    if stream == "orders":
        assert links >= ({"order"} if source in WITHOUT_BUYERS else {"buyer", "order"})
    if stream == "sends":
        assert links >= {"buyer", "message"}


def test_an_order_and_its_buyer_are_one_field_each() -> None:
    """The loader hashes each; two fields for one thing would need two tombstones."""
    for source, stream in sorted({*STREAMS} - WITH_TWO_NAMES):
        links = list(payload_model(source, stream).links.values())
        assert len(links) == len(set(links)), (source, stream)


def test_what_orders_are_made_of_says_that_it_is_an_orders_own() -> None:
    """Who an order belongs to is read from these records, and from nothing else."""
    read = set()
    for path in (PROJECT_ROOT / "dbt_project/models/staging").glob("*/stg_*__orders.sql"):
        read |= set(re.findall(r"source\('raw', '(\w+)__(\w+)'\)", path.read_text()))
    own = {one for one in STREAMS if payload_model(*one).defines == "order"}
    assert own == read and len(own) >= 11
    assert [one for one in STREAMS if payload_model(*one).defines == "message"] == [
        ("file", "sends")
    ]
