"""Killed at every operation of the file system, landing loses nothing and doubles nothing."""

import os
from typing import Any

import pytest

from regulars.landing import list_batches, read_batch, verify
from regulars.night.inbox import land_inbox
from regulars.settings import Settings
from regulars.shops import Shop
from regulars.vault import open_vault
from tests.landing.conftest import DAY, KEY, FixedClock
from tests.landing.files import drop, files_below, quarantined

OPERATIONS = ("rename", "replace", "unlink", "fsync", "mkdir")
MEMBERS = "member_id,buyer_id,phone\n1,2,13800001111\n,3,13800002222\n"
BROKEN = "store_id,name\n1,A\n2"
KILLED = 9


def land(settings: Settings, shop: Shop, kill_at: int) -> None:
    """Land the inbox; die without any clean-up before the n-th operation (0: never)."""
    left = kill_at

    def deadly(real: Any) -> Any:
        def run(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os._exit(KILLED)
            return real(*args, **kwargs)

        return run

    for name in OPERATIONS if kill_at else ():
        setattr(os, name, deadly(getattr(os, name)))
    with open_vault(settings.vault_path, KEY) as vault:
        land_inbox(settings, shop, vault, "night-1", DAY, lambda _: None, clock=FixedClock())


def land_and_die(settings: Settings, shop: Shop, kill_at: int) -> bool:
    """The same in a process of its own; whether it was killed."""
    child = os.fork()
    if child == 0:
        try:
            land(settings, shop, kill_at)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == KILLED


def drop_all(settings: Settings) -> None:
    drop(settings, "members", "members.csv", MEMBERS)
    drop(settings, "members", "members.csv.ok", "")
    drop(settings, "stores", "stores.csv", BROKEN)


@pytest.mark.slow
def test_killed_at_every_operation(tmp_path_factory: pytest.TempPathFactory, shop: Shop) -> None:
    kill_at = 0
    while True:
        kill_at += 1
        settings = Settings(data_dir=tmp_path_factory.mktemp("killed"))
        drop_all(settings)
        if not land_and_die(settings, shop, kill_at):
            break
        land(settings, shop, 0)
        assert_whole(settings, f"killed before operation {kill_at}")
    assert kill_at > 20


def assert_whole(settings: Settings, when: str) -> None:
    (batch,) = list_batches(settings)
    verify(settings, batch)
    (member,) = read_batch(settings, batch)
    (refused,) = quarantined(settings, batch)
    with open_vault(settings.vault_path, KEY) as vault:
        assert vault.reveal(member["phone_ref"]) == "13800001111", when
        assert vault.reveal(refused["phone_ref"]) == "13800002222", when
    left = [path for path in files_below(settings.data_dir) if not path.startswith("vault/")]
    kinds = sorted(path.split("/")[0] + path[path.rindex("/") :].partition(".")[2] for path in left)
    assert kinds == [
        "landingmanifest.json",
        "landingndjson.zst",
        "quarantinendjson.zst",
        "quarantinerejected.json",
        "quarantinesealed",
    ], when
