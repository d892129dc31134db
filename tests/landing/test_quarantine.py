"""Records in quarantine: shown without contacts, corrected, released once."""

from datetime import UTC, datetime

import pytest

from regulars.errors import LandingError
from regulars.landing import LandingResult, list_batches, read_batch
from regulars.landing.batches import BatchWriter, Origin, Place
from regulars.landing.quarantine import quarantined_records, release, waiting_count
from regulars.landing.writing import write_records
from regulars.night.inbox import land_inbox
from regulars.records import BatchManifest, RawRecord
from regulars.settings import Settings
from regulars.shops import Shop
from regulars.sources import payload_model
from regulars.vault import Vault
from tests.landing.conftest import DAY, FixedClock
from tests.landing.files import drop, readable_bytes
from tests.sources.gateway import trade

AT = datetime(2017, 10, 2, tzinfo=UTC)
CANARY = "13912345678"


@pytest.fixture
def landed(settings: Settings, shop: Shop, vault: Vault, clock: FixedClock) -> BatchManifest:
    """A member file of four lines, of which three are refused."""
    drop(
        settings,
        "members",
        "members.csv",
        "member_id,buyer_id,phone,enrolled_at,sms_consent\n"
        "1,a,13800000001,2017-10-01 08:00:00,granted\n"
        f"2,b,{CANARY},yesterday,granted\n"
        "3,c,13800000003,2017-10-01 08:00:00,perhaps\n"
        "4,d,13800000004,2017-13-01 08:00:00,refused\n",
    )
    result: LandingResult = land_inbox(
        settings, shop, vault, "night-1", DAY, lambda line: None, clock=clock
    )
    (batch,) = result
    assert (batch.record_count, batch.quarantined_count) == (1, 3)
    return batch


def let_go(settings: Settings, vault: Vault, batch: BatchManifest, lines=None, **changes: str):
    return release(settings, vault, batch, lines=lines, changes=changes, at=AT, by="ann")


def test_records_are_shown_with_line_and_reasons_and_no_contact(
    settings: Settings, landed: BatchManifest
) -> None:
    records = list(quarantined_records(settings, landed))
    assert [record.line for record in records] == [2, 3, 4]
    assert all(record.reasons for record in records)
    assert CANARY not in str(records)
    assert records[0].payload["member_id"] == "2"
    assert records[0].payload["phone_masked"].startswith("139")


def test_a_corrected_record_lands_with_the_contact_it_had(
    settings: Settings, vault: Vault, landed: BatchManifest
) -> None:
    done = let_go(settings, vault, landed, [2], enrolled_at="2017-10-01 09:00:00")
    assert done.batch is not None
    assert (done.lines, done.refused) == ([2], {})
    assert (done.batch.record_count, done.batch.window_date) == (1, landed.window_date)
    assert (done.batch.window_start, done.batch.origin) == (
        None,
        f"released from {landed.batch_id}",
    )
    (record,) = read_batch(settings, done.batch)
    assert (record["member_id"], record["enrolled_at"]) == ("2", "2017-10-01 09:00:00")
    assert vault.reveal(record["phone_ref"]) == CANARY
    (token,) = vault.tokenise("phone", [CANARY]).values()
    assert (record["phone_hash"], record["_key_id"]) == (token.hash, vault.key_id)
    assert done.batch in list_batches(settings)
    assert CANARY.encode() not in readable_bytes(settings.data_dir)


def test_a_released_record_is_not_released_twice(
    settings: Settings, vault: Vault, landed: BatchManifest
) -> None:
    done = let_go(settings, vault, landed, [4], enrolled_at="2017-10-01 09:00:00")
    assert waiting_count(settings, landed) == 2
    with pytest.raises(LandingError, match="line 4 does not wait"):
        let_go(settings, vault, landed, [4], enrolled_at="2017-10-01 09:00:00")
    released = [one for one in quarantined_records(settings, landed) if one.released_as]
    assert [(one.line, one.released_as) for one in released] == [(4, done.batch.batch_id)]


def test_what_still_does_not_fit_stays_and_says_why(
    settings: Settings, vault: Vault, landed: BatchManifest
) -> None:
    done = let_go(settings, vault, landed, enrolled_at="2017-10-01 09:00:00")
    assert done.lines == [2, 4]
    assert list(done.refused) == [3]
    assert "sms_consent" in done.refused[3][0]
    assert waiting_count(settings, landed) == 1
    nothing = let_go(settings, vault, landed)
    assert (nothing.batch, list(nothing.refused)) == (None, [3])


def test_a_contact_can_be_corrected(
    settings: Settings, vault: Vault, landed: BatchManifest
) -> None:
    done = let_go(
        settings, vault, landed, [2], enrolled_at="2017-10-01 09:00:00", phone="13700000007"
    )
    (record,) = read_batch(settings, done.batch)
    assert vault.reveal(record["phone_ref"]) == "13700000007"


@pytest.fixture
def trades(settings: Settings, shop: Shop, vault: Vault) -> BatchManifest:
    """One trade whose sub-order has an amount in words, as the API gave it."""
    bad = trade(1)
    bad["orders"] = [{**bad["orders"]["order"][0], "payment": "lots"}]
    place = Place("taobao_top", shop.brand, shop.platform, shop.shop, "orders", DAY)
    with BatchWriter(settings, place, "night-1") as writer:
        model = payload_model("taobao_top", "orders")
        write_records(writer, model, vault, [RawRecord(bad, "page 1, item 1")])
        return writer.commit(Origin("api", AT))


def test_a_nested_field_is_corrected_by_its_path(
    settings: Settings, vault: Vault, trades: BatchManifest
) -> None:
    done = release(
        settings, vault, trades, lines=None, changes={"orders.1.payment": "12.30"}, at=AT, by="ann"
    )
    (record,) = read_batch(settings, done.batch)
    assert record["orders"][0]["payment"] == "12.30"
    assert record["orders"][0]["oid"] == "9007199254740993001"


@pytest.mark.parametrize("path", ["orders.2.payment", "orders.0.payment", "nothing.1.payment"])
def test_a_path_to_nothing_is_refused(
    settings: Settings, vault: Vault, trades: BatchManifest, path: str
) -> None:
    with pytest.raises(LandingError, match="there is no"):
        release(settings, vault, trades, lines=None, changes={path: "1"}, at=AT, by="ann")
    assert waiting_count(settings, trades) == 1


def test_an_unreadable_place_of_an_answer_stays_refused(
    settings: Settings, shop: Shop, vault: Vault
) -> None:
    place = Place("taobao_top", shop.brand, shop.platform, shop.shop, "orders", DAY)
    with BatchWriter(settings, place, "night-1") as writer:
        model = payload_model("taobao_top", "orders")
        write_records(writer, model, vault, [RawRecord({}, "page 7 of 1", "could not be read")])
        batch = writer.commit(Origin("api", AT))
    done = let_go(settings, vault, batch)
    assert done.batch is None
    assert any("tid" in reason for reason in done.refused[1])
