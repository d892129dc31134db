"""The seeds of the core models cover what the sources document."""

import csv
from pathlib import Path

import pytest

from regulars.sources import raw_streams, source_names
from tests.dbt.project import PROJECT_DIR, Project, open_pair

# Taobao open platform, enumerations of trade and refund status.
TRADE_STATUSES = {
    "TRADE_NO_CREATE_PAY",
    "WAIT_BUYER_PAY",
    "PAY_PENDING",
    "WAIT_PRE_AUTH_CONFIRM",
    "PAID_FORBID_CONSIGN",
    "SELLER_CONSIGNED_PART",
    "WAIT_SELLER_SEND_GOODS",
    "WAIT_BUYER_CONFIRM_GOODS",
    "TRADE_BUYER_SIGNED",
    "TRADE_FINISHED",
    "TRADE_CLOSED",
    "TRADE_CLOSED_BY_TAOBAO",
}
REFUND_STATUSES = {
    "WAIT_SELLER_AGREE",
    "WAIT_BUYER_RETURN_GOODS",
    "WAIT_SELLER_CONFIRM_GOODS",
    "SELLER_REFUSE_BUYER",
    "CLOSED",
    "SUCCESS",
    "WAIT_BUYER_CONFIRM_EXCHANGE_SELLER_SEND_GOODS",
    "EXCHANGE_TRANSFORM_TO_REFUND",
    "WAIT_SELLER_CONSIGN_GOODS",
}


def _seed(name: str) -> list[dict[str, str]]:
    (path,) = (PROJECT_DIR / "seeds").rglob(f"{name}.csv")
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _native(seed: str, status_set: str) -> list[str]:
    return [row["native_status"] for row in _seed(seed) if row["status_set"] == status_set]


def test_every_documented_status_has_a_meaning() -> None:
    assert sorted(_native("order_statuses", "taobao")) == sorted(TRADE_STATUSES)
    assert sorted(_native("refund_statuses", "taobao")) == sorted(REFUND_STATUSES)
    ours = ["closed", "created", "finished", "paid", "shipped", "signed"]
    assert sorted(_native("order_statuses", "canonical")) == ours
    assert {row["order_status"] for row in _seed("order_statuses")} == set(ours)


def test_only_an_end_status_has_an_end() -> None:
    for row in _seed("order_statuses"):
        expected = row["order_status"] if row["order_status"] in ("finished", "closed") else ""
        assert row["end_means"] == expected, row


def test_only_a_closed_order_gives_back_unlisted_money() -> None:
    unlisted = [row for row in _seed("order_statuses") if row["is_refund_unlisted"] == "true"]
    assert {row["order_status"] for row in unlisted} == {"closed"}
    # Where after-sales lists hold every refund, nothing may be given back twice.
    assert {row["status_set"] for row in unlisted} == {
        "jd",
        "jd_export",
        "pdd_export",
        "douyin_export",
    }


@pytest.mark.parametrize("seed", ["order_statuses", "refund_statuses"])
def test_a_status_of_a_set_has_one_meaning(seed: str) -> None:
    keys = [(row["status_set"], row["native_status"]) for row in _seed(seed)]
    assert len(set(keys)) == len(keys)


def test_what_the_platform_says_outranks_a_file() -> None:
    ranks = {row["record_source"]: row for row in _seed("source_ranks")}
    assert len(ranks) == len(_seed("source_ranks"))
    # A source without a row is a platform's API; without this row its records had no rank.
    assert (ranks["*"]["source_rank"], ranks["*"]["delivers_all_lines"]) == ("20", "true")
    files = {name: int(ranks.pop(name)["source_rank"]) for name in ("file", "exports")}
    # The contract's files say more than what a seller centre exports.
    assert files["exports"] < files["file"]
    assert files["file"] < min(int(row["source_rank"]) for row in ranks.values())


def test_every_landed_stream_is_a_declared_source(project: Project, empty_warehouse: Path) -> None:
    declared = {source.name for source in project.manifest.sources.values()}
    landed = {f"{name}__{stream}" for name in source_names() for stream in raw_streams(name)}
    assert landed <= declared
    with open_pair(empty_warehouse) as connection:
        for source in project.manifest.sources.values():
            connection.execute(f"describe {source.relation_name}")


def test_every_stream_that_may_be_dropped_is_staged(project: Project) -> None:
    staged = {name.split(".")[-1] for name in project.manifest.nodes if "stg_file__" in name}
    assert {f"stg_file__{stream}" for stream in raw_streams("file")} <= staged


def test_a_receipt_suppresses_with_a_reason_that_there_is() -> None:
    reasons = {row["reason"] for row in _seed("suppression_reasons")}
    rules = _seed("receipt_rules")
    assert {row["suppression_reason"] for row in rules} <= reasons
    assert {row["binds"] for row in rules} == {"contact", "person"}
    # A dead address is nobody's refusal: the member may be reached at another one.
    assert all(
        (row["binds"] == "contact") == (row["suppression_reason"] == "undeliverable")
        for row in rules
    )
