"""The sandbox shop over HTTP on loopback.

``/router/rest`` speaks the platform's protocol. Beside it, for the people who run demos and tests:
``/sandbox/health``; ``/sandbox/clock`` (GET, and PUT of ``{"now": "2017-10-02T02:00:00+08:00"}``);
``/sandbox/faults`` (GET, PUT, DELETE; see ``regulars.sandbox.faults``); ``/sandbox/limits`` (GET,
PUT; see ``regulars.sandbox.limits``).
"""

import asyncio
import gc
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import httpx
import orjson
import uvicorn
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from regulars.errors import ConfigError, SourceUnavailable
from regulars.sandbox.book import OrderBook, book_version
from regulars.sandbox.clockwork import ShopClock
from regulars.sandbox.faults import Faults
from regulars.sandbox.limits import Limits
from regulars.sandbox.merchant import Merchant
from regulars.sandbox.platforms import (
    Gateway,
    cancels_whole_orders,
    open_gateway,
    served_sources,
)
from regulars.sandbox.platforms.taobao_push import PUSHED, Pusher, push_database_at
from regulars.sandbox.protocol import PLATFORM_ZONE, Access
from regulars.sandbox.shop import DEFAULT_NOW, SandboxShop
from regulars.settings import PROJECT_ROOT, Settings
from regulars.shops import Shop

ModelT = TypeVar("ModelT", bound=BaseModel)

TEST_ACCESS = Access(
    app_key="sandbox",
    app_secret="sandbox-secret",  # noqa: S106  # of throwaway servers in tests
    session="sandbox-session",
)


DEFAULT_SHOP = "demo_grocer"
TAOBAO = "taobao_top"
"""The source of the shop that answers at ``/router/rest``."""
_START_SECONDS = 30.0
_PUSH_HISTORY_DAYS = 90


class _Endpoints:
    """The HTTP face of one shop."""

    def __init__(
        self, shop: SandboxShop, merchants: Sequence[Merchant], pushers: Sequence[Pusher]
    ) -> None:
        self._shop = shop
        self._merchants = merchants
        self._pushers = pushers

    async def rest(self, request: Request) -> Response:
        parameters = dict(parse_qsl(request.url.query, keep_blank_values=True))
        body = (await request.body()).decode("utf-8", errors="replace")
        parameters.update(parse_qsl(body, keep_blank_values=True))
        answer = self._shop.answer(parameters)
        if answer.delay_seconds:
            await asyncio.sleep(answer.delay_seconds)
        return Response(
            answer.body,
            status_code=answer.status,
            headers={**answer.headers, "Content-Type": answer.content_type},
        )

    async def clock(self, request: Request) -> Response:
        if request.method == "PUT":
            try:
                instant = datetime.fromisoformat(orjson.loads(await request.body())["now"])
            except (KeyError, TypeError, ValueError):
                return JSONResponse({"error": 'expected {"now": ISO instant}'}, status_code=422)
            self._shop.now = instant if instant.tzinfo else instant.replace(tzinfo=PLATFORM_ZONE)
            for merchant in self._merchants:
                await run_in_threadpool(merchant.drop_until, self._shop.now)
            for pusher in self._pushers:
                await run_in_threadpool(pusher.push)
        return JSONResponse({"now": self._shop.now.isoformat()})

    async def faults(self, request: Request) -> Response:
        if request.method == "DELETE":
            self._shop.replace_faults(Faults())
        elif request.method == "PUT":
            return await _replaced(request, Faults, self._shop.replace_faults)
        return JSONResponse(self._shop.faults.model_dump())

    async def limits(self, request: Request) -> Response:
        if request.method == "PUT":
            return await _replaced(request, Limits, self._shop.replace_limits)
        return JSONResponse(self._shop.limits.model_dump())

    async def health(self, request: Request) -> Response:
        return JSONResponse(
            {
                "status": "ok",
                "now": self._shop.now.isoformat(),
                "trades": self._shop.book.trade_count,
                "calls": self._shop.call_count,
                "book": book_version(),
            }
        )


def sandbox_app(
    shop: SandboxShop,
    merchants: Sequence[Merchant] = (),
    gateways: Sequence[Gateway] = (),
    pushers: Sequence[Pusher] = (),
) -> Starlette:
    """The HTTP application over one shop; merchants drop files as the clock passes days.

    ``gateways`` are shops on other platforms that live by the same clock; ``pushers`` write into
    databases of their own whenever it moves.
    """
    endpoints = _Endpoints(shop, merchants, pushers)
    return Starlette(
        routes=[
            Route("/router/rest", endpoints.rest, methods=["GET", "POST"]),
            Route("/sandbox/clock", endpoints.clock, methods=["GET", "PUT"]),
            Route("/sandbox/faults", endpoints.faults, methods=["GET", "PUT", "DELETE"]),
            Route("/sandbox/limits", endpoints.limits, methods=["GET", "PUT"]),
            Route("/sandbox/health", endpoints.health, methods=["GET"]),
            *(route for gateway in gateways for route in gateway.routes()),
        ]
    )


async def _replaced(
    request: Request, model: type[ModelT], replace: Callable[[ModelT], None]
) -> Response:
    try:
        value = model.model_validate_json(await request.body())
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False, include_context=False)
        return JSONResponse({"error": problems}, status_code=422)
    replace(value)
    return JSONResponse(value.model_dump())


def access_of(settings: Settings) -> Access:
    """What the sandbox of this installation accepts.

    Raises:
        ConfigError: secret or session are not set; the sandbox never runs open.
    """
    for name, value in (
        ("REGULARS_SANDBOX_APP_SECRET", settings.sandbox_app_secret),
        ("REGULARS_SANDBOX_SESSION", settings.sandbox_session),
    ):
        if not value:
            raise ConfigError(
                f"{name} is not set",
                where="environment",
                next_step=f"set {name} in .env, the same as in the shop's connection",
            )
    return Access(
        app_key=settings.sandbox_app_key,
        app_secret=settings.sandbox_app_secret,
        session=settings.sandbox_session,
    )


def serve(
    settings: Settings,
    *,
    host: str | None = None,
    port: int | None = None,
    now: datetime = DEFAULT_NOW,
    limits: Limits | None = None,
    inbox: Path | None = None,
    shops: Sequence[Shop] = (),
    households: int | None = None,
    on_ready: Callable[[int], None] | None = None,
) -> None:
    """Run the sandbox of this installation until SIGINT or SIGTERM.

    It listens on ``host`` and ``port``, by default those of the settings (port 0 takes a free
    one), and calls ``on_ready`` with the port once calls are accepted. ``now`` (aware) is the
    shop's clock at the start. With an ``inbox``, the shop's merchant drops its files there as the
    clock is moved: the history once, then each day's mailings and redemptions. ``households``
    cuts the book to so many buyers, for tests. ``shops`` are the installation's; those read over an
    API or pushed share the book's buyers among them, each on its own platform. Without any there is
    the one Taobao shop, with the whole book.

    Raises:
        ConfigError: credentials are missing, the data is not installed, or the port is taken.
    """
    access = access_of(settings)
    listener = _listen(
        settings.sandbox_host if host is None else host,
        settings.sandbox_port if port is None else port,
    )
    folder = settings.data_dir / "sandbox"
    book = OrderBook.load(folder)
    if households is not None:
        book = book.cut(households)
    clock = ShopClock(now)
    served = [one for one in shops if one.source in (TAOBAO, PUSHED, *served_sources())]
    count = max(len(served), 1)
    books = [book if count == 1 else book.part(number, count) for number in range(count)]
    codes = [one.shop for one in served] or [DEFAULT_SHOP]
    sources = [one.source for one in served] or [TAOBAO]
    # The clock's shop: the first one on Taobao, or a bystander that nobody asks.
    first = sources.index(TAOBAO) if TAOBAO in sources else 0
    shop = SandboxShop(books[first], access, clock=clock, limits=limits)
    gateways = [
        open_gateway(source, part, access, clock)
        for source, part in zip(sources, books, strict=True)
        if source not in (TAOBAO, PUSHED)
    ]
    pushers = [
        pusher_of(settings, one, part, clock)
        for one, part in zip(served, books, strict=False)
        if one.source == PUSHED
    ]
    merchants = [
        Merchant(
            inbox,
            code,
            part,
            folder / (f"drops-{code}.json" if len(served) > 1 else "drops.json"),
            reports_only=source != TAOBAO,
            cancels_whole_orders=cancels_whole_orders(source),
        )
        for code, source, part in zip(codes, sources, books, strict=True)
        if inbox is not None
    ]
    books[first].warm_up()
    gc.collect()
    # The book stays for good, and a page makes a thousand dicts but no cycles: looking for garbage
    # seldom serves a quarter more trades a second.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    if on_ready is not None:
        on_ready(listener.getsockname()[1])
    app = sandbox_app(shop, merchants, gateways, pushers)
    uvicorn.Server(_config(app)).run(sockets=[listener])


def pusher_of(settings: Settings, shop: Shop, book: OrderBook, clock: ShopClock) -> Pusher:
    """Pushes a shop into the database of REGULARS_SANDBOX_PUSH_URL, from its first day on.

    The trades of the 90 days before come at once, as they do when a seller is added.

    Raises:
        ConfigError: no database is named, or it does not answer.
    """
    database = push_database_at(settings.sandbox_push_url)
    database.create()
    return Pusher(
        book,
        clock,
        database,
        switched_on=shop.day_start(shop.first_date),
        history_days=_PUSH_HISTORY_DAYS,
    )


class _Remote:
    """What a test or a demo does with a running sandbox."""

    port: int

    @property
    def url(self) -> str:
        """Address of the server, without a path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def router_url(self) -> str:
        """Address of the platform's gateway."""
        return f"{self.url}/router/rest"

    @property
    def clock_url(self) -> str:
        """Address of the shop's clock, as REGULARS_CLOCK_URL wants it."""
        return f"{self.url}/sandbox/clock"

    def set_clock(self, now: datetime | str) -> None:
        """Set the shop's clock, forward or back; a text without offset is the shop's own time."""
        text = now if isinstance(now, str) else now.isoformat()
        self.put("clock", {"now": text})

    def set_faults(self, **faults: Any) -> None:
        """Replace all faults (see :class:`regulars.sandbox.faults.Faults`)."""
        self.put("faults", faults)

    def set_limits(self, **limits: Any) -> None:
        """Replace the limits (see :class:`regulars.sandbox.limits.Limits`)."""
        self.put("limits", limits)

    def put(self, name: str, body: dict[str, Any]) -> None:
        """PUT to ``/sandbox/<name>``.

        Raises:
            ConfigError: the server does not understand the body.
        """
        answer = httpx.put(f"{self.url}/sandbox/{name}", json=body, timeout=10)
        if answer.status_code != 200:
            raise ConfigError(
                f"the sandbox refused the {name}: {answer.text}",
                where=f"{self.url}/sandbox/{name}",
                next_step="correct the body; regulars.sandbox documents its fields",
            )


class SandboxServer(_Remote):
    """A sandbox in a thread of this process, for tests.

    Use it so::

        with SandboxServer(OrderBook.sample(households=20), now=...) as sandbox:
            extract(sandbox.router_url, TEST_ACCESS)

    It listens on a free port and accepts calls from the moment the context is entered. ``shop``
    is the served shop; tests may read it and set its clock and faults directly. With an ``inbox``
    the shop's merchant drops files there as the clock is moved over HTTP.
    """

    def __init__(
        self,
        book: OrderBook | None = None,
        *,
        now: datetime = DEFAULT_NOW,
        access: Access = TEST_ACCESS,
        limits: Limits | None = None,
        check_timestamp: bool = True,
        inbox: Path | None = None,
        shop_code: str = DEFAULT_SHOP,
    ) -> None:
        self.access = access
        book = OrderBook.load() if book is None else book
        memory = inbox.with_name(f"drops-{shop_code}.json") if inbox else None
        self._merchants = [Merchant(inbox, shop_code, book, memory)] if inbox and memory else []
        self.shop = SandboxShop(
            book,
            access,
            now=now,
            limits=limits,
            machine_seconds=time.time if check_timestamp else None,
        )
        self._started = threading.Event()

    def __enter__(self) -> "SandboxServer":
        listener = _listen("127.0.0.1", 0)
        self.port = listener.getsockname()[1]
        config = _config(sandbox_app(self.shop, self._merchants))
        self._server = _AnnouncingServer(config, self._started)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, daemon=True
        )
        self._thread.start()
        if not self._started.wait(timeout=_START_SECONDS):
            raise SourceUnavailable(
                "the sandbox did not start",
                where=self.url,
                next_step="read the error that its thread printed",
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.should_exit = True
        self._thread.join()


class PlatformServer:
    """One platform's gateway in a thread of this process, for tests; ``url`` is its address.

    Use it so::

        with PlatformServer(gateway) as server:
            extract(server.url)
    """

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self._started = threading.Event()

    def __enter__(self) -> "PlatformServer":
        listener = _listen("127.0.0.1", 0)
        self.port: int = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        config = _config(Starlette(routes=self.gateway.routes()))
        self._server = _AnnouncingServer(config, self._started)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, daemon=True
        )
        self._thread.start()
        if not self._started.wait(timeout=_START_SECONDS):
            raise SourceUnavailable(
                "the gateway did not start",
                where=self.url,
                next_step="read the error that its thread printed",
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.should_exit = True
        self._thread.join()


class SandboxProcess(_Remote):
    """A sandbox in a process of its own, so that it costs the caller no time.

    Use it so::

        with SandboxProcess(settings) as sandbox:
            run_night(clock_url=sandbox.clock_url)

    Args:
        settings: data folder and credentials, handed on through the environment.
        port: where to listen, 0 for a free port, None as the settings say.
        now: the shop's clock at the start.
        households: how many buyers the shop has; None for all.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        port: int | None = 0,
        now: datetime = DEFAULT_NOW,
        households: int | None = None,
    ) -> None:
        access_of(settings)  # refused here rather than in the other process
        self._environment = {
            **os.environ,
            "REGULARS_DATA_DIR": str(settings.data_dir),
            "REGULARS_SANDBOX_APP_KEY": settings.sandbox_app_key,
            "REGULARS_SANDBOX_APP_SECRET": settings.sandbox_app_secret,
            "REGULARS_SANDBOX_SESSION": settings.sandbox_session,
            "PYTHONPATH": os.pathsep.join(
                part
                for part in (str(PROJECT_ROOT / "plugins"), os.environ.get("PYTHONPATH", ""))
                if part
            ),
        }
        wanted = settings.sandbox_port if port is None else port
        self._command = [
            *(sys.executable, "-m", "regulars.sandbox", "serve", "--announce"),
            *("--host", "127.0.0.1", "--port", str(wanted), "--now", now.isoformat()),
            *(() if households is None else ("--households", str(households))),
        ]

    def __enter__(self) -> "SandboxProcess":
        self._process = subprocess.Popen(  # noqa: S603  # our own module and our own arguments
            self._command,
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            env=self._environment,
            cwd=Path.cwd(),
            text=True,
            start_new_session=True,
        )
        announced = self._process.stdout.readline() if self._process.stdout else ""
        if not announced.startswith("ready "):
            self._process.wait()
            raise SourceUnavailable(
                f"the sandbox ended with status {self._process.returncode} before it was ready",
                where="regulars.sandbox serve",
                next_step="start it by hand (python -m regulars.sandbox serve) and read its error",
            )
        self.port = int(announced.split()[1])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait()


class _AnnouncingServer(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, started: threading.Event) -> None:
        super().__init__(config)
        self._announced = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announced.set()


def _config(app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=1,
    )


def _listen(host: str, port: int) -> socket.socket:
    """A socket that already listens, so that calls wait instead of failing.

    Raises:
        ConfigError: the address is taken.
    """
    try:
        return socket.create_server((host, port), backlog=128)
    except OSError as error:
        raise ConfigError(
            f"cannot listen: {error.strerror}",
            where=f"{host}:{port}",
            next_step="stop the other program or choose another REGULARS_SANDBOX_PORT",
        ) from error
