"""Pinduoduo's calling protocol: parameters, signature, refusals.

Written from the platform's rules alone, so that it can tell whether a client keeps to them.
Codes are those of the platform's documentation. What is refused with a code that no document
names says so.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import orjson

from regulars.sandbox.protocol import Access

TOLERANCE_SECONDS = 600
LARGEST_PAGE_SIZE = 100
HALF_HOUR, DAY = 1800, 86_400

Parameters = Mapping[str, str]


class Refusal(Exception):
    """The platform's error envelope; a client sees it as JSON with HTTP status 200."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message

    def envelope(self, request_id: str) -> dict[str, Any]:
        """The JSON body."""
        return {
            "error_response": {
                "error_msg": self.message,
                "sub_msg": self.message,
                "sub_code": str(self.code),
                "error_code": self.code,
                "request_id": request_id,
            }
        }


def read_parameters(query: str, body: bytes, content_type: str) -> dict[str, str]:
    """Parameters of query and body (a form, or a JSON object) together, as they are signed.

    Raises:
        Refusal: the body says that it is JSON and is not.
    """
    parameters = dict(parse_qsl(query, keep_blank_values=True))
    if "json" not in content_type:
        form = body.decode("utf-8", errors="replace")
        parameters.update(parse_qsl(form, keep_blank_values=True))
        return parameters
    try:
        given = orjson.loads(body) if body else {}
    except ValueError:
        raise Refusal(10000, "参数错误") from None
    if not isinstance(given, dict):
        raise Refusal(10000, "参数错误")
    for name, value in given.items():
        plain = isinstance(value, str)
        # Compact JSON is also how booleans become lower case and numbers plain.
        parameters[name] = value if plain else orjson.dumps(value).decode()
    return parameters


def signature(parameters: Parameters, secret: str) -> str:
    """Upper-case hexadecimal MD5 over the secret, every parameter but ``sign``, and the secret."""
    pairs = sorted((name, value) for name, value in parameters.items() if name != "sign")
    text = secret + "".join(name + value for name, value in pairs) + secret
    # MD5 is what the platform's protocol prescribes.
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest().upper()


def verify_call(
    parameters: Parameters, access: Access, methods: frozenset[str], machine_seconds: float | None
) -> str:
    """Check everything a call must carry but its access token; the API's name.

    ``machine_seconds`` is the machine's present (epoch seconds), None to accept any timestamp.

    Raises:
        Refusal: with the code of the first thing that is wrong.
    """
    method = _public(parameters, "type")
    if method not in methods:
        raise Refusal(10017, "type不正确")
    if _public(parameters, "client_id") != access.app_key:
        raise Refusal(10016, "client下线或者clientId不正确")
    if parameters.get("data_type", "JSON") != "JSON":
        # The platform speaks XML as well; this gateway does not, and says so.
        raise Refusal(10001, "公共参数错误:data_type")
    if parameters.get("version", "V1") != "V1":
        raise Refusal(10001, "公共参数错误:version")
    stamp = _public(parameters, "timestamp")
    is_whole = stamp.isascii() and stamp.isdigit()
    if not is_whole or (
        machine_seconds is not None and abs(int(stamp) - machine_seconds) > TOLERANCE_SECONDS
    ):
        raise Refusal(10001, "公共参数错误:timestamp")
    given = _public(parameters, "sign")
    if not hmac.compare_digest(given.encode(), signature(parameters, access.app_secret).encode()):
        raise Refusal(20004, "签名sign校验失败")
    return method


def _public(parameters: Parameters, name: str) -> str:
    value = parameters.get(name, "")
    if not value:
        raise Refusal(10001, f"公共参数错误:{name}")
    return value


def whole_number(
    parameters: Parameters,
    name: str,
    allowed: range | tuple[int, ...],
    default: int | None = None,
) -> int:
    """A business parameter that is a whole number.

    Raises:
        Refusal: it is missing without a default, or not one of the allowed.
    """
    text = parameters.get(name, "")
    if not text:
        if default is None:
            raise Refusal(21002, f"请求参数不能为空:{name}")
        return default
    if text.isascii() and text.isdigit() and int(text) in allowed:
        return int(text)
    raise Refusal(21001, f"请求参数错误:{name}")


def flag(parameters: Parameters, name: str) -> bool:
    """A boolean business parameter, in lower case; absent means false.

    Raises:
        Refusal: it is neither.
    """
    text = parameters.get(name, "") or "false"
    if text not in ("true", "false"):
        raise Refusal(21001, f"请求参数错误:{name}")
    return text == "true"


def window(parameters: Parameters, start: str, end: str, longest: int) -> tuple[int, int]:
    """The ends of a window in unix seconds, both of them inside it.

    Raises:
        Refusal: one is missing, they are the wrong way round, or the span is too long. (21001:
            which code the platform gives for a long span is not documented.)
    """
    first = whole_number(parameters, start, range(2**40))
    last = whole_number(parameters, end, range(2**40))
    if last < first or last - first > longest:
        raise Refusal(21001, f"请求参数错误:{end}")
    return first, last


def three_months_before(clock: int) -> int:
    """Wall seconds three calendar months before the wall second ``clock``."""
    moment = datetime.fromtimestamp(clock, UTC)
    year, month = divmod(moment.year * 12 + moment.month - 1 - 3, 12)
    for day in range(moment.day, 27, -1):
        try:
            return int(moment.replace(year=year, month=month + 1, day=day).timestamp())
        except ValueError:  # that month is shorter
            continue
    return int(moment.replace(year=year, month=month + 1).timestamp())
