"""Measure how customers are joined to members: links, components, bridge, and one further night.

A graph of so many links (a million by default), drawn from a seed: a chain of a tenth as many
customers, one phone of a two-hundredth as many (5,000), which is put aside, and for the rest groups
of two or three customers with one phone. It stands where the models find it; three models build,
each as a night builds it: all links, a night of some customers, and one in which somebody comes to
the phone that too many share. What comes out is compared with what was drawn, so a wrong answer
fails.

    .venv/bin/python scripts/bench_stitching.py [--links 1000000]

Goals for a million: at most 30 s and 2 GB. CPU seconds suffer less from what else the machine does.
"""

import argparse
import contextlib
import io
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
from dbt.cli.main import dbtRunner

from regulars.settings import PROJECT_ROOT
from regulars.transform.staged import STAGED_VARIABLE, staged_models
from regulars.warehouse.tables import create_tables

PROJECT = PROJECT_ROOT / "dbt_project"
MODELS = ("int_customers__links", "int_customers__clusters", "dim_member_identities")
SEED = 20171001

# Customers are numbered; the chain comes first, then those with the shared phone, then the groups.
# Keys are hashes of the numbers, so that their order tells nothing.
DRAW = """
    create or replace table held as
    -- Link n of the chain joins customers n and n + 1.
    select cast(md5('chain ' || n) as uuid) as identifier_key, unnest([n, n + 1]) as customer
    from range({chain} - 1) as links (n)
    union all
    select cast(md5('shared') as uuid), {chain} + n from range({star}) as people (n)
    union all
    select
        cast(md5('group ' || (n // 5 * 2 + (n % 5) // 3)) as uuid), {chain} + {star} + n
    from range({grouped}) as people (n)
"""
IDENTIFIED = """
    insert into intermediate.int_customers__identified by name
    select
        cast(md5('{seed} ' || customer) as uuid) as customer_key,
        cast(md5('member {seed} ' || customer) as uuid) as founded_member_key,
        'b' as brand, 'p' as platform, 's' as shop, cast(customer as varchar) as buyer_id,
        false as is_employee,
        timestamp '2017-01-01 00:00:00' + to_seconds(customer % 1000) as first_recorded_at
    from held group by customer
"""
IDENTIFIERS = """
    insert into intermediate.int_customers__identifiers by name
    select
        cast(md5('{seed} ' || customer) as uuid) as customer_key, identifier_key,
        'b' as brand, 'p' as platform, 's' as shop, 'phone_hash' as identifier_type,
        'brand' as scope, true as is_identity_key, 1 as same_type_count
    from held
"""
NIGHT = """
    insert into intermediate.int_customers__touched
    select customer_key from intermediate.int_customers__identified
    order by md5(cast(customer_key as varchar)) limit {count};
    insert into ops.touched_keys
    select 'night', 'identifiers', identifier_key from intermediate.int_customers__identifiers
    where customer_key in (select customer_key from intermediate.int_customers__touched);
    insert into ops.touched_keys
    select 'night', 'customers', customer_key from intermediate.int_customers__touched
"""
# One more customer comes to the phone that very many share: it joins nobody, and hands on nobody.
NEWCOMER = """
    delete from ops.touched_keys;
    delete from intermediate.int_customers__touched;
    insert into intermediate.int_customers__identified by name
    select
        cast(md5('newcomer') as uuid) as customer_key, cast(md5('its member') as uuid)
            as founded_member_key,
        'b' as brand, 'p' as platform, 's' as shop, 'newcomer' as buyer_id,
        false as is_employee, timestamp '2017-01-02 00:00:00' as first_recorded_at;
    insert into intermediate.int_customers__identifiers by name
    select
        cast(md5('newcomer') as uuid) as customer_key, cast(md5('shared') as uuid)
            as identifier_key,
        'b' as brand, 'p' as platform, 's' as shop, 'phone_hash' as identifier_type,
        'brand' as scope, true as is_identity_key, 1 as same_type_count;
    insert into intermediate.int_customers__touched values (cast(md5('newcomer') as uuid));
    insert into ops.touched_keys values
        ('night', 'identifiers', cast(md5('shared') as uuid)),
        ('night', 'customers', cast(md5('newcomer') as uuid))
"""
HANDED_ON = "select count(*) from ops.touched_keys where subject = 'clustered'"
EXPECTED = """
    select
        count(*) filter (people = {chain}) as chains,
        count(*) filter (people = 1) as alone,
        sum(people) filter (people in (2, 3)) as grouped,
        count(*) filter (people not in (1, 2, 3, {chain})) as wrong
    from (select count(*) as people from marts.dim_member_identities group by member_key)
"""


def main() -> None:
    """Build the graph, join it, check it, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--links", type=int, default=1_000_000)
    links = parser.parse_args().links
    chain, star = links // 10, links // 200
    grouped = links - 2 * (chain - 1) - star
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _dbt(folder, "seed")
        _dbt(folder, "run", "--empty", "--exclude", "tag:activation")
        with _connected(folder) as connection:
            for statement in (DRAW, IDENTIFIED, IDENTIFIERS):
                connection.execute(
                    statement.format(chain=chain, star=star, grouped=grouped, seed=SEED)
                )
            connection.execute("insert into ops.run values ('night', date '2017-10-01', null)")
        names = " ".join(MODELS)
        _measured(
            f"{links:,} links, all of them",
            lambda: _dbt(folder, "run", "--full-refresh", "--select", names),
        )
        _check(folder, chain, star, grouped)
        with _connected(folder) as connection:
            connection.execute(NIGHT.format(count=max(links // 250, 1)))
        _measured(
            f"a night that touches {links // 250:,} customers",
            lambda: _dbt(folder, "run", "--select", names),
        )
        _check(folder, chain, star, grouped)
        with _connected(folder) as connection:
            connection.execute(NEWCOMER)
        _measured(
            f"a night in which one more comes to what {star:,} share",
            lambda: _dbt(folder, "run", "--select", names),
        )
        _check(folder, chain, star + 1, grouped)
        with _connected(folder) as connection:
            found = connection.execute(HANDED_ON).fetchone()
        if found != (1,):
            raise SystemExit(f"{found} customers were handed on, expected the one who came")


def _check(folder: Path, chain: int, star: int, grouped: int) -> None:
    with _connected(folder) as connection:
        found = connection.execute(EXPECTED.format(chain=chain)).fetchone()
    # Of every five customers of the groups three have one phone and two another.
    rest = {0: 0, 1: 1, 2: 0, 3: 0, 4: 1}[grouped % 5]
    if found != (1, star + rest, grouped - rest, 0):
        raise SystemExit(f"wrong members: {found}, expected {(1, star + rest, grouped - rest, 0)}")


def _measured(what: str, run: Callable[[], None]) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.monotonic()
    run()
    seconds = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    peak = after.ru_maxrss / 1024
    sys.stdout.write(f"{what}: {seconds:.1f} s, {cpu:.1f} s of CPU, peak {peak:.0f} MB so far\n")


@contextlib.contextmanager
def _connected(folder: Path):
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute(f"attach if not exists '{folder / 'marts.duckdb'}' as marts")
        create_tables(connection)
        yield connection


_MANIFESTS: list[object] = []


def _dbt(folder: Path, *arguments: str) -> None:
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    os.environ |= {
        "REGULARS_WAREHOUSE_PATH": str(folder / "warehouse.duckdb"),
        "REGULARS_MARTS_PATH": str(folder / "marts.duckdb"),
        "REGULARS_DBT_KEEP_OPEN": "true",
        STAGED_VARIABLE: staged_models(PROJECT),
    }
    with _connected(folder):
        pass
    flags = [
        "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--no-write-json",
        "--target-path", str(folder / "target"), "--log-path", str(folder / "logs"),
    ]  # fmt: skip
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        if not _MANIFESTS:
            _MANIFESTS.append(dbtRunner().invoke(["parse", *flags]).result)
        outcome = dbtRunner(manifest=_MANIFESTS[0]).invoke([*arguments, *flags])
        if DuckDBConnectionManager._ENV is not None:
            DuckDBConnectionManager._ENV.close()
        DuckDBConnectionManager.close_all_connections()
    if not outcome.success:
        raise SystemExit(printed.getvalue()[-4000:])


if __name__ == "__main__":
    main()
