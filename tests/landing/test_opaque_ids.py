"""Ids of people in files: one that is a phone number or an e-mail address would be published."""

from typing import Any

import pytest

from regulars.landing import LandingResult, list_batches, read_batch
from regulars.night.inbox import land_inbox
from regulars.records import BatchManifest
from regulars.settings import Settings
from regulars.shops import Shop
from regulars.sources.file.contract import CONTRACT
from regulars.sources.taobao_top.payload import ORDERS as TRADES
from regulars.vault import Vault
from tests.landing.conftest import DAY, FixedClock
from tests.landing.files import drop, quarantined, readable_bytes

PHONE = "13912345678"
ORDERS = "order_id,buyer_id,status,created_at,paid_amount\n"
WHY = (
    "a phone number or an e-mail address where an id belongs; deliver a number of your own, "
    "or a hash of it"
)


@pytest.fixture
def land(settings: Settings, shop: Shop, vault: Vault) -> Any:
    def run() -> LandingResult:
        return land_inbox(settings, shop, vault, "n", DAY, lambda _: None, clock=FixedClock())

    return run


def rows(*buyers: str) -> str:
    return ORDERS + "".join(
        f'{number},"{buyer}",paid,2017-10-01 08:00:00,1.00\n'
        for number, buyer in enumerate(buyers, start=1)
    )


@pytest.mark.parametrize(
    "buyer",
    [PHONE, f"+86{PHONE}", f"86{PHONE}", f"0086{PHONE}", "139-1234-5678", "canary@example.com"],
)
def test_a_contact_for_a_buyers_id_is_put_aside_and_stands_nowhere(
    settings: Settings, land: Any, vault: Vault, buyer: str
) -> None:
    drop(settings, "orders", "orders.csv", rows("good", buyer))
    (batch,) = land()
    assert [one["buyer_id"] for one in read_batch(settings, batch)] == ["good"]
    (aside,) = quarantined(settings, batch)
    assert aside["_reasons"] == [f"buyer_id: {WHY}"]
    assert vault.unseal(aside["buyer_id_sealed"]) == buyer
    vault.close()
    assert buyer.encode() not in readable_bytes(settings.data_dir)


@pytest.mark.parametrize(
    "buyer",
    [
        "12912345678",
        "1391234567",
        "139123456789",
        "13912345678901",
        "23912345678",
        "1391234567x",
        "m13912345678",
        "AAH13912345678",
        "5f4dcc3b5aa765d61d8327deb882cf99",
        "8612345678901",
    ],
)
def test_an_id_that_only_resembles_one_lands(settings: Settings, land: Any, buyer: str) -> None:
    drop(settings, "orders", "orders.csv", rows(buyer))
    (batch,) = land()
    assert [one["buyer_id"] for one in read_batch(settings, batch)] == [buyer]


def test_a_members_number_is_looked_at_as_well(settings: Settings, land: Any) -> None:
    text = f"member_id,buyer_id,sms_consent\n{PHONE},b1,granted\nm2,b2,granted\n"
    drop(settings, "members", "members.csv", text)
    (batch,) = land()
    assert [one["member_id"] for one in read_batch(settings, batch)] == ["m2"]


def test_a_buyers_account_of_an_export_is_looked_at_as_well(settings: Settings, land: Any) -> None:
    header = "订单号,商品ID,商品名称,订购数量,京东价,订单金额,应付金额,下单时间,订单状态,下单帐号\n"
    line = "2980000000{0},100,Apple,1,1.00,1.00,1.00,2026-03-05 09:05:00,等待出库,{1}\n"
    text = header + line.format(1, "jd_abc") + line.format(2, PHONE)
    drop(settings, "jd_orders", "jd.csv", text)
    land()
    (batch,) = list_batches(settings)
    _one_good_one_refused(settings, batch)


def _one_good_one_refused(settings: Settings, batch: BatchManifest) -> None:
    assert (batch.record_count, batch.quarantined_count) == (1, 1)
    assert list(batch.quarantine_reasons) == [f"buyer_account: {WHY}"]


@pytest.mark.parametrize("buyer", [PHONE, "good", "8613912345678", "1391234567x"])
def test_the_short_cut_for_columns_says_what_the_check_says(buyer: str) -> None:
    import re

    model = CONTRACT["orders"]
    pattern = model.plain_pattern("buyer_id")
    assert pattern is not None
    refused = bool(model.check({"buyer_id": buyer}).reasons[:1]) and any(
        reason.startswith("buyer_id") for reason in model.check({"buyer_id": buyer}).reasons
    )
    assert not (re.fullmatch(pattern, buyer) and refused)


def test_an_id_that_a_platform_gives_is_its_own_matter() -> None:
    """A platform's own numbers may have eleven digits; nobody wrote a phone number there."""
    reasons = TRADES.check({"buyer_open_uid": PHONE}).reasons
    assert not [reason for reason in reasons if reason.startswith("buyer_open_uid")]
