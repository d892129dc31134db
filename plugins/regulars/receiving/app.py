"""The HTTP service.

``POST /receipts/<provider>/<secret>`` takes what a provider pushes; ``/u/<token>`` unsubscribes.
Whatever it does not know it answers in one way, with the same 404, so that nobody learns what there
is. It logs names, counts and kinds of errors: never a body, a contact, a path or a secret.
"""

import asyncio
import hmac
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import NoReturn

import anyio.to_thread
import orjson
from anyio import CapacityLimiter
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from regulars.errors import RegularsError
from regulars.queues.unsubscribe import message_of_token
from regulars.receiving.config import Endpoint, ReceivingFile
from regulars.receiving.intake import Intake, Taken
from regulars.receiving.limits import SIGNATURE_HEADER, Bucket, caller, is_signed, is_within
from regulars.receiving.pages import DONE, PAGE_HEADERS, QUESTION, is_one_click
from regulars.vault import VaultKeys

logger = logging.getLogger("regulars.receiving")

THREADS = 4
"""Pushes of one process that are landed at once: they wait for the disk, not for processors."""
RETRY_SECONDS = 60
"""When to push again after a failure of ours; providers keep to their own plan."""
PAGE_BODY_BYTES = 4096
_PLAIN_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_CHARSETS = {"": "utf-8", "utf-8": "utf-8", "utf8": "utf-8",
             **dict.fromkeys(("gb18030", "gbk", "gb2312"), "gb18030")}  # fmt: skip


class _Refused(Exception):
    """The answer to a request that goes no further."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = headers or {}


class Receiver:
    """The service's endpoints.

    Args:
        config: config/receiving.yml.
        endpoints: who may push, with their secrets.
        intake: takes in what came.
        keys: open the tokens of links.
        now: the present on the shops' clock.
        wall: seconds since 1970 on the machine's clock, for signatures.
        seconds: a clock that only moves forward, for rates.
    """

    def __init__(
        self,
        config: ReceivingFile,
        endpoints: tuple[Endpoint, ...],
        intake: Intake,
        keys: VaultKeys,
        *,
        now: Callable[[], datetime],
        wall: Callable[[], float] = time.time,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._endpoints = endpoints
        self._intake = intake
        self._keys = keys
        self._now = now
        self._wall = wall
        self._rules = config.rules
        self._buckets = {
            one.name: Bucket(config.max_pushes_per_minute, seconds) for one in endpoints
        }
        self._misses = Bucket(config.max_misses_per_minute, seconds)
        self._threads = CapacityLimiter(THREADS)

    def app(self) -> Starlette:
        """The application, without a word about itself in its answers."""
        return Starlette(
            routes=[
                Route("/health", _health, methods=["GET"]),
                Route("/receipts/{provider}/{secret}", self._guarded(self._push), methods=["POST"]),
                Route("/u/{token}", self._guarded(self._page), methods=["GET", "POST"]),
            ],
            exception_handlers={HTTPException: self._unknown_path},
        )

    # -- what all endpoints share ----------------------------------------------------------------

    def _guarded(
        self, endpoint: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                return await endpoint(request)
            except _Refused as refused:
                return _plain(refused.text, refused.status, refused.headers)
            except ClientDisconnect:
                return _plain("gone", 400)
            except RegularsError as error:
                # What a RegularsError says holds neither personal data nor a secret.
                logger.error("%s: %s", type(error).__name__, error)
                return _plain("try again later", 503, {"Retry-After": str(RETRY_SECONDS)})
            except Exception as error:
                logger.error("%s at %s", type(error).__name__, _place_of(error))
                return _plain("try again later", 500, {"Retry-After": str(RETRY_SECONDS)})

        return answer

    async def _unknown_path(self, _request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException) and error.status_code == 405:
            return _plain("method not allowed", 405, error.headers)
        try:
            self._miss()
        except _Refused as refused:
            return _plain(refused.text, refused.status, refused.headers)

    def _miss(self) -> NoReturn:
        """Refuse what does not exist, in one shape.

        Raises:
            _Refused: always.
        """
        wait = self._misses.take()
        if wait:
            raise _Refused(429, "too many requests", {"Retry-After": str(wait)})
        raise _Refused(404, "not found")

    async def _body(self, request: Request, largest: int) -> bytes:
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > largest:
            raise _Refused(413, "too large", {"Connection": "close"})
        parts = bytearray()
        try:
            async with asyncio.timeout(self._config.body_seconds):
                async for part in request.stream():
                    parts += part
                    if len(parts) > largest:
                        raise _Refused(413, "too large", {"Connection": "close"})
        except TimeoutError:
            raise _Refused(408, "too slow", {"Connection": "close"}) from None
        return bytes(parts)

    # -- pushes ------------------------------------------------------------------------------------

    async def _push(self, request: Request) -> Response:
        endpoint = self._endpoint(request)
        wait = self._buckets[endpoint.name].take()
        if wait:
            logger.warning("%s: more pushes than allowed", endpoint.name)
            raise _Refused(429, "too many requests", {"Retry-After": str(wait)})
        charset = _json_charset(request.headers.get("content-type", ""))
        body = await self._body(request, self._config.max_body_bytes)
        signature = request.headers.get(SIGNATURE_HEADER, "")
        key = endpoint.signing_key
        if key and not is_signed(key, body, signature, self._wall()):
            logger.warning("%s: a push without a valid signature", endpoint.name)
            raise _Refused(401, "signature missing, wrong or too old")
        taken = await anyio.to_thread.run_sync(
            self._take, endpoint, body, charset, limiter=self._threads
        )
        logger.info(
            "%s: %d landed, %d quarantined, %d new refusals%s",
            endpoint.name,
            taken.landed,
            taken.quarantined,
            taken.refusals,
            ", pushed before" if taken.is_repeat else "",
        )
        return Response(
            orjson.dumps(dict(endpoint.provider.answer)),
            media_type="application/json",
            headers=_PLAIN_HEADERS,
        )

    def _endpoint(self, request: Request) -> Endpoint:
        """The endpoint behind a path, if it may be called from there."""
        provider = request.path_params["provider"]
        given = request.path_params["secret"].encode()
        found = None
        # Every secret is compared, each in constant time: the answer's time tells nothing.
        for one in self._endpoints:
            is_it = hmac.compare_digest(one.secret.encode(), given)
            if is_it and one.provider.name == provider:
                found = one
        if found is None:
            self._miss()
        peer = request.client.host if request.client else ""
        forwarded = request.headers.getlist("x-forwarded-for")
        address = caller(peer, forwarded, self._config.trusted_proxies)
        if found.entry.networks and not is_within(address, found.entry.networks):
            logger.warning("%s: called from a network that is not listed", found.name)
            self._miss()
        return found

    def _take(self, endpoint: Endpoint, body: bytes, charset: str) -> Taken:
        try:
            # Errors of decoders quote what they could not read: none may leave this place.
            if charset != "utf-8":
                body_text = body.decode(charset).encode()
            else:
                body_text = body.removeprefix(b"\xef\xbb\xbf")
            reports = endpoint.provider.read(orjson.loads(body_text), self._rules)
        except (ValueError, LookupError):
            reports = None
        if reports is None:
            logger.warning("%s: a body of %d bytes cannot be read", endpoint.name, len(body))
            raise _Refused(400, "not the JSON that this endpoint takes")
        return self._intake.take(endpoint, reports, body, self._now())

    # -- unsubscribing -----------------------------------------------------------------------------

    async def _page(self, request: Request) -> Response:
        message_id = message_of_token(self._keys, request.path_params["token"])
        if message_id is None:
            self._miss()
        if request.method != "POST":
            if not await self._in_thread(lambda: self._intake.addressed(message_id) is not None):
                self._miss()
            return HTMLResponse(QUESTION, headers=PAGE_HEADERS)
        body = await self._body(request, PAGE_BODY_BYTES)
        if not is_one_click(request.headers.get("content-type", ""), body):
            raise _Refused(400, "the form does not say List-Unsubscribe=One-Click")
        if not await self._in_thread(lambda: self._intake.unsubscribe(message_id, self._now())):
            self._miss()
        logger.info("one recipient unsubscribed")
        return HTMLResponse(DONE, headers=PAGE_HEADERS)

    async def _in_thread(self, work: Callable[[], bool]) -> bool:
        return await anyio.to_thread.run_sync(work, limiter=self._threads)


async def _health(_request: Request) -> Response:
    return _plain("ok", 200)


def _plain(text: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    return PlainTextResponse(
        f"{text}\n", status_code=status, headers={**_PLAIN_HEADERS, **(headers or {})}
    )


def _json_charset(content_type: str) -> str:
    """The charset that a JSON body declares.

    Raises:
        _Refused: it is no JSON, or in a charset that no provider uses.
    """
    kind, _, parameters = content_type.partition(";")
    charset = ""
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            charset = value.strip().strip('"').lower()
    if kind.strip().lower() != "application/json" or charset not in _CHARSETS:
        raise _Refused(415, "send application/json in UTF-8 or GB18030")
    return _CHARSETS[charset]


def _place_of(error: BaseException) -> str:
    """File and line where an error was raised, without what it says."""
    place = "unknown"
    trace = error.__traceback__
    while trace is not None:
        with suppress(AttributeError):
            place = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
