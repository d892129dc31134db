"""One writer: the OS lock."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from regulars.errors import WarehouseLocked
from regulars.warehouse.lock import warehouse_lock

HOLD = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from regulars.warehouse.lock import warehouse_lock
    with warehouse_lock(Path(sys.argv[1]), holder="night-20171001", wait_seconds=0):
        print("held", flush=True)
        sys.stdin.read()
    """
)


@pytest.fixture
def other_holder(tmp_path):
    path = tmp_path / "warehouse.duckdb"
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline().strip() == "held"
    yield path, process
    process.kill()
    process.wait()


def test_a_second_process_is_refused_with_the_holders_name(other_holder):
    path, process = other_holder
    waits = []
    with (
        pytest.raises(WarehouseLocked) as caught,
        warehouse_lock(path, holder="me", wait_seconds=1.0, wait=waits.append),
    ):
        pass
    assert f"night-20171001 (pid {process.pid}" in str(caught.value)
    assert sum(waits) == pytest.approx(1.0, abs=0.11)


def test_waiting_ends_when_the_holder_lets_go(other_holder):
    path, process = other_holder
    waits = []

    def let_go(seconds):
        waits.append(seconds)
        if len(waits) == 200:  # 20 seconds of waiting, without waiting
            process.stdin.close()
            process.wait()

    with warehouse_lock(path, holder="me", wait_seconds=60.0, wait=let_go):
        assert len(waits) == 200


def test_a_killed_holder_leaves_no_lock(other_holder):
    path, process = other_holder
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with warehouse_lock(path, holder="me", wait_seconds=0.0):
        pass


def test_a_process_may_enter_again(tmp_path):
    path = tmp_path / "warehouse.duckdb"
    with (
        warehouse_lock(path, holder="outer", wait_seconds=0.0),
        warehouse_lock(path, holder="inner", wait_seconds=0.0),
    ):
        pass
