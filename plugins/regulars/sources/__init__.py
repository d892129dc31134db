"""Sources: one folder each, one face.

A source tells its streams and their payload models and gives records. An API source also says in
which windows it wants to be asked; a file drop has no windows.
"""

from collections.abc import Iterator
from typing import Protocol

from regulars.clock import Clock
from regulars.credentials import Credentials
from regulars.errors import ConfigError
from regulars.records import RawRecord, Window
from regulars.shops import Shop
from regulars.sources.file import contract
from regulars.sources.payloads import PayloadModel
from regulars.sources.taobao_top import TaobaoTop, payload
from regulars.sources.taobao_top.auth import top_credentials
from regulars.sources.taobao_top.client import TopClient


class Source(Protocol):
    """What every source can do."""

    name: str

    def streams(self) -> tuple[str, ...]:
        """Streams in landing order."""
        ...

    def payload_model(self, stream: str) -> PayloadModel:
        """Payload model of a stream. KeyError for an unknown one."""
        ...

    def iter_records(self, shop: Shop, stream: str, window: Window) -> Iterator[RawRecord]:
        """Records of one stream, as they come; memory stays bounded.

        Raises:
            SourceError: the source could not be read.
        """
        ...


class ApiSource(Source, Protocol):
    """A source that is asked for spans of modification time."""

    def windows(self, shop: Shop, stream: str, window: Window) -> list[Window]:
        """The pieces that ``window`` is asked in, overlap and safety margin applied."""
        ...

    def close(self) -> None:
        """Release connections."""
        ...


_PAYLOADS: dict[str, dict[str, PayloadModel]] = {
    payload.SOURCE: payload.PAYLOADS,
    contract.SOURCE: contract.CONTRACT,
}


def open_source(shop: Shop, credentials: Credentials, clock: Clock) -> ApiSource:
    """The API source of a shop.

    Args:
        shop: whose data is asked for.
        credentials: the shop's connection.
        clock: tells how far the source's present has come.

    Raises:
        ConfigError: the shop's source does not exist or has no API, or credentials are incomplete.
    """
    if shop.source == payload.SOURCE:
        return TaobaoTop(TopClient(top_credentials(credentials)), clock)
    known = ", ".join(name for name in _PAYLOADS if name != contract.SOURCE)
    raise ConfigError(
        f"source {shop.source!r} has no API",
        where=f"config/shops.yml, shop {shop.shop}",
        next_step=f"use one of: {known}; files need no API, they are dropped into the inbox",
    )


def payload_model(source: str, stream: str) -> PayloadModel:
    """Payload model of a stream of a source. KeyError for an unknown one."""
    return _PAYLOADS[source][stream]


def raw_streams(source: str) -> tuple[str, ...]:
    """Streams of a source, each a raw table. KeyError for an unknown source."""
    return tuple(_PAYLOADS[source])


def raw_columns(source: str, stream: str) -> dict[str, str]:
    """DuckDB type of each payload column of ``raw.<source>__<stream>``, in order.

    A contact field ``x`` stands as ``x_ref``, ``x_hash``, ``x_masked``, with ``_key_id`` once.
    KeyError for an unknown source or stream.
    """
    return payload_model(source, stream).raw_columns()
