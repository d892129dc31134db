"""Records are written together, and looked at one by one only where something cannot be written.

Both ways land the same and quarantine the same, wherever half a surrogate pair stands.
"""

import pytest

from regulars.landing import writing
from regulars.landing.batches import BatchWriter, Origin, Place, read_batch
from regulars.records import RawRecord
from regulars.settings import Settings
from regulars.sources import payload_model
from tests.landing.conftest import DAY, FixedClock
from tests.landing.files import quarantined

MODEL = payload_model("taobao_top", "orders")
HALF = "新\ud800"
NOT_UNICODE = "text that is not Unicode"


def trade(number, line=None, **more):
    return {
        "tid": 7_000 + number,
        "status": "TRADE_FINISHED",
        "created": "2017-10-01 08:00:00",
        "modified": "2017-10-01 09:00:00",
        "buyer_open_uid": f"uid{number}",
        "payment": "12.30",
        "receiver_name": "张三",
        "receiver_mobile": f"1380000{number:04d}",
        "orders": [
            {"oid": 1, "num": 1, "payment": "6.15", "title": "🍜"},
            {"oid": 2, "num": 1, "payment": "6.15", **(line or {})},
        ],
        **more,
    }


ODD = {
    "text": trade(1, trade_from=HALF),
    "id": trade(2, oaid=HALF),
    "contact": trade(3, receiver_name=HALF),
    "masked contact": trade(4, receiver_mobile=f"138****{HALF}"),
    "status": trade(5, status=HALF),
    "amount": trade(6, payment=HALF),
    "nested": trade(7, {"title": HALF}),
    "refused nested": trade(8, {"num": HALF}),
    "unknown": trade(9, colour=HALF),
    "unknown contact": trade(10, mobile2=HALF),
    "unknown nested": trade(11, {"colour": HALF}),
    "unknown inside": trade(12, extra={"deep": [HALF]}),
    "name": trade(13, **{f"colour{HALF}": "1"}),
    "not a list": trade(14, orders=HALF),
    "beside a refusal": trade(15, {"num": "many"}, trade_from=HALF),
}
GOOD = {
    "plain": trade(21),
    "unknown fields": trade(22, {"colour": "red"}, colour="red", mobile2="13900001111"),
    "beyond 64 bits": trade(23, tid=10**30, colour=10**30),
}
REFUSED = {
    "amount": trade(31, payment="12.345"),
    "nested": trade(32, {"num": "many", "payment": None}),
    "missing": trade(33, buyer_open_uid=None),
    "status": trade(34, status="13800001111", receiver_phone="13700001111"),
}


def landed(folder, shop, vault, payloads):
    settings = Settings(data_dir=folder)
    place = Place("taobao_top", shop.brand, shop.platform, shop.shop, "orders", DAY)
    records = [RawRecord(one, f"item {number}") for number, one in enumerate(payloads)]
    records.insert(1, RawRecord({}, "page 1", "could not be read"))
    with BatchWriter(settings, place, "night") as writer:
        writing.write_records(writer, MODEL, vault, records)
        manifest = writer.commit(Origin("api", FixedClock().now()))
    aside = quarantined(settings, manifest) if manifest.quarantined_count else []
    return manifest, list(read_batch(settings, manifest)), aside


def both_ways(tmp_path, shop, vault, monkeypatch, payloads):
    quick = landed(tmp_path / "quick", shop, vault, payloads)
    with monkeypatch.context() as patched:
        together, was_refused = writing._checked, []

        def first_in_vain(model, vault, part):
            was_refused.append(not (was_refused and was_refused[-1]))
            if was_refused[-1]:
                raise TypeError
            return together(model, vault, part)

        patched.setattr(writing, "_checked", first_in_vain)
        careful = landed(tmp_path / "careful", shop, vault, payloads)
    assert was_refused == [True, False] * (len(was_refused) // 2)
    assert was_refused
    return quick, careful


@pytest.mark.parametrize("where", ODD)
def test_one_record_that_is_not_unicode_is_put_aside_and_the_others_land(
    where, tmp_path, shop, vault, monkeypatch
):
    payloads = [GOOD["plain"], ODD[where], *REFUSED.values(), GOOD["unknown fields"]]
    quick, careful = both_ways(tmp_path, shop, vault, monkeypatch, payloads)
    assert quick == careful
    manifest, lines, aside = quick
    assert [one["_line"] for one in lines] == [1, 8]
    assert manifest.quarantine_reasons[NOT_UNICODE] == 1
    (odd,) = [one for one in aside if one["_reasons"] == [NOT_UNICODE]]
    assert odd["_line"] == 3
    assert "_sealed" in odd


def test_both_ways_give_the_same_when_every_record_is_unicode(tmp_path, shop, vault, monkeypatch):
    payloads = [*GOOD.values(), *REFUSED.values()]
    quick, careful = both_ways(tmp_path, shop, vault, monkeypatch, payloads)
    assert quick == careful
    manifest, lines, aside = quick
    assert len(lines) == len(GOOD)
    assert len(aside) == len(REFUSED) + 1
    assert manifest.unknown_fields == {"colour": 2, "mobile2": 1, "orders.colour": 1}
    assert NOT_UNICODE not in manifest.quarantine_reasons


def test_unicode_is_not_looked_for_where_everything_can_be_written(
    tmp_path, shop, vault, monkeypatch
):
    looked_at = []
    monkeypatch.setattr(writing, "_is_unicode", lambda payload: looked_at.append(payload) or True)
    landed(tmp_path, shop, vault, [*GOOD.values(), *REFUSED.values()])
    assert looked_at == []
