"""Connected components as the warehouse finds them, against a search in plain Python."""

import itertools
import shutil
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from random import Random
from uuid import UUID

import pytest

from tests.dbt.project import Project, open_pair

pytestmark = pytest.mark.slow

CHAIN = 3_000
SHARED_BY = 400

Link = tuple[UUID, UUID, str]
"""Customer, identifier and its type."""


def _customer(random: Random) -> UUID:
    return UUID(int=random.getrandbits(128))


def _links(random: Random) -> list[Link]:
    """A long chain in random order of keys, a star, pairs, a ring and a tangle."""
    links: list[Link] = []

    def share(*customers: UUID, kind: str = "phone_hash") -> None:
        identifier = UUID(int=random.getrandbits(128))
        links.extend((customer, identifier, kind) for customer in customers)

    chain = [_customer(random) for _ in range(CHAIN)]
    for one, other in itertools.pairwise(chain):
        share(one, other)
    share(*(_customer(random) for _ in range(SHARED_BY)))
    for _ in range(200):
        share(_customer(random), _customer(random))
    ring = [_customer(random) for _ in range(50)]
    for one, other in zip(ring, [*ring[1:], ring[0]], strict=True):
        share(one, other, kind="by_hand")
    tangle = [_customer(random) for _ in range(300)]
    for _ in range(280):
        share(*random.sample(tangle, random.choice([2, 2, 3])))
    random.shuffle(links)
    return links


def _components(links: Iterable[Link]) -> dict[UUID, UUID]:
    """Customer -> least customer of its component; whoever shares nothing is left out."""
    root: dict[UUID, UUID] = {}

    def find(key: UUID) -> UUID:
        while root.setdefault(key, key) != key:
            root[key] = root[root[key]]
            key = root[key]
        return key

    for customer, identifier, _ in links:
        root[find(customer)] = find(identifier)
    members = defaultdict(set)
    for customer, _, _ in links:
        members[find(customer)].add(customer)
    return {
        customer: min(them, key=lambda key: key.int)
        for them in members.values()
        if len(them) > 1
        for customer in them
    }


def _write(directory: Path, links: list[Link], splits: list[tuple[UUID, UUID]]) -> None:
    with open_pair(directory) as connection:
        connection.execute("delete from intermediate.int_customers__links")
        connection.executemany(
            "insert into intermediate.int_customers__links "
            "(customer_key, identifier_key, identifier_type, brand) values (?, ?, ?, 'b')",
            links,
        )
        connection.execute("delete from raw.state__identity_decisions")
        for seq, pair in enumerate(splits, start=1):
            connection.execute(
                "insert into raw.state__identity_decisions values (?, 'b', ?, ?, 'split', null)",
                [seq, *pair],
            )


def _found(directory: Path) -> list[tuple[UUID, UUID, UUID, bool]]:
    with open_pair(directory) as connection:
        return connection.execute(
            "select customer_key, cluster_key, component_key, is_parted "
            "from intermediate.int_customers__clusters"
        ).fetchall()


@pytest.fixture
def directory(project: Project, empty_warehouse: Path, tmp_path: Path) -> Path:
    for name in ("warehouse.duckdb", "marts.duckdb"):
        shutil.copy(empty_warehouse / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("seed", [1, 2])
def test_clusters_are_the_connected_components(
    project: Project, directory: Path, seed: int
) -> None:
    random = Random(seed)
    links = _links(random)
    expected = _components(links)
    # Two of the ring are two people: it was joined by hand, so it stands. Two of the chain as well.
    by_hand = sorted({link[0] for link in links if link[2] == "by_hand"}, key=lambda key: key.int)
    roots = defaultdict(list)
    for customer, root in expected.items():
        roots[root].append(customer)
    chain = max(roots.values(), key=len)
    assert len(chain) >= CHAIN
    splits = [(by_hand[0], by_hand[-1]), (chain[0], chain[-1])]
    _write(directory, links, splits)
    project.run(directory, "run", "--select", "int_customers__clusters", "--full-refresh")
    found = _found(directory)
    assert {row[0]: row[1] for row in found} == expected
    parted = {*chain, *by_hand}
    assert {row[0] for row in found if row[3]} == parted
    assert all(row[2] == row[1] for row in found if row[0] not in chain)
    assert all(row[2] == row[0] for row in found if row[0] in chain)


def test_a_part_is_recomputed_as_the_whole(project: Project, directory: Path) -> None:
    random = Random(3)
    links = _links(random)
    _write(directory, links, [])
    project.run(directory, "run", "--select", "int_customers__clusters", "--full-refresh")
    # A twentieth of the identifiers goes, and as many come that join at random.
    gone = set(random.sample(sorted({link[1] for link in links}, key=lambda key: key.int), 180))
    customers = sorted({link[0] for link in links}, key=lambda key: key.int)
    later = [link for link in links if link[1] not in gone]
    changed = {link[0] for link in links if link[1] in gone}
    for _ in range(180):
        identifier = UUID(int=random.getrandbits(128))
        for customer in random.sample(customers, 2):
            later.append((customer, identifier, "phone_hash"))
            changed.add(customer)
    _write(directory, later, [])
    with open_pair(directory) as connection:
        connection.execute("delete from ops.touched_keys")
        connection.execute("delete from intermediate.int_customers__touched")
        connection.executemany(
            "insert into intermediate.int_customers__touched values (?)",
            [[customer] for customer in changed],
        )
        connection.execute("insert into ops.run values ('r', date '2017-10-01', null)")
    project.run(directory, "run", "--select", "int_customers__clusters")
    expected = _components(later)
    assert {row[0]: row[1] for row in _found(directory)} == expected
    with open_pair(directory) as connection:
        handed_on = connection.execute(
            "select count(*) from ops.touched_keys where subject = 'clustered'"
        ).fetchall()[0][0]
    # Not everybody: pairs and stars that nothing touched were left alone.
    assert len(changed) <= handed_on < len(customers)
