"""Whose is what: customers, orders, messages and contacts, told from landed records."""

from datetime import UTC, date, datetime
from uuid import UUID

import pytest

from regulars.errors import ErasureError
from regulars.keys import founded_member_key, shop_key
from regulars.landing.persons import Mention
from regulars.night.persons import Wanted, find_person, found_later
from regulars.records import BatchManifest
from regulars.state import ErasedKeys

NOBODY = ErasedKeys()


def key(native_id: str, shop: str = "grocer") -> UUID:
    return shop_key("demo", "taobao", shop, native_id)


def record(stream: str, buyer="", order="", message="", contacts=(), shop="grocer") -> Mention:
    batch = BatchManifest(
        batch_id=stream,
        source="file",
        brand="demo",
        platform="taobao",
        shop=shop,
        stream=stream,
        window_date=date(2017, 10, 1),
        path="x",
        sha256="",
        origin="x.csv",
        record_count=1,
        quarantined_count=0,
        extracted_at=datetime(2017, 10, 1, tzinfo=UTC),
        code_version="0",
    )
    each = [(one,) if one else () for one in (buyer, order, message)]
    return Mention(batch, 1, *each, tuple(contacts))


ANNA = [
    record("members", "anna", contacts=["anna phone", "shared phone"]),
    record("orders", "anna", "1", contacts=["anna address"]),
    record("order_lines", order="1"),
    record("refunds", order="1", contacts=["anna bank"]),
    record("sends", "anna", message="s1"),
    record("receipts", message="s1"),
]
BERT = [
    record("members", "bert", contacts=["bert phone", "shared phone"]),
    record("orders", "bert", "2"),
    record("sends", "bert", message="s2"),
]


def find(landed, bridge=None, erased=NOBODY, has_contacts=False, **wanted):
    values = {name: frozenset(some) for name, some in wanted.items()}
    return find_person(
        lambda: iter(landed),
        Wanted(**values),
        bridge=bridge or {},
        erased=erased,
        has_contacts=has_contacts,
    )


@pytest.mark.parametrize(
    "wanted",
    [
        {"buyers": [("grocer", "anna")]},
        {"orders": [("grocer", "1")]},
        {"contacts": ["anna phone"]},
        {"contacts": ["anna address"]},
        {"members": [founded_member_key(key("anna"))]},
        {"customers": [key("anna")]},
    ],
)
def test_a_person_is_found_with_everything_of_theirs_whatever_they_are_known_by(wanted):
    person = find(ANNA + BERT, **wanted)
    assert [buyer for _, buyer in person.customers] == ["anna"]
    assert person.keys.customers == {key("anna")}
    assert person.keys.members == {founded_member_key(key("anna"))}
    assert person.keys.orders == {key("1")}
    assert person.keys.messages == {str(key("s1"))}
    assert person.keys.contacts == {"anna phone", "anna address", "anna bank"}
    assert (person.shared_contacts, person.record_count) == (1, 6)


def test_a_contact_of_two_finds_both_and_goes_with_them():
    person = find(ANNA + BERT, contacts=["shared phone"])
    assert [buyer for _, buyer in person.customers] == ["anna", "bert"]
    assert "shared phone" in person.keys.contacts and person.shared_contacts == 0


def test_a_contact_goes_with_the_last_who_has_it():
    gone = find(ANNA + BERT, buyers=[("grocer", "anna")]).keys
    person = find(ANNA + BERT, buyers=[("grocer", "bert")], erased=gone)
    assert "shared phone" in person.keys.contacts


def test_an_order_found_by_a_contact_leads_to_its_buyer():
    landed = [
        record("orders", "anna", "1"),
        record("refunds", order="1", contacts=["bank"]),
        record("orders", "bert", "2"),
    ]
    assert find(landed, contacts=["bank"]).keys.customers == {key("anna")}


def test_an_order_belongs_to_whom_its_last_record_names():
    moved = [record("orders", "anna", "1"), record("orders", "bert", "1")]
    assert find(moved, buyers=[("grocer", "anna")]).keys.orders == frozenset()
    assert find(moved, buyers=[("grocer", "bert")]).keys.orders == {key("1")}
    back = [*moved, record("orders", "anna", "1")]
    assert find(back, buyers=[("grocer", "anna")]).keys.orders == {key("1")}


def test_using_a_coupon_on_anothers_order_does_not_make_it_ones_own():
    landed = [*ANNA, *BERT, record("coupon_events", "anna", "2")]
    assert find(landed, buyers=[("grocer", "anna")]).keys.orders == {key("1")}


def test_an_order_that_only_other_records_tell_of_is_whose_they_say():
    landed = [record("refunds", "anna", "9"), record("order_lines", order="9")]
    assert find(landed, buyers=[("grocer", "anna")]).keys.orders == {key("9")}


def test_an_order_without_a_buyer_is_erased_alone():
    landed = [*ANNA, record("orders", order="7", contacts=["guest phone"])]
    person = find(landed, orders=[("grocer", "7")])
    assert person.customers == ()
    assert person.keys == ErasedKeys(orders=frozenset({key("7")}), contacts={"guest phone"})


def test_the_same_ids_at_another_shop_are_others():
    landed = [*ANNA, record("orders", "anna", "1", contacts=["x"], shop="other")]
    person = find(landed, buyers=[("grocer", "anna")])
    assert key("anna", "other") not in person.keys.customers
    assert "x" not in person.keys.contacts


def test_a_member_who_is_still_somebody_else_as_well_stays():
    both = founded_member_key(key("anna"))
    bridge = {key("anna"): both, key("bert"): both}
    assert find(ANNA + BERT, bridge, buyers=[("grocer", "anna")]).keys.members == frozenset()
    assert find(ANNA + BERT, bridge, members=[both]).keys.members >= {both}
    assert len(find(ANNA + BERT, bridge, members=[both]).customers) == 2


def test_a_contact_that_only_the_vault_knows_can_be_erased():
    person = find(ANNA, contacts=["elsewhere"], has_contacts=True)
    assert person.customers == () and person.keys.contacts == {"elsewhere"}
    with pytest.raises(ErasureError, match="nobody is known"):
        find(ANNA, contacts=["elsewhere"])


def test_what_lands_later_of_somebody_erased_is_theirs():
    erased = ErasedKeys(customers=frozenset({key("anna")}))
    fresh = [
        record("orders", "anna", "5", contacts=["new phone"]),
        record("sends", "anna", message="s5"),
        record("orders", "bert", "6", contacts=["other phone"]),
        record("orders", "anna", "8"),
        record("orders", "bert", "8"),
    ]
    assert found_later(lambda: iter(fresh), erased) == {
        key("anna"): ErasedKeys(
            orders=frozenset({key("5")}),
            messages=frozenset({str(key("s5"))}),
            contacts=frozenset({"new phone"}),
        )
    }
