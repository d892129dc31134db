"""Sources: one folder each, one face.

A source tells its streams and their payload models and gives records. An API source also says in
which windows it wants to be asked; a file drop has no windows.

A source is a package below this one that exposes ``SOURCE``, its name, and ``PAYLOADS``, the
payload model of each stream; an API source also ``open_api(credentials, clock, shop)``. Nothing
else has to know it: docs/how-to/add-a-platform.md. ``DEPTH_DAYS``, if it is there, says how many
days back the platform still gives modifications; ``OPTIONAL_STREAMS`` which of its streams are
asked for only where a shop names them; ``QUARANTINE_SHARE``, how many of its records may be refused
before the night fails; ``READS_SPANS``, that a long span is read at once (:class:`ReadsAhead`) and
a backfill asks for its whole range. ``RENEWS_TOKENS`` says that ``open_api`` takes ``keep_tokens``
as well and tells it what the platform renewed, at once. ``DROP_GUIDE`` makes its streams ones that
are dropped as files into a shop's inbox, and names the page that says how.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from types import ModuleType
from typing import Protocol, runtime_checkable

from regulars.clock import Clock
from regulars.credentials import Credentials
from regulars.errors import ConfigError
from regulars.records import RawRecord, Window
from regulars.shops import Shop
from regulars.sources.payloads import PayloadModel, Refers

KeepTokens = Callable[[Mapping[str, str]], None]
"""Told the members of a Connection's ``extra`` that the platform renewed, before they are used:
the former ones may be worth nothing from that moment on."""


def forget_tokens(renewed: Mapping[str, str]) -> None:
    """Keeps nothing: for callers that have no place for tokens."""


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


@runtime_checkable
class ReadsAhead(Protocol):
    """An API source that reads the pieces of a long span by one operation of its platform."""

    def ask_together(self, stream: str, pieces: Sequence[Window]) -> None:
        """Told the pieces of one span, oldest first, before the first of them is asked for."""
        ...


@cache
def _packages() -> dict[str, ModuleType]:
    found = {}
    for entry in pkgutil.iter_modules(__path__):
        if entry.ispkg:
            package = importlib.import_module(f"{__name__}.{entry.name}")
            if hasattr(package, "PAYLOADS"):
                found[package.SOURCE] = package
    return found


def source_names() -> tuple[str, ...]:
    """Every source there is, by name."""
    return tuple(sorted(_packages()))


def open_source(
    shop: Shop,
    credentials: Credentials,
    clock: Clock,
    keep_tokens: KeepTokens = forget_tokens,
) -> ApiSource:
    """The API source of a shop.

    Args:
        shop: whose data is asked for.
        credentials: the shop's connection.
        clock: tells how far the source's present has come.
        keep_tokens: told the tokens that the platform renews, the moment it does.

    Raises:
        ConfigError: the shop's source does not exist or has no API, or credentials are incomplete.
    """
    package = _packages().get(shop.source)
    if package is not None and hasattr(package, "open_api"):
        more = {"keep_tokens": keep_tokens} if getattr(package, "RENEWS_TOKENS", False) else {}
        opened: ApiSource = package.open_api(credentials, clock, shop, **more)
        return opened
    known = ", ".join(name for name, one in _packages().items() if hasattr(one, "open_api"))
    raise ConfigError(
        f"source {shop.source!r} has no API",
        where=f"config/shops.yml, shop {shop.shop}",
        next_step=f"use one of: {known}; files need no API, they are dropped into the inbox",
    )


def payload_model(source: str, stream: str) -> PayloadModel:
    """Payload model of a stream of a source. KeyError for an unknown one."""
    model: PayloadModel = _packages()[source].PAYLOADS[stream]
    return model


def depth_days(source: str) -> int | None:
    """Days back for which a source still gives modifications; None where there is no end."""
    depth: int | None = getattr(_packages()[source], "DEPTH_DAYS", None)
    return depth


def depth_of(source: ApiSource) -> int | None:
    """The same of an open source, which may know it better: by what its app is allowed to see.

    Such a source has a method ``depth_days``.

    Raises:
        SourceError: the platform did not tell.
    """
    ask: Callable[[], int | None] | None = getattr(source, "depth_days", None)
    return depth_days(source.name) if ask is None else ask()


def reads_spans(source: str) -> bool:
    """Whether a source reads a long span at once, so that cutting it into days only costs."""
    return bool(getattr(_packages()[source], "READS_SPANS", False))


def quarantine_share(source: str) -> float | None:
    """Share (0..1) of its records that a source allows to be quarantined; None: as the shop says.

    A source whose records come from strangers as well, as pushed reports do, must not let them
    stop a shop's night.
    """
    share: float | None = getattr(_packages()[source], "QUARANTINE_SHARE", None)
    return share


def droppable_models() -> dict[str, PayloadModel]:
    """The model of every stream that may be dropped as a file, by the name of its folder.

    Raises:
        ValueError: two sources give one name to a stream.
    """
    models: dict[str, PayloadModel] = {}
    for package in _packages().values():
        if not hasattr(package, "DROP_GUIDE"):
            continue
        if twice := sorted(models.keys() & package.PAYLOADS.keys()):
            raise ValueError(f"the stream {twice[0]!r} may be dropped for two sources")
        models |= package.PAYLOADS
    return models


def drop_guide(source: str) -> str:
    """The page that says how files of a source are dropped. KeyError for an unknown source."""
    guide: str = _packages()[source].DROP_GUIDE
    return guide


def raw_streams(source: str) -> tuple[str, ...]:
    """Streams of a source, each a raw table. KeyError for an unknown source."""
    return tuple(_packages()[source].PAYLOADS)


def asked_streams(shop: Shop) -> tuple[str, ...]:
    """Streams that a shop's API is asked for: those it names, or its source's usual ones.

    Raises:
        ConfigError: the shop names a stream that its source does not have.
        KeyError: the source does not exist.
    """
    known = raw_streams(shop.source)
    if not shop.streams:
        optional = getattr(_packages()[shop.source], "OPTIONAL_STREAMS", ())
        return tuple(stream for stream in known if stream not in optional)
    for stream in shop.streams:
        if stream not in known:
            raise ConfigError(
                f"source {shop.source!r} has no stream {stream!r}",
                where=f"config/shops.yml, shop {shop.shop}",
                next_step=f"use some of: {', '.join(known)}",
            )
    return tuple(stream for stream in known if stream in shop.streams)


def raw_columns(source: str, stream: str) -> dict[str, str]:
    """DuckDB type of each payload column of ``raw.<source>__<stream>``, in order.

    A contact field ``x`` stands as ``x_ref``, ``x_hash``, ``x_masked``, with ``_key_id`` once.
    KeyError for an unknown source or stream.
    """
    return payload_model(source, stream).raw_columns()


def raw_links(source: str, stream: str) -> dict[str, Refers]:
    """Fields of a stream that say whose record it is: name -> buyer, order or message.

    KeyError for an unknown source or stream.
    """
    return payload_model(source, stream).links
