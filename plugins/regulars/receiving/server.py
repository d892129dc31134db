"""Running the service: one or several processes behind a proxy that ends TLS."""

import asyncio
import logging
from datetime import timedelta
from typing import Any, cast

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from regulars.clock import clock_for
from regulars.credentials import CredentialsProvider, credentials_from_environment
from regulars.errors import ConfigError
from regulars.receiving.app import Receiver
from regulars.receiving.config import load_receiving, open_endpoints
from regulars.receiving.intake import Intake
from regulars.settings import Settings, read_settings
from regulars.shops import load_shops
from regulars.state import StateStore
from regulars.vault import keys_from_credentials, open_vault

CONNECTIONS = 200
"""Connections that one process holds; a further one is told to come again."""
STOP_SECONDS = 10


class PromptProtocol(H11Protocol):
    """HTTP/1.1 that waits for a request's head no longer than ``head_seconds``.

    Uvicorn limits how long a connection idles between two requests, not how long a head takes that
    comes byte by byte; the body's time is limited by the application.
    """

    head_seconds = 10.0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start to wait for the first head."""
        super().connection_made(cast(asyncio.Transport, transport))
        self._wait_for_head()

    def handle_events(self) -> None:
        """Stop waiting once a head is there."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before and self._deadline is not None:
            self._deadline.cancel()

    def on_response_complete(self) -> None:
        """Wait for the next head."""
        self._wait_for_head()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(self.head_seconds, self.transport.close)


def build_app(settings: Settings, credentials: CredentialsProvider) -> Starlette:
    """The application with everything it needs opened once.

    Raises:
        ConfigError: config/receiving.yml or a Connection is not complete, or nothing is configured.
        VaultKeyError: the personal-data key is not the one of this vault.
        StateError: recorded state cannot be opened.
    """
    shops = load_shops(settings.shops_path)
    config = load_receiving(settings.config_dir, shops)
    if not config.endpoints and not config.public_url:
        raise ConfigError(
            "there is nothing to receive: no endpoint and no public_url",
            where=str(settings.config_dir / "receiving.yml"),
            next_step="add an endpoint; docs/how-to/receive-receipts.md shows how",
        )
    key = credentials(settings.pii_connection)
    # A wrong key must be found here, not by the first push.
    open_vault(settings.vault_path, key).close()
    intake = Intake(
        settings,
        shops,
        StateStore(settings.resolved_state_url),
        key,
        ahead=timedelta(seconds=config.ahead_seconds),
        reply_reach=timedelta(days=config.reply_days),
    )
    endpoints = open_endpoints(config, credentials)
    clock = clock_for(settings.clock_url)
    return Receiver(config, endpoints, intake, keys_from_credentials(key), now=clock.now).app()


def app_from_environment() -> Starlette:
    """The application of one of several processes."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    return build_app(read_settings(), credentials_from_environment)


def serve(host: str, port: int, workers: int = 1) -> None:
    """Serve until SIGTERM or Ctrl-C, settings and Connections from the environment.

    Raises:
        RegularsError: something is missing that the service needs.
    """
    app_from_environment()  # say here what is missing, not in a process that is started again
    uvicorn.run(
        "regulars.receiving.server:app_from_environment",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        **server_options(),
    )


def server_options() -> dict[str, Any]:
    """How uvicorn serves it: it logs no path, because paths hold secrets and tokens."""
    return {
        "http": PromptProtocol,
        "ws": "none",
        "lifespan": "off",
        "access_log": False,
        "log_level": "warning",
        "server_header": False,
        "proxy_headers": False,
        "limit_concurrency": CONNECTIONS,
        "timeout_keep_alive": 5,
        "timeout_graceful_shutdown": STOP_SECONDS,
    }
