"""What a seller exports from a back office: the order book in four platforms' layouts.

A file holds the orders created on some days, as they stand at the end of the last one. Its cells
are dressed as the platforms dress them: numbers wrapped against spreadsheets, money with its mark,
statuses with full-width commas, headers with trailing blanks, ciphertext for protected buyers.

Taobao's numbers are those of the sandbox's interface, so an order that comes both ways is one. On
Pinduoduo an order holds one article: each line of a trade is an order of its own there.
"""

import csv
import io
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import openpyxl

from regulars.sandbox.book import OrderBook, day_start
from regulars.sandbox.export import DroppedFile
from regulars.sandbox.platforms.exports.dress import USUAL, Dress
from regulars.sandbox.platforms.exports.layouts import LAYOUTS
from regulars.sandbox.wire import TradePage

__all__ = ["USUAL", "Dress", "export_orders"]


def export_orders(
    inbox: Path,
    shop: str,
    book: OrderBook,
    platform: str,
    start: date,
    until: date,
    dress: Dress | None = None,
) -> list[DroppedFile]:
    """Drop the exports of orders created from ``start`` to before ``until`` (shop-local days).

    Args:
        inbox: folder of file drops; files go to ``<inbox>/<shop>/<stream>/``.
        shop: its code.
        book: what was ordered.
        platform: ``taobao``, ``jd``, ``pdd`` or ``douyin``.
        start: first day.
        until: first day that is not included; the files show its midnight.
        dress: how the files look; as the platform's own when left out.

    Raises:
        KeyError: there is no such platform.
    """
    look = dress or USUAL[platform]
    inside = (book.created >= day_start(start)) & (book.created < day_start(until))
    trades = np.flatnonzero(inside).astype(np.int64)
    page = TradePage(book, trades, book.created[trades], day_start(until) - 1, is_full=True)
    dropped = []
    for stream, columns in LAYOUTS[platform](page, look):
        rows = [[column.header for column in columns]]
        cells = [[look.cell(column.kind, text) for text in column.texts] for column in columns]
        rows += [list(row) for row in zip(*cells, strict=True)]
        path = inbox / shop / stream / f"{stream}-{start}-until-{until}.{look.suffix}"
        _write(path, look, rows)
        dropped.append(DroppedFile(stream, path, len(rows) - 1))
    return dropped


def _write(path: Path, look: Dress, rows: Sequence[Sequence[str]]) -> None:
    """Write one file under a name with ``.part`` and rename it, so that no half file counts."""
    above: list[Sequence[str]] = [[f"导出说明 {number}"] for number in range(look.preamble)]
    notes = [["说明"] * len(rows[0])] if look.has_notes else []
    whole = [*above, rows[0], *notes, *rows[1:]]
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    if look.suffix == "xlsx":
        book = openpyxl.Workbook(write_only=True)
        sheet = book.create_sheet()
        for row in whole:
            sheet.append(row)
        with part.open("wb") as file:
            book.save(file)
    else:
        text = io.StringIO()
        csv.writer(text, lineterminator="\r\n").writerows(whole)
        part.write_bytes(text.getvalue().encode(look.encoding))
    part.replace(path)
