"""A person in quarantine: refused records lose their content, refused files go."""

from datetime import UTC, date, datetime

import orjson
import pytest
import zstandard

from regulars.landing.batches import BatchWriter, Origin, Place
from regulars.landing.persons import (
    Traces,
    clear_quarantine,
    iter_mentions,
    quarantined_contacts,
)
from regulars.landing.quarantine import quarantined_records, waiting_count
from regulars.landing.writing import write_records
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


@pytest.mark.parametrize("way", ["buyers", "orders", "phone", "sealed phone", "defect"])
def test_a_refused_record_of_theirs_becomes_a_mark_without_content(settings, vault, way):
    theirs = order("1000001", "anna.anna", payer_phone=PHONE, **REFUSED)
    wanted = traces(vault, phone=PHONE)
    if way == "buyers":
        wanted = traces(vault, buyers=["anna.anna"])
    elif way == "orders":
        wanted = traces(vault, orders=["1000001"])
    elif way == "sealed phone":
        theirs = order("1000001", "x", paid_amount=f"call +86 {PHONE[:3]} {PHONE[3:]} 张")
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
        ("a.csv", f"who\n{PHONE}\n", True),
        ("a.csv", "who\n+86 139-5555-7777\n", True),
        ("a.csv", "谁\nanna.anna\n", True),
        ("a.csv", "who\n13955557778\n", False),
        ("a.parquet", "cannot be searched", True),
    ],
)
def test_a_file_that_was_refused_goes_if_it_may_hold_them(settings, vault, name, text, goes):
    folder = settings.quarantine_dir / PLACE.folder
    folder.mkdir(parents=True)
    plain = settings.data_dir / "plain"
    plain.write_text(text, encoding="gb18030")
    vault.seal_file(plain, folder / "x.sealed")
    (folder / "x.rejected.json").write_bytes(orjson.dumps({"file": name}))
    done = clear_quarantine(settings, vault, traces(vault, phone=PHONE, buyers=["anna.anna"]), "e")
    assert done.files == int(goes)
    assert (folder / "x.sealed").exists() != goes
    assert (folder / "x.rejected.json").exists()


def test_a_refused_file_of_another_shop_stays(settings, vault):
    folder = settings.quarantine_dir / "file/taobao/other/orders/2017-10-01"
    folder.mkdir(parents=True)
    plain = settings.data_dir / "plain"
    plain.write_text("cannot be searched")
    vault.seal_file(plain, folder / "x.sealed")
    (folder / "x.rejected.json").write_bytes(orjson.dumps({"file": "a.xlsx"}))
    assert clear_quarantine(settings, vault, traces(vault, buyers=["anna"]), "e").files == 0


def test_landed_records_say_whose_they_are(settings, vault):
    batch = land(settings, vault, order("1", "anna", payer_phone=PHONE), order("2", "bert"))
    first, second = iter_mentions(settings, [batch])
    assert (first.buyers, first.orders, first.messages) == (("anna",), ("1",), ())
    assert first.contacts == (vault.hash_of("phone", PHONE),)
    assert first.defines == "order"
    assert (second.line, second.buyers, second.contacts) == (2, ("bert",), ())
