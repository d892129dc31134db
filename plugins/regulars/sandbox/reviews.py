"""Reviews of the sandbox shop, which the source data does not have: made up, and plainly so.

One in eight finished trades gets one review of one of its lines some time after it ended; which,
when and what follows from the trade's number alone. Texts say that they are samples; three in ten
are what the platform writes when a buyer writes nothing.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regulars.sandbox import disguise
from regulars.sandbox.book import OrderBook
from regulars.sandbox.money import yuan
from regulars.sandbox.protocol import Parameters
from regulars.sandbox.timeline import DAY, HOUR, NEVER, Outcome
from regulars.sandbox.wire import SELLER_NICK, wall_texts

Int64s = NDArray[np.int64]

REVIEWED_SHARE = 0.125
REVIEWED_AFTER = (HOUR, 10 * DAY)
_RESULTS = (("good", 0.92), ("neutral", 0.97), ("bad", 1.0))
_TEXTS = {
    "good": (
        "【示例】物流很快，包装完好",
        "【示例】质量不错，会再来",
        "【示例】客服耐心，性价比高",
    ),
    "neutral": ("【示例】一般，物流等太久", "【示例】包装简单了些"),
    "bad": ("【示例】包装差，漏了一件", "【示例】等太久，客服不回复"),
}
_AUTOMATIC = "此用户没有填写评价。"
_AUTOMATIC_SHARE = 0.3


@dataclass(frozen=True)
class Reviews:
    """All reviews there will ever be, ordered by (created, line); arrays of equal length.

    Attributes:
        trade, line: indices into the book.
        created: wall seconds.
    """

    trade: Int64s
    line: Int64s
    created: Int64s

    @classmethod
    def of(cls, book: OrderBook) -> "Reviews":
        """The reviews of a book's trades."""
        finished = (book.ended != NEVER) & ~np.isin(
            book.outcome, (Outcome.UNPAID, Outcome.CLOSED, Outcome.REFUND_REFUSED)
        )
        drawn = disguise.shares(book.tid, "reviewed") < REVIEWED_SHARE
        trade = np.flatnonzero(finished & drawn).astype(np.int64)
        tids = book.tid[trade]
        first, counts = book.line_start[trade], book.line_start[trade + 1] - book.line_start[trade]
        line = first + (disguise.mixed(tids, "reviewed line") % counts.astype(np.uint64)).astype(
            np.int64
        )
        created = book.ended[trade] + disguise.spread(tids, "review", *REVIEWED_AFTER)
        order = np.lexsort((line, created))
        return cls(trade[order], line[order], created[order])

    def between(self, start: int, end: int) -> Int64s:
        """Indices of the reviews given within [start, end], the oldest first."""
        low, high = np.searchsorted(self.created, [start, end + 1])
        return np.arange(low, max(low, high), dtype=np.int64)

    def only(self, book: OrderBook, chosen: Int64s, parameters: Parameters) -> Int64s:
        """Those of some reviews that a call asks for by result, trade or product."""
        if wanted := parameters.get("tid"):
            tids = book.tid[self.trade[chosen]].tolist()
            chosen = chosen[[str(tid) == wanted for tid in tids]]
        if wanted := parameters.get("num_iid"):
            articles = book.article[book.line_article[self.line[chosen]]].tolist()
            chosen = chosen[[str(article) == wanted for article in articles]]
        if wanted := parameters.get("result"):
            oids = self._oids(book, chosen).tolist()
            chosen = chosen[[judgement(oid)[0] == wanted for oid in oids]]
        return chosen

    def _oids(self, book: OrderBook, chosen: Int64s) -> Int64s:
        trades = self.trade[chosen]
        start = book.line_start[trades]
        counts = book.line_start[trades + 1] - start
        return disguise.line_ids(book.tid[trades], self.line[chosen] - start + 1, counts)

    def records(
        self, book: OrderBook, chosen: Int64s, fields: frozenset[str]
    ) -> list[dict[str, Any]]:
        """Some reviews as the platform writes them, with the fields asked for."""
        trades, lines = self.trade[chosen], self.line[chosen]
        articles = book.line_article[lines]
        records = []
        for tid, oid, household, article, paid, created in zip(
            book.tid[trades].tolist(),
            self._oids(book, chosen).tolist(),
            book.household[trades].tolist(),
            articles.tolist(),
            book.line_goods[lines].tolist(),
            wall_texts(self.created[chosen]),
            strict=True,
        ):
            result, content = judgement(oid)
            whole = {
                "tid": tid,
                "oid": oid,
                "role": "buyer",
                "nick": disguise.buyer_nick(household),
                "result": result,
                "created": created,
                "rated_nick": SELLER_NICK,
                "item_title": str(book.article_title[article]),
                "item_price": yuan(paid),
                "content": content,
                "num_iid": int(book.article[article]),
                "valid_score": True,
            }
            records.append({name: whole[name] for name in whole if name in fields})
        return records


def judgement(oid: int) -> tuple[str, str]:
    """Result and text of the review of a sub-order."""
    number = np.array([oid], dtype=np.int64)
    draw = float(disguise.shares(number, "result")[0])
    result = next(name for name, up_to in _RESULTS if draw < up_to)
    if float(disguise.shares(number, "automatic")[0]) < _AUTOMATIC_SHARE and result == "good":
        return result, _AUTOMATIC
    texts = _TEXTS[result]
    return result, texts[int(disguise.mixed(number, "text")[0] % np.uint64(len(texts)))]
