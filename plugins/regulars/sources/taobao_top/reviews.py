"""Reviews that the shop received, by their time, in windows that the platform shows whole.

The platform keeps 180 days and shows at most 1,500 reviews of one window; what lies beyond is left
out without a word. A window that reaches that number is therefore halved until it does not. A
review has no id of its own: a buyer gives one per sub-order and may change it.
"""

from collections.abc import Iterator
from datetime import timedelta

from regulars.records import RawRecord, Window
from regulars.sources.taobao_top.client import TopClient
from regulars.sources.taobao_top.payload import REVIEWS, field_list
from regulars.sources.taobao_top.streams import TopStream, WindowReader

MOST_ROWS = 1_500
"""Reviews of one window that the platform gives."""

REVIEWS_STREAM = TopStream(
    method="taobao.traderates.get",
    path=("trade_rates", "trade_rate"),
    identity=("oid", "created", "result"),
    fields=field_list(REVIEWS),
    # What buyers said of the shop.
    extra={"rate_type": "get", "role": "buyer", "use_has_next": "false"},
    unwrap={},
    window=("start_date", "end_date"),
    largest=150,
)
_SHORTEST = timedelta(seconds=1)


def read_reviews(client: TopClient, window: Window) -> Iterator[RawRecord]:
    """Every review given within ``window``.

    Where more reviews than the platform shows bear one second, the record after them says so.

    Raises:
        SourceError: see :meth:`TopClient.call`.
    """
    reader = WindowReader(client, REVIEWS_STREAM, window)
    count = reader.count()
    if count < MOST_ROWS:
        yield from reader.records(count)
        return
    half = (window.end - window.start) // 2
    if half < _SHORTEST:
        yield from reader.records(count)
        reason = f"more than {MOST_ROWS} reviews bear one second, and the platform shows no more"
        yield RawRecord({}, reader.where, reason, is_final=True)
        return
    middle = (window.start + half).replace(microsecond=0)
    seen: set[object] = set()
    for part in (Window(window.start, middle), Window(middle, window.end)):
        for record in read_reviews(client, part):
            # The second in the middle may be given by both.
            key = record.defect or reader.identity(record.payload)
            if key not in seen:
                seen.add(key)
                yield record
