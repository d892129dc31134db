"""The sandbox shop's merchant, who drops export files as the shop's days pass.

A platform gives three months by API, so the shop's history comes as files once; campaign mailings
and coupon redemptions, which the platform's order API does not know, come as files every day.
What has been dropped is remembered beside the order book, so a restarted sandbox drops nothing
twice, and the same days always give the same files.
"""

import json
from datetime import date, datetime
from pathlib import Path

from regulars.sandbox.book import OrderBook
from regulars.sandbox.export import (
    EVENT_STREAMS,
    HISTORY_UNTIL,
    REPORT_STREAMS,
    DroppedFile,
    export_events,
    export_history,
)


class Merchant:
    """Drops files of one shop into an inbox.

    Args:
        inbox: folder of file drops.
        shop: the shop's code in config/shops.yml.
        book: all trades of the shop.
        memory: file that remembers what has been dropped.
        reports_only: whether the platform's own reports are all that is dropped: no history, and
            none of what the Taobao shop's merchant knows under the ids of that platform.
        cancels_whole_orders: whether those reports count one refund for a cancelled order.
    """

    def __init__(
        self,
        inbox: Path,
        shop: str,
        book: OrderBook,
        memory: Path,
        *,
        reports_only: bool = False,
        cancels_whole_orders: bool = False,
    ) -> None:
        self._inbox = inbox
        self._shop = shop
        self._book = book
        self._memory = memory
        self._reports_only = reports_only
        self._cancels_whole_orders = cancels_whole_orders

    def drop_until(self, now: datetime) -> list[DroppedFile]:
        """Drop every day that has ended by ``now`` (aware, the shop's zone) and was not yet."""
        until = now.date()
        done = self._dropped_until()
        files: list[DroppedFile] = []
        if done is None:
            if not self._reports_only:
                files += export_history(self._inbox, self._shop, self._book, HISTORY_UNTIL)
            done = HISTORY_UNTIL
            self._remember(done)
        if until > done:
            streams = REPORT_STREAMS if self._reports_only else EVENT_STREAMS
            files += export_events(
                self._inbox,
                self._shop,
                self._book,
                done,
                until,
                streams,
                cancels_whole_orders=self._cancels_whole_orders,
            )
            self._remember(until)
        return files

    def _dropped_until(self) -> date | None:
        try:
            found = json.loads(self._memory.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return date.fromisoformat(found["until"])

    def _remember(self, until: date) -> None:
        self._memory.parent.mkdir(parents=True, exist_ok=True)
        part = self._memory.with_suffix(".part")
        part.write_text(json.dumps({"until": until.isoformat()}), encoding="utf-8")
        part.replace(self._memory)
