"""A person in quarantine: refused records lose their content, refused files go."""

from datetime import UTC, date, datetime

import orjson
import pytest
import zstandard

from regulars.landing import withdraw
from regulars.landing.batches import BatchWriter, Origin, Place
from regulars.landing.persons import (
    Traces,
    clear_quarantine,
    clear_refused,
    iter_mentions,
    iter_refused,
    iter_withdrawn,
    quarantined_contacts,
)
from regulars.landing.quarantine import quarantined_records, waiting_count
from regulars.landing.writing import write_records
from regulars.progress import listening
from regulars.records import RawRecord, Window
from regulars.sources import payload_model

PHONE = "13955557777"
PLACE = Place("file", "demo", "taobao", "grocer", "orders", date(2017, 10, 1))
SHOP = ("taobao", "grocer")
WINDOW = Window(datetime(2017, 10, 1, tzinfo=UTC), datetime(2017, 10, 2, tzinfo=UTC))


def order(number: str, buyer: str, **changes: str) -> RawRecord:
    payload = {
        "order_id": number,
        "buyer_id": buyer,
        "status": "paid",
        "created_at": "2017-10-01 09:00:00",
        "paid_amount": "10.00",
        **changes,
    }
    return RawRecord(payload, f"line {number}")


def land(settings, vault, *records: RawRecord):
    with BatchWriter(settings, PLACE, "test") as writer:
        write_records(writer, payload_model("file", "orders"), vault, records)
        return writer.commit(Origin("orders.csv", WINDOW.start, window=WINDOW))


def traces(vault, *, buyers=(), orders=(), phone="") -> Traces:
    contacts = frozenset({vault.hash_of("phone", phone)}) if phone else frozenset()
    ids = {"buyer": frozenset(buyers), "order": frozenset(orders)}
    return Traces({SHOP: ids}, contacts, frozenset({phone} - {""}))


def content(settings, batch) -> bytes:
    packed = (settings.quarantine_dir / batch.path).read_bytes()
    return zstandard.ZstdDecompressor().stream_reader(packed).read()


REFUSED = {"paid_amount": "lots"}


@pytest.mark.parametrize(
    "way", ["buyers", "orders", "phone", "sealed phone", "sealed hash", "defect"]
)
def test_a_refused_record_of_theirs_becomes_a_mark_without_content(settings, vault, way):
    theirs = order("1000001", "anna.anna", payer_phone=PHONE, **REFUSED)
    wanted = traces(vault, phone=PHONE)
    if way == "buyers":
        wanted = traces(vault, buyers=["anna.anna"])
    elif way == "orders":
        wanted = traces(vault, orders=["1000001"])
    elif way == "sealed phone":
        theirs = order("1000001", "x", paid_amount=f"call +86 {PHONE[:3]} {PHONE[3:]} 张")
    elif way == "sealed hash":
        theirs = order("1000001", "x", paid_amount=f"call +86 {PHONE[:3]} {PHONE[3:]} 张")
        wanted = Traces({}, frozenset({vault.hash_of("phone", PHONE)}))
    elif way == "defect":
        whole = {"who": f"Anna, {PHONE[:3]}-{PHONE[3:]}"}
        theirs = RawRecord(whole, "page 1, item 1", "not an object")
    batch = land(settings, vault, theirs, order("1000002", "bert.bert", **REFUSED))
    assert waiting_count(settings, batch) == 2
    done = clear_quarantine(settings, vault, wanted, "erasure-000001")
    assert (done.records, done.files) == (1, 0)
    mark, other = map(orjson.loads, content(settings, batch).splitlines())
    assert mark == {"_line": 1, "_reasons": [], "_erased": "erasure-000001"}
    assert other["buyer_id"] == "bert.bert"
    assert waiting_count(settings, batch) == 1
    first, second = quarantined_records(settings, batch)
    assert (first.released_as, dict(first.payload)) == ("erasure-000001", {})
    assert second.released_as is None
    again = clear_quarantine(settings, vault, wanted, "erasure-000001")
    assert (again.records, again.files) == (0, 0)


def test_a_number_that_is_no_id_there_does_not_make_a_record_theirs(settings, vault):
    batch = land(settings, vault, order("5", "bert", channel="7", paid_amount="many 7"))
    wanted = traces(vault, buyers=["7"], orders=["7"])
    assert clear_quarantine(settings, vault, wanted, "e").records == 0
    assert waiting_count(settings, batch) == 1


def test_a_mark_without_its_note_is_noted_by_the_next(settings, vault):
    batch = land(settings, vault, order("1", "anna", **REFUSED))
    wanted = traces(vault, buyers=["anna"])
    clear_quarantine(settings, vault, wanted, "e")
    [note] = settings.quarantine_dir.rglob("*.released.json")
    note.unlink()
    clear_quarantine(settings, vault, wanted, "e")
    assert waiting_count(settings, batch) == 0


def test_the_contacts_of_refused_records_are_told_before_they_go(settings, vault):
    land(settings, vault, order("1", "anna", payer_phone=PHONE, **REFUSED))
    found = quarantined_contacts(settings, vault, traces(vault, buyers=["anna"]))
    assert found == {vault.hash_of("phone", PHONE)}
    clear_quarantine(settings, vault, traces(vault, buyers=["anna"]), "e")
    assert quarantined_contacts(settings, vault, traces(vault, buyers=["anna"])) == frozenset()


@pytest.mark.parametrize(
    ("name", "text", "goes"),
    [
        ("a.csv", f"who\n{PHONE}\n".encode(), True),
        ("a.csv", b"who\n+86 139-5555-7777\n", True),
        ("a.csv", "谁\nanna.anna\n".encode("gb18030"), True),
        ("a.csv", "谁\nanna.anna\n".encode(), True),
        ("a.csv", "谁\n13955557778\n".encode("gb18030"), False),
        ("a.csv", "谁\n13955557778,张\n".encode()[:-2], False),
        ("a.csv", f"who\n{PHONE}\n".encode("utf-16"), True),
        ("a.csv", "nobody\n".encode("utf-16"), True),
        ("a.csv", "nobody\n".encode("utf-16-le"), True),
        ("a.csv", b"\xff\xff who\n", True),
        ("a.parquet", b"cannot be searched", True),
    ],
)
def test_a_file_that_was_refused_goes_if_it_may_hold_them(settings, vault, name, text, goes):
    folder = settings.quarantine_dir / PLACE.folder
    folder.mkdir(parents=True)
    plain = settings.data_dir / "plain"
    plain.write_bytes(text)
    vault.seal_file(plain, folder / "x.sealed")
    (folder / "x.rejected.json").write_bytes(orjson.dumps({"file": name}))
    done = clear_quarantine(settings, vault, traces(vault, phone=PHONE, buyers=["anna.anna"]), "e")
    assert done.files == int(goes)
    assert (folder / "x.sealed").exists() != goes
    assert (folder / "x.rejected.json").exists()


@pytest.mark.parametrize("name", ["a.xlsx", "utf16.csv"])
def test_a_refused_file_of_another_shop_goes_only_if_a_contact_may_stand_in_it(
    settings, vault, name
):
    folder = settings.quarantine_dir / "file/taobao/other/orders/2017-10-01"
    folder.mkdir(parents=True)
    plain = settings.data_dir / "plain"
    plain.write_bytes("cannot be searched".encode("utf-16"))
    vault.seal_file(plain, folder / "x.sealed")
    (folder / "x.rejected.json").write_bytes(orjson.dumps({"file": name}))
    assert clear_quarantine(settings, vault, traces(vault, buyers=["anna"]), "e").files == 0
    hashes = Traces({}, frozenset({vault.hash_of("phone", PHONE)}))
    assert clear_quarantine(settings, vault, hashes, "e").files == 1


def test_a_nights_refused_records_are_cleared_and_no_others(settings, vault):
    wanted = traces(vault, buyers=["anna"])
    older = land(settings, vault, order("1", "anna", **REFUSED))
    fresh = land(settings, vault, order("2", "anna", **REFUSED), order("3", "bert", **REFUSED))
    assert clear_refused(settings, vault, wanted, "e", [fresh]) == 1
    assert (waiting_count(settings, older), waiting_count(settings, fresh)) == (1, 1)
    assert clear_refused(settings, vault, wanted, "e", [fresh]) == 0


def test_refused_records_say_whose_they_are_sealed_ones_as_well(settings, vault):
    batch = land(
        settings,
        vault,
        order("1", "anna", payer_phone=PHONE, **REFUSED),
        order("2", "bert 张 bert", status="?"),
        RawRecord({"order_id": 3, "buyer_id": "carl"}, "page 1, item 3", "not an object"),
        order("4", "bert " * 40),
    )
    found = sorted(iter_refused(settings, vault, [batch]), key=lambda one: one.line)
    first, second, third, fourth = found
    assert (first.buyers, first.orders) == (("anna",), ("1",))
    assert first.contacts == (vault.hash_of("phone", PHONE),)
    assert (second.buyers, second.orders) == (("bert 张 bert",), ("2",))
    assert (third.buyers, third.orders) == (("carl",), ("3",))
    assert (fourth.buyers, fourth.orders) == (((("bert " * 40).strip()),), ("4",))
    clear_refused(settings, vault, traces(vault, buyers=["anna", "carl"]), "e", [batch])
    left = iter_refused(settings, vault, [batch])
    assert sorted(one.orders for one in left) == [("2",), ("4",)]


def test_landed_records_say_whose_they_are(settings, vault):
    batch = land(settings, vault, order("1", "anna", payer_phone=PHONE), order("2", "bert"))
    first, second = iter_mentions(settings, [batch])
    assert (first.buyers, first.orders, first.messages) == (("anna",), ("1",), ())
    assert first.contacts == (vault.hash_of("phone", PHONE),)
    assert first.defines == "order"
    assert (second.line, second.buyers, second.contacts) == (2, ("bert",), ())


def test_withdrawn_records_say_whose_they_are_as_far_as_they_can_be_read(settings, vault):
    batch = land(settings, vault, order("1", "anna", payer_phone=PHONE))
    folder = withdraw(settings, batch, reason="wrong", at=WINDOW.start, by="test")
    [mention] = iter_withdrawn(settings)
    assert (mention.buyers, mention.contacts) == (("anna",), (vault.hash_of("phone", PHONE),))
    [data] = folder.glob("*.ndjson.zst")
    data.write_bytes(b"damaged")
    told = []
    with listening(told.append):
        assert list(iter_withdrawn(settings)) == []
    assert any("is searched only in part" in line for line in told)
    data.unlink()
    assert list(iter_withdrawn(settings)) == []


@pytest.mark.parametrize("buyer", ["138****0000", "j***d", "*"])
def test_a_masked_buyer_is_nobody(settings, vault, buyer):
    place = Place("exports", "demo", "jd", "grocer", "jd_orders", date(2017, 10, 1))
    model = payload_model("exports", "jd_orders")
    record = {
        **{"order_id": "1", "status": "已完成", "product_id": "2", "quantity": "1"},
        **{"price": "3", "payable_amount": "3", "created_at": "2017-10-01 09:00:00"},
    }
    with BatchWriter(settings, place, "test") as writer:
        records = [RawRecord({**record, "buyer_account": one}, "x") for one in (buyer, "anna")]
        write_records(writer, model, vault, records)
        batch = writer.commit(Origin("orders.csv", WINDOW.start, window=WINDOW))
    first, second = iter_mentions(settings, [batch])
    assert (first.buyers, first.orders, first.defines) == ((), ("1",), "order")
    assert second.buyers == ("anna",)
    # A stream whose ids are ids refuses it instead.
    refused = land(settings, vault, order("1", buyer))
    assert (refused.record_count, refused.quarantined_count) == (0, 1)
    assert [*refused.quarantine_reasons] == [
        "buyer_id: masked, so it stands for several people; deliver the stable id"
    ]
