"""A person's rows in published files: replaced whole, under names of their own."""

from datetime import date
from uuid import UUID

import duckdb
import pytest

from regulars.settings import Settings
from regulars.state import Reach
from regulars.warehouse import publish
from regulars.warehouse.erase import (
    altered_tables,
    content_of,
    published_files,
    reach_of,
    replace_published,
    rewrite_published,
)
from regulars.warehouse.read import query_published

ANNA, BERT = UUID(int=1), UUID(int=2)


@pytest.fixture
def settings(tmp_path):
    made = Settings(data_dir=tmp_path, published_versions_kept=3)
    made.marts_path.parent.mkdir(parents=True)
    return made


def write_marts(settings, amount):
    with duckdb.connect(str(settings.marts_path)) as connection:
        for table in ("fct_orders", "dim_customers", "mart_shop_daily"):
            connection.execute(f"drop table if exists {table}")
        connection.execute(
            "create table fct_orders (order_key uuid not null, customer_key uuid, note varchar, "
            f"amount int default {amount}, primary key (order_key))"
        )
        connection.execute("create table dim_customers (customer_key uuid, buyer_id varchar)")
        connection.execute("create table mart_shop_daily (day date, orders int)")
        for number, key in ((11, ANNA), (12, BERT), (13, None)):
            connection.execute(
                "insert into fct_orders values (?, ?, 'parcel for ' || ?, ?)",
                [UUID(int=number), key, str(key), amount],
            )
        connection.execute(
            "insert into dim_customers values (?, 'anna'), (?, 'bert')", [ANNA, BERT]
        )
        connection.execute("insert into mart_shop_daily values ('2017-10-01', 3)")
        connection.execute(
            "create or replace view mart_member_360 as select customer_key from main.dim_customers"
        )


def publish_night(settings, day):
    write_marts(settings, day)
    return publish.publish_marts(
        settings, run_id=f"night-201710{day:02}", as_of_date=date(2017, 10, day), holder="test"
    )


def erase(settings, *keys, head=7):
    done = []
    for old, new in rewrite_published(settings, keys or (ANNA,), head):
        replace_published(settings, old, new)
        done.append(new)
    return done


@pytest.mark.slow
def test_every_version_and_restatement_loses_the_persons_rows_alone(settings):
    publish_night(settings, 1)
    last = publish_night(settings, 2)
    restated = publish.restated_path(settings, "restated-20171001-1")
    restated.parent.mkdir()
    restated.write_bytes((settings.published_dir / last.file).read_bytes())
    done = erase(settings)
    assert [(new.run_id, new.removed) for new in done] == [
        ("night-20171002", 2),
        ("night-20171001", 2),
        ("restated-20171001-1", 2),
    ]
    assert {path.name for path in published_files(settings)} == {
        "marts-night-20171002-1-erased-7.duckdb",
        "marts-night-20171001-1-erased-7.duckdb",
        "marts-restated-20171001-1.duckdb",
    }
    for path in published_files(settings):
        assert b"anna" not in path.read_bytes() and str(ANNA).encode() not in path.read_bytes()
        with duckdb.connect(str(path), read_only=True) as marts:
            assert marts.execute("select buyer_id from dim_customers").fetchall() == [("bert",)]
            assert marts.execute("select count(*) from fct_orders").fetchall() == [(2,)]
            assert marts.execute("select orders from mart_shop_daily").fetchall() == [(3,)]
            assert marts.execute("select customer_key from mart_member_360").fetchall() == [(BERT,)]
            constraints = "select constraint_type from duckdb_constraints() order by all"
            assert ("PRIMARY KEY",) in marts.execute(constraints).fetchall()
    assert erase(settings) == []


def test_the_pointer_shows_the_clean_version_with_its_own_digest(settings):
    before = publish_night(settings, 1)
    reader = duckdb.connect(str(settings.published_dir / before.file), read_only=True)
    [new] = erase(settings)
    after = publish.read_publication(settings)
    assert after.file == new.file.name and after.digest == new.content.digest != before.digest
    assert after.tables == {**before.tables, "fct_orders": 2, "dim_customers": 1}
    assert query_published(settings, "select count(*) from dim_customers")[1] == [(1,)]
    # Who has the old version open keeps it whole.
    assert reader.execute("select count(*) from dim_customers").fetchall() == [(2,)]
    reader.close()


def test_the_digest_of_what_is_left_is_that_of_marts_that_never_held_the_person(settings):
    publish_night(settings, 1)
    [new] = erase(settings)
    with duckdb.connect(str(settings.marts_path)) as connection:
        connection.execute("delete from fct_orders where customer_key = ?", [ANNA])
        connection.execute("delete from dim_customers where customer_key = ?", [ANNA])
        assert publish.digest_marts(connection, "marts")[0] == new.content.digest


def test_a_file_without_a_row_of_the_person_is_left_as_it_is(settings):
    before = publish_night(settings, 1)
    content = (settings.published_dir / before.file).read_bytes()
    assert erase(settings, UUID(int=99)) == []
    assert publish.read_publication(settings) == before
    assert (settings.published_dir / before.file).read_bytes() == content


@pytest.mark.slow
@pytest.mark.parametrize("killed", ["before the pointer", "before the old file goes"])
def test_an_erasure_killed_between_two_files_is_finished_by_the_next(settings, killed, monkeypatch):
    publish_night(settings, 1)
    publish_night(settings, 2)
    old, new = next(iter(rewrite_published(settings, [ANNA], 7)))
    if killed == "before the old file goes":
        monkeypatch.setattr("pathlib.Path.unlink", lambda *_, **__: (_ for _ in ()).throw(OSError))
        with pytest.raises(OSError):
            replace_published(settings, old, new)
        monkeypatch.undo()
    assert len(erase(settings)) == 2
    assert publish.read_publication(settings).file == "marts-night-20171002-1-erased-7.duckdb"
    assert len(published_files(settings)) == 2
    assert not list(settings.published_dir.glob("*.part"))


def test_a_second_person_is_taken_out_of_a_version_that_was_rewritten(settings):
    publish_night(settings, 1)
    erase(settings)
    erase(settings, BERT, head=9)
    assert publish.read_publication(settings).file == "marts-night-20171001-1-erased-9.duckdb"
    assert query_published(settings, "select count(*) from dim_customers")[1] == [(0,)]


def test_a_name_that_was_published_once_is_not_used_again(settings):
    publish_night(settings, 1)
    erase(settings)
    with duckdb.connect(str(settings.marts_path)) as connection:
        connection.execute("delete from dim_customers")
    again = publish.publish_marts(
        settings, run_id="night-20171001", as_of_date=date(2017, 10, 1), holder="test"
    )
    assert again.file == "marts-night-20171001-2.duckdb"


def test_marts_with_a_row_per_person_are_told_from_those_that_count_many(settings):
    write_marts(settings, 1)
    with duckdb.connect(str(settings.marts_path)) as connection:
        content = content_of(connection, "marts")
    assert content.persons == {"fct_orders:own", "dim_customers:own"}
    assert set(content.tables) == {*content.persons, "fct_orders", "dim_customers"} | {
        "mart_shop_daily"
    }


@pytest.mark.parametrize(
    "relative",
    [
        "recency_bit",
        "newcomer_quality",
        "is_high_quality_sleeper",
        *("is_key_member", "key_member_basis", "ask_rank"),
    ],
)
def test_how_somebody_stands_to_the_mean_of_all_is_not_their_own(relative):
    found = []
    for orders, bit in ((1, 0), (1, 1), (2, 0)):
        with duckdb.connect() as connection:
            connection.execute("create table mart_member_rfm (member_key uuid, n int, r_bit int)")
            connection.execute(f"alter table mart_member_rfm rename r_bit to {relative}")
            connection.execute("insert into mart_member_rfm values (?, ?, ?)", [ANNA, orders, bit])
            found.append(content_of(connection, "memory"))
    one, other_mean, other_person = found
    assert altered_tables(one.tables, other_mean.tables) == {"mart_member_rfm"}
    assert altered_tables(one.tables, other_person.tables) == {
        "mart_member_rfm",
        "mart_member_rfm:own",
    }


def test_whom_the_median_of_all_brings_into_a_segment_is_not_their_own(settings):
    found = []
    for quality, is_sleeper, members in (
        ("low", False, [(ANNA, "2017-10-01")]),
        ("high", True, [(ANNA, "2017-10-01"), (ANNA, None)]),
        ("low", False, [(ANNA, "2017-10-02")]),
    ):
        with duckdb.connect() as connection:
            connection.execute(
                "create table mart_member_lifecycle as select ?::uuid as member_key, "
                "? as newcomer_quality, ?::boolean as is_high_quality_sleeper",
                [ANNA, quality, is_sleeper],
            )
            connection.execute(
                "create table mart_segment_members (member_key uuid, entered_on date)"
            )
            connection.executemany("insert into mart_segment_members values (?, ?)", members)
            one = content_of(connection, "memory")
            everybody = content_of(connection, "memory", Reach(members=frozenset({ANNA})))
            found.append((one.tables, everybody.tables))
    tables = {"mart_member_lifecycle", "mart_segment_members"}
    (low, low_apart), (high, _), (entered_later, later_apart) = found
    assert altered_tables(low, high) == tables
    assert altered_tables(low, entered_later) == {
        "mart_segment_members",
        "mart_segment_members:own",
    }
    assert altered_tables(low_apart, later_apart) == {"mart_segment_members"}


# --- members of several customers ----------------------------------------------------------------

CARL, DORA, EMIL, FRED = (UUID(int=number) for number in (3, 4, 5, 6))


def founded(customer):
    return UUID(int=customer.int + 100)


def write_members(settings, members, links=()):
    """Marts of customers who are members as ``members`` says, each with one order.

    ``links`` are (customer, identifier, why it is not used).
    """
    with duckdb.connect(str(settings.marts_path)) as connection:
        for statement in (
            "create or replace table dim_member_identities "
            "(customer_key uuid, member_key uuid, founded_member_key uuid)",
            "create or replace table dim_member_links (customer_key uuid, member_key uuid, "
            "identifier_key uuid, is_used boolean, unused_reason varchar)",
            "create or replace table dim_members (member_key uuid, phone varchar, orders int)",
            "create or replace table mart_member_tiers (member_key uuid, customer_key uuid)",
            "create or replace table fct_orders (order_key uuid, customer_key uuid)",
            "create or replace table fct_order_attribution "
            "(order_key uuid, customer_key uuid, amount int)",
        ):
            connection.execute(statement)
        for first, *others in members:
            people = [first, *others]
            connection.execute(
                "insert into dim_members values (?, ?, ?)",
                [founded(first), f"phone of {first}", len(people)],
            )
            connection.execute(
                "insert into mart_member_tiers values (?, ?)", [founded(first), first]
            )
            for one in people:
                order = UUID(int=one.int + 200)
                connection.execute(
                    "insert into dim_member_identities values (?, ?, ?)",
                    [one, founded(first), founded(one)],
                )
                connection.execute("insert into fct_orders values (?, ?)", [order, one])
                connection.execute(
                    "insert into fct_order_attribution values (?, ?, ?)", [order, one, len(people)]
                )
        for one, identifier, reason in links:
            connection.execute(
                "insert into dim_member_links values (?, null, ?, ?, ?)",
                [one, UUID(int=identifier), reason is None, reason],
            )


def publish_members(settings, day=1):
    return publish.publish_marts(
        settings, run_id=f"night-201710{day:02}", as_of_date=date(2017, 10, day), holder="test"
    )


def test_what_tells_of_a_joined_member_goes_with_one_of_its_customers(settings):
    write_members(settings, [(ANNA, BERT), (CARL,)])
    publish_members(settings)
    erase(settings)
    kept = [founded(CARL)]
    for table in ("dim_members", "mart_member_tiers"):
        assert query_published(settings, f"select member_key from {table}")[1] == [
            (key,) for key in kept
        ]
    for table in ("dim_member_identities", "fct_orders"):
        found = query_published(settings, f"select customer_key from {table} order by 1")[1]
        assert found == [(BERT,), (CARL,)]


def test_whom_an_erasure_may_join_or_part_is_found_in_every_file(settings):
    shared, chain, other = 301, 302, 303
    links = [
        *((one, shared, "shared_by_too_many") for one in (ANNA, CARL, DORA)),
        # Dora belongs to a cluster that two people fell apart of; the last link is not believed.
        *((one, chain, "connects_two_people") for one in (DORA, EMIL)),
        *((one, other, "shared_by_too_many") for one in (EMIL, FRED)),
    ]
    write_members(settings, [(ANNA,), (CARL,), (DORA,), (EMIL,), (FRED,)], links)
    publish_members(settings, 1)
    write_members(settings, [(ANNA, BERT), (FRED,)])
    publish_members(settings, 2)
    reach = reach_of(settings, [ANNA])
    assert reach.customers == {BERT, CARL, DORA, EMIL}
    assert reach.members == {founded(one) for one in (ANNA, BERT, CARL, DORA, EMIL)}
    assert reach_of(settings, [UUID(int=99)]) == Reach()
    assert reach_of(settings, []) == Reach()


def test_who_is_alone_reaches_nobody(settings):
    write_members(settings, [(ANNA,), (BERT,)])
    publish_members(settings)
    assert reach_of(settings, [ANNA]) == Reach()


def test_members_whom_an_erasure_changed_tell_nothing_of_others(settings):
    """Without Anna, Bert is a member of his own: explained. That Carl is another is not."""
    write_members(settings, [(ANNA, BERT), (CARL,)])
    publish_members(settings)
    apart = reach_of(settings, [ANNA])
    [(_, rewritten)] = rewrite_published(settings, [ANNA, UUID(int=201)], 7, apart=apart)
    found = []
    for members in ([(BERT,), (CARL,)], [(BERT,), (CARL, DORA)]):
        write_members(settings, members)
        with duckdb.connect(str(settings.marts_path)) as connection:
            rebuilt = content_of(connection, "marts", apart)
            unexplained = content_of(connection, "marts")
        altered = altered_tables(rewritten.content.tables, rebuilt.tables) & rebuilt.persons
        found.append(altered)
        assert altered_tables(rewritten.content.tables, unexplained.tables) & unexplained.persons
    assert found[0] == set()
    assert {"dim_members:own", "dim_member_identities:own", "fct_orders:own"} <= found[1]


def test_an_erasure_that_reaches_others_writes_every_file_anew_once(settings):
    write_members(settings, [(BERT,)])
    publish_members(settings)
    apart = Reach(frozenset({BERT}), frozenset({founded(BERT)}))
    assert list(rewrite_published(settings, [ANNA], 7, apart=apart)) == []
    for old, new in rewrite_published(settings, [ANNA], 7, apart=apart, is_reaching=True):
        replace_published(settings, old, new)
    assert publish.read_publication(settings).file == "marts-night-20171001-1-erased-7.duckdb"
    again = rewrite_published(settings, [ANNA], 7, apart=apart, is_reaching=True)
    assert list(again) == []
