"""What of a stream could not be read before: so that nothing is asked for in vain for ever.

A record that a platform lists and does not give makes its window be asked again. When it is not
given then either, it is given up: it stays in quarantine with its reason, is counted, and the
window lands. Otherwise one such record would stop the nights of every shop for as long as the
platform keeps it. The weekly resweep asks for it anyway, as long as it stands in its days.
"""

from datetime import datetime, timedelta

from regulars.landing.batches import list_batches
from regulars.landing.quarantine import quarantined_records
from regulars.records import BatchManifest, RawRecord, Window
from regulars.settings import Settings
from regulars.shops import Shop

SECOND_ASKING_AFTER = timedelta(hours=1)
"""A task's own repeats come minutes apart and meet the same disturbance: they are one asking."""


class EarlierDefects:
    """What earlier landings of a stream could not read; looked up when it is first needed.

    Args:
        settings: where landing stands.
        shop: whose stream it is.
        stream: name of the stream.
        window: the span that is being asked.
        now: when it is asked (aware).
    """

    def __init__(
        self, settings: Settings, shop: Shop, stream: str, window: Window, now: datetime
    ) -> None:
        self._settings = settings
        self._shop = shop
        self._stream = stream
        self._window = window
        self._before = now - SECOND_ASKING_AFTER
        self._keys: frozenset[str] | None = None

    def include(self, record: RawRecord) -> bool:
        """Whether ``record``, which cannot be read now, could not be read earlier either.

        A record is known by its key wherever it was listed. Of a place in a list it is enough that
        some place of an overlapping window was unreadable: the list moves, the places with it.

        Raises:
            LandingError: a manifest or a quarantine file is damaged.
        """
        if self._keys is None:
            self._keys = frozenset(self._earlier())
        return record.key in self._keys

    def _earlier(self) -> set[str]:
        keys: set[str] = set()
        shop = self._shop
        for batch in list_batches(
            self._settings, source=shop.source, shop=shop.shop, stream=self._stream
        ):
            if not batch.unread_count or batch.extracted_at > self._before:
                continue
            overlaps = self._overlaps(batch)
            for one in quarantined_records(self._settings, batch):
                key = str(one.payload.get("_record", ""))
                # Only what could not be read has a position; what was refused has its fields.
                if "_position" in one.payload and (key or overlaps):
                    keys.add(key)
        return keys

    def _overlaps(self, batch: BatchManifest) -> bool:
        if batch.window_start is None or batch.window_end is None:
            return False
        return batch.window_start < self._window.end and self._window.start < batch.window_end
