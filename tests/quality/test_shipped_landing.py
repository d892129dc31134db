"""What the shipped expectations of gate 1 let pass and what they stop."""

import json

import pytest

from regulars.quality.gate import validate_landing
from regulars.settings import Settings


def trades(count, *, buyers, payment="10.00"):
    return [
        {
            "_line": number,
            "tid": str(number),
            "buyer_open_uid": f"AAH{number % buyers}",
            "created": "2017-10-01 08:00:00",
            "modified": "2017-10-01 09:00:00",
            "payment": payment,
        }
        for number in range(1, count + 1)
    ]


def orders(count, paid_amount):
    return [
        {"_line": number, "order_id": str(number), "paid_amount": paid_amount}
        for number in range(1, count + 1)
    ]


def critical(tmp_path, table, records):
    path = tmp_path / "batch.ndjson"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    verdict = validate_landing(Settings(data_dir=tmp_path), {table: [path]})
    assert verdict.checked
    return [finding.notes for finding in verdict.critical]


@pytest.mark.parametrize(
    ("buyers", "stops"),
    # One buyer for a hundred trades is a wholesaler; one for a hundred and one is a mask.
    [(40, False), (2, False), (1, True)],
)
def test_trades_of_next_to_no_buyer_stop_the_night(tmp_path, buyers, stops):
    found = critical(tmp_path, "taobao_top__orders", trades(150, buyers=buyers))
    assert [note for note in found if "masks the buyer" in note] == found
    assert bool(found) is stops


def test_a_small_shops_single_buyer_is_no_mask(tmp_path):
    assert critical(tmp_path, "taobao_top__orders", trades(99, buyers=1)) == []


@pytest.mark.parametrize(("amount", "stops"), [("0.00", True), ("0.01", False), ("moved", True)])
def test_trades_without_one_amount_stop_the_night(tmp_path, amount, stops):
    found = critical(tmp_path, "taobao_top__orders", trades(100, buyers=50, payment=amount))
    assert bool(found) is stops


@pytest.mark.parametrize(
    ("count", "amount", "stops"),
    [(100, "0", True), (99, "0", False), (100, "0.01", False)],
)
def test_dropped_orders_without_one_amount_stop_the_night(tmp_path, count, amount, stops):
    assert bool(critical(tmp_path, "file__orders", orders(count, amount))) is stops
