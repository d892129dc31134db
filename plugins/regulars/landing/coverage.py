"""Which spans of time a stream has landed, and which it never has."""

from collections.abc import Iterable

from regulars.landing.batches import list_batches
from regulars.records import BatchManifest, Window
from regulars.settings import Settings
from regulars.shops import Shop


def covered(batches: Iterable[BatchManifest]) -> list[Window]:
    """The spans that the batches' windows cover together, ascending and apart from each other.

    A batch of which something could not be read covers nothing.
    """
    windows = sorted(
        (batch.window_start, batch.window_end)
        for batch in batches
        if batch.window_start and batch.window_end and not batch.unread_count
    )
    merged: list[Window] = []
    for start, end in windows:
        if merged and start <= merged[-1].end:
            merged[-1] = Window(merged[-1].start, max(end, merged[-1].end))
        else:
            merged.append(Window(start, end))
    return merged


def gaps(whole: Window, spans: Iterable[Window]) -> list[Window]:
    """What of ``whole`` none of ``spans`` (ascending, apart from each other) covers, ascending."""
    missing: list[Window] = []
    reached = whole.start
    for span in spans:
        if span.end <= reached:
            continue
        if span.start >= whole.end:
            break
        if span.start > reached:
            missing.append(Window(reached, span.start))
        reached = max(reached, span.end)
    if reached < whole.end:
        missing.append(Window(reached, whole.end))
    return missing


def landing_gaps(settings: Settings, shop: Shop, stream: str, whole: Window) -> list[Window]:
    """Spans of ``whole`` that no batch in landing covers, oldest first.

    Args:
        settings: where landing stands.
        shop: whose stream it is; only batches of its own source count.
        stream: name of the stream.
        whole: span of modification time, half open.
    """
    batches = list_batches(settings, source=shop.source, shop=shop.shop, stream=stream)
    return gaps(whole, covered(batches))
