"""The quick way through a payload model says of every record what the careful one says."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regulars.sources import payload_model
from regulars.sources.payloads import Checked, Field, PayloadModel
from regulars.sources.quick import quick_check

TOY = PayloadModel(
    "toy",
    "orders",
    (
        Field("id", "id", required=True),
        Field("buyer", "id", refers="buyer"),
        Field("member", "id", is_opaque=True),
        Field("number", "id", pattern="[0-9]+", blank="-"),
        Field("title"),
        Field("paid", "amount", required=True),
        Field("rate", "decimal"),
        Field("count", "integer"),
        Field("fen", "integer", blank="-"),
        Field("is_gift", "flag"),
        Field("at", "timestamp"),
        Field("day", "date"),
        Field("state", "enum", values=("DONE", "完成")),
        Field("phone", "contact", contact="phone"),
        Field(
            "lines",
            "records",
            members=(
                Field("id", "id", required=True),
                Field("count", "integer", required=True),
                Field("title"),
                Field("paid", "amount"),
                Field("state", "enum", values=("DONE",)),
            ),
        ),
    ),
)
MODELS = [
    TOY,
    *(
        payload_model(source, "orders")
        for source in ("taobao_top", "jd_jos", "pdd_open", "doudian_open", "shopify_admin")
    ),
]
# What is equal and not the same stands side by side: 1, 1.0, True and "1"; also what a table of
# remembered texts could mix up, and what cannot be looked up at all.
USUAL = [*("1", 1, "12.30", "DONE", "2017-10-01 08:00:00", "2017-10-01", "true", "完成", "a-b_9")]
ODD = [
    *(None, "", " ", "　", True, False, 1.0, 0, -1, 0.5, float("nan"), 10**18, -(10**18), 10**40),
    *("12.345", '="42"', "1.2E+18", "1,234.50", "138****1111", "13800001111", "call 13800001111"),
    *("2017-02-30", "2017-10-01T08:00:00Z", "TRADE_FINISHED", "a@example.com", "新\ud800"),
    *("x" * 64, "x" * 65, "x" * 129, "-", [], {}, [1], {"id": "1"}, ["1"], [None]),
]
VALUES = st.sampled_from(USUAL) | st.sampled_from(ODD)


def records(model: PayloadModel) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(rows(model.fields), max_size=4)


def rows(fields: tuple[Field, ...]) -> st.SearchStrategy[dict[str, Any]]:
    """Rows with many or few of the fields, in any order, and at times with a name nobody knows."""
    names = [*(field.name for field in fields), "strange", "id_"]
    lists = {f.name: st.lists(rows(f.members) | VALUES, max_size=3) for f in fields if f.members}
    return st.lists(st.sampled_from(names), unique=True).flatmap(
        lambda chosen: st.fixed_dictionaries(
            {name: lists[name] | VALUES if name in lists else VALUES for name in chosen}
        )
    )


def said(one: Checked) -> tuple[object, ...]:
    return (
        json.dumps(one.values, default=repr),  # with the order in which it is written
        one.reasons,
        json.dumps(one.unknown, default=repr),
        sorted(one.unknown_nested),
    )


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.source)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_both_ways_say_the_same(model: PayloadModel, data: st.DataObject) -> None:
    for record in data.draw(records(model)):
        assert said(quick_check(model)(record)) == said(model.check(record))


GOOD: dict[str, Any] = {
    **{"id": 7, "buyer": "b1", "title": "茶", "paid": "1.00", "count": 2, "is_gift": True},
    **{"at": "2017-10-01 08:00:00", "day": "2017-10-01", "state": "DONE", "phone": "13800001111"},
    "lines": [{"id": "1", "count": 1}, {"id": "2", "count": "2", "paid": None}],
}


@pytest.mark.parametrize("name", [*GOOD, "new"])
@pytest.mark.parametrize("value", [*USUAL, *ODD], ids=repr)
def test_both_ways_say_the_same_of_a_good_record_with_one_odd_value(name: str, value: Any) -> None:
    record = {**GOOD, name: value}
    assert said(quick_check(TOY)(record)) == said(TOY.check(record))


@pytest.mark.parametrize("name", GOOD)
def test_both_ways_say_the_same_of_a_record_that_lacks_a_name(name: str) -> None:
    record = {key: value for key, value in GOOD.items() if key != name}
    assert said(quick_check(TOY)(record)) == said(TOY.check(record))
    assert bool(TOY.check(record).reasons) == (name in TOY.required)


def test_only_what_is_unusual_takes_the_careful_way(monkeypatch: pytest.MonkeyPatch) -> None:
    check, careful = TOY.check, []

    def noted(record: Mapping[str, Any]) -> Checked:
        careful.append(record)
        return check(record)

    monkeypatch.setattr(TOY, "check", noted)
    drifted = {**GOOD, "new": 1, "lines": [{"id": "1", "count": 1, "new": "x"}]}
    refused = {**GOOD, "lines": [{"id": "1", "count": "many"}]}
    said_of = [quick_check(TOY)(one) for one in (GOOD, drifted, refused, {**GOOD, "title": ""})]
    assert careful == [refused]
    assert said_of[1].unknown == {"new": 1}
    assert said_of[1].unknown_nested == ["lines.new"]
    assert said_of[2].reasons == ["lines.count: not a number"]
    assert "title" not in said_of[3].values


def test_what_is_remembered_does_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regulars.sources.quick.REMEMBERED", 10)
    model = PayloadModel("toy", "few", (Field("a", "text"), Field("b", "text")))
    check = quick_check(model)
    for number in range(30):
        record = {"a": f"t{number % 12}", "b": number % 12}
        assert said(check(record)) == said(model.check(record))
