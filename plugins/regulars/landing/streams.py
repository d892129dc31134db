"""Landing one stream of a shop's API."""

from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import timedelta
from functools import partial

from regulars.clock import Clock
from regulars.credentials import CredentialsProvider
from regulars.errors import (
    REFUSALS,
    ConfigError,
    SourceError,
    SourceUnavailable,
)
from regulars.landing.batches import BatchWriter, Origin, Place, remove_debris
from regulars.landing.defects import EarlierDefects
from regulars.landing.results import LandingFailure, LandingResult, span_text
from regulars.landing.writing import write_records
from regulars.progress import report
from regulars.records import BatchManifest, Window
from regulars.settings import Settings
from regulars.shops import Shop
from regulars.sources import ApiSource, ReadsAhead, open_source
from regulars.vault import Vault

_UNAVAILABLE_IN_A_ROW = 2
_TICK = timedelta(microseconds=1)


def land_stream(
    settings: Settings,
    shop: Shop,
    stream: str,
    credentials_provider: CredentialsProvider,
    clock: Clock,
    window: Window,
    vault: Vault,
    run_id: str,
    progress: Callable[[str], None] = report,
    *,
    source: ApiSource | None = None,
    keep_tokens: Callable[[str, Mapping[str, str]], None] | None = None,
) -> LandingResult:
    """Land everything of ``stream`` that was modified within ``window``.

    The source cuts the window into pieces, adds the shop's overlap before and keeps its margin
    to the present; each piece is one batch. A piece that fails is named in the result and the
    others land. A piece with places that could not be read lands without them and is named too,
    so that it is asked again.

    Args:
        settings: where landing stands.
        shop: whose stream it is.
        stream: name of the stream.
        credentials_provider: gives the shop's connection.
        clock: how far the source's present has come; also the time of extraction.
        window: span of modification time, half open.
        vault: where contacts go.
        run_id: the night's run, for names of unfinished files.
        progress: told one line per batch.
        source: an open source to use instead of the shop's own; it is not closed.
        keep_tokens: told the connection and the tokens that the platform renews on the way, the
            moment it does; not used with a source that was opened elsewhere.

    Raises:
        ConfigError: shop or connection are not complete.
        LandingError: the disk is full or a folder cannot be written; no half batch is left.
        VaultKeyError: the vault's key is wrong.
    """
    if source is not None:
        return _Landing(settings, shop, stream, clock, vault, run_id, progress, source).run(window)
    with closing(open_shop(shop, credentials_provider, clock, keep_tokens)) as opened:
        return _Landing(settings, shop, stream, clock, vault, run_id, progress, opened).run(window)


def open_shop(
    shop: Shop,
    credentials_provider: CredentialsProvider,
    clock: Clock,
    keep_tokens: Callable[[str, Mapping[str, str]], None] | None = None,
) -> ApiSource:
    """A shop's source with its connection; close it.

    Args:
        shop: whose source it is.
        credentials_provider: gives the shop's connection.
        clock: how far the source's present has come.
        keep_tokens: told the connection and the tokens that the platform renews, at once.

    Raises:
        ConfigError: shop or connection are not complete.
    """
    if shop.connection is None:
        raise ConfigError(
            "the shop has no connection",
            where=f"config/shops.yml, shop {shop.shop}",
            next_step="name an Airflow Connection under `connection`",
        )
    credentials = credentials_provider(shop.connection)
    if keep_tokens is None:
        return open_source(shop, credentials, clock)
    return open_source(shop, credentials, clock, partial(keep_tokens, shop.connection))


class _Landing:
    def __init__(
        self,
        settings: Settings,
        shop: Shop,
        stream: str,
        clock: Clock,
        vault: Vault,
        run_id: str,
        progress: Callable[[str], None],
        source: ApiSource,
    ) -> None:
        self._settings = settings
        self._shop = shop
        self._stream = stream
        self._clock = clock
        self._vault = vault
        self._run_id = run_id
        self._progress = progress
        self._source = source
        self._batches: dict[str, BatchManifest] = {}
        self._known: set[str] = set()
        self._completed: list[Window] = []
        self._failures: list[LandingFailure] = []

    def run(self, window: Window) -> LandingResult:
        shop = self._shop
        remove_debris(self._settings, shop.source, shop.platform, shop.shop, self._stream)
        hopeless: SourceError | None = None
        in_a_row = 0
        pieces = self._source.windows(self._shop, self._stream, window)
        if isinstance(self._source, ReadsAhead):
            self._source.ask_together(self._stream, pieces)
        for piece in pieces:
            if hopeless is not None:
                self._fail(piece, hopeless)
                continue
            try:
                self._land(piece)
                in_a_row = 0
            except SourceError as error:
                self._fail(piece, error)
                in_a_row = in_a_row + 1 if isinstance(error, SourceUnavailable) else 0
                if isinstance(error, REFUSALS) or in_a_row >= _UNAVAILABLE_IN_A_ROW:
                    hopeless = error
        return LandingResult(
            tuple(self._batches.values()),
            frozenset(self._known),
            tuple(self._completed),
            tuple(self._failures),
        )

    def _land(self, piece: Window) -> None:
        shop, stream = self._shop, self._stream
        # The last instant's local day: a piece that ends at midnight belongs to the day before.
        last = piece.end.astimezone(shop.tzinfo) - _TICK
        place = Place(shop.source, shop.brand, shop.platform, shop.shop, stream, last.date())
        origin = Origin("api", self._clock.now(), window=piece)
        with BatchWriter(self._settings, place, self._run_id) as writer:
            records = self._source.iter_records(shop, stream, piece)
            model = self._source.payload_model(stream)
            earlier = EarlierDefects(self._settings, shop, stream, piece, origin.extracted_at)
            write_records(writer, model, self._vault, records, earlier.include)
            manifest = writer.commit(origin)
            unreadable = writer.unread_count
        if writer.was_known:
            self._known.add(manifest.batch_id)
        self._batches[manifest.batch_id] = manifest
        self._progress(
            f"{place}: {manifest.record_count} records"
            + (f", {manifest.quarantined_count} quarantined" * bool(manifest.quarantined_count))
            + (f", {manifest.given_up_count} of them given up" * bool(manifest.given_up_count))
        )
        if unreadable:
            error = SourceUnavailable(
                f"{unreadable} records could not be read",
                where=f"{shop.shop}/{stream} {span_text(shop, piece)}",
                next_step="run the night again later; the window is asked again, the records "
                "that could be read have landed",
            )
            self._failures.append(
                LandingFailure(shop.shop, stream, span_text(shop, piece), error, piece)
            )
        else:
            self._completed.append(piece)

    def _fail(self, piece: Window, error: SourceError) -> None:
        span = span_text(self._shop, piece)
        named = type(error)(
            error.what,
            where=f"{self._shop.shop}/{self._stream} {span}, {error.where}",
            next_step=error.next_step,
        )
        self._failures.append(LandingFailure(self._shop.shop, self._stream, span, named, piece))
        self._progress(f"{self._shop.shop}/{self._stream} {span}: failed, {error.what}")
