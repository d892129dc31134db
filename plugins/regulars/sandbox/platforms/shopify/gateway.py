"""The Shopify shop: answers GraphQL queries over the order book, as of the sandbox's clock.

Queries are checked against and executed on members of the official schema (``schema.graphql``), so
a misspelt, mistyped or invented member is refused as the platform would refuse it.
"""

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLResolveInfo,
    GraphQLSchema,
    build_schema,
    execute_sync,
    get_named_type,
    parse,
    validate,
)
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from regulars.sandbox.book import OrderBook
from regulars.sandbox.clockwork import ShopClock
from regulars.sandbox.faults import take
from regulars.sandbox.platforms.shopify.bulk import BulkOperations
from regulars.sandbox.platforms.shopify.cost import CostRules
from regulars.sandbox.platforms.shopify.faults import ShopifyFaults, edited, take_throttle
from regulars.sandbox.platforms.shopify.lists import OrderList, Row, connection, place_after
from regulars.sandbox.platforms.shopify.orders import Lazy, Part
from regulars.sandbox.platforms.shopify.protocol import (
    SUPPORTED_VERSIONS,
    Access,
    Bucket,
    Refused,
    ShopifyLimits,
    throttled,
    too_expensive,
)
from regulars.sandbox.platforms.shopify.root import Call, Root, bad_request

_SORT_KEY = "PROCESSED_AT"
_UNAUTHORIZED = "[API] Invalid API key or access token (unrecognized login or wrong password)"
_PROTECTED = {
    "Order": frozenset({"email", "phone", "shippingAddress"}),
    "Customer": frozenset(
        {"displayName", "firstName", "lastName", "defaultEmailAddress", "defaultPhoneNumber"}
    ),
}


@dataclass(frozen=True)
class Answer:
    """What goes back over HTTP."""

    status: int
    body: bytes
    content_type: str = "application/json; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0


@lru_cache(maxsize=1)
def schema() -> GraphQLSchema:
    """The schema that the sandbox serves."""
    text = Path(__file__).with_name("schema.graphql").read_text(encoding="utf-8")
    return build_schema(text, assume_valid=True)


@lru_cache(maxsize=256)
def _checked(query: str) -> tuple[DocumentNode | None, tuple[GraphQLError, ...]]:
    try:
        document = parse(query)
    except GraphQLError as error:
        return None, (error,)
    return document, tuple(validate(schema(), document))


class Gateway:
    """One shop at the Admin API. Not for use by several threads at once.

    Args:
        book: all orders it will ever have.
        access: token and scopes it accepts.
        clock: the sandbox's present.
        limits: cost, page sizes, depth; no throttling by default.
        currency: the shop's currency.
        elapsed: seconds of a clock that only runs forward, for the bucket of points.
    """

    def __init__(
        self,
        book: OrderBook,
        access: Access,
        clock: ShopClock,
        limits: ShopifyLimits | None = None,
        *,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self.book, self.access, self.clock = book, access, clock
        self.limits = limits or ShopifyLimits()
        self.faults = ShopifyFaults()
        self.call_count = 0
        self.bucket = Bucket(self.limits, elapsed)
        depth = None if "read_all_orders" in access.scopes else self.limits.depth_days
        self.orders = OrderList(book, clock, depth)
        self.bulk = BulkOperations(schema(), self._bulk_data)
        self.tokens_seen_by_files: list[str | None] = []
        """What the store of bulk files was sent as a token; it must never see one."""

    def routes(self) -> list[BaseRoute]:
        """The GraphQL endpoint of every version, and the files of bulk operations."""
        return [
            Route("/admin/api/{version}/graphql.json", self._serve, methods=["POST"]),
            Route("/storage/{name}", self._serve_file, methods=["GET"]),
        ]

    async def _serve(self, request: Request) -> Response:
        answer = self.answer(
            request.path_params["version"],
            request.headers,
            await request.body(),
            str(request.base_url).rstrip("/"),
        )
        if answer.delay_seconds:
            await asyncio.sleep(answer.delay_seconds)
        headers = {**answer.headers, "Content-Type": answer.content_type}
        return Response(answer.body, status_code=answer.status, headers=headers)

    async def _serve_file(self, request: Request) -> Response:
        answer = self.file(request.path_params["name"], request.headers)
        return Response(answer.body, status_code=answer.status, media_type=answer.content_type)

    def file(self, name: str, headers: Mapping[str, str]) -> Answer:
        """The file of a bulk operation, as the store of files gives it."""
        self.tokens_seen_by_files.append(headers.get("x-shopify-access-token"))
        found = re.fullmatch(r"bulk-(\d+)\.jsonl", name)
        operation = self.bulk.find(int(found.group(1))) if found else None
        if operation is None or operation.url is None:
            return Answer(404, b"<Error><Code>NoSuchKey</Code></Error>", "application/xml")
        is_old = self.clock.seconds - operation.expires > self.limits.url_seconds
        if is_old or self.faults.take("bulk_url_expired"):
            return Answer(403, b"<Error><Code>ExpiredToken</Code></Error>", "application/xml")
        content = operation.content
        if self.faults.take("bulk_cut"):
            content = content[: content.rfind(b"\n", 0, len(content) // 2) + 1]
        return Answer(200, content, "application/jsonl")

    def answer(
        self, version: str, headers: Mapping[str, str], body: bytes, base: str = ""
    ) -> Answer:
        """Answer one call of the endpoint."""
        self.call_count += 1
        faults = self.faults
        delay = faults.slow.seconds if faults.slow and take(faults.slow) else 0.0
        if faults.http_error is not None and take(faults.http_error):
            after = faults.http_error.retry_after
            extra = {} if after is None else {"Retry-After": str(after)}
            return Answer(faults.http_error.status, b"", "text/plain", extra, delay)
        if faults.take("html"):
            page = b"<html><body>Something went wrong</body></html>"
            return Answer(200, page, "text/html", {}, delay)
        token = headers.get("x-shopify-access-token")
        if token != self.access.token or faults.take("token_expired"):
            return Answer(401, orjson.dumps({"errors": _UNAUTHORIZED}))
        served = faults.served_version or _served(version)
        if served is None:
            return Answer(404, orjson.dumps({"errors": "Not Found"}))
        status, content = self._answered(body, base)
        text = orjson.dumps(content)
        if faults.take("truncate"):
            text = text[: len(text) // 2]
        return Answer(status, text, headers={"X-Shopify-API-Version": served}, delay_seconds=delay)

    # --- one query ----------------------------------------------------------------------------

    def _answered(self, body: bytes, base: str) -> tuple[int, dict[str, Any]]:
        try:
            asked = orjson.loads(body)
            query, variables = asked["query"], asked.get("variables") or {}
        except (ValueError, KeyError, TypeError):
            return 400, {"errors": {"query": "Required parameter missing or invalid"}}
        if isinstance(variables, str):  # how some clients send them
            variables = orjson.loads(variables or "{}")
        document, problems = _checked(query)
        if document is None or problems:
            return 200, {"errors": [_problem(one) for one in problems]}
        rules = CostRules(schema(), document, variables)
        requested = rules.requested()
        try:
            status = self._admitted(requested)
        except Refused as refused:
            status = 200
            if refused.code == "THROTTLED" and self.faults.throttle is not None:
                status = self.faults.throttle.status
            return status, {**refused.envelope(), **self._cost(requested, None)}
        call = Call(base)
        content = self._executed(document, variables, call)
        actual = min(requested, rules.actual(content.get("data")))
        self.bucket.give_back(requested - actual)
        extensions = self._cost(requested, actual)["extensions"]
        if call.warnings:
            extensions["search"] = [{"path": ["orders"], "warnings": call.warnings}]
        self._after_list(call)
        return 200, {**content, "extensions": extensions}

    def _admitted(self, requested: int) -> int:
        if requested > self.limits.largest_query:
            raise too_expensive(requested, self.limits.largest_query)
        if take_throttle(self.faults.throttle):
            raise throttled()
        self.bucket.admit(requested)
        if self.faults.take("internal_error"):
            raise Refused("INTERNAL_SERVER_ERROR", "Internal error.")
        return 200

    def _cost(self, requested: int, actual: int | None) -> dict[str, Any]:
        cost = {
            "requestedQueryCost": requested,
            "actualQueryCost": actual,
            "throttleStatus": self.bucket.status(),
        }
        return {"extensions": {"cost": cost}}

    def _executed(
        self, document: DocumentNode, variables: dict[str, Any], call: Call
    ) -> dict[str, Any]:
        result = execute_sync(
            schema(),
            document,
            root_value=Root(self, call),
            context_value=call,
            variable_values=variables,
            field_resolver=self._resolve,
            type_resolver=_type_of,
        )
        content: dict[str, Any] = {"data": result.data}
        if result.errors:
            content["errors"] = [_problem(one) for one in result.errors]
        if self.faults.edits:
            edited(result.data, self.faults.edits)
        return content

    def _bulk_data(self, document: DocumentNode) -> Any:
        return self._executed(document, {}, Call(is_bulk=True))["data"]

    def _after_list(self, call: Call) -> None:
        if call.listed is not None:
            self.orders.touch_some(call.listed, self.faults.touch_after_page)
            self.clock.tick(self.faults.tick_seconds)

    # --- members ------------------------------------------------------------------------------

    def _resolve(self, source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
        name = info.field_name
        if self.faults.protected_data and name in _PROTECTED.get(info.parent_type.name, ()):
            raise GraphQLError(
                f"Access denied for {name} field.", extensions={"code": "ACCESS_DENIED"}
            )
        if isinstance(source, Lazy):
            value = source.members[name]()
        elif isinstance(source, Root):
            return source.member(name, **arguments)
        else:
            value = source.get(name)
        if isinstance(value, list | Part):
            named = get_named_type(info.return_type).name
            if named.endswith("Connection"):
                return self._connection(value, info.context, arguments)
            if "first" in arguments:
                return value[: arguments["first"]]
        return value

    def _connection(self, value: Any, call: Call, arguments: dict[str, Any]) -> dict[str, Any]:
        start, stop = self.span(len(value), call, arguments, None)
        return connection(value, start, stop)

    def span(
        self, total: int, call: Call, arguments: dict[str, Any], rows: list[Row] | None
    ) -> tuple[int, int]:
        """The places of a list that ``first`` and ``after`` ask for.

        Raises:
            GraphQLError: the page's size or the cursor is refused.
        """
        if call.is_bulk:
            return 0, total
        first = arguments.get("first")
        if first is None:
            raise bad_request("you must provide one of first or last")
        if not 0 < first <= self.limits.largest_page:
            raise bad_request(f"first must be from 1 to {self.limits.largest_page}")
        start = 0
        if after := arguments.get("after"):
            try:
                start = place_after(after, rows, arguments.get("sortKey", _SORT_KEY))
            except (ValueError, TypeError):
                raise bad_request("Invalid cursor for current pagination sort.") from None
        return start, start + first


def _served(version: str) -> str | None:
    if version in SUPPORTED_VERSIONS:
        return version
    is_version = re.fullmatch(r"20\d\d-(01|04|07|10)", version)
    # An expired version is answered as the oldest that is supported.
    return SUPPORTED_VERSIONS[0] if is_version and version < SUPPORTED_VERSIONS[0] else None


def _type_of(value: Any, info: GraphQLResolveInfo[Any], abstract: Any) -> str:
    name: str = value.kind if isinstance(value, Lazy) else value["__kind"]
    return name


_CODES = (
    ("Cannot query field", "undefinedField"),
    ("Unknown argument", "argumentNotAccepted"),
    ("Unknown type", "undefinedType"),
    ("must have a selection", "selectionMismatch"),
    ("must not have a selection", "selectionMismatch"),
    ("Variable", "variableMismatch"),
    ("Syntax Error", "parseError"),
)


def _problem(error: GraphQLError) -> dict[str, Any]:
    formatted: dict[str, Any] = dict(error.formatted)
    if not error.extensions:
        codes = (code for text, code in _CODES if text in error.message)
        formatted["extensions"] = {"code": next(codes, "argumentLiteralsIncompatible")}
    return formatted
