"""The server's life: ready when entered, switchable, refusing to run open."""

import socket
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from regulars.clock import RemoteClock
from regulars.errors import ConfigError, SourceUnavailable
from regulars.sandbox.book import OrderBook, book_version
from regulars.sandbox.protocol import PLATFORM_ZONE
from regulars.sandbox.server import SandboxProcess, SandboxServer, access_of, serve
from regulars.sandbox.shop import DEFAULT_NOW
from regulars.settings import Settings
from tests.sandbox.calls import NOW, SUNDAY, signed


def _settings(data_dir: Path, **changes: object) -> Settings:
    values = {"data_dir": data_dir, "sandbox_app_secret": "s3", "sandbox_session": "s4"}
    return Settings.model_validate({**values, **changes})


def test_health_tells_the_book_and_the_clock(server: SandboxServer) -> None:
    server.shop.now = NOW
    health = httpx.get(f"{server.url}/sandbox/health").json()
    assert health["status"] == "ok"
    assert health["now"] == "2017-10-02T02:00:00+08:00"
    assert health["book"] == book_version()


def test_the_clock_is_read_and_moved_as_the_night_does(server: SandboxServer) -> None:
    clock = RemoteClock(server.clock_url)
    server.set_clock("2017-10-03T02:00:00+08:00")
    assert clock.now() == datetime(2017, 10, 3, 2, tzinfo=PLATFORM_ZONE)
    clock.advance_to(datetime(2017, 10, 4, 2, tzinfo=PLATFORM_ZONE))
    assert server.shop.now == datetime(2017, 10, 4, 2, tzinfo=PLATFORM_ZONE)
    server.set_clock("2017-10-02 02:00:00")  # the shop's own time
    assert server.shop.now == NOW


@pytest.mark.parametrize("body", ['{"now": "tomorrow"}', '{"then": 1}', "no json", "[]"])
def test_a_malformed_clock_is_refused(server: SandboxServer, body: str) -> None:
    before = server.shop.now
    assert httpx.put(server.clock_url, content=body).status_code == 422
    assert server.shop.now == before


def test_faults_and_limits_are_replaced_read_and_cleared(server: SandboxServer) -> None:
    faults = f"{server.url}/sandbox/faults"
    server.set_faults(html=3, edits=[{"tid": 5, "set": {"status": "X"}}])
    assert httpx.get(faults).json()["html"] == 3
    assert httpx.delete(faults).json()["edits"] == []
    server.set_limits(daily_quota=5000)
    assert httpx.get(f"{server.url}/sandbox/limits").json()["daily_quota"] == 5000
    server.set_limits()
    with pytest.raises(ConfigError, match="extra_forbidden"):
        server.set_faults(no_such_fault=1)
    assert httpx.get(faults).json()["html"] == 0


def test_query_and_body_are_merged_before_the_signature_is_checked(server: SandboxServer) -> None:
    call = signed("taobao.trades.sold.increment.get", fields="tid,buyer_nick", **SUNDAY)
    server.shop.now = NOW
    url = server.router_url
    with SandboxServer(server.shop.book, now=NOW, check_timestamp=False) as lenient:
        halves = list(call.items())
        one = httpx.post(lenient.router_url, params=dict(halves[:6]), data=dict(halves[6:])).json()
        two = httpx.get(lenient.router_url, params=call).json()
        three = httpx.post(lenient.router_url, data=call).json()
    for answer in (one, two, three):
        answer["trades_sold_increment_get_response"].pop("request_id")
    assert one == two == three
    # The other server looks at the machine's clock.
    assert httpx.post(url, data=call).json()["error_response"]["code"] == 31


def test_garbage_is_answered_in_the_platforms_words(server: SandboxServer) -> None:
    for content in (b"\xff\xfe\x00", b"", b"method"):
        answer = httpx.post(server.router_url, content=content)
        assert answer.status_code == 200
        assert answer.json()["error_response"]["code"] == 21


def test_a_fault_changes_what_http_carries(server: SandboxServer) -> None:
    server.set_faults(http_error={"status": 503, "retry_after": 2}, html=1)
    error = httpx.get(server.router_url)
    assert (error.status_code, error.headers["Retry-After"]) == (503, "2")
    assert httpx.get(server.router_url).headers["Content-Type"].startswith("text/html")


def test_two_servers_live_side_by_side(server: SandboxServer) -> None:
    with SandboxServer(OrderBook.sample(households=1), now=NOW) as other:
        assert other.port != server.port
        trades = httpx.get(f"{other.url}/sandbox/health").json()["trades"]
    assert trades == other.shop.book.trade_count
    with pytest.raises(httpx.ConnectError):
        httpx.get(other.url)


def test_the_sandbox_never_runs_open(tmp_path: Path) -> None:
    for missing in ("sandbox_app_secret", "sandbox_session"):
        with pytest.raises(ConfigError, match=f"REGULARS_{missing.upper()}"):
            access_of(_settings(tmp_path, **{missing: ""}))
    assert "s3" not in repr(access_of(_settings(tmp_path)))


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port}"):
            serve(_settings(tmp_path), host="127.0.0.1", port=port)


@pytest.mark.slow
def test_a_process_of_its_own_serves_the_whole_book(tmp_path: Path) -> None:
    # The prepared book is shared through the project's own data folder.
    (tmp_path / "sandbox").symlink_to(_prepared())
    settings = _settings(tmp_path)
    with SandboxProcess(settings) as sandbox:
        health = httpx.get(f"{sandbox.url}/sandbox/health").json()
        assert health["trades"] == 155_848
        assert RemoteClock(sandbox.clock_url).now() == DEFAULT_NOW
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{sandbox.url}/sandbox/health")


@pytest.mark.slow
def test_a_process_that_cannot_start_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sandbox").symlink_to(_prepared())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = SandboxProcess(_settings(tmp_path), port=taken.getsockname()[1])
        with pytest.raises(SourceUnavailable, match="before it was ready"), process:
            pass
    assert "cannot listen" in capfd.readouterr().err


def _prepared() -> Path:
    from regulars.sandbox.book import DEFAULT_CACHE

    OrderBook.load()
    return DEFAULT_CACHE
