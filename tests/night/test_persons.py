"""Whose is what: customers, orders, messages and contacts, told from landed records."""

from dataclasses import replace
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


def record(
    stream: str, buyer="", order="", message="", contacts=(), shop="grocer", source="file"
) -> Mention:
    batch = BatchManifest(
        batch_id=stream,
        source=source,
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


def find(landed, bridge=None, erased=NOBODY, has_contacts=False, withdrawn=(), **wanted):
    values = {name: frozenset(some) for name, some in wanted.items()}
    return find_person(
        lambda: iter(landed),
        Wanted(**values),
        withdrawn=lambda: iter(withdrawn),
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


GUESTS = [
    record("taobao_orders", order="7", contacts=["guest phone"], source="exports"),
    record("taobao_refunds", order="7", contacts=["guest nick"], source="exports"),
    record("taobao_orders", order="8", contacts=["other phone"], source="exports"),
]


@pytest.mark.parametrize(
    "wanted",
    [
        {"orders": [("grocer", "7")]},
        {"buyers": [("grocer", "order:7")]},
        {"contacts": ["guest phone"]},
        {"contacts": ["guest nick"]},
        {"members": [founded_member_key(key("order:7"))]},
        {"customers": [key("order:7")]},
    ],
)
def test_an_order_that_nobody_is_named_for_is_a_customer_of_its_own(wanted):
    """As int_orders__current makes it of every order of Pinduoduo and of most exports."""
    person = find(ANNA + GUESTS, **wanted)
    assert [buyer for _, buyer in person.customers] == ["order:7"]
    assert person.keys.customers == {key("order:7")}
    assert person.keys.members == {founded_member_key(key("order:7"))}
    assert person.keys.orders == {key("7")}
    assert person.keys.contacts == {"guest phone", "guest nick"}
    assert person.record_count == 2


def test_a_contact_of_two_orders_without_a_buyer_finds_both():
    again = record("pdd_orders", order="9", contacts=["guest phone"], source="exports")
    person = find([*GUESTS, again], contacts=["guest phone"])
    assert [buyer for _, buyer in person.customers] == ["order:7", "order:9"]


def test_a_member_merged_from_orders_without_a_buyer_goes_with_all_of_them():
    both = founded_member_key(key("order:7"))
    bridge = {key("order:7"): both, key("order:8"): both}
    person = find(GUESTS, bridge, members=[both])
    assert [buyer for _, buyer in person.customers] == ["order:7", "order:8"]
    assert find(GUESTS, bridge, orders=[("grocer", "7")]).keys.members == frozenset()


def test_what_stood_for_a_buyer_before_they_were_named_goes_with_them():
    """Older published versions hold the customer that the order was its own."""
    landed = [record("orders", order="1", source="taobao_rds"), *ANNA]
    for wanted in ({"orders": [("grocer", "1")]}, {"customers": [key("order:1")]}):
        person = find(landed, **wanted)
        assert [buyer for _, buyer in person.customers] == ["anna"]
        assert person.keys.customers == {key("anna"), key("order:1")}
        assert founded_member_key(key("order:1")) in person.keys.members


def test_an_order_that_only_its_lines_tell_of_is_no_customer():
    person = find([record("order_lines", order="7")], orders=[("grocer", "7")])
    assert person.customers == ()
    assert person.keys == ErasedKeys(orders=frozenset({key("7")}))


@pytest.mark.parametrize("named", ["open id", "xid"])
def test_a_buyer_of_two_names_goes_under_both(named):
    """Staging takes JD's open id; older records have the other one alone."""
    both = record("orders", order="1", source="jd_jos")
    both = replace(both, buyers=("open id", "xid"))
    older = record("orders", "xid", "2", source="jd_jos")
    for wanted in ({"orders": [("grocer", "1")]}, {"buyers": [("grocer", named)]}):
        person = find([older, both], **wanted)
        assert person.keys.customers == {key("open id"), key("xid")}
        assert person.keys.orders == {key("1"), key("2")}


def test_what_was_withdrawn_loses_their_contacts_and_says_nothing_of_others():
    wrong = [
        record("orders", "bert", "1", contacts=["anna phone"]),
        record("members", "anna", contacts=["anna fax", "shared phone"]),
    ]
    person = find(ANNA + BERT, withdrawn=wrong, contacts=["anna phone"])
    assert [buyer for _, buyer in person.customers] == ["anna"]
    assert person.keys.orders == {key("1")}
    assert person.keys.contacts >= {"anna phone", "anna fax"}
    assert person.record_count == 6
    [alone] = find([], withdrawn=wrong[1:], buyers=[("grocer", "anna")]).customers
    assert alone == (("demo", "taobao", "grocer"), "anna")


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


def later(fresh, erased, landed=(), refused=()):
    return found_later(
        lambda: iter(fresh), lambda: iter([*landed, *fresh]), lambda: iter(refused), erased
    )


def test_what_lands_later_of_somebody_erased_is_theirs():
    erased = ErasedKeys(customers=frozenset({key("anna")}))
    fresh = [
        record("orders", "anna", "5", contacts=["new phone"]),
        record("orders", order="5", source="pdd_open"),
        record("sends", "anna", message="s5"),
        record("orders", "bert", "6", contacts=["other phone"]),
        record("orders", "anna", "8"),
        record("orders", "bert", "8"),
    ]
    refused = [
        record("members", "anna", contacts=["refused phone"]),
        record("members", "bert", contacts=["other phone"]),
    ]
    assert later(fresh, erased, refused=refused) == {
        ("customer", str(key("anna"))): ErasedKeys(
            orders=frozenset({key("5")}),
            messages=frozenset({str(key("s5"))}),
            contacts=frozenset({"new phone", "refused phone"}),
        )
    }


def test_what_lands_later_is_known_by_an_order_and_by_a_message_as_well():
    """Whoever has no buyer id is known by nothing else."""
    erased = ErasedKeys(orders=frozenset({key("7")}), messages=frozenset({str(key("s1")), "own"}))
    fresh = [
        record("pdd_orders", order="7", contacts=["new phone"], source="exports"),
        record("taobao_refunds", order="7", contacts=["bank"], source="exports"),
        record("receipts", message="s1", contacts=["reported phone"]),
        record("receipts", message="own", contacts=["answering phone"]),
        record("pdd_orders", order="8", contacts=["other phone"], source="exports"),
    ]
    found = later(fresh, erased)
    assert {theirs: keys.contacts for theirs, keys in found.items()} == {
        ("order", str(key("7"))): {"new phone", "bank"},
        ("message", str(key("s1"))): {"reported phone"},
        ("message", "own"): {"answering phone"},
    }


def test_records_of_a_new_order_of_theirs_are_theirs_though_they_landed_before():
    erased = ErasedKeys(customers=frozenset({key("anna")}))
    before = [record("refunds", order="5", contacts=["bank"])]
    found = later([record("orders", "anna", "5")], erased, landed=before)
    assert found["customer", str(key("anna"))].contacts == {"bank"}


def test_an_erased_contact_that_lands_again_is_one_whoever_has_it():
    erased = ErasedKeys(contacts=frozenset({"gone"}))
    found = later([record("orders", "bert", "6", contacts=["gone", "other"])], erased)
    assert found == {("contact", "gone"): ErasedKeys(contacts=frozenset({"gone"}))}


def test_customers_of_the_same_member_are_told_of_and_stay():
    member = founded_member_key(key("anna"))
    bridge = {
        key("anna"): member,
        key("bert"): member,
        key("carl"): founded_member_key(key("carl")),
    }
    found = find([*ANNA, *BERT], bridge, buyers=[("grocer", "anna")])
    assert found.others == (key("bert"),)
    assert found.heirs == {key("anna"): key("bert")}
    # The key that Anna founded is Bert's as well.
    assert found.keys.members == frozenset()
    whole = find([*ANNA, *BERT], bridge, members=[member])
    assert (whole.others, whole.heirs) == ((), {})
    gone = ErasedKeys(customers=frozenset({key("bert")}))
    assert find([*ANNA, *BERT], bridge, erased=gone, buyers=[("grocer", "anna")]).others == ()
