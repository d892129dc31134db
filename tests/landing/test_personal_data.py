"""A canary's phone number and address come in through every door and are found nowhere."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from regulars.landing import land_stream, list_batches, read_batch
from regulars.night.inbox import land_inbox
from regulars.records import RawRecord, Window
from regulars.settings import Settings
from regulars.shops import Shop
from regulars.vault import Vault
from tests.landing.conftest import DAY, FixedClock
from tests.landing.files import drop, files_below, quarantined, readable_bytes
from tests.landing.test_land_stream import Scripted, flat, no_credentials

PHONE = "13912345678"
EMAIL = "canary@example.com"
SPELLINGS = (PHONE, "139 1234 5678", "+86-139-1234-5678", EMAIL, "Canary@Example.com")
FORBIDDEN = tuple(text.lower().encode() for text in SPELLINGS)

MEMBERS = f"""\
member_id,buyer_id,phone,email,gender,birthday,sms_consent,mobile2,memo,consent_evidence
1,2,{PHONE},{EMAIL},female,1990-01-01,granted,139 1234 5678,call {PHONE},form of {EMAIL}
2,2,+86-139-1234-5678,Canary@Example.com,{PHONE},{PHONE},{EMAIL},{PHONE},{EMAIL},x
,3,{PHONE},{EMAIL},x,1990-01-01,granted,,,{PHONE}
4,4,{PHONE},{EMAIL}
5,5,{PHONE}*,{EMAIL}*,x,1990-01-01,granted,{PHONE},x,x
"""
REVIEWS = f"""\
review_id,order_id,buyer_id,created_at,content
1,2,3,2017-10-01 08:00:00,"my number is {PHONE}, mail {EMAIL}"
2,2,3,{PHONE},"{PHONE}"
"""


def assert_no_canary(settings: Settings, *texts: str) -> None:
    content = readable_bytes(settings.data_dir) + "\n".join(texts).encode()
    content = content.lower()
    for forbidden in FORBIDDEN:
        assert forbidden not in content, forbidden


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    caplog.set_level(logging.DEBUG)
    lines: list[str] = []
    yield lines
    lines.append(caplog.text)


def test_no_file_carries_a_contact_into_landing(
    settings: Settings,
    shop: Shop,
    vault: Vault,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    drop(settings, "members", "members.csv", MEMBERS)
    drop(settings, "reviews", "reviews.csv", REVIEWS)
    drop(settings, "members", "cut.csv", MEMBERS + f"6,6,{PHONE}")
    drop(settings, "stores", "odd.csv", f"store_id,{PHONE},{EMAIL}\n1,a,b\n")
    drop(settings, "stores", "bad.csv", f"{PHONE},{EMAIL}\n1,2\n")
    lines: list[str] = []
    result = land_inbox(settings, shop, vault, "n", DAY, lines.append, clock=FixedClock())
    vault.close()
    assert_no_canary(
        settings, caplog.text, *lines, repr(result), *(str(one) for one in result.failures)
    )
    assert files_below(settings.inbox_dir) == []
    members = next(one for one in result if one.stream == "members")
    assert (members.record_count, members.quarantined_count) == (2, 3)
    reviews = next(one for one in result if one.stream == "reviews")
    (review,) = read_batch(settings, reviews)
    assert review["content"] == "my number is 139****5678, mail c***@example.com"


def test_nothing_of_it_is_lost(settings: Settings, shop: Shop, vault: Vault) -> None:
    drop(settings, "members", "members.csv", MEMBERS)
    (batch,) = land_inbox(settings, shop, vault, "n", DAY, lambda _: None, clock=FixedClock())
    first, fifth = read_batch(settings, batch)
    assert vault.reveal(first["phone_ref"]) == PHONE
    assert vault.reveal(first["mobile2_ref"]) == "139 1234 5678"
    assert vault.reveal(first["memo_ref"]) == f"call {PHONE}"
    assert vault.reveal(fifth["phone_ref"]) == f"{PHONE}*"
    second, third, fourth = quarantined(settings, batch)
    assert vault.unseal(second["birthday_sealed"]) == PHONE
    assert vault.unseal(second["sms_consent_sealed"]) == EMAIL
    assert vault.unseal(second["gender_sealed"]) == PHONE
    assert vault.reveal(third["phone_ref"]) == PHONE
    assert PHONE in vault.unseal(fourth["_sealed"])
    assert all(one["_reasons"] for one in (second, third, fourth))
    assert second["_key_id"] == vault.key_id


def test_no_api_record_carries_a_contact_into_landing(
    settings: Settings,
    shop: Shop,
    vault: Vault,
    clock: FixedClock,
    window: Window,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)

    def private(number: int, **changes: Any) -> dict[str, Any]:
        record = flat(
            number,
            receiver_mobile=PHONE,
            receiver_name="王小明",
            receiver_address="中山路1号",
            buyer_email=EMAIL,
            buyer_memo={"say": f"call {PHONE}"},
            type=f"fixed {PHONE}",
            **changes,
        )
        record["orders"][0]["car_taker_phone"] = PHONE
        record["orders"][0]["title"] = f"card of {EMAIL}"
        return record

    source = Scripted(
        [
            private(1),
            private(2, status=PHONE),
            private(3, payment=EMAIL),
            private(4, orders={"order": [{"oid": PHONE, "title": PHONE}]}),
            private(5, trade_from="\ud800" + PHONE),
        ]
    )
    lines: list[str] = []
    result = land_stream(
        settings,
        shop,
        "orders",
        no_credentials,
        clock,
        window,
        vault,
        "n",
        lines.append,
        source=source,
    )
    (batch,) = list_batches(settings)
    (landed,) = read_batch(settings, batch)
    assert batch.quarantined_count == 4
    assert vault.reveal(landed["receiver_mobile_ref"]) == PHONE
    assert landed["receiver_name_masked"] == "王**"
    assert vault.reveal(landed["buyer_email_ref"]) == EMAIL
    assert PHONE in vault.reveal(landed["buyer_memo_ref"])
    assert vault.reveal(landed["orders"][0]["car_taker_phone_ref"]) == PHONE
    assert landed["orders"][0]["title"] == "card of c***@example.com"
    assert landed["_key_id"] == vault.key_id
    vault.close()
    assert_no_canary(settings, caplog.text, *lines, repr(result))
    assert "王小明".encode() not in readable_bytes(settings.data_dir)
    assert "中山路1号".encode() not in readable_bytes(settings.data_dir)


NAME, STREET = "王小明", "上海市浦东新区世纪大道100号5*201室"
PERSON = {"receiver_name": NAME, "receiver_address": STREET, "receiver_mobile": "138****1111"}


@pytest.mark.parametrize(
    "unknown",
    [
        {"receiver": PERSON},
        {"delivery": {"to": [PERSON]}},
        {"parcels": [{"no": 1}, {"no": 2, "consigneeName": NAME}]},
        {"delivery": json.dumps(PERSON, ensure_ascii=False)},
        {"delivery": {"raw": json.dumps(PERSON, ensure_ascii=False)}},
        {"buyer": {"name": NAME}},
        {"buyer_info": {"name": NAME}},
        {"delivery": {"收货人": NAME}},
        {"receiver": NAME},
        {"recipientAddr": STREET},
    ],
)
def test_a_new_member_about_people_is_no_plain_text_wherever_it_stands(
    settings: Settings,
    shop: Shop,
    vault: Vault,
    clock: FixedClock,
    window: Window,
    unknown: dict[str, Any],
) -> None:
    nested = flat(2)
    nested["orders"][0] |= unknown
    refused = flat(3, payment="12.345", **unknown)
    refused_nested = flat(4, payment="12.345")
    refused_nested["orders"][0] |= unknown
    source = Scripted([flat(1, **unknown), nested, refused, refused_nested])
    result = land_stream(
        settings, shop, "orders", no_credentials, clock, window, vault, "n", lambda _: None,
        source=source,
    )  # fmt: skip
    (batch,) = result
    assert (batch.record_count, batch.quarantined_count) == (2, 2)
    (name,) = unknown
    first, second = read_batch(settings, batch)
    for record in (first, second["orders"][0]):
        assert record[f"{name}_masked"] == "***"
        assert NAME in vault.reveal(record[f"{name}_ref"]) or STREET in vault.reveal(
            record[f"{name}_ref"]
        )
    vault.close()
    content = readable_bytes(settings.data_dir)
    for text in (NAME, STREET):
        assert text.encode() not in content
        assert json.dumps(text).encode() not in content


def test_a_starred_address_and_name_are_contacts_like_others(
    settings: Settings, shop: Shop, vault: Vault, clock: FixedClock, window: Window
) -> None:
    source = Scripted([flat(1, receiver_address=STREET, receiver_name=f"{NAME}*")])
    (batch,) = land_stream(
        settings, shop, "orders", no_credentials, clock, window, vault, "n", lambda _: None,
        source=source,
    )  # fmt: skip
    (record,) = read_batch(settings, batch)
    assert vault.reveal(record["receiver_address_ref"]) == STREET
    assert record["receiver_address_masked"] == "***"
    assert vault.reveal(record["receiver_name_ref"]) == f"{NAME}*"


@pytest.mark.parametrize(
    "status", ["Zhang San", "zhangsan", "王小明", "320102199001011234", "1380000"]
)
def test_a_refused_status_shows_no_person(
    settings: Settings,
    shop: Shop,
    vault: Vault,
    clock: FixedClock,
    window: Window,
    caplog: pytest.LogCaptureFixture,
    status: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    (batch,) = land_stream(
        settings, shop, "orders", no_credentials, clock, window, vault, "n", lambda _: None,
        source=Scripted([flat(1, status=status)]),
    )  # fmt: skip
    (aside,) = quarantined(settings, batch)
    assert aside["_reasons"] == [
        f"status: *** ({len(status)} characters) is not a documented status"
    ]
    assert vault.unseal(aside["status_sealed"]) == status
    assert status.encode() not in readable_bytes(settings.data_dir) + caplog.text.encode()


def test_a_defect_keeps_its_text_sealed(
    settings: Settings, shop: Shop, vault: Vault, clock: FixedClock, window: Window
) -> None:
    class Odd(Scripted):
        def iter_records(self, shop: Shop, stream: str, window: Window) -> Iterator[RawRecord]:
            yield RawRecord({"value": f"text of {PHONE}"}, "page 1 of 1", "not an object")

    land_stream(
        settings,
        shop,
        "orders",
        no_credentials,
        clock,
        window,
        vault,
        "n",
        lambda _: None,
        source=Odd([]),
    )
    (batch,) = list_batches(settings)
    (aside,) = quarantined(settings, batch)
    assert aside["_position"] == "page 1 of 1"
    assert PHONE in vault.unseal(aside["_sealed"])
    assert_no_canary(settings)
