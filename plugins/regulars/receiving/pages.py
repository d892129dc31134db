"""The page behind the link in an e-mail, and what a mailbox provider posts to it."""

import re
from email.parser import BytesParser
from email.policy import HTTP
from urllib.parse import parse_qsl

from regulars.queues.unsubscribe import ONE_CLICK

_FIELD, _VALUE = ONE_CLICK.split("=")

PAGE_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
}
"""No page may load, keep, index or pass on anything."""

_FRAME = """<!doctype html>
<html lang="zh-CN">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>body{{font:1.1em/1.6 sans-serif;max-width:32em;margin:3em auto;padding:0 1em}}
button{{font:inherit;padding:.5em 1.5em}}</style>
{body}
</html>
"""

QUESTION = _FRAME.format(
    title="退订 · Unsubscribe",
    body=f"""<h1>退订 · Unsubscribe</h1>
<p>点击按钮后，您将不再收到此类信息。<br>
Press the button and you will not get such messages any more.</p>
<form method="post"><input type="hidden" name="{_FIELD}" value="{_VALUE}">
<button type="submit">退订 · Unsubscribe</button></form>""",
)

DONE = _FRAME.format(
    title="已退订 · Unsubscribed",
    body="<h1>已退订 · Unsubscribed</h1>\n<p>您的选择已生效。<br>Your choice is in force.</p>",
)


def is_one_click(content_type: str, body: bytes) -> bool:
    """Whether a posted form says ``List-Unsubscribe=One-Click``, in either encoding."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        text = body.decode("utf-8", errors="replace").strip("\r\n")
        fields = parse_qsl(text, keep_blank_values=True, errors="replace")
    elif kind == "multipart/form-data" and content_type.isprintable():
        fields = _multipart_fields(content_type, body)
    else:
        return False
    return any(
        name.casefold() == _FIELD.casefold() and value.strip().casefold() == _VALUE.casefold()
        for name, value in fields
    )


def _multipart_fields(content_type: str, body: bytes) -> list[tuple[str, str]]:
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1", errors="replace")
    message = BytesParser(policy=HTTP).parsebytes(head + body)
    fields = []
    for part in message.iter_parts():
        told = re.search(r'\bname="?([^";]+)', str(part.get("Content-Disposition", "")))
        content = part.get_payload(decode=True)
        if told and isinstance(content, bytes):
            fields.append((told[1], content.decode("utf-8", errors="replace")))
    return fields
