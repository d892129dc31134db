"""How the files of seller centres look: what stands around and instead of values in their cells."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from regulars.sandbox import disguise

Wrapping = Literal["plain", "formula", "quotes", "apostrophe", "tab", "tab after", "point zero"]
Kind = Literal["number", "code", "money", "time", "status", "text", "phone", "address"]

_WRAPPED: dict[Wrapping, Callable[[str], str]] = {
    "plain": lambda text: text,
    "formula": lambda text: f'="{text}"',
    "quotes": lambda text: f'"{text}"',
    "apostrophe": lambda text: f"'{text}",
    "tab": lambda text: f"\t{text}",
    "tab after": lambda text: f"{text}\t",
    "point zero": lambda text: f"{text}.0",
}


@dataclass(frozen=True)
class Dress:
    """How the cells and the file look.

    Attributes:
        suffix: ``csv`` or ``xlsx`` (where a formula would have no value, so numbers stay plain).
        encoding: of a csv.
        wrapping: what stands around a platform's numbers.
        money: what stands before an amount, and behind it.
        has_thousands: amounts have commas.
        empty: what an empty cell holds.
        preamble: rows above the header.
        has_notes: a second header line explains the columns.
        is_protected: phones and addresses are ciphertext.
        is_layout_new: the newer of Taobao's two layouts.
        is_payment_net: Taobao's reports lower the payment by what was refunded.
    """

    suffix: Literal["csv", "xlsx"] = "csv"
    encoding: str = "gb18030"
    wrapping: Wrapping = "plain"
    money: tuple[str, str] = ("", "")
    has_thousands: bool = False
    empty: str = ""
    preamble: int = 0
    has_notes: bool = False
    is_protected: bool = False
    is_layout_new: bool = False
    is_payment_net: bool = True

    def cell(self, kind: Kind, text: str) -> str:
        """One cell as it stands in the file; ``text`` is empty when there is nothing."""
        if not text:
            return self.empty
        if kind == "number":
            is_formula = self.wrapping == "formula" and self.suffix == "xlsx"
            # Only what a spreadsheet can take for a number gets decimals.
            is_text = self.wrapping == "point zero" and not text.isdigit()
            return text if is_formula or is_text else _WRAPPED[self.wrapping](text)
        if kind == "money":
            whole, point, part = text.partition(".")
            amount = f"{int(whole):,}{point}{part}" if self.has_thousands else text
            return f"{self.money[0]}{amount}{self.money[1]}"
        if kind in ("phone", "address") and self.is_protected:
            return f"{'##' if kind == 'phone' else '$$'}{disguise.oaid(len(text))}"
        return f"'{text}" if kind == "phone" else text


USUAL = {
    "taobao": Dress(wrapping="formula"),
    "jd": Dress(suffix="xlsx"),
    "pdd": Dress(encoding="utf-8", wrapping="tab after"),
    "douyin": Dress(
        encoding="utf-8-sig", wrapping="tab", empty="-", has_thousands=True, is_protected=True
    ),
}
"""How each platform dresses its files."""
