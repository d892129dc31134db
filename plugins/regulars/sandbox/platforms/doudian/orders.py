"""Orders as ``order.searchList`` writes them, a page at a time.

How the money adds up, in fen:

* order_amount = the lines' sum_amount + post_amount (free of charge here: 0);
* promotion_amount = promotion_shop + promotion_platform + promotion_talent, and
  promotion_pay_amount is what the payment channel adds;
* pay_amount = order_amount - promotion_amount - promotion_pay_amount: what the buyer pays;
* total_promotion = promotion + post_promotion, post_origin = post + post_promotion;
* platform_cost = only_platform_cost + author_cost.

All of it holds for each line and for the sums of lines. The shop's own discounts are its
promotions. A coupon was an influencer's where one brought the order, else the platform's, and now
and then the payment channel's.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from regulars.sandbox import disguise
from regulars.sandbox.book import OrderBook
from regulars.sandbox.clockwork import unix_seconds
from regulars.sandbox.platforms.doudian import disguises
from regulars.sandbox.timeline import DAY, RefundStatus
from regulars.sandbox.wire import refund_status, trade_status

Int64s = NDArray[np.int64]
Record = dict[str, Any]

# By index of wire.TRADE_STATUS: 105 and 101 pass too quickly for the book to know them.
ORDER_STATUS = (1, 2, 3, 5, 4, 4)
_STATUS_TEXT = {1: "待支付", 2: "备货中", 3: "已发货", 4: "已关闭", 5: "已完成"}
FINISHED = 5

# after_sale_status and refund_status by RefundStatus. Money asked for and not given keeps its 1.
AFTERSALE_STATUS = {
    RefundStatus.WAIT_SELLER_AGREE: (6, 1),
    RefundStatus.WAIT_BUYER_RETURN_GOODS: (7, 1),
    RefundStatus.SELLER_REFUSE_BUYER: (27, 1),
    RefundStatus.SUCCESS: (12, 3),
    RefundStatus.CLOSED: (28, 1),
}

_PAY_CHANNEL_SHARE = 0.1
_FREIGHT = 600
_FREIGHT_SHARE = 0.3
_PAY_TYPES = (1, 2, 2, 4, 8)


class OrderPage:
    """Some orders of a book as of a clock.

    Args:
        book: all orders.
        trades: indices into the book, in the order of the answer; all created by ``clock``.
        modified: wall seconds of each one's newest modification.
        clock: wall seconds.
    """

    def __init__(self, book: OrderBook, trades: Int64s, modified: Int64s, clock: int) -> None:
        self.book, self.trades, self.modified, self.clock = book, trades, modified, clock
        self.status = [ORDER_STATUS[one] for one in trade_status(book, trades, clock).tolist()]
        self.order_ids = disguises.order_ids(book.tid[trades]).tolist()
        self.influencers = disguises.influencers(book.basket[trades]).tolist()
        self.is_live = disguises.is_live(book.basket[trades]).tolist()
        self.is_pay_channel = (
            disguise.shares(book.basket[trades], "doudian pay") < _PAY_CHANNEL_SHARE
        ).tolist()
        self.freight = np.where(
            disguise.shares(book.basket[trades], "doudian freight") < _FREIGHT_SHARE, _FREIGHT, 0
        ).tolist()

    def records(self) -> list[Record]:
        """The answer's records."""
        return [self._order(place) for place in range(len(self.trades))]

    def _order(self, place: int) -> Record:
        book, trade = self.book, int(self.trades[place])
        household = int(book.household[trade])
        lines = self._lines(place)
        sums = {name: sum(line[name] for line in lines) for name in _MONEY_OF_LINE}
        freight = self.freight[place]
        name, phone, address = disguises.masked(household)
        status = self.status[place]
        return {
            "order_id": str(self.order_ids[place]),
            "shop_id": disguises.SHOP_ID,
            "shop_name": disguises.SHOP_NAME,
            "open_id": "",
            "doudian_open_id": disguises.open_id(household),
            "order_level": 2,
            "biz": 2,
            "biz_desc": "小店自营",
            "order_status": status,
            "order_status_desc": _STATUS_TEXT[status],
            "main_status": status,
            "main_status_desc": _STATUS_TEXT[status],
            **self._times(place, trade),
            "update_time": unix_seconds(int(self.modified[place])),
            "order_expire_time": unix_seconds(int(book.created[trade]) + DAY),
            "cancel_reason": "买家取消" if status == 4 else "",
            "buyer_words": "",
            "seller_words": "",
            "seller_remark_stars": 0,
            **_KIND_OF_ORDER,
            "app_id": 0,
            "channel_payment_no": "",
            "pay_type": _PAY_TYPES[household % 5] if sums["pay_amount"] else 7,
            **sums,
            "total_promotion_amount": sums["promotion_amount"] + freight,
            "post_origin_amount": freight,
            "post_promotion_amount": freight,
            "packing_amount": 0,
            **_consignee(household, name, phone, address),
            "user_id_info": {"id_card_no": "", "encrypt_id_card_no": "", "id_card_name": ""},
            "logistics_info": self._parcels(place, trade),
            "order_phase_list": [],
            "shop_order_tag_ui": [],
            "user_tag_ui": [],
            "address_tag_ui": [],
            "serial_number_list": [],
            "promise_info": "",
            "sku_order_list": lines,
        }

    def _times(self, place: int, trade: int) -> dict[str, int]:
        book = self.book
        return {
            "create_time": self._time(int(book.created[trade])),
            "pay_time": self._time(int(book.paid[trade])),
            "ship_time": self._time(int(book.shipped[trade])),
            "exp_ship_time": self._time(int(book.paid[trade]), 2 * DAY),
            "finish_time": (
                self._time(int(book.ended[trade])) if self.status[place] == FINISHED else 0
            ),
        }

    def _time(self, instant: int, later: int = 0) -> int:
        """Unix seconds, 0 for what has not happened."""
        return unix_seconds(instant + later) if instant <= self.clock else 0

    def _lines(self, place: int) -> list[Record]:
        book, trade = self.book, int(self.trades[place])
        low, high = int(book.line_start[trade]), int(book.line_start[trade + 1])
        rows = np.arange(low, high, dtype=np.int64)
        order_id, status = self.order_ids[place], self.status[place]
        ids = disguises.line_ids(
            np.full(high - low, order_id, dtype=np.int64), rows - low + 1, np.array(high - low)
        ).tolist()
        articles = book.line_article[low:high]
        columns = zip(
            ids,
            book.article[articles].tolist(),
            book.article_title[articles].tolist(),
            book.line_quantity[low:high].tolist(),
            book.line_goods[low:high].tolist(),
            book.line_item_discount[low:high].tolist(),
            book.line_paid[low:high].tolist(),
            _aftersales(book, rows, self.clock),
            strict=True,
        )
        times = self._times(place, trade)
        shared = {
            "parent_order_id": str(order_id),
            "order_level": 3,
            "order_status": status,
            "order_status_desc": _STATUS_TEXT[status],
            "main_status": status,
            **_KIND_OF_LINE,
            **times,
            "logistics_receipt_time": self._time(int(book.signed[trade])),
            "confirm_receipt_time": times["finish_time"],
            **self._attribution(place, trade),
        }
        return [
            {
                "order_id": str(number),
                **shared,
                "product_id": disguises.product_id(article),
                "product_id_str": str(disguises.product_id(article)),
                "sku_id": disguises.sku_id(article),
                "product_name": title,
                "spec": [{"name": "规格", "value": "默认"}],
                "item_num": quantity,
                # Weighed goods: the price of a unit is rounded, the sum is exact.
                "origin_amount": (2 * goods + quantity) // (2 * quantity) if quantity else goods,
                "code": str(article),
                "out_sku_id": "",
                "out_product_id": str(article),
                **self._money(place, goods, discount, paid),
                "after_sale_info": aftersale,
            }
            for number, article, title, quantity, goods, discount, paid, aftersale in columns
        ]

    def _money(self, place: int, goods: int, discount: int, paid: int) -> dict[str, int]:
        coupon = goods - discount - paid
        talent = coupon if self.influencers[place] else 0
        channel = coupon - talent if self.is_pay_channel[place] else 0
        platform = coupon - talent - channel
        return {
            "sum_amount": goods,
            "order_amount": goods,
            "pay_amount": paid,
            "post_amount": 0,
            "post_insurance_amount": 0,
            "modify_amount": 0,
            "modify_post_amount": 0,
            "tax_amount": 0,
            "promotion_amount": discount + platform + talent,
            "promotion_shop_amount": discount,
            "promotion_platform_amount": platform,
            "promotion_talent_amount": talent,
            "promotion_pay_amount": channel,
            "promotion_redpack_amount": 0,
            "promotion_redpack_platform_amount": 0,
            "promotion_redpack_talent_amount": 0,
            "shop_cost_amount": discount,
            "platform_cost_amount": platform + talent,
            "only_platform_cost_amount": platform,
            "author_cost_amount": talent,
        }

    def _attribution(self, place: int, trade: int) -> Record:
        influencer, is_live = self.influencers[place], self.is_live[place]
        day = int(self.book.created[trade]) // DAY
        room = disguises.room_id(influencer, day) if influencer and is_live else 0
        video = disguises.video_id(influencer, day) if influencer and not is_live else ""
        return {
            "author_id": disguises.author_id(influencer) if influencer else 0,
            "author_name": f"主播{influencer:02d}" if influencer else "",
            "room_id": room,
            "room_id_str": str(room),
            "content_id": "",
            "video_id": video,
            "origin_id": "",
            "cid": 0,
            "page_id": 0,
            "c_biz": 2 if influencer else 8,
            "c_biz_desc": "精选联盟" if influencer else "小店自卖",
            "theme_type": "1" if room else "0",
            "theme_type_desc": "直播间" if room else "其他",
            "ad_env_type": "live" if room else "video" if video else "",
        }

    def _parcels(self, place: int, trade: int) -> list[Record]:
        shipped = self._time(int(self.book.shipped[trade]))
        if not shipped:
            return []
        return [
            {
                "tracking_no": f"SF{self.order_ids[place] % 10**13:013d}",
                "company": "shunfeng",
                "company_name": "顺丰速运",
                "ship_time": shipped,
                "delivery_id": str(self.order_ids[place]),
                "product_info": [],
            }
        ]


_MONEY_OF_LINE = (
    *("order_amount", "pay_amount", "post_amount", "post_insurance_amount", "modify_amount"),
    *("modify_post_amount", "tax_amount", "promotion_amount", "promotion_shop_amount"),
    *("promotion_platform_amount", "promotion_talent_amount", "promotion_pay_amount"),
    *("promotion_redpack_amount", "promotion_redpack_platform_amount"),
    *("promotion_redpack_talent_amount", "shop_cost_amount", "platform_cost_amount"),
    *("only_platform_cost_amount", "author_cost_amount"),
)
_KIND_OF_ORDER: Record = {
    "order_type": 0,
    "order_type_desc": "普通订单",
    "trade_type": 0,
    "trade_type_desc": "普通",
    "b_type": 2,
    "b_type_desc": "抖音",
    "sub_b_type": 1,
    "sub_b_type_desc": "app内-原生",
}
_KIND_OF_LINE: Record = {
    **_KIND_OF_ORDER,
    "goods_type": 0,
    "pre_sale_type": 0,
    "is_comment": 0,
    "given_product_type": "",
    "master_sku_order_id_list": [],
    "inventory_list": [],
    "supplier_id": "",
    "first_cid": 0,
    "second_cid": 0,
    "third_cid": 0,
    "fourth_cid": 0,
    "send_pay": 0,
    "promise_info": "",
    "post_tel": "",
    "post_receiver": "",
}


def _consignee(household: int, name: str, phone: str, address: str) -> Record:
    province, city, town, _ = disguise.place(household)
    places = {
        "province": {"name": province, "id": "1"},
        "city": {"name": city, "id": "2"},
        "town": {"name": town, "id": "3"},
        "street": {"name": "", "id": "4"},
    }
    # Plain values are empty for an app that may not see them.
    return {
        "post_tel": "",
        "post_receiver": "",
        "encrypt_post_tel": disguises.ciphertext(f"phone {household}"),
        "encrypt_post_receiver": disguises.ciphertext(f"name {household}"),
        "mask_post_tel": phone,
        "mask_post_receiver": name,
        "post_addr": {
            **places,
            "detail": "",
            "encrypt_detail": disguises.ciphertext(f"address {household}"),
        },
        "mask_post_addr": {**places, "detail": address},
    }


def _aftersales(book: OrderBook, lines: Int64s, clock: int) -> list[Record]:
    none = {"after_sale_status": 0, "after_sale_type": 0, "refund_status": 0}
    found: list[Record] = [dict(none) for _ in range(len(lines))]
    if not len(book.refund_line):
        return found
    rows = book.refund_of_line[lines].astype(np.int64)
    asked = np.flatnonzero((rows >= 0) & (book.refund_requested[rows] <= clock))
    states = refund_status(book, rows[asked], clock).tolist()
    for place, row, state in zip(asked.tolist(), rows[asked].tolist(), states, strict=True):
        after, money = AFTERSALE_STATUS[RefundStatus(state)]
        found[place] = {
            "after_sale_status": after,
            "after_sale_type": aftersale_type(book, row),
            "refund_status": money,
        }
    return found


def aftersale_type(book: OrderBook, row: int) -> int:
    """0 for a return, 2 for a cancellation before shipping, else 1."""
    if book.refund_is_return[row]:
        return 0
    # Nothing is shipped that was cancelled.
    return 2 if book.shipped[book.refund_trade[row]] > book.refund_requested[row] else 1
