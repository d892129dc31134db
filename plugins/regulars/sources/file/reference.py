"""Renders the file contract as docs/reference/file-contract.md; a test keeps the two equal."""

from regulars.settings import PROJECT_ROOT
from regulars.sources.file.contract import CONTRACT
from regulars.sources.payloads import Kind

_TYPE_TEXTS: dict[Kind, str] = {
    "id": "id (text, at most 128 characters)",
    "text": "text",
    "amount": "amount, yuan, at most 2 decimals",
    "decimal": "decimal, at most 6 decimals",
    "integer": "whole number",
    "flag": "true / false",
    "timestamp": "timestamp",
    "date": "date",
    "contact": "contact",
}

_HEAD = """\
# File contract

<!-- Generated from plugins/regulars/sources/file/contract.py by
`python -m regulars.sources.file.reference`. Do not edit by hand. -->

A merchant hands over data as files in `data/inbox/<shop>/<stream>/`.

## Handing over a file

| | |
|---|---|
| Formats | `.csv` (header row; comma), `.parquet`, `.xlsx` (first sheet) |
| When it counts | write it as `<name>.part` and rename it when it is complete, or put `<name>.ok` \
beside it. A `.part` file is never taken, nor is a file that a process on this machine still has \
open for writing |
| `.ok` | empty, or the SHA-256 of the file in hex; then a file with another content is refused |
| Taking | the file is renamed into `data/inbox/.taken/` and deleted once its batch has landed; \
after a crash it is found there again |
| Twice | a file with the same SHA-256 as one landed before is the same batch: nothing is added |
| Refused as a whole | not readable as its format, cut in the middle, no header with the required \
columns, a column named twice. The file is kept encrypted in `data/quarantine/` with its reason, \
the others go on; send it again, complete |
| Refused records | records that break the contract are quarantined with line and reasons; the \
others land. Above `quarantine_share` of config/shops.yml the run fails after landing the rest |

## How values are read

| | |
|---|---|
| Encoding of csv | byte order mark, else strict UTF-8, else GB18030 |
| Header | names are trimmed, full-width becomes half-width, upper case lower, blanks `_`; rows \
above the header are skipped (at most 20); order does not matter; further columns are kept and \
counted |
| Empty cell | no value; never zero |
| id | text with every digit; `="123"`, quotes, a leading apostrophe or tab and a trailing `.0` \
are removed; scientific notation is refused, since digits are lost, and so is a buyer id with `*`, \
since a masked one stands for several people |
| amount | yuan, at most 2 decimals, no float; `¥`, `元` and thousands commas are removed |
| timestamp | `YYYY-MM-DD HH:MM:SS` in the shop's zone (config/shops.yml), or ISO 8601 with an \
offset; `YYYY/M/D H:MM` is read as well |
| date | `YYYY-MM-DD`, the shop's local day |
| true / false | `true`, `1`, `yes`, `是` / `false`, `0`, `no`, `否` |
| contact | leaves the record when it lands: a token, a keyed hash and a masked form stay, the \
plain value goes into the encrypted vault; what a platform has masked (`138****1234`, `张**`, \
streets with `**`) stays as it is |
| text | mobile numbers and e-mail addresses written into it are masked |

`buyer_id`, `order_id` and `line_id` are the platform's own ids (Taobao: `buyer_open_uid`, `tid`, \
`oid`), so an order delivered by file and later changed by the API stays one order. A `buyer_id` \
or `member_id` that is itself a mobile number or an e-mail address is refused, since ids are \
published as they are: deliver a number of your own, or a hash. A `buyer_id` in a file holds \
within its shop: that it means the same buyer at another one is believed of the platforms' \
interfaces alone.

## Streams
"""


def render_contract() -> str:
    """The Markdown of docs/reference/file-contract.md."""
    parts = [_HEAD]
    for stream, model in CONTRACT.items():
        parts.append(f"\n### {stream}\n\n{model.note}\n\n| column | required | type | meaning |")
        parts.append("|---|---|---|---|")
        for item in model.fields:
            if item.kind == "enum":
                kind = ", ".join(f"`{value}`" for value in item.values)
            elif item.contact:
                kind = f"contact ({item.contact})"
            else:
                kind = _TYPE_TEXTS[item.kind]
            required = "yes" if item.required else ""
            parts.append(f"| `{item.name}` | {required} | {kind} | {item.note} |")
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    target = PROJECT_ROOT / "docs" / "reference" / "file-contract.md"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(render_contract(), encoding="utf-8")
