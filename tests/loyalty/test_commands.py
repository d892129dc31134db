"""The commands of tiers and points as a shop calls them: what they print, and what they leave."""

import json
import sqlite3
from pathlib import Path
from uuid import UUID

import duckdb
import pytest
from click.testing import Result
from typer.testing import CliRunner

from regulars.cli import app
from regulars.keys import shop_key
from regulars.settings import PROJECT_ROOT, Settings
from tests.loyalty.files import POINTS, PROGRAM

TABLES = """
    create table mart_publication as select date '2018-06-30' as as_of_date;
    create table dim_members (member_key uuid, brand varchar, is_enrolled boolean);
    create table dim_member_identities (customer_key uuid, member_key uuid);
    create table dim_customers (
        customer_key uuid, brand varchar, platform varchar, shop varchar, buyer_id varchar
    );
    create table mart_member_tiers (member_key uuid, tier_level integer);
    create table fct_point_lots (
        member_key uuid, closes_at timestamp, remaining_count bigint, debt_count bigint
    );
    create table fct_orders (
        customer_key uuid, brand varchar, platform varchar, shop varchar, currency varchar,
        is_valid_order boolean, paid_date date, finished_at timestamp, net_amount decimal(18, 2)
    );
"""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten members with an order each and 1,100 points, two of whom bought more; one rule."""
    config = tmp_path / "config"
    (config / "tiers").mkdir(parents=True)
    (config / "points").mkdir()
    shops = (PROJECT_ROOT / "config" / "shops.yml").read_text(encoding="utf-8")
    (config / "shops.yml").write_text(shops, encoding="utf-8")
    (config / "points" / "base.yml").write_text(POINTS, encoding="utf-8")
    monkeypatch.setenv("REGULARS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("REGULARS_CONFIG_DIR", str(config))
    # Set, not deleted: what is not set is read from .env.
    monkeypatch.setenv("REGULARS_STATE_URL", "")
    monkeypatch.setenv("REGULARS_CLOCK_URL", "")
    folder = Settings(data_dir=tmp_path / "data").published_dir
    folder.mkdir(parents=True)
    with duckdb.connect(str(folder / "current.duckdb")) as connection:
        connection.execute(TABLES)
        for number in range(1, 11):
            buyer, member = f"o'buyer{number}", UUID(int=number)
            customer = shop_key("demo", "taobao", "demo_grocer", buyer)
            connection.execute("insert into dim_members values (?, 'demo', true)", [member])
            connection.execute(
                "insert into dim_member_identities values (?, ?)", [customer, member]
            )
            connection.execute(
                "insert into dim_customers values (?, 'demo', 'taobao', 'demo_grocer', ?)",
                [customer, buyer],
            )
            connection.execute("insert into fct_point_lots values (?, null, 1100, 0)", [member])
            connection.execute(
                "insert into fct_orders values "
                "(?, 'demo', 'taobao', 'demo_grocer', 'CNY', true, '2018-06-01', null, ?)",
                [customer, {1: "4000.00", 2: "990.00"}.get(number, "100.00")],
            )
    return tmp_path


def told(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})


def test_simulate_shows_the_members_of_each_tier_and_changes_nothing(world: Path) -> None:
    file = world / "first.yml"
    file.write_text(PROGRAM, encoding="utf-8")
    before = sorted(path for path in world.rglob("*"))
    done = told("tiers", "simulate", str(file))
    assert done.exit_code == 0, done.output
    assert "first as of 2018-06-30 (nothing is changed)" in done.output
    lines = {line.split("│")[1].strip(): line for line in done.output.splitlines() if "│" in line}
    cells = [cell.strip() for cell in lines["3 VIP会员"].split("│")[1:-1]]
    assert cells[:7] == ["3 VIP会员", "0", "1", "1", "0", "4,000.00", "1"]
    cells = [cell.strip() for cell in lines["1 普通会员"].split("│")[1:-1]]
    assert cells[:7] == ["1 普通会员", "0", "9", "9", "1", "1,790.00", "9"]
    assert "10 members rise on the first day, nobody goes down" in done.output
    assert sorted(path for path in world.rglob("*")) == before


def test_lint_ends_with_one_where_something_is_unwise(world: Path) -> None:
    assert told("tiers", "lint").output.strip() == "no tier program in config/tiers"
    applied = world / "config" / "tiers" / "first.yml"
    applied.write_text(PROGRAM, encoding="utf-8")
    sound = told("tiers", "lint")
    assert (sound.exit_code, sound.output.strip()) == (0, "first: nothing to say against it")
    applied.write_text(PROGRAM.replace("3000.00", "3000.01"), encoding="utf-8")
    unwise = told("tiers", "lint", str(applied))
    assert unwise.exit_code == 1
    assert unwise.output.startswith("first: step_ratio: ")


def test_export_prints_what_the_platform_takes(world: Path) -> None:
    file = world / "first.yml"
    file.write_text(PROGRAM, encoding="utf-8")
    done = told("tiers", "export", str(file))
    assert done.exit_code == 0, done.output
    assert json.loads(done.output) == {
        "method": "taobao.crm.grade.set",
        "grade": "1,2,3",
        "amount": "1,100000,300000",
        "discount": "1000,950,900",
        "hierarchy": "true,true,true,false",
    }


def test_what_the_platform_refuses_is_told_with_its_line(world: Path) -> None:
    file = world / "first.yml"
    file.write_text(PROGRAM.replace("discount_permille: 900", "discount_permille: 600"), "utf-8")
    for command in ("simulate", "lint", "export"):
        done = told("tiers", command, str(file))
        assert done.exit_code == 1
        assert "Failed: " in done.output
        assert f"{file}:" in done.output.replace("\n", "")


def test_a_gift_is_taken_once_for_a_request_and_as_long_as_points_last(world: Path) -> None:
    def redeem(gift: str, request: str, buyer: str = "o'buyer2") -> Result:
        return told("points", "redeem", "demo_grocer", buyer, gift, "--request", request)

    first = redeem("bag", "r1")
    assert (first.exit_code, first.output.strip()) == (0, "bag: taken")
    again = redeem("bag", "r1")
    assert (again.exit_code, again.output.strip()) == (0, "bag: this request was honoured before")
    assert redeem("bag", "r2").output.strip() == "bag: taken"
    # 1,100 were there, 1,000 are gone; the night has not yet been told.
    short = redeem("bag", "r3")
    assert short.exit_code == 1
    assert "points" in short.output
    nobody = redeem("bag", "r4", "nobody-4711")
    assert nobody.exit_code == 1
    assert "no such buyer" in nobody.output
    assert "4711" not in nobody.output
    unknown = redeem("hat", "r5")
    assert unknown.exit_code == 1
    assert "the catalogue has no gift 'hat'" in unknown.output
    state = Settings(data_dir=world / "data").resolved_state_url.removeprefix("sqlite:///")
    # What was given stays given: the gift is not in the catalogue any more, nothing is published.
    rule = world / "config" / "points" / "base.yml"
    rule.write_text(POINTS.replace("gift: bag", "gift: box"), encoding="utf-8")
    assert redeem("bag", "r1", "o'buyer1").exit_code == 1, "it was somebody else's request"
    (Settings(data_dir=world / "data").published_dir / "current.duckdb").unlink()
    retried = redeem("bag", "r1")
    assert (retried.exit_code, retried.output.strip()) == (0, again.output.strip())
    assert redeem("box", "r1").exit_code == 1, "it was another gift"
    with sqlite3.connect(state) as connection:
        taken = connection.execute("select redemption_id, gift from point_redemptions").fetchall()
    assert sorted(taken) == [("r1", "bag"), ("r2", "bag")]
