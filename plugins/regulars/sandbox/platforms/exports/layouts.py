"""The columns of each platform's export, filled from the order book."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from regulars.sandbox import disguise
from regulars.sandbox.book import Int64s
from regulars.sandbox.money import yuan, yuan_list
from regulars.sandbox.platforms.exports.dress import Dress, Kind
from regulars.sandbox.timeline import NEVER, RefundStatus
from regulars.sandbox.wire import TradePage, reason_of, refund_status, wall_texts

Texts = list[str]

_STATUSES = {
    "taobao": (
        "等待买家付款",
        "买家已付款，等待卖家发货",
        "卖家已发货，等待买家确认",
        "交易成功",
        "交易关闭",
        "交易关闭",
    ),
    "jd": ("等待付款", "等待出库", "等待确认收货", "完成", "(删除)等待出库", "已取消"),
    "pdd": ("待支付", "待发货", "已发货，待签收", "已收货", "未发货，退款成功", "已取消"),
    "douyin": ("待支付", "待发货", "已发货", "已完成", "已关闭", "已关闭"),
}
_REFUND_STATUS = {
    RefundStatus.WAIT_SELLER_AGREE: "买家已经申请退款，等待卖家同意",
    RefundStatus.WAIT_BUYER_RETURN_GOODS: "卖家已经同意退款，等待买家退货",
    RefundStatus.SELLER_REFUSE_BUYER: "卖家拒绝退款",
    RefundStatus.SUCCESS: "退款成功",
    RefundStatus.CLOSED: "退款关闭",
}
_FINISHED, _CLOSED = 3, 4


@dataclass(frozen=True)
class Column:
    """One column of a file."""

    header: str
    kind: Kind
    texts: Texts


def _taobao(page: TradePage, look: Dress) -> list[tuple[str, list[Column]]]:
    book, new = page.book, look.is_layout_new
    refunded = (
        np.add.reduceat(page.refunded, page.first_line[:-1]) if len(page.lines) else page.status
    )
    paid = np.where(book.paid[page.trades] <= page.clock, book.trade_paid[page.trades], 0)
    shown = paid - refunded if look.is_payment_net else paid
    receivers = [disguise.masked_receiver(household) for household in page.households()]
    nicks = [disguise.buyer_nick(household) for household in page.households()]
    tids = _numbers(book.tid[page.trades])
    statuses = _texts_of("taobao", page.status)
    created, paid_at = wall_texts(book.created[page.trades]), _reached(page, book.paid)
    closed = np.isin(page.status, (_CLOSED, _CLOSED + 1)).tolist()
    goods = yuan_list(book.trade_goods[page.trades])
    due = yuan_list(book.trade_paid[page.trades])
    orders = [
        Column("订单编号", "number", tids),
        Column("买家会员名", "text", nicks),
        Column("买家应付货款", "money", goods),
        Column("买家应付邮费", "money", ["0.00"] * len(tids)),
        Column("总金额", "money", due),
        Column("买家实付金额" if new else "买家实际支付金额", "money", yuan_list(shown)),
        Column("订单状态", "status", statuses),
        Column("收货人姓名", "text", [receiver[0] for receiver in receivers]),
        Column("收货地址 ", "address", [receiver[2] for receiver in receivers]),
        Column("联系手机", "phone", [receiver[1] for receiver in receivers]),
        Column("买家下单时间" if new else "订单创建时间", "time", created),
        Column("买家付款时间" if new else "订单付款时间 ", "time", paid_at),
        Column("宝贝标题 ", "text", _of_trades(page, _titles(page), "，")),
        Column("宝贝种类 ", "text", [str(count) for count in page.counts.tolist()]),
        Column("运单号" if new else "物流单号 ", "text", [""] * len(tids)),
        Column("订单关闭原因", "text", ["买家取消" if one else "订单未关闭" for one in closed]),
        Column("退款金额", "money", yuan_list(refunded)),
        Column("确认收货时间", "time", _ended(page, _FINISHED)),
        Column("打款商家金额", "text", [f"{amount}元" for amount in yuan_list(shown)]),
    ]
    if new:
        orders.append(Column("发货时间", "time", _reached(page, book.shipped)))
    return [
        ("taobao_orders", orders),
        ("taobao_order_details", _taobao_details(page, look, tids, statuses)),
        ("taobao_refunds", _taobao_refunds(page)),
    ]


def _taobao_details(page: TradePage, look: Dress, tids: Texts, statuses: Texts) -> list[Column]:
    book = page.book
    products = _numbers(book.article[book.line_article[page.lines]])
    own = [
        Column("主订单编号" if look.is_layout_new else "订单编号", "number", _each(page, tids)),
        Column("标题", "text", _titles(page)),
        Column("价格", "money", _prices(page)),
        Column("购买数量", "text", _numbers(book.line_quantity[page.lines])),
        Column("外部系统编号", "code", products),
        Column("商品属性", "text", [""] * len(products)),
        Column("订单状态", "status", _each(page, statuses)),
        Column("商家编码", "code", products),
    ]
    if not look.is_layout_new:
        return own
    is_paid = page.repeat(book.paid[page.trades] <= page.clock)
    paid = np.where(is_paid, book.line_paid[page.lines], 0)
    shown = paid - page.refunded if look.is_payment_net else paid
    refunds = [yuan(fen) if fen else "无退款申请" for fen in page.refunded.tolist()]
    oids = disguise.line_ids(
        page.repeat(book.tid[page.trades]), page.position, page.repeat(page.counts)
    )
    return [
        Column("子订单编号", "number", _numbers(oids)),
        *own,
        Column("商品ID", "number", products),
        Column("买家应付货款", "money", yuan_list(book.line_paid[page.lines])),
        Column("买家实付金额", "money", yuan_list(shown)),
        Column("退款金额", "text", refunds),
        Column("订单创建时间", "time", _each(page, wall_texts(book.created[page.trades]))),
        Column("订单付款时间", "time", _each(page, _reached(page, book.paid))),
    ]


def _taobao_refunds(page: TradePage) -> list[Column]:
    book = page.book
    rows = np.unique(page.refund[page.refund >= 0])
    states = refund_status(book, rows, page.clock).tolist()
    ids = book.refund_id[rows].tolist() if len(rows) else []
    ended = (book.refund_ended[rows] <= page.clock).tolist()
    back = zip(wall_texts(book.refund_ended[rows]), ended, strict=True)
    return [
        Column("订单编号", "number", _numbers(book.tid[book.refund_trade[rows]])),
        Column("退款编号", "number", [str(one) for one in ids]),
        Column("订单付款时间", "time", wall_texts(book.paid[book.refund_trade[rows]])),
        Column("退款完结时间", "time", [text if is_over else "" for text, is_over in back]),
        Column("买家退款金额", "money", yuan_list(book.refund_fee[rows])),
        Column(
            "是否需要退货", "text", ["是" if one else "否" for one in book.refund_is_return[rows]]
        ),
        Column("退款的申请时间", "time", wall_texts(book.refund_requested[rows])),
        Column("退款状态", "status", [_REFUND_STATUS[RefundStatus(state)] for state in states]),
        Column("买家退款原因", "text", [reason_of(one) for one in ids]),
    ]


def _jd(page: TradePage, _: Dress) -> list[tuple[str, list[Column]]]:
    book = page.book
    ids = _numbers(100_000_000_000 + book.basket[page.trades])
    ended = _reached(page, book.ended)
    return [
        (
            "jd_orders",
            [
                Column("订单号", "number", _each(page, ids)),
                Column("商品ID", "number", _numbers(book.article[book.line_article[page.lines]])),
                Column("商品名称", "text", _titles(page)),
                Column("订购数量", "text", _numbers(book.line_quantity[page.lines])),
                Column("下单时间", "time", _each(page, wall_texts(book.created[page.trades]))),
                Column("京东价", "money", _prices(page)),
                Column("订单金额", "money", _each(page, yuan_list(book.trade_goods[page.trades]))),
                Column("余额支付", "money", ["0.00"] * len(page.lines)),
                Column("应付金额", "money", _each(page, yuan_list(book.trade_paid[page.trades]))),
                Column("订单状态", "status", _each(page, _texts_of("jd", page.status))),
                Column("下单帐号", "text", _each(page, _accounts(page))),
                Column("运费金额", "money", ["0.00"] * len(page.lines)),
                Column("付款确认时间", "time", _each(page, _reached(page, book.paid))),
                Column("订单完成时间", "time", _each(page, ended)),
            ],
        )
    ]


def _pdd(page: TradePage, _: Dress) -> list[tuple[str, list[Column]]]:
    book = page.book
    days = [text[2:10].replace("-", "") for text in wall_texts(book.created[page.trades])]
    parts = page.repeat(book.basket[page.trades]) * 1000 + page.position
    ids = [
        f"{day}-{part:015d}" for day, part in zip(_each(page, days), parts.tolist(), strict=True)
    ]
    paid = yuan_list(book.line_paid[page.lines])
    discounts = yuan_list(book.line_goods[page.lines] - book.line_paid[page.lines])
    # A deal is what has been paid; now and then the back office leaves its time out.
    deals = [
        "" if part % 50 == 0 else text
        for part, text in zip(parts.tolist(), _each(page, _reached(page, book.paid)), strict=True)
    ]
    return [
        (
            "pdd_orders",
            [
                Column("商品", "text", _titles(page)),
                Column("订单号", "number", ids),
                Column("订单状态", "status", _each(page, _texts_of("pdd", page.status))),
                Column("商品总价(元)", "money", yuan_list(book.line_goods[page.lines])),
                Column("邮费(元)", "money", ["0.00"] * len(ids)),
                Column("店铺优惠折扣(元)", "money", discounts),
                Column("平台优惠折扣(元)", "money", ["0.00"] * len(ids)),
                Column("用户实付金额(元)", "money", paid),
                Column("商品数量(件)", "text", _numbers(book.line_quantity[page.lines])),
                Column("发货时间", "time", _each(page, _reached(page, book.shipped))),
                Column("确认收货时间", "time", _each(page, _ended(page, _FINISHED))),
                Column("商品id", "number", _numbers(book.article[book.line_article[page.lines]])),
                Column("订单成交时间", "time", deals),
                Column("商家编码-规格维度", "code", [""] * len(ids)),
                Column("售后状态", "text", ["无售后或售后取消"] * len(ids)),
            ],
        )
    ]


def _douyin(page: TradePage, _: Dress) -> list[tuple[str, list[Column]]]:
    book = page.book
    ids = 6_900_000_000_000_000_000 + book.basket[page.trades] * 10_000
    receivers = [disguise.masked_receiver(household) for household in page.households()]
    closed = page.repeat(page.status) == _CLOSED
    after_sale = np.where(closed | (page.refunded > 0), "退款成功", "").tolist()
    return [
        (
            "douyin_orders",
            [
                Column("主订单编号", "number", _each(page, _numbers(ids))),
                Column("子订单编号", "number", _numbers(page.repeat(ids) + page.position)),
                Column("选购商品", "text", _titles(page)),
                Column("商品数量", "text", _numbers(book.line_quantity[page.lines])),
                Column("商品ID", "number", _numbers(book.article[book.line_article[page.lines]])),
                Column("商品金额", "money", _prices(page)),
                Column("订单应付金额", "money", yuan_list(book.line_paid[page.lines])),
                Column("运费", "money", ["0.00"] * len(page.lines)),
                Column("收件人", "text", _each(page, [one[0] for one in receivers])),
                Column("收件人手机号", "phone", _each(page, [one[1] for one in receivers])),
                Column("详细地址", "address", _each(page, [one[2] for one in receivers])),
                Column("订单提交时间", "time", _each(page, wall_texts(book.created[page.trades]))),
                Column("发货时间", "time", _each(page, _reached(page, book.shipped))),
                Column("订单完成时间", "time", _each(page, _ended(page, _FINISHED))),
                Column("订单状态", "status", _each(page, _texts_of("douyin", page.status))),
                Column("售后状态", "text", after_sale),
            ],
        )
    ]


LAYOUTS: dict[str, Callable[[TradePage, Dress], list[tuple[str, list[Column]]]]] = {
    "taobao": _taobao,
    "jd": _jd,
    "pdd": _pdd,
    "douyin": _douyin,
}
"""The streams of each platform with their columns."""


def _texts_of(platform: str, status: Int64s) -> Texts:
    return [_STATUSES[platform][code] for code in status.tolist()]


def _accounts(page: TradePage) -> Texts:
    return [f"jd_{disguise.buyer_open_uid(household)[2:12]}" for household in page.households()]


def _numbers(values: Int64s) -> Texts:
    return [str(value) for value in values.tolist()]


def _titles(page: TradePage) -> Texts:
    titles: Texts = page.book.article_title[page.book.line_article[page.lines]].tolist()
    return titles


def _prices(page: TradePage) -> Texts:
    """Of one piece; what does not divide is taken off as a discount's rest."""
    pieces = np.maximum(page.book.line_quantity[page.lines], 1)
    return yuan_list(page.book.line_goods[page.lines] // pieces)


def _each(page: TradePage, texts: Texts) -> Texts:
    """Texts of the trades for each of their lines."""
    counts = page.counts.tolist()
    return [text for text, count in zip(texts, counts, strict=True) for _ in range(count)]


def _of_trades(page: TradePage, texts: Texts, separator: str) -> Texts:
    bounds = page.first_line.tolist()
    return [separator.join(texts[low:high]) for low, high in pairwise(bounds)]


def _reached(page: TradePage, instants: Int64s) -> Texts:
    return [text or "" for text in page.time(instants[page.trades])]


def _ended(page: TradePage, status: int) -> Texts:
    ended = np.where(page.status == status, page.book.ended[page.trades], NEVER)
    return [text or "" for text in page.time(ended)]
