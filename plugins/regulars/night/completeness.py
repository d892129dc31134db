"""Which spans of a stream a night asks for: the new one, what never landed, and the weekly resweep.

A watermark alone believes that everything before it is there. Landing knows better: a batch that
was withdrawn, lost with a disk, or read only in part leaves a span that no batch covers. The next
night names it and asks again, as far back as the platform still gives it.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from regulars.landing import landing_gaps
from regulars.records import Window
from regulars.settings import Settings
from regulars.shops import Shop
from regulars.sources import depth_days


@dataclass(frozen=True)
class Plan:
    """What one night asks of one stream.

    Attributes:
        windows: spans to ask, the new one last.
        refilled: those of them that no batch covers although the watermark is past them.
        lost: spans that no batch covers and the platform gives no more.
        swept_from: begin of the weekly resweep, when this night does it.
    """

    windows: tuple[Window, ...]
    refilled: tuple[Window, ...] = ()
    lost: tuple[Window, ...] = ()
    swept_from: datetime | None = None


def plan_windows(
    settings: Settings,
    shop: Shop,
    stream: str,
    *,
    mark: datetime | None,
    end: datetime,
    day: date,
    now: datetime,
    depth: int | None = None,
) -> Plan:
    """What the night of ``day`` asks of a stream.

    Args:
        settings: where landing stands.
        shop: whose stream it is.
        stream: name of the stream.
        mark: how far the stream has been read without a gap; None before the first time.
        end: end (exclusive) of what the night may ask.
        day: the business date; every ``resweep_every_days``-th asks ``resweep_days`` again.
        now: the source's present, from which the platform's depth counts back.
        depth: days back for which the shop's open source still gives modifications; None for
            what its platform generally does.
    """
    first = shop.day_start(shop.api_from or shop.first_date)
    if mark is None or mark <= first:
        return Plan((Window(first, end),) if end > first else ())
    depth = depth_days(shop.source) if depth is None else depth
    # A window is asked from the shop's overlap before its start on: that must lie in the depth.
    overlap = timedelta(minutes=shop.overlap_minutes)
    reachable = max(first, now - timedelta(days=depth) + overlap) if depth else first
    missing = landing_gaps(settings, shop, stream, Window(first, mark))
    refilled = [
        Window(max(gap.start, reachable), gap.end) for gap in missing if gap.end > reachable
    ]
    lost = [Window(gap.start, min(gap.end, reachable)) for gap in missing if gap.start < reachable]
    windows = list(refilled)
    start = mark
    if shop.resweep_every_days and day.toordinal() % shop.resweep_every_days == 0:
        start = max(reachable, mark - timedelta(days=shop.resweep_days))
        windows = [Window(gap.start, min(gap.end, start)) for gap in refilled if gap.start < start]
    if end > start:
        windows.append(Window(start, end))
    return Plan(tuple(windows), tuple(refilled), tuple(lost), start if start < mark else None)
