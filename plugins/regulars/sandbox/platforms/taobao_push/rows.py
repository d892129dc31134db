"""What the platform pushes: whole answers of the single-record methods, and the columns beside.

A pushed trade carries more members than anybody asks the open platform for; those that the book
knows nothing of have artificial values. Nobody's: numbers begin with 12, names are stars.
"""

import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from regulars.sandbox import disguise
from regulars.sandbox.book import OrderBook
from regulars.sandbox.wire import (
    EVERY_REFUND_FIELD,
    EVERY_TRADE_FIELD,
    RefundPage,
    TradePage,
    wall_texts,
)

Int64s = NDArray[np.int64]

_PICTURE = "http://img.example.invalid/bao/uploaded/i1"
_SNAPSHOT = "d:{}_1"


def trade_rows(
    book: OrderBook, trades: Int64s, modified: Int64s, first: Int64s, pushed: Int64s
) -> Iterator[tuple[Any, ...]]:
    """Rows of ``jdp_tb_trade``: each trade as it stood when it was pushed.

    Args:
        book: the shop's trades.
        trades: indices into the book.
        modified: wall seconds of each one's newest modification by then.
        first: wall seconds of its first push.
        pushed: wall seconds of this push.
    """
    records = TradePage(book, trades, modified, pushed, is_full=True).records(EVERY_TRADE_FIELD)
    households = book.household[trades].tolist()
    for record, household, created_at, pushed_at in zip(
        records, households, wall_texts(first), wall_texts(pushed), strict=True
    ):
        _add_to_trade(record, household)
        body = _body("trade_fullinfo_get_response", "trade", record)
        yield (
            record["tid"],
            record["status"],
            record["type"],
            record["seller_nick"],
            record["buyer_nick"],
            record["created"],
            record["modified"],
            hashcode(body),
            body.decode(),
            created_at,
            pushed_at,
        )


def refund_rows(
    book: OrderBook, rows: Int64s, modified: Int64s, first: Int64s, pushed: Int64s
) -> Iterator[tuple[Any, ...]]:
    """Rows of ``jdp_tb_refund``; arguments as for :func:`trade_rows`."""
    records = RefundPage(book, rows, modified, pushed).records(EVERY_REFUND_FIELD)
    for record, created_at, pushed_at in zip(
        records, wall_texts(first), wall_texts(pushed), strict=True
    ):
        record |= {"cs_status": 1, "advance_status": 0, "split_taobao_fee": "0.00"}
        body = _body("refund_get_response", "refund", record)
        yield (
            int(record["refund_id"]),
            record["seller_nick"],
            record["buyer_nick"],
            record["status"],
            record["created"],
            record["tid"],
            record["oid"],
            record["modified"],
            hashcode(body),
            body.decode(),
            created_at,
            pushed_at,
        )


def _body(envelope: str, name: str, record: dict[str, Any]) -> bytes:
    # Sorted, so that what stands beside a record on its page does not show in it.
    return orjson.dumps({envelope: {name: record}}, option=orjson.OPT_SORT_KEYS)


def hashcode(body: bytes) -> str:
    """A signed 32-bit number in text, as in the column; the platform's own sum is unknown."""
    number = zlib.crc32(body)
    return str(number - 2**32 if number >= 2**31 else number)


def _add_to_trade(record: dict[str, Any], household: int) -> None:
    phone = f"*******{disguise.phone(household)[-4:]}"
    record |= {
        "sid": record["tid_str"],
        "pic_path": f"{_PICTURE}/{record['tid_str']}.jpg",
        "available_confirm_fee": record["payment"],
        "commission_fee": "0.00",
        "platform_subsidy_fee": "0.00",
        "coupon_fee": 0,
        "point_fee": 0,
        "real_point_fee": 0,
        "buyer_obtain_point_fee": 0,
        "alipay_point": 0,
        "pcc_af": 0,
        "alipay_no": f"2017{record['tid_str']}",
        "buyer_area": record["receiver_state"] + record["receiver_city"],
        "buyer_email": "",
        "buyer_alipay_no": phone,
        "receiver_country": "中国",
        "receiver_town": "",
        "receiver_zip": "000000",
        "seller_name": "演示店**",
        "seller_mobile": "*******0000",
        "seller_alipay_no": "***@example.invalid",
        "cod_status": "NEW_CREATED",
        "cod_fee": "0.00",
        "buyer_cod_fee": "0.00",
        "seller_cod_fee": "0.00",
        "consign_interval": 48,
        "buyer_rate": False,
        "seller_rate": False,
        "has_post_fee": True,
        "is_3D": False,
        "service_tags": {
            "logistics_tag": [
                {
                    "logistic_service_tag_list": {
                        "logistic_service_tag": [
                            {"service_tag": "origAreaId=310115", "service_type": "TB_CONSIGN_DATE"}
                        ]
                    },
                    "order_id": record["tid_str"],
                }
            ]
        },
    }
    for order in record["orders"]["order"]:
        order |= {
            "cid": 50000000 + order["num_iid"] % 1000,
            "pic_path": f"{_PICTURE}/{order['num_iid']}.jpg",
            "snapshot_url": _SNAPSHOT.format(order["oid"]),
            "seller_type": "C",
            "order_from": "WAP,WAP",
            "buyer_rate": False,
            "seller_rate": False,
            "is_oversold": False,
            "is_daixiao": False,
            "customization": "",
        }
