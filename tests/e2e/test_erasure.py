"""A person erased from a small real shop: gone everywhere, and everybody else as they were."""

import csv
import json
import os
import re
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
import zstandard
from sqlalchemy import text
from typer.testing import CliRunner

from regulars.errors import ErasureError, LeaseHeld, NightError, QueueError, SourceError
from regulars.keys import founded_member_key, shop_key
from regulars.landing import list_batches
from regulars.landing.persons import iter_mentions
from regulars.landing.quarantine import quarantined_records
from regulars.night import erasure as erasing
from regulars.night import replay
from regulars.night.erasure import Eraser, Given, Outcome
from regulars.night.manifest import read_manifest, resolve, run_id_of
from regulars.night.persons import Person
from regulars.night.requests import erase_by_file
from regulars.night.withdrawal import withdraw_batch
from regulars.progress import listening
from regulars.state import StateStore
from regulars.state.database import Database
from regulars.vault import open_vault
from regulars.warehouse.erase import PERSON_COLUMNS, RELATIVE_COLUMNS, published_files
from regulars.warehouse.publish import read_publication
from regulars.warehouse.read import published_path, query_published
from tests.servers import new_postgresql_url, postgresql_database, postgresql_url  # noqa: F401
from tests.world import FIRST_NIGHT, World, open_world

pytestmark = pytest.mark.faults
NIGHTS = [FIRST_NIGHT + timedelta(days=number) for number in range(2)]
DAY_AFTER = NIGHTS[-1] + timedelta(days=1)
PHONE, EMAIL = "13955550123", "Canary.Person@example.org"
LATER_PHONE = "13955550999"
SHARED = "13955557777"
REFUSED_PHONE = "13955550888"
GUEST_PHONE, GUEST_ORDER = "13955553333", "290385921174839201"


class Known:
    """Somebody of the shop, and everything that they are known by."""

    def __init__(self, world: World, buyer: str) -> None:
        self.buyer = buyer
        self.shop = "demo_grocer"
        self.customer = shop_key("demo", "taobao", self.shop, buyer)
        self.member = founded_member_key(self.customer)
        found = f"select order_id from fct_orders where customer_key = '{self.customer}'"
        self.orders = [str(row[0]) for row in rows(world, found)]
        self.order_keys = [shop_key("demo", "taobao", self.shop, one) for one in self.orders]

    @property
    def given(self) -> Given:
        return Given("buyer_id", f"{self.shop}:{self.buyer}")

    def signs(self) -> set[str]:
        """Ids and keys, as they would stand in a cell."""
        keys = [self.customer, self.member, *self.order_keys]
        return {self.buyer, *self.orders, *map(str, keys)}


def rows(world: World, sql: str) -> list[tuple[object, ...]]:
    return query_published(world.settings, sql)[1]


def eraser(world: World, holder: str = "test erasure") -> Eraser:
    return Eraser(world.settings, world.find_credentials, holder=holder, requested_by="somebody")


def erase(world: World, *given: Given, rebuild: bool = True, confirm=lambda _: True):
    return eraser(world).erase(given, request="ticket 17", confirm=confirm, rebuild=rebuild)


def drop(world: World, stream: str, name: str, *records: dict[str, str]) -> None:
    path = world.settings.inbox_dir / "demo_grocer" / stream / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".part").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, records[0])
        writer.writeheader()
        writer.writerows(records)
    path.with_suffix(".part").rename(path)


def member_record(buyer: str, phone: str, email: str = "", day: str = "2017-10-02") -> dict:
    return {
        "member_id": f"m-{buyer}",
        "buyer_id": buyer,
        "enrolled_at": "2017-01-01 10:00:00",
        "phone": phone,
        "email": email,
        "sms_consent": "granted",
        "sms_consent_at": "2017-01-01 10:00:00",
        "modified_at": f"{day} 12:00:00",
    }


def buyer_of(world: World, message: dict[str, object]) -> str:
    """The buyer that a queued message is for."""
    state = Database(world.settings.resolved_state_url)
    with state.reading() as connection:
        query = text("select customer_key from decisions where message_id = :id")
        key = connection.execute(query, {"id": message["message_id"]}).scalar_one()
    [(buyer,)] = rows(world, f"select buyer_id from dim_customers where customer_key = '{key}'")
    return str(buyer)


def drop_what_no_api_delivers(world: World, person: Known) -> None:
    """Streams that name the person by a buyer, an order or a message, good and bad."""
    order = person.orders[0]
    drop(world, "members", "canary", member_record(person.buyer, PHONE, EMAIL))
    drop(
        world,
        "reviews",
        "canary",
        {
            "review_id": "r1",
            "order_id": order,
            "buyer_id": person.buyer,
            "result": "good",
            "content": "lovely",
            "photo_count": "1",
            "created_at": "2017-10-02 12:00:00",
        },
    )
    drop(
        world,
        "sends",
        "canary",
        {
            "send_id": "canary-send",
            "campaign_id": "cj-08",
            "buyer_id": person.buyer,
            "channel": "sms",
            "sent_at": "2017-10-02 10:00:00",
        },
    )
    receipt = {"event": "delivered", "occurred_at": "2017-10-02 10:00:05"}
    drop(
        world,
        "receipts",
        "canary",
        {"receipt_id": "q1", "send_id": "canary-send", **receipt},
        {"receipt_id": "q2", "send_id": str(world.queued()[0]["message_id"]), **receipt},
        *({"receipt_id": f"o{n}", "send_id": f"other-{n}", **receipt} for n in range(3)),
    )
    bad = {"points": "many", "kind": f"call {PHONE}", "occurred_at": "2017-10-02 10:00:00"}
    good = {"points": "5", "kind": "order", "occurred_at": "2017-10-02 10:00:00"}
    drop(
        world,
        "points",
        "canary",
        {"entry_id": "p1", "buyer_id": person.buyer, **bad},
        *({"entry_id": f"p{n}", "buyer_id": "somebody else", **good} for n in range(2, 400)),
        {"entry_id": "p400", "buyer_id": "somebody else", **bad | {"kind": "call nobody"}},
    )


def drop_a_broken_file(world: World) -> None:
    """Refused as a whole, with the person's number in it; the night fails after landing it."""
    folder = world.settings.inbox_dir / "demo_grocer" / "tags"
    folder.mkdir(parents=True, exist_ok=True)
    content = f"who,tag\n{PHONE},vip\n".encode()
    (folder / "broken.csv").write_bytes(content)


class Before:
    """What stood where before the person was erased."""

    def __init__(self, world: World) -> None:
        self.published = content(published_path(world.settings))
        self.older = {
            str(path.relative_to(world.settings.published_dir)): content(path)
            for path in published_files(world.settings)
            if path.name != read_publication(world.settings).file
        }
        self.manifest = read_manifest(world.settings, run_id_of(NIGHTS[0]))
        self.batches = list_batches(world.settings)
        self.ledger = decided(world)


def content(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every mart's rows without run metadata, each as a dictionary would name them."""
    found = {}
    with duckdb.connect(str(path.resolve()), read_only=True) as marts:
        for (table,) in marts.execute("select table_name from duckdb_tables()").fetchall():
            names = [row[0] for row in marts.execute(f"describe {table}").fetchall()]
            kept = [
                name for name in names if not name.startswith("_") and name not in RELATIVE_COLUMNS
            ]
            cursor = marts.execute(f"select {', '.join(kept)} from {table} order by all")
            found[table] = [tuple(zip(kept, row, strict=True)) for row in cursor.fetchall()]
    found.pop("mart_publication")
    return found


def without(found: dict[str, list[tuple]], person: Known) -> dict[str, list[tuple]]:
    """Those marts that have a row per person, order or message, without the person's."""
    keys = {person.customer, person.member, *person.order_keys}
    return {
        table: [row for row in lines if keys.isdisjoint(value for _, value in row)]
        for table, lines in found.items()
        if lines and PERSON_COLUMNS & {name for name, _ in lines[0]}
    }


def decided(world: World) -> list[tuple[object, ...]]:
    """The ledger's batches and the outcomes of their rows."""
    with Database(world.settings.resolved_state_url).reading() as connection:
        batches = connection.execute(
            text(
                "select run_id, campaign, sent_count, holdout_count, suppressed_count "
                "from decision_batches order by run_id, campaign"
            )
        ).all()
        outcomes = connection.execute(
            text(
                "select run_id, campaign, outcome, arm, reason, count(*) from "
                "(select * from (select run_id, campaign, outcome, arm, reason from decisions) d "
                "union all select run_id, campaign, outcome, arm, reason from deferrals) a "
                "group by run_id, campaign, outcome, arm, reason "
                "order by run_id, campaign, outcome, arm, reason"
            )
        ).all()
    return [tuple(row) for row in (*batches, *outcomes)]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Two nights, and one to come; the person has a message in the queue."""
    with open_world(tmp_path_factory.mktemp("world"), households=20) as made:
        made.run(NIGHTS[0])
        assert made.queued(), "who is not in the queue cannot leave it"
        made.person = Known(made, buyer_of(made, made.queued()[0]))
        made.message_id = made.queued()[0]["message_id"]
        drop_what_no_api_delivers(made, made.person)
        drop_a_broken_file(made)
        with pytest.raises(SourceError, match="refused as a whole"):
            made.run(NIGHTS[1])
        made.run(NIGHTS[1])
        made.restated = replay.restate_night(
            made.settings, made.find_credentials, NIGHTS[0].isoformat()
        )
        made.person = Known(made, made.person.buyer)
        yield made


@pytest.fixture(scope="module")
def erased(world):
    """The world after its person was erased, by e-mail; told what was said meanwhile."""
    world.before = Before(world)
    world.told = []
    world.found = []

    def confirm(person: Person) -> bool:
        world.found.append(person)
        return True

    with listening(world.told.append):
        world.outcome = erase(world, Given("email", EMAIL.upper()), confirm=confirm)
    return world


def test_everything_of_the_person_was_found_by_their_email(erased):
    [person] = erased.found
    assert person.customers == ((("demo", "taobao", "demo_grocer"), erased.person.buyer),)
    assert person.keys.orders == set(erased.person.order_keys)
    counts = erased.outcome.erasure.counts
    assert erased.outcome.rebuilt, erased.outcome.note
    assert counts["queue_rows"] == 1
    assert counts["published_files"] == 3 and counts["published_rows"] > 100
    assert counts["quarantined_records"] == 1 and counts["quarantined_files"] == 1
    assert counts["vault_contacts"] >= 2
    assert counts["decisions_scrubbed"] + counts["deferrals_scrubbed"] > 0


def test_the_contacts_of_the_person_stand_in_no_file_and_not_in_the_vault(erased):
    canaries = [PHONE, EMAIL, EMAIL.lower()]
    looked_at = 0
    for path in erased.settings.data_dir.rglob("*"):
        if not path.is_file():
            continue
        data = path.read_bytes()
        if path.suffix == ".zst":
            data = zstandard.ZstdDecompressor().stream_reader(data).read()
        looked_at += 1
        assert not [one for one in canaries if one.encode() in data], path
    assert looked_at > 50
    credentials = erased.find_credentials("regulars_pii")
    with open_vault(erased.settings.vault_path, credentials) as vault:
        stored = vault._db.execute("select token, cipher from contacts").fetchall()
        revealed = [vault._decrypt(cipher, token) for token, cipher in stored if cipher]
        assert len(revealed) > 10, "everybody else's stand"
        assert not {PHONE, EMAIL.lower()} & set(revealed)
        for kind, value in (("phone", PHONE), ("email", EMAIL)):
            [ref] = vault.tokenise(kind, [value]).values()
            with pytest.raises(KeyError, match="erased"):
                vault.reveal(ref.token)
        assert list(erased.settings.quarantine_dir.rglob("*.sealed")) == []


def cells_with(database: Path, signs: set[str]) -> list[str]:
    """Tables of a DuckDB file in which one of the signs stands, in nested columns as well."""
    found = []
    pattern = "|".join(map(re.escape, sorted(signs)))
    with duckdb.connect(str(database.resolve()), read_only=True) as connection:
        for schema, table in connection.execute(
            "select schema_name, table_name from duckdb_tables() where not internal"
        ).fetchall():
            hit = connection.execute(
                f"select regexp_extract(cast(cells as varchar), $1) from "
                f'"{schema}"."{table}" as cells '
                "where regexp_matches(cast(cells as varchar), $1) limit 1",
                [pattern],
            ).fetchone()
            if hit:
                found.append(f"{database.name} {schema}.{table}: {hit[0]}")
    return found


def test_the_keys_of_the_person_stand_in_no_table_and_no_queue(erased):
    settings, signs = erased.settings, erased.person.signs() | {"canary-send"}
    files = [settings.warehouse_path, settings.marts_path, *published_files(settings)]
    assert len(files) == 6, [path.name for path in files]
    for path in files:
        assert cells_with(path, signs) == []
    for path in settings.queues_dir.rglob("*"):
        if path.is_file():
            assert not [one for one in signs if one in path.read_text(encoding="utf-8")]
    assert erased.message_id not in {row["message_id"] for row in erased.queued()}
    with Database(settings.resolved_state_url).reading() as connection:
        for table in ("decisions", "deferrals", "refusals", "message_events", "facts"):
            for row in connection.execute(text(f"select * from {table}")):
                assert not [one for one in signs if one in map(str, row)], table


def test_everybody_else_is_as_they_were_in_every_published_version(erased):
    before, person = erased.before, erased.person
    now = content(published_path(erased.settings))
    expected = without(before.published, person)
    assert sum(map(len, expected.values())) > 500
    for table, lines in expected.items():
        assert now[table] == lines, table
        assert len(lines) < len(before.published[table]) or table == "fct_refunds", table
    for name, older in before.older.items():
        run = Path(name).stem
        [path] = [one for one in published_files(erased.settings) if one.name.startswith(run)]
        found = content(path)
        for table, lines in without(older, person).items():
            assert found[table] == lines, (name, table)


def test_the_current_figures_no_longer_count_the_person(erased):
    sold = "select sum(paid_amount), count(*) from fct_orders where is_paid"
    [(amount, orders)] = rows(erased, sold)
    [(shown,)] = rows(
        erased, "select sum(order_count) from mart_shop_daily where customer_group = 'total'"
    )
    assert shown == orders
    assert amount > 0


def test_a_replay_is_what_it_was_without_the_person(erased, monkeypatch):
    """And one that lost anybody else is not: it must see more than the tombstones explain."""
    settings, manifest = erased.settings, read_manifest(erased.settings, run_id_of(NIGHTS[0]))
    whole = replay._rebuild(settings, manifest, resolve(settings, manifest), keep=True)
    path = settings.published_dir / "restated" / f"marts-{manifest.run_id}.duckdb"
    after = content(path)
    path.unlink()
    [before] = [one for name, one in erased.before.older.items() if "restated" not in name]
    for table, lines in without(before, erased.person).items():
        assert after[table] == lines, table

    somebody = min(whole.content.persons)
    tables = whole.content.tables | {somebody: "less"}
    lossy = replace(whole, content=replace(whole.content, digest="less", tables=tables))
    for built, is_equal in ((lossy, False), (whole, True)):
        monkeypatch.setattr(replay, "_rebuild", lambda *_, built=built, **__: built)
        outcome = replay.replay_night(settings, erased.find_credentials, NIGHTS[0].isoformat())
        assert (outcome.is_equal, outcome.is_equal_apart) == (is_equal, is_equal)
        assert outcome.tombstones == erased.night().state.erasures.head()
        assert ("equal apart from" in outcome.line) == is_equal
        assert bool(outcome.counted_without) == is_equal
    assert read_manifest(settings, run_id_of(NIGHTS[0])) == erased.before.manifest


def test_counts_and_arms_of_what_was_decided_stay(erased):
    assert decided(erased) == erased.before.ledger
    ledger = erased.night().state.ledger
    for day in NIGHTS:
        for campaign in ledger.campaigns_of(run_id_of(day)):
            result = ledger.result(run_id_of(day), campaign)
            assert result.considered == result.sent + result.suppressed + result.holdout
            assert ledger.verify(run_id_of(day), campaign)


def test_landing_is_what_it_was(erased):
    from regulars.landing import verify

    assert list_batches(erased.settings) == erased.before.batches
    for batch in erased.before.batches:
        verify(erased.settings, batch)


def test_nobody_is_named_in_what_is_told_and_written_down(erased):
    signs = erased.person.signs() | {PHONE, EMAIL, EMAIL.lower(), EMAIL.upper()}
    told = "\n".join([*erased.told, *erased.outcome.lines, repr(Given("email", EMAIL))])
    assert "erasure-000001" in told
    assert not [one for one in signs if one in told]
    reports = erased.settings.reports_dir.rglob("*")
    for path in [one for one in reports if one.is_file()]:
        assert not [one for one in (PHONE, EMAIL) if one in path.read_text(errors="replace")]


def test_the_same_erasure_again_changes_nothing_and_shows_the_same_audit(erased):
    settings = erased.settings
    stood = {
        path: path.stat().st_mtime_ns
        for folder in (settings.published_dir, settings.queues_dir, settings.warehouse_path.parent)
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    }
    for given in (Given("email", EMAIL), erased.person.given, Given("phone", f"+86 {PHONE}")):
        again = erase(erased, given, confirm=None)
        assert again.is_known
        assert again.erasure == erased.outcome.erasure
        assert "erased before" in again.lines[0]
    assert {path: path.stat().st_mtime_ns for path in stood} == stood
    assert erased.night().state.erasures.all() == [erased.outcome.erasure]


def test_the_last_night_from_scratch_gives_the_digest_that_the_erasure_left(erased):
    digest, queued = erased.digest, erased.queued()
    erased.settings.warehouse_path.unlink()
    erased.run(NIGHTS[1])
    assert erased.digest == digest
    assert erased.queued() == queued


ORDER = {
    "status": "finished",
    "created_at": f"{DAY_AFTER} 09:00:00",
    "paid_at": f"{DAY_AFTER} 09:01:00",
    "finished_at": f"{DAY_AFTER} 10:00:00",
    "paid_amount": "25.00",
    "goods_amount": "25.00",
}
LINE = {"line_no": "1", "product_id": "77", "quantity": "1", "paid_amount": "25.00"}


@pytest.fixture(scope="module")
def later(erased):
    """A night on: the person has ordered again, from a new phone, and some of it was refused."""
    person = erased.person
    drop(
        erased,
        "orders",
        "later",
        {"order_id": "later-1", "buyer_id": person.buyer, "payer_phone": LATER_PHONE, **ORDER},
        {"order_id": "later-2", "buyer_id": "a new", "payer_phone": "13955551111", **ORDER},
    )
    drop(erased, "taobao_orders", "export", exported_order(GUEST_ORDER, GUEST_PHONE))
    ids = ("later-1", "later-2", person.orders[0], "early-1")
    drop(erased, "order_lines", "later", *({"order_id": one, **LINE} for one in ids))
    drop(
        erased,
        "members",
        "later",
        member_record(person.buyer, LATER_PHONE, day=str(DAY_AFTER)),
        *(member_record(f"m{n}", "", day=str(DAY_AFTER)) for n in range(200)),
        member_record(person.buyer, REFUSED_PHONE, day="no day"),
        member_record("a new", "13955551111", day="no day"),
    )
    erased.run(DAY_AFTER)
    return erased


def test_what_lands_later_of_the_person_does_not_bring_them_back(later):
    digest, signs = later.digest, later.person.signs() | {"later-1"}
    assert cells_with(later.settings.warehouse_path, signs) == []
    assert cells_with(published_path(later.settings), signs) == []
    assert rows(later, "select count(*) from fct_orders where order_id = 'later-2'") == [(1,)]
    with open_vault(later.settings.vault_path, later.find_credentials("regulars_pii")) as vault:
        refs = vault.tokenise("phone", [LATER_PHONE, "13955551111"])
        with pytest.raises(KeyError, match="erased"):
            vault.reveal(refs[LATER_PHONE].token)
        assert vault.reveal(refs["13955551111"].token) == "13955551111"
    later.settings.warehouse_path.unlink()
    later.run(DAY_AFTER)
    assert later.digest == digest, "a rebuild from scratch is the sum of the nights"


def test_what_is_refused_later_of_the_person_does_not_wait_in_quarantine(later):
    [batch] = [
        one for one in list_batches(later.settings, stream="members") if one.quarantined_count
    ]
    theirs, other = quarantined_records(later.settings, batch)
    assert (theirs.released_as, dict(theirs.payload)) == ("erasure-000001", {})
    assert other.released_as is None and other.payload["buyer_id"] == "a new"
    assert not reveals(later, "phone", REFUSED_PHONE)
    assert reveals(later, "phone", "13955551111")


def test_lines_that_land_a_night_before_their_order_do_not_stay(later):
    """The order says whose they are, a night too late: the warehouse is built anew without them."""
    assert cells_with(later.settings.warehouse_path, {"early-1"})
    named = {"buyer_id": later.person.buyer, **ORDER}
    drop(
        later, "orders", "early", *({"order_id": one, **named} for one in ("early-1", GUEST_ORDER))
    )
    told = []
    with listening(told.append):
        later.run(DAY_AFTER + timedelta(days=1))
    assert any("somebody was erased who stands in the warehouse" in line for line in told)
    assert cells_with(later.settings.warehouse_path, {"early-1", GUEST_ORDER}) == []
    # Last night's version shows an order of nobody's, until the erasure is repeated.
    assert [path for path in published_files(later.settings) if cells_with(path, {GUEST_ORDER})]
    assert not reveals(later, "phone", GUEST_PHONE)
    erase(later, later.person.given, rebuild=False)
    for path in published_files(later.settings):
        assert cells_with(path, {GUEST_ORDER}) == []


# ------------------------------------------------------------------ one night is enough for these


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """One night; two customers share a phone, and an export brought an order of nobody's."""
    with open_world(tmp_path_factory.mktemp("small"), households=8) as made:
        anna, bert = buyers_landed(made)[:2]
        drop(
            made,
            "members",
            "shared",
            member_record(anna, SHARED, "anna@example.org"),
            member_record(bert, SHARED, "bert@example.org"),
        )
        drop(made, "taobao_orders", "export", exported_order(GUEST_ORDER, GUEST_PHONE))
        made.run(NIGHTS[0])
        made.anna, made.bert = Known(made, anna), Known(made, bert)
        made.guest = Known(made, f"order:{GUEST_ORDER}")
        made.base = made.root / "base"
        shutil.copytree(made.settings.data_dir, made.base, symlinks=True)
        yield made


def extract(world: World, day) -> None:
    """Land what a night would, and leave it at that."""
    night = world.night("extracting")
    run_id = night.open_night(day)
    for code in night.list_shops(run_id):
        night.extract_shop(run_id, code)
    night.close_night(run_id)


def buyers_landed(world: World) -> list[str]:
    """Buyers of the first night's orders, before any night was built."""
    extract(world, NIGHTS[0])
    found = iter_mentions(world.settings, list_batches(world.settings, stream="orders"))
    return sorted({buyer for mention in found for buyer in mention.buyers})


def exported_order(number: str, phone: str) -> dict[str, str]:
    """A row of the platform's report of orders, which names no buyer."""
    return {
        "订单编号": number,
        "买家应付货款": "20.00",
        "买家应付邮费": "0.00",
        "总金额": "20.00",
        "买家实际支付金额": "20.00",
        "订单状态": "交易成功",
        "联系手机": phone,
        "订单创建时间": "2017-09-30 09:00:00",
        "订单付款时间": "2017-09-30 09:01:00",
    }


@pytest.fixture
def shop(small):
    """The small world as its night left it."""
    shutil.rmtree(small.settings.data_dir)
    shutil.copytree(small.base, small.settings.data_dir, symlinks=True)
    return small


def buyers(world: World) -> set[str]:
    return {str(row[0]) for row in rows(world, "select buyer_id from dim_customers")}


def reveals(world: World, kind: str, value: str) -> bool:
    with open_vault(world.settings.vault_path, world.find_credentials("regulars_pii")) as vault:
        return bool(vault.revealed([vault.hash_of(kind, value)]))


def fingerprint(folder: Path) -> dict[str, bytes]:
    """Every file that is not a lock or a log."""
    kept = {path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()}
    kept = {path for path in kept if "logs" not in path.parts and path.suffix != ".lock"}
    kept = {path for path in kept if not path.name.startswith(("state.db", "vault.db", ".lock"))}
    return {str(path.relative_to(folder)): path.read_bytes() for path in kept}


def test_a_phone_of_two_names_both_and_takes_nobody_unconfirmed(shop):
    before = fingerprint(shop.settings.data_dir)
    asked: list[Person] = []

    def refuse(person: Person) -> bool:
        asked.append(person)
        return False

    with pytest.raises(ErasureError, match="2 customers were found and not confirmed"):
        erase(shop, Given("phone", SHARED), confirm=refuse)
    named = {buyer for _, buyer in asked[0].customers}
    assert named == {shop.anna.buyer, shop.bert.buyer}
    assert fingerprint(shop.settings.data_dir) == before
    assert shop.night().state.erasures.all() == []
    erase(shop, Given("phone", SHARED), rebuild=False)
    assert not named & buyers(shop)
    assert not reveals(shop, "phone", SHARED)


def test_a_buyer_id_takes_that_customer_alone_and_leaves_what_is_shared(shop):
    outcome = erase(shop, shop.anna.given, rebuild=False)
    assert outcome.shared_contacts >= 1
    assert "contacts stay, because somebody else has them" in "\n".join(outcome.lines)
    assert shop.anna.buyer not in buyers(shop) and shop.bert.buyer in buyers(shop)
    assert reveals(shop, "phone", SHARED) and reveals(shop, "email", "bert@example.org")
    assert not reveals(shop, "email", "anna@example.org")
    erase(shop, shop.bert.given, rebuild=False)
    assert not reveals(shop, "phone", SHARED), "the last one takes it along"


@pytest.mark.parametrize("way", ["order_id", "customer_key"])
def test_a_person_is_found_by_an_order_and_by_a_key(shop, way):
    given = {
        "order_id": f"demo_grocer:{shop.anna.orders[0]}",
        "customer_key": str(shop.anna.customer),
    }[way]
    erase(shop, Given(way, given), rebuild=False)
    assert shop.anna.buyer not in buyers(shop) and shop.bert.buyer in buyers(shop)


def test_a_member_key_takes_all_customers_of_the_member(shop):
    query = "select member_key from dim_member_identities where customer_key = '{}'"
    [member] = {rows(shop, query.format(one.customer))[0][0] for one in (shop.anna, shop.bert)}
    outcome = erase(shop, Given("member_key", str(member)), rebuild=False)
    assert outcome.others == ()
    assert not {shop.anna.buyer, shop.bert.buyer} & buyers(shop)


@pytest.mark.parametrize("way", ["phone", "order_id", "buyer_id", "member_key", "customer_key"])
def test_whoever_ordered_without_a_buyer_id_is_found_and_gone_from_every_version(shop, way):
    """As with all of Pinduoduo and most exports: the order is a customer of its own."""
    guest = shop.guest
    assert guest.orders == [GUEST_ORDER]
    signs = {GUEST_ORDER, str(guest.customer), str(guest.member)}
    assert cells_with(published_path(shop.settings), signs)
    given = {
        "phone": GUEST_PHONE,
        "order_id": f"{guest.shop}:{GUEST_ORDER}",
        "buyer_id": f"{guest.shop}:{guest.buyer}",
        "member_key": str(guest.member),
        "customer_key": str(guest.customer),
    }[way]
    erase(shop, Given(way, given), rebuild=False)
    for path in published_files(shop.settings):
        assert cells_with(path, signs) == []
    assert not reveals(shop, "phone", GUEST_PHONE)
    assert {shop.anna.buyer, shop.bert.buyer} < buyers(shop)


def test_a_contact_in_a_withdrawn_batch_goes_with_its_owner(shop):
    wrong = {**member_record(shop.anna.buyer, "13955552222"), "member_id": "typo"}
    drop(shop, "members", "wrong", wrong)
    extract(shop, NIGHTS[1])
    [batch] = [one for one in list_batches(shop.settings) if one.origin == "wrong.csv"]
    withdraw_batch(shop.settings, batch.batch_id, "typed wrong")
    assert reveals(shop, "phone", "13955552222")
    erase(shop, shop.anna.given, rebuild=False)
    assert not reveals(shop, "phone", "13955552222")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Given("phone", "13900001111"), "nobody is known by that"),
        (Given("email", "nobody@example.org"), "nobody is known by that"),
        (Given("buyer_id", "demo_grocer:nobody"), "nobody is known by that"),
        (Given("buyer_id", "no_such_shop:nobody"), "nobody is known by that"),
        (Given("order_id", "demo_grocer:nothing"), "nobody is known by that"),
        (Given("member_key", "00000000-0000-0000-0000-000000000001"), "nobody is known"),
        (Given("buyer_id", "nobody"), "--buyer-id cannot be used: it is not SHOP:ID"),
        (Given("member_key", "anna"), "--member-key cannot be used"),
        (Given("phone", " - "), "--phone cannot be used: it is empty"),
    ],
)
def test_whoever_is_not_known_is_said_and_nothing_is_changed(shop, given, message):
    before = fingerprint(shop.settings.data_dir)
    with pytest.raises(ErasureError, match=message) as caught:
        erase(shop, given)
    assert given.kind not in ("phone", "email") or given.value not in str(caught.value)
    assert fingerprint(shop.settings.data_dir) == before
    assert shop.night().state.erasures.all() == []
    assert shop.night().state.lease.current() is None


def test_a_request_reference_with_a_contact_in_it_is_refused(shop):
    for reference in ("", f"call {PHONE}", "mail to a@example.org"):
        with pytest.raises(ErasureError, match="needs the reference of its request"):
            eraser(shop).erase(
                (shop.anna.given,), request=reference, confirm=lambda _: True, rebuild=False
            )


def test_a_running_night_is_named_and_nothing_is_changed(shop):
    night = shop.night("tonight")
    run_id = night.open_night(NIGHTS[1])
    try:
        with pytest.raises(LeaseHeld, match=f"tonight holds the lease for {run_id}"):
            erase(shop, shop.anna.given)
    finally:
        night.close_night(run_id)
    assert shop.night().state.erasures.all() == []


def test_a_night_cannot_begin_while_somebody_is_erased(shop):
    def confirm(_: Person) -> bool:
        with pytest.raises(LeaseHeld, match="test erasure holds the lease for erasure"):
            shop.run(NIGHTS[1])
        return False

    with pytest.raises(ErasureError):
        erase(shop, shop.anna.given, confirm=confirm)


def test_a_night_and_an_erasure_that_were_both_interrupted_come_to_their_end(shop, monkeypatch):
    """Cleared tasks must not go on with a warehouse that still holds the person."""

    def away(*_: object) -> None:
        raise QueueError("away", where="test", next_step="wait")

    night = shop.night("tonight")
    run_id = night.open_night(NIGHTS[1])
    for code in night.list_shops(run_id):
        night.extract_shop(run_id, code)
    night.validate_landing(run_id)
    night.load_raw(run_id)
    night.close_night(run_id)
    with monkeypatch.context() as patched:
        patched.setattr(erasing, "take_out_of_queue", away)
        with pytest.raises(QueueError):
            erase(shop, shop.anna.given)
    for name in ("build_core", "validate_marts", "commit", "publish_marts"):
        with pytest.raises(NightError, match="somebody was erased since"):
            getattr(shop.night("cleared"), name)(run_id)
    shop.night("cleared").close_night(run_id)
    told = []
    with listening(told.append):
        shop.run(NIGHTS[1])
    assert any("is unfinished: run `regulars erase --resume`" in line for line in told)
    assert shop.anna.buyer not in buyers(shop), "the night kept them out all the same"
    [outcome] = eraser(shop).resume(rebuild=False)
    assert outcome.erasure.finished_at is not None
    for path in published_files(shop.settings):
        assert cells_with(path, shop.anna.signs()) == []
    assert eraser(shop).resume() == []


@pytest.mark.parametrize("repeated", ["anna", "bert"])
def test_an_erasure_that_ends_another_builds_the_warehouse_that_it_took(
    shop, monkeypatch, repeated
):
    """Whoever repeats it is told that it was done before, and must not be left without marts."""
    rebuilt = rebuilds(monkeypatch)
    erase(shop, shop.bert.given, rebuild=False)
    with monkeypatch.context() as patched:
        patched.setattr(erasing, "take_out_of_queue", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            erase(shop, shop.anna.given)
    for expected in (1, 0):
        rebuilt.clear()
        outcome = erase(shop, getattr(shop, repeated).given, confirm=None)
        assert outcome.is_known and len(rebuilt) == expected


def rebuilds(monkeypatch) -> list[Outcome]:
    """Erasures that would have built the warehouse anew: what that does is shown elsewhere."""
    seen = []
    monkeypatch.setattr(Eraser, "_rebuild", lambda _, outcome: seen.append(outcome) or outcome)
    return seen


def where_to_die() -> list[tuple[str, Callable[[object], object]]]:
    """Name, and what is patched so that the process dies as it is called."""
    return [
        ("before the tombstones", "regulars.state.erasures._bury"),
        ("after the tombstones", "regulars.night.erasure.Eraser._clear_vault"),
        ("in quarantine", "regulars.night.erasure.clear_quarantine"),
        ("before the vault", "regulars.vault.store.Vault.erase_hashes"),
        ("before the queue", "regulars.night.erasure.take_out_of_queue"),
        ("before the published files", "regulars.night.erasure.rewrite_published"),
        ("with a clean copy", "regulars.state.erasures.Erasures.record_digest"),
        ("before the pointer", "regulars.night.erasure.replace_published"),
        ("in the pointer", "regulars.warehouse.publish.fsync"),
        ("before the warehouse", "regulars.night.erasure.remove_warehouse"),
        ("before the audit", "regulars.state.erasures.Erasures.finish"),
        ("in the rebuild", "regulars.night.steps.Night.load_raw"),
    ]


def killed_at(place: str, action: Callable[[], object]) -> bool:
    """Run ``action`` in a process that is killed -9 as ``place`` is called."""
    pid = os.fork()
    if pid == 0:
        from unittest.mock import patch

        with patch(place, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)):
            try:
                action()
            finally:
                os._exit(1)
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize(("name", "place"), where_to_die(), ids=lambda one: str(one))
def test_an_erasure_killed_anywhere_ends_when_it_is_repeated(shop, name, place):
    # The shop's own clock is served by this process, which a forked one had better not ask.
    good = shop.settings
    shop.settings = good.model_copy(update={"clock_url": ""})
    try:
        in_rebuild = name == "in the rebuild"
        assert killed_at(place, lambda: erase(shop, shop.anna.given, rebuild=in_rebuild)), name
        known = shop.night().state.erasures.all()
        assert len(known) == (0 if name == "before the tombstones" else 1)
        outcome = erase(shop, shop.anna.given, rebuild=False)
    finally:
        shop.settings = good
    [erasure] = shop.night().state.erasures.all()
    assert erasure.finished_at is not None and outcome.erasure.erasure_id == erasure.erasure_id
    assert not reveals(shop, "email", "anna@example.org")
    assert not shop.settings.warehouse_path.exists()
    signs = shop.anna.signs()
    for path in published_files(shop.settings):
        assert cells_with(path, signs) == []
    assert buyers(shop) and shop.anna.buyer not in buyers(shop)
    assert not list(shop.settings.data_dir.rglob("*.part"))


def test_a_request_file_is_read_once_and_destroyed(shop, monkeypatch):
    rebuilt = rebuilds(monkeypatch)
    folder = shop.settings.requests_dir
    folder.mkdir()
    path = folder / "one.yml"
    path.write_text(f"request: ticket 5\nphone: '{SHARED}'\n")
    with pytest.raises(ErasureError, match="2 customers were found and not confirmed"):
        erase_by_file(eraser(shop), shop.settings, "one.yml")
    assert not path.exists()
    path.write_text(f"request: ticket 5\nphone: '{SHARED}'\nerase_all: true\n")
    night = shop.night("tonight")
    run_id = night.open_night(NIGHTS[1])
    with pytest.raises(LeaseHeld):
        erase_by_file(eraser(shop), shop.settings, "one.yml")
    night.close_night(run_id)
    assert path.exists(), "a cleared task finds it again"
    erase_by_file(eraser(shop), shop.settings, "one.yml")
    assert not path.exists() and len(rebuilt) == 1
    assert not {shop.anna.buyer, shop.bert.buyer} & buyers(shop)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"request: t\nphone: '{SHARED}'\ntypo: 1\n", "cannot be read: typo"),
        (f"request: t\nphone: [{SHARED}\n", "is no YAML"),
        ("request: t\n", "names nobody"),
        ("", "cannot be read"),
    ],
)
def test_a_request_file_that_cannot_be_used_is_destroyed_unread(shop, content, message):
    folder = shop.settings.requests_dir
    folder.mkdir()
    (folder / "one.yml").write_text(content)
    with pytest.raises(ErasureError, match=message) as caught:
        erase_by_file(eraser(shop), shop.settings, "one.yml")
    assert SHARED not in str(caught.value)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["../state/state.db", "missing.yml", "."])
def test_a_request_outside_its_folder_is_refused(shop, name):
    with pytest.raises(ErasureError, match="there is no such request"):
        erase_by_file(eraser(shop), shop.settings, name)


def test_the_command_asks_for_the_contact_and_never_shows_it(shop, monkeypatch):
    rebuilds(monkeypatch)
    from regulars.cli import app

    settings = shop.settings
    for name in ("data_dir", "config_dir", "clock_url"):
        monkeypatch.setenv(f"REGULARS_{name.upper()}", str(getattr(settings, name)))
    key = {"conn_type": "http", "password": shop.find_credentials("regulars_pii").password}
    monkeypatch.setenv("AIRFLOW_CONN_REGULARS_PII", json.dumps(key))
    run = CliRunner().invoke
    arguments = ["erase", "--phone", "-", "--request", "ticket 9"]
    unconfirmed = run(app, arguments, input=f"{SHARED}\n")
    assert unconfirmed.exit_code == 1
    assert f"found demo_grocer:{shop.anna.buyer}" in unconfirmed.output
    done = run(app, [*arguments, "--yes"], input=f"{SHARED}\n")
    assert done.exit_code == 0, done.output
    again = run(app, [*arguments, "--yes"], input=f"{SHARED}\n")
    assert again.exit_code == 0 and "erased before" in again.output
    unknown = run(app, arguments, input="13911112222\n")
    assert unknown.exit_code == 1 and "nobody is known by that" in unknown.output
    for said in (unconfirmed, done, again, unknown):
        assert SHARED not in said.output and "13911112222" not in said.output
    assert "nothing is unfinished" in run(app, ["erase", "--resume"]).output
    assert run(app, ["erase", "--request", "ticket 9"]).exit_code == 2


def test_a_person_is_erased_where_state_is_in_postgresql(tmp_path, postgresql_url):  # noqa: F811
    with open_world(tmp_path, households=6) as world:
        world.settings = world.settings.model_copy(update={"state_url": postgresql_url})
        buyer = buyers_landed(world)[0]
        given = Given("buyer_id", f"demo_grocer:{buyer}")
        outcome = erase(world, given)
        assert outcome.erasure.finished_at is not None
        keys = StateStore(postgresql_url).erasures.keys()
        assert keys.customers == {shop_key("demo", "taobao", "demo_grocer", buyer)}
        assert keys.orders
        assert erase(world, given).erasure == outcome.erasure
