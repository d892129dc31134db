"""Landing seller-centre exports: layouts, encodings, headers, and what refuses a file."""

import io
from collections.abc import Callable
from typing import Any

import openpyxl
import pytest

from regulars.landing import LandingResult, list_batches, read_batch
from regulars.landing.quarantine import quarantined_records
from regulars.night.inbox import land_inbox
from regulars.settings import Settings
from regulars.shops import Shop
from regulars.vault import Vault
from tests.landing.conftest import DAY, FixedClock
from tests.landing.files import drop, files_below, readable_bytes

Land = Callable[[], LandingResult]

# Headers as files have them, trailing blanks included.
OLD = "订单编号,买家会员名,买家应付货款,买家应付邮费,总金额,买家实际支付金额,订单状态,收货人姓名,收货地址 ,联系电话 ,联系手机,订单创建时间,订单付款时间 ,宝贝标题 ,宝贝种类 ,物流单号 ,订单关闭原因,退款金额,打款商家金额\n"  # noqa: E501
OLD_ROW = "=\"290385921174839201\",阿**明,20.00,6.00,26.00,26.00,交易成功,王小明,上海 张杨路1号,'02150001111,'13800001111,2026/3/5 9:05,2026-03-05 09:06:00,苹果，梨,2,SF1234567890123,订单未关闭,无退款申请,26.00元\n"  # noqa: E501
NEW = "订单编号,支付单号,买家应付货款,买家应付邮费,总金额,买家实付金额,订单状态,买家下单时间,买家付款时间,发货时间,运单号,宝贝规格,主订单编号\n"  # noqa: E501
NEW_ROW = "290385921174839201,1,20.00,6.00,26.00,26.00,交易成功,2026-03-05 09:05:00,2026-03-05 09:06:00,,,红,290385921174839201\n"  # noqa: E501
DOUYIN = "主订单编号,子订单编号,选购商品,商品数量,商品ID,商品金额,订单应付金额,运费,平台优惠,收件人,收件人手机号,详细地址,订单提交时间,发货时间,订单状态,售后状态,取消原因\n"  # noqa: E501
DOUYIN_ROW = '"\t6917265012345678901","\t6917265012345678902",苹果,2,"\t3600000000000000001","1,010.00","2,015.00",0.00,5.00,王小明,"##x##",$$y$$,2026-03-05 09:05:01,-,待发货,-,-\n'  # noqa: E501


@pytest.fixture
def land(settings: Settings, shop: Shop, vault: Vault, clock: FixedClock) -> Land:
    return lambda: land_inbox(settings, shop, vault, "night-1", DAY, lambda _: None, clock=clock)


def records(settings: Settings, result: LandingResult) -> list[dict[str, Any]]:
    assert result.failures == ()
    return [record for batch in result for record in read_batch(settings, batch)]


@pytest.mark.parametrize("encoding", ["gb18030", "utf-8", "utf-8-sig"])
def test_a_taobao_report_lands_as_it_was_exported(
    settings: Settings, land: Land, vault: Vault, encoding: str
) -> None:
    name = "ExportOrderList202603051200.csv"
    drop(settings, "taobao_orders", name, (OLD + OLD_ROW).encode(encoding))
    result = land()
    (record,) = records(settings, result)
    (batch,) = result
    assert (batch.source, batch.stream, batch.origin) == ("exports", "taobao_orders", name)
    assert batch.path.startswith("exports/taobao/demo_grocer/taobao_orders/2017-10-01/")
    assert (batch.quarantined_count, batch.unknown_fields) == (0, {})
    assert vault.reveal(record.pop("receiver_phone_ref")) == "13800001111"
    assert vault.reveal(record.pop("receiver_tel_ref")) == "02150001111"
    assert vault.reveal(record.pop("receiver_name_ref")) == "王小明"
    plain = {key: value for key, value in record.items() if not key.endswith(("_hash", "_ref"))}
    assert plain == {
        "_line": 1,
        "_key_id": vault.key_id,
        "order_id": "290385921174839201",
        "status": "交易成功",
        "created_at": "2026-03-05 09:05:00",
        "paid_at": "2026-03-05 09:06:00",
        "shipping_amount": "6.00",
        "goods_amount": "20.00",
        "total_amount": "26.00",
        "paid_amount": "26.00",
        "settled_amount": "26.00",
        "titles": "苹果，梨",
        "tracking_no": "SF1234567890123",
        "kind_count": "2",
        "buyer_nick_masked": "阿**明",
        "receiver_name_masked": "王**",
        "receiver_address_masked": "***",
        "receiver_tel_masked": "****111",
        "receiver_phone_masked": "138****1111",
    }
    assert "王小明".encode() not in readable_bytes(settings.landing_dir)
    assert files_below(settings.inbox_dir) == []


def test_the_newer_layout_lands_in_the_same_columns(settings: Settings, land: Land) -> None:
    drop(settings, "taobao_orders", "new.csv", NEW + NEW_ROW)
    drop(settings, "taobao_orders", "old.csv", OLD + OLD_ROW)
    new, old = records(settings, land())
    shared = ("order_id", "status", "created_at", "paid_at", "paid_amount", "goods_amount")
    assert [new[name] for name in shared] == [old[name] for name in shared]
    assert (new["payment_id"], new["sku_text"]) == ("1", "红")


def test_an_xlsx_lands_like_a_csv(settings: Settings, land: Land) -> None:
    book = openpyxl.Workbook()
    # A formula would have no value here: only a spreadsheet program works it out.
    for line in (OLD, OLD_ROW.replace("=", "")):
        book.worksheets[0].append(line.strip("\n").split(","))
    data = io.BytesIO()
    book.save(data)
    drop(settings, "taobao_orders", "a.csv", OLD + OLD_ROW)
    drop(settings, "taobao_orders", "b.xlsx", data.getvalue())
    by_csv, by_xlsx = records(settings, land())
    assert by_csv == by_xlsx


def test_a_byte_order_mark_tabs_hyphens_and_ciphertext(settings: Settings, land: Land) -> None:
    drop(settings, "douyin_orders", "order.csv", (DOUYIN + DOUYIN_ROW).encode("utf-8-sig"))
    (record,) = records(settings, land())
    names = [name for name in record if not name.startswith(("receiver_name", "_"))]
    assert {name: record[name] for name in names} == {
        "order_id": "6917265012345678901",
        "line_id": "6917265012345678902",
        "status": "待发货",
        "created_at": "2026-03-05 09:05:01",
        "product_id": "3600000000000000001",
        "title": "苹果",
        "quantity": "2",
        "price": "1010.00",
        "payable_amount": "2015.00",
        "shipping_amount": "0.00",
        "platform_discount_amount": "5.00",
    }


def test_a_preamble_and_a_second_header_line_are_no_records(settings: Settings, land: Land) -> None:
    preamble = "导出时间：2026-03-06 00:00:00\n\n"
    explained = "订单的编号,子订单的编号,," + "," * (DOUYIN.count(",") - 3) + "\n"
    below_money = "," * 5 + "单价,实付,,," + "," * (DOUYIN.count(",") - 8) + "\n"
    for number, notes in enumerate((explained, below_money)):
        drop(settings, "douyin_orders", f"{number}.csv", preamble + DOUYIN + notes + DOUYIN_ROW)
    result = land()
    assert [batch.record_count for batch in result] == [1, 1]
    assert [batch.quarantined_count for batch in result] == [0, 0]
    assert [record["_line"] for record in records(settings, result)] == [1, 1]


def test_a_line_that_sums_up_is_put_aside(settings: Settings, land: Land) -> None:
    foot = "合计" + "," * DOUYIN.count(",") + "\n"
    drop(settings, "douyin_orders", "a.csv", DOUYIN + DOUYIN_ROW + foot)
    (batch,) = land()
    assert (batch.record_count, batch.quarantined_count) == (1, 1)


def test_joined_sub_orders_are_put_aside_with_what_to_do(settings: Settings, land: Land) -> None:
    joined = DOUYIN_ROW.replace("678902", "678902;6917265012345678903")
    drop(settings, "douyin_orders", "a.csv", DOUYIN + DOUYIN_ROW + joined)
    (batch,) = land()
    (aside,) = quarantined_records(settings, batch)
    assert aside.reasons == (
        "line_id: several in one cell, joined by ';': deliver one row for each",
    )
    assert (aside.line, batch.record_count) == (2, 1)


def test_of_two_headers_of_one_column_the_first_listed_counts(
    settings: Settings, land: Land
) -> None:
    header = NEW.replace("主订单编号", "买家实际支付金额")
    drop(
        settings,
        "taobao_orders",
        "a.csv",
        header + NEW_ROW.replace(",290385921174839201\n", ",9\n"),
    )
    result = land()
    (record,) = records(settings, result)
    assert record["paid_amount"] == "9"
    assert result[0].unknown_fields == {"买家实付金额": 1}


def test_columns_nobody_has_seen_are_kept_and_counted(settings: Settings, land: Land) -> None:
    text = OLD.replace("\n", ",新列,收件人昵称手机\n") + OLD_ROW.replace("\n", ",甲,13900002222\n")
    drop(settings, "taobao_orders", "a.csv", text)
    (batch,) = land()
    (record,) = read_batch(settings, batch)
    assert batch.unknown_fields == {"新列": 1, "收件人昵称手机": 1}
    assert (record["新列"], record["收件人昵称手机_masked"]) == ("甲", "***")


@pytest.mark.parametrize(
    ("stream", "text", "reason"),
    [
        ("taobao_orders", DOUYIN + DOUYIN_ROW, "no header row with the column order_id"),
        (
            "taobao_orders",
            "订单编号,标题,价格,购买数量,订单状态,买家实付金额,订单创建时间\n",
            r"required columns are missing: shipping_amount \(买家应付邮费\)",
        ),
        ("taobao_order_details", OLD + OLD_ROW, r"price \(价格 or 商品价格\), quantity \(购买数量"),
        ("jd_orders", "订单号,订单状态,商品id,用户实付金额(元)\n", r"created_at \(下单时间\)"),
    ],
    ids=["another platform", "lines as orders", "orders as lines", "pinduoduo as jd"],
)
def test_a_file_in_the_wrong_folder_is_refused_as_a_whole(
    settings: Settings, land: Land, stream: str, text: str, reason: str
) -> None:
    drop(settings, stream, "a.csv", text)
    result = land()
    assert not result.batches
    (failure,) = result.failures
    with pytest.raises(type(failure.error), match=reason):
        result.raise_if_failed()
    assert "docs/how-to/drop-seller-exports.md" in failure.error.next_step
    (sealed,) = (settings.quarantine_dir / "exports").rglob("*.sealed")
    assert sealed.stat().st_size


def test_the_same_export_twice_is_one_batch(settings: Settings, land: Land) -> None:
    drop(settings, "taobao_orders", "a.csv", OLD + OLD_ROW)
    first = land()
    drop(settings, "taobao_orders", "b.csv", OLD + OLD_ROW)
    assert land().known_ids == {first[0].batch_id}
    assert len(list_batches(settings, source="exports")) == 1


def test_exports_and_files_of_the_contract_land_in_one_night(
    settings: Settings, land: Land
) -> None:
    drop(settings, "stores", "a.csv", "store_id,name\n1,A\n")
    drop(settings, "taobao_orders", "a.csv", OLD + OLD_ROW)
    assert {batch.source for batch in land()} == {"file", "exports"}


def test_debris_of_a_killed_night_is_removed(settings: Settings, land: Land) -> None:
    folder = settings.landing_dir / "exports/taobao/demo_grocer/taobao_orders/2017-10-01"
    folder.mkdir(parents=True)
    (folder / "x.ndjson.zst.part").write_bytes(b"half")
    land()
    assert files_below(settings.landing_dir) == []


# A report of 2018-2019 as it was found, trailing blanks included; one of 2016 ends at O2O.
REPORT = {
    "订单编号": '="290385921174839201"',
    "买家会员名": "阿**明",
    "买家支付宝账号": "138****1111",
    "买家应付货款": "20.00",
    "买家应付邮费": "6.00",
    "买家支付积分": "0",
    "总金额": "26.00",
    "返点积分": "0",
    "买家实际支付金额": "0.00",
    "买家实际支付积分": "0",
    "订单状态": "交易关闭",
    "买家留言": "",
    "收货人姓名": "王小明",
    "收货地址 ": "上海 张杨路1号",
    "运送方式": "快递",
    "联系电话 ": "'02150001111",
    "联系手机": "'13800001111",
    "订单创建时间": "2026-03-05 09:05:00",
    "订单付款时间 ": "2026-03-05 09:06:00",
    "宝贝标题 ": "苹果，梨",
    "宝贝种类 ": "2",
    "物流单号 ": "No:SF1234567890123",
    "物流公司": "顺丰速运",
    "订单备注": "",
    "宝贝总数量": "3",
    "店铺Id": "0",
    "店铺名称": "果铺",
    "订单关闭原因": "退款",
    "卖家服务费": "0",
    "买家服务费": "0元",
    "发票抬头": "",
    "是否手机订单": "手机订单",
    "分阶段订单信息": "",
    "特权订金订单id": "",
    "是否上传合同照片": "否",
    "是否上传小票": "否",
    "是否代付": "否",
    "定金排名": "",
    "修改后的sku": "",
    "修改后的收货地址": "",
    "异常信息": "",
    "天猫卡券抵扣": "0",
    "集分宝抵扣": "0",
    "是否是O2O交易": "",
    "新零售交易类型": "",
    "新零售导购门店名称": "",
    "新零售导购门店id": "",
    "新零售发货门店名称": "",
    "新零售发货门店id": "",
    "退款金额": "26.00",
    "预约门店": "",
    "确认收货时间": "",
    "打款商家金额": "0.00元",
    "含应开票给个人的个人红包": "",
}


@pytest.mark.parametrize(("columns", "refunded"), [(54, "26.00"), (44, None)])
def test_a_whole_report_lands_as_found_and_the_shorter_one_of_earlier_years(
    settings: Settings, land: Land, columns: int, refunded: str | None
) -> None:
    names = list(REPORT)[:columns]
    assert names[-1] in ("含应开票给个人的个人红包", "是否是O2O交易")
    text = "\n".join((",".join(names), ",".join(REPORT[name] for name in names), ""))
    drop(settings, "taobao_orders", "report.csv", text.encode("gb18030"))
    result = land()
    (record,) = records(settings, result)
    (batch,) = result
    assert batch.quarantined_count == 0
    # Refunded in full: closed as if never paid, but the time of payment is there.
    known = ("order_id", "status", "paid_at", "paid_amount", "total_amount", "refund_amount")
    assert [record.get(name) for name in known] == [
        "290385921174839201",
        "交易关闭",
        "2026-03-05 09:06:00",
        "0.00",
        "26.00",
        refunded,
    ]
    plain = readable_bytes(settings.landing_dir)
    for told in ("王小明", "张杨路", "13800001111", "02150001111"):
        assert told.encode() not in plain


PDD = {
    "订单成交时间": "",
    "商品": "苹果",
    "订单号": "260305-123456789012345\t",
    "订单状态": "已收货，退款成功",
    "商品总价(元)": "20.00",
    "邮费(元)": "0.00",
    "用户实付金额(元)": "18.00",
    "商品数量(件)": "2",
    "商品id": "123456789012",
    "样式ID": "1234567890123",
    "商家编码-规格维度": "A1",
    "售后状态": "退款成功",
}


@pytest.mark.parametrize("brackets", ["()", "（）"])
def test_a_pinduoduo_row_without_its_time_lands_with_either_brackets(
    settings: Settings, land: Land, brackets: str
) -> None:
    header = ",".join(PDD).translate(str.maketrans("()", brackets))
    drop(settings, "pdd_orders", "orders_export.csv", f"{header}\n{','.join(PDD.values())}\n")
    (record,) = records(settings, land())
    known = ("order_id", "status", "goods_amount", "paid_amount", "quantity", "dealt_at")
    assert [record.get(name) for name in known] == [
        "260305-123456789012345",
        "已收货,退款成功",
        "20.00",
        "18.00",
        "2",
        None,
    ]


def test_a_zipped_report_is_named_and_stays_where_it_is(settings: Settings, land: Land) -> None:
    drop(settings, "taobao_orders", "ExportOrderList202603051200.zip", b"PK\x03\x04")
    result = land()
    assert result.batches == () and result.failures == ()
    assert result.strays == (
        "demo_grocer/taobao_orders/ExportOrderList202603051200.zip is neither .csv, .parquet nor "
        ".xlsx",
    )
    assert len(files_below(settings.inbox_dir)) == 1
