"""Decisions by hand about who is one person, and what people are shown of it."""

from uuid import UUID

import duckdb
import pytest
from typer.testing import CliRunner

from regulars.cli import app
from regulars.errors import ConfigError, StateError
from regulars.keys import founded_member_key, shop_key
from regulars.night import identity
from regulars.night.identity import customers_of, decide, decisions, links_of, put_aside
from regulars.settings import Settings

SHOPS = """
brands:
- {brand: toys, name: Toys, base_currency: CNY}
- {brand: books, name: Books, base_currency: CNY}
shops:
- &shop {brand: toys, platform: taobao, shop: north, name: North, source: file,
  zone: Asia/Shanghai, currency: CNY, first_date: 2017-01-01}
- {<<: *shop, shop: south, name: South}
- {<<: *shop, brand: books, shop: books, name: Books}
"""
BUYERS = {"north": ("ann", "bob"), "south": ("ann",), "books": ("ann",)}


def _key(shop: str, buyer: str) -> UUID:
    return shop_key("books" if shop == "books" else "toys", "taobao", shop, buyer)


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """An installation whose marts say that north's ann is south's, by a phone."""
    config = tmp_path / "config"
    config.mkdir()
    (config / "shops.yml").write_text(SHOPS, encoding="utf-8")
    made = Settings(data_dir=tmp_path / "data", config_dir=config, clock_url="")
    made.published_dir.mkdir(parents=True)
    with duckdb.connect(str(made.published_dir / "current.duckdb")) as connection:
        connection.execute(
            "create table dim_customers (customer_key uuid, shop varchar, buyer_id varchar);"
            "create table dim_member_identities (customer_key uuid, member_key uuid, "
            "founded_member_key uuid, evidence varchar, first_recorded_at timestamp);"
            "create table dim_member_links (customer_key uuid, member_key uuid, brand varchar, "
            "identifier_type varchar, identifier_key uuid, customer_count integer, "
            "is_used boolean, unused_reason varchar, first_seen_at timestamp, "
            "_batch_id varchar, _line bigint)"
        )
        for shop, buyers in BUYERS.items():
            for buyer in buyers:
                key = _key(shop, buyer)
                older = _key("north", "ann") if shop == "south" else key
                row = [key, founded_member_key(older), founded_member_key(key)]
                connection.execute("insert into dim_customers values (?, ?, ?)", [key, shop, buyer])
                connection.execute(
                    "insert into dim_member_identities "
                    "values (?, ?, ?, 'shared identifier', '2017-10-01')",
                    row,
                )
                if shop != "books":
                    reason = None if buyer == "ann" else "shared_by_too_many"
                    connection.execute(
                        "insert into dim_member_links values "
                        "(?, ?, 'toys', 'phone_hash', ?, 2, ?, ?, '2017-10-01', 'batch-1', 7)",
                        [key, row[1], UUID(int=reason is not None), reason is None, reason],
                    )
    monkeypatch.setattr("regulars.settings.read_settings", lambda: made)
    return made


def _decide(settings, kind, one="north:ann", other="south:ann", evidence="ticket 7"):
    return decide(settings, kind, one, other, evidence=evidence, decided_by="cat")


def test_a_decision_is_recorded_with_who_why_and_when(settings):
    assert "recorded" in _decide(settings, "split")
    assert "already" in _decide(settings, "split", "south:ann", "north:ann")
    names, rows = decisions(settings)
    (row,) = [dict(zip(names, row, strict=True)) for row in rows]
    assert row["decided_at"].tzinfo is not None
    assert (row["kind"], row["brand"], row["by"], row["evidence"]) == (
        "split", "toys", "cat", "ticket 7",
    )  # fmt: skip
    assert {row["customer_key"], row["other_customer_key"]} == {
        _key("north", "ann"), _key("south", "ann"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"one": "ann"}, "SHOP:BUYER"),
        ({"one": "north:dan"}, "no such customer"),
        ({"other": "books:ann"}, "different brands"),
        ({"other": "north:ann"}, "two customers"),
        ({"evidence": " "}, "without personal data"),
        ({"evidence": "called from 13812345678"}, "without personal data"),
        ({"kind": "undo"}, "nothing is decided"),
    ],
)
def test_what_cannot_be_decided_is_refused(settings, change, complaint):
    values = {"kind": "merge", **change}
    with pytest.raises(StateError, match=complaint):
        _decide(settings, values.pop("kind"), **values)
    assert decisions(settings)[1] == []


def test_an_unknown_shop_is_named(settings):
    with pytest.raises(ConfigError):
        _decide(settings, "merge", one="west:ann")


@pytest.mark.parametrize("of", ["a customer", "the member", "the retired key"])
def test_a_member_shows_its_customers_and_every_piece_of_evidence(settings, of):
    who = {
        "a customer": "south:ann",
        "the member": str(founded_member_key(_key("north", "ann"))),
        "the retired key": str(founded_member_key(_key("south", "ann"))),
    }[of]
    _, customers = customers_of(settings, who)
    assert {row[:2] for row in customers} == {("north", "ann"), ("south", "ann")}
    _, links = links_of(settings, who)
    assert {row[2:5] + row[6:8] for row in links} == {("phone_hash", 2, "joins", "batch-1", 7)}


@pytest.mark.parametrize("who", ["nobody", str(UUID(int=9))])
def test_nobody_is_known_by_a_wrong_key(settings, who):
    with pytest.raises(StateError):
        customers_of(settings, who)


def test_what_was_put_aside_is_named_and_counted(settings):
    names, rows = put_aside(settings)
    (row,) = [dict(zip(names, row, strict=True)) for row in rows]
    assert (row["identifier_key"], row["customer_count"]) == (UUID(int=1), 2)
    assert (row["unused_reason"], row["unused_by"]) == ("shared_by_too_many", 1)


def test_the_commands_decide_and_show(settings):
    run = CliRunner()
    arguments = ["north:ann", "north:bob", "--evidence", "ticket 7"]
    for command in ("merge", "split", "undo"):
        outcome = run.invoke(app, ["members", command, *arguments])
        assert (outcome.exit_code, "recorded" in outcome.output) == (0, True), outcome.output
    assert [row[1] for row in identity.decisions(settings)[1]] == ["merge", "split", "undo"]
    for command in (["show", "north:ann"], ["shared"], ["decisions"]):
        assert run.invoke(app, ["members", *command]).exit_code == 0
    assert run.invoke(app, ["members", "undo", *arguments]).exit_code == 1
