"""Landing dropped files: what lands, what is put aside, and that each file lands once."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from regulars.errors import QuarantineExceeded, SourceError
from regulars.landing import (
    LandingResult,
    check_quarantine_share,
    list_batches,
    read_batch,
    verify,
)
from regulars.night.inbox import land_inbox
from regulars.settings import Settings
from regulars.shops import Shop
from regulars.vault import Vault
from tests.landing.conftest import DAY, FixedClock
from tests.landing.files import drop, files_below, quarantined

HEADER = "refund_id,order_id,status,created_at,refund_amount\n"
GOOD = "1,10,succeeded,2017-10-01 08:00:00,1.50\n"

Land = Callable[..., LandingResult]


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def land(settings: Settings, shop: Shop, vault: Vault, clock: FixedClock, lines: list[str]) -> Land:
    def run(day: object = DAY, run_id: str = "night-1") -> LandingResult:
        return land_inbox(settings, shop, vault, run_id, day, lines.append, clock=clock)  # type: ignore[arg-type]

    return run


def test_a_file_becomes_a_batch_named_after_its_content(
    settings: Settings, land: Land, clock: FixedClock, lines: list[str]
) -> None:
    text = HEADER + GOOD
    drop(settings, "refunds", "refunds.csv", text)
    (batch,) = land()
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    assert batch.batch_id == f"{batch.shop}-refunds-20171001-{sha256[:16]}"
    assert batch.path == f"file/taobao/demo_grocer/refunds/2017-10-01/{batch.batch_id}.ndjson.zst"
    assert (batch.origin, batch.origin_sha256) == ("refunds.csv", sha256)
    assert (batch.record_count, batch.quarantined_count) == (1, 0)
    assert (batch.brand, batch.window_date, batch.extracted_at) == ("demo", DAY, clock.now())
    assert list(read_batch(settings, batch)) == [
        {
            "_line": 1,
            "refund_id": "1",
            "order_id": "10",
            "status": "succeeded",
            "created_at": "2017-10-01 08:00:00",
            "refund_amount": "1.50",
        }
    ]
    verify(settings, batch)
    assert list_batches(settings) == [batch]
    assert files_below(settings.inbox_dir) == []
    assert files_below(settings.quarantine_dir) == []
    assert lines == ["demo_grocer/refunds refunds.csv: 1 records"]


def test_the_same_content_twice_is_one_batch(settings: Settings, land: Land) -> None:
    drop(settings, "refunds", "a.csv", HEADER + GOOD)
    drop(settings, "refunds", "b.csv", HEADER + GOOD)
    first = land()
    assert len(first) == 1
    drop(settings, "refunds", "again.csv", HEADER + GOOD)
    second = land(day=DAY.replace(day=5))
    assert second.batches == first.batches
    assert second.known_ids == {first[0].batch_id}
    assert len(list_batches(settings)) == 1
    assert files_below(settings.inbox_dir) == []


def test_bad_records_are_put_aside_with_line_and_reason(settings: Settings, land: Land) -> None:
    rows = [
        GOOD,
        "2,10,succeeded,2017-10-01 08:00:00,1.505\n",
        "3,10,vanished,2017-10-01 08:00:00,1.50\n",
        ",10,succeeded,2017-10-01 08:00:00,1.50\n",
        "5,10,succeeded,2017-02-30 08:00:00,x\n",
        "6,10\n",
        "7,10,succeeded,2017/10/1 8:00,1.50\n",
    ]
    drop(settings, "refunds", "refunds.csv", HEADER + "".join(rows))
    (batch,) = land()
    assert (batch.record_count, batch.quarantined_count) == (2, 5)
    assert [record["_line"] for record in read_batch(settings, batch)] == [1, 7]
    aside = {record["_line"]: record for record in quarantined(settings, batch)}
    assert {line: record["_reasons"] for line, record in aside.items()} == {
        2: ["refund_amount: more than two decimals"],
        3: ["status: *** (8 characters) is not a documented status"],
        4: ["refund_id: required, but missing"],
        5: ["created_at: a date or time that does not exist", "refund_amount: not a number"],
        6: ["2 cells where the header has 5"],
    }
    assert aside[2]["refund_amount"] == "1.505"
    assert aside[4]["order_id"] == "10"
    assert "_sealed" in aside[6]
    assert batch.quarantine_reasons["refund_amount: more than two decimals"] == 1
    assert sum(batch.quarantine_reasons.values()) == 6


def test_too_many_bad_records_fail_only_after_the_good_ones_landed(
    settings: Settings, land: Land, shop: Shop
) -> None:
    bad = "2,10,succeeded,2017-10-01 08:00:00,1.505\n"
    drop(settings, "refunds", "refunds.csv", HEADER + GOOD * 99 + bad)
    (at_the_limit,) = land()
    check_quarantine_share(shop, at_the_limit)
    drop(settings, "refunds", "worse.csv", HEADER + GOOD * 98 + bad)
    (above,) = land()
    assert above.record_count == 98
    with pytest.raises(QuarantineExceeded) as caught:
        check_quarantine_share(shop, above)
    text = str(caught.value)
    assert "1 of 99" in text
    assert "allowed 1.0%" in text
    assert "more than two decimals" in text
    assert "demo_grocer/refunds" in text
    tolerant = shop.model_copy(update={"quarantine_shares": {"refunds": 0.5}})
    check_quarantine_share(tolerant, above)


def test_an_empty_batch_exceeds_nothing(settings: Settings, land: Land, shop: Shop) -> None:
    drop(settings, "refunds", "refunds.csv", HEADER)
    (batch,) = land()
    assert batch.record_count == 0
    check_quarantine_share(shop, batch)


def test_fields_nobody_knows_are_kept_and_counted(settings: Settings, land: Land) -> None:
    header = HEADER.replace("\n", ",Shade,_line,column ref\n")
    drop(settings, "refunds", "refunds.csv", header + GOOD.replace("\n", ",blue,9,\n") * 2)
    (batch,) = land()
    assert batch.unknown_fields == {"shade": 2, "_line": 2}
    first, second = read_batch(settings, batch)
    assert (first["shade"], first["line"]) == ("blue", "9")
    assert (first["_line"], second["_line"]) == (1, 2)


def test_a_column_cannot_pass_itself_off_as_a_token(settings: Settings, land: Land) -> None:
    drop(settings, "members", "m.csv", "member_id,buyer_id,phone_hash,_key_id\n1,2,forged,forged\n")
    (batch,) = land()
    (record,) = read_batch(settings, batch)
    assert "phone_hash" not in record
    assert record["key_id"] == "forged"
    assert record.get("_key_id") == batch.key_id != "forged"
    assert batch.unknown_fields == {"phone_hash": 1, "_key_id": 1}


def test_contacts_become_tokens(settings: Settings, land: Land, vault: Vault) -> None:
    rows = "1,2,138 0000 1111,A@Example.com\n2,3,138****2222,\n3,4,,\n"
    drop(settings, "members", "m.csv", "member_id,buyer_id,phone,email\n" + rows)
    (batch,) = land()
    first, second, third = read_batch(settings, batch)
    assert vault.reveal(first["phone_ref"]) == "13800001111"
    assert vault.reveal(first["email_ref"]) == "a@example.com"
    assert first["phone_masked"] == "138****1111"
    assert len(first["phone_hash"]) == 64
    assert first["_key_id"] == vault.key_id == batch.key_id
    assert "phone" not in first
    assert second == {"_line": 2, "member_id": "2", "buyer_id": "3", "phone_masked": "138****2222"}
    assert third == {"_line": 3, "member_id": "3", "buyer_id": "4"}


def test_every_format_lands_the_same_records(
    settings: Settings, land: Land, tmp_path: Path
) -> None:
    names = HEADER.strip().split(",")
    values = GOOD.strip().split(",")
    drop(settings, "refunds", "a.csv", HEADER + GOOD)
    drop(settings, "refunds", "b.csv", (HEADER + GOOD).replace("succeeded", "succeeded ").encode())
    pq.write_table(
        pa.table({name: [value] for name, value in zip(names, values, strict=True)}),
        tmp_path / "c.parquet",
    )
    drop(settings, "refunds", "c.parquet", (tmp_path / "c.parquet").read_bytes())
    one, two, three = (list(read_batch(settings, batch)) for batch in land())
    assert one == two == three


def test_a_gb18030_file_lands_as_utf8(settings: Settings, land: Land) -> None:
    text = "store_id,name\n1,一号店\n".encode("gb18030")
    drop(settings, "stores", "stores.csv", text)
    (batch,) = land()
    assert next(read_batch(settings, batch))["name"] == "一号店"


def test_a_broken_file_is_sealed_and_named_and_the_rest_goes_on(
    settings: Settings, land: Land, vault: Vault, tmp_path: Path, lines: list[str]
) -> None:
    cut = "member_id,buyer_id,phone\n1,2,13800001111\n2,3"
    drop(settings, "members", "members.csv", cut)
    drop(settings, "orders", "orders.parquet", b"PAR1 but not much else")
    drop(settings, "refunds", "refunds.csv", HEADER + GOOD)
    result = land()
    assert [batch.stream for batch in result] == ["refunds"]
    assert [(one.stream, one.what) for one in result.failures] == [
        ("orders", "orders.parquet"),
        ("members", "members.csv"),
    ]
    assert "cut in the middle of its last record" in str(result.failures[1])
    assert "file-contract.md" in result.failures[1].error.next_step
    assert files_below(settings.inbox_dir) == []
    folder = settings.quarantine_dir / "file/taobao/demo_grocer/members/2017-10-01"
    (sealed,) = folder.glob("*.sealed")
    vault.unseal_file(sealed, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_text() == cut
    (note,) = folder.glob("*.rejected.json")
    assert "cut in the middle" in note.read_text()
    assert any("members.csv: refused" in line for line in lines)
    with pytest.raises(
        SourceError, match=r"1 more failed: members members\.csv \[.*orders\.parquet"
    ):
        result.raise_if_failed()
    land().raise_if_failed()


def test_an_ok_file_with_another_sum_refuses_its_file(settings: Settings, land: Land) -> None:
    drop(settings, "refunds", "refunds.csv", HEADER + GOOD)
    drop(settings, "refunds", "refunds.csv.ok", "0" * 64)
    result = land()
    assert not result.batches
    assert "SHA-256" in str(result.failures[0])
    sha256 = hashlib.sha256((HEADER + GOOD).encode()).hexdigest()
    drop(settings, "refunds", "refunds.csv", HEADER + GOOD)
    drop(settings, "refunds", "refunds.csv.ok", sha256.upper())
    assert len(land()) == 1


def test_strays_are_warned_about_but_hold_nothing_up(
    settings: Settings, land: Land, lines: list[str]
) -> None:
    drop(settings, "ordres", "a.csv", HEADER)
    result = land()
    result.raise_if_failed()
    assert result.strays == ("demo_grocer/ordres/ is not the name of a stream",)
    assert lines == ["not taken from the inbox: demo_grocer/ordres/ is not the name of a stream"]


def test_a_shop_without_inbox_lands_nothing(settings: Settings, shop: Shop, vault: Vault) -> None:
    drop(settings, "refunds", "refunds.csv", HEADER + GOOD)
    closed = shop.model_copy(update={"inbox": False})
    assert len(land_inbox(settings, closed, vault, "night-1", DAY)) == 0
    assert files_below(settings.inbox_dir) != []
