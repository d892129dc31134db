"""Windows of modification time, cut as a platform allows them."""

from datetime import datetime, timedelta

from regulars.records import Window
from regulars.shops import Shop


def cut(shop: Shop, window: Window, now: datetime, longest: timedelta) -> list[Window]:
    """Cut ``window`` into pieces of at most ``longest``, oldest first.

    The first piece reaches back by the shop's overlap, since the platform shows some changes
    late; the last ends at least the shop's margin before ``now``, so that no piece still moves
    while it is paged. Pieces are counted back from the window's end: a window that ends at the
    shop's midnight gives whole local days, and the overlap is a short piece of its own.

    Returns:
        No piece when the whole window lies within the margin or in the future.
    """
    # Platforms know whole seconds: a part of one would move the edge.
    latest = (now - timedelta(minutes=shop.margin_minutes)).replace(microsecond=0)
    start = window.start - timedelta(minutes=shop.overlap_minutes)
    end = min(window.end, latest)
    if end <= window.start:
        return []
    pieces: list[Window] = []
    while end > start:
        begin = max(start, end - longest)
        pieces.append(Window(begin, end))
        end = begin
    pieces.reverse()
    return pieces
