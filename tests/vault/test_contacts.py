"""Normal forms, masked forms, and contacts that stand in the middle of a text."""

from typing import Any

import pytest

from regulars.vault.contacts import (
    holds_contact,
    is_contact,
    is_masked,
    mask,
    mask_in_text,
    normalise,
)


@pytest.mark.parametrize(
    "written",
    [
        "13800001111",
        " 138 0000 1111 ",
        "138-0000-1111",
        "+86 13800001111",
        "+86-138-0000-1111",
        "008613800001111",
        "8613800001111",
        "'13800001111",
        "（138）0000 1111",
    ],
)
def test_one_mobile_number_has_one_normal_form(written: str) -> None:
    assert normalise("phone", written) == "13800001111"


def test_a_foreign_number_keeps_its_country() -> None:
    assert normalise("phone", "+1 (555) 010-0199") == "+15550100199"
    assert normalise("phone", "8612345") == "8612345"


def test_an_address_loses_its_case() -> None:
    assert normalise("email", " Zhang.San@Example.COM ") == "zhang.san@example.com"


@pytest.mark.parametrize(
    ("kind", "normal", "masked"),
    [
        ("phone", "13800001111", "138****1111"),
        ("phone", "01012345678", "****678"),
        ("phone", "+15550100199", "****199"),
        ("phone", "12345", "***"),
        ("phone", "call me", "***"),
        ("email", "zhang@example.com", "z***@example.com"),
        ("email", "not an address", "***"),
        ("name", "张三", "张**"),
        ("name", "张", "***"),
        ("address", "中山路1号", "***"),
        ("other", "anything", "***"),
    ],
)
def test_masked_forms(kind: str, normal: str, masked: str) -> None:
    assert mask(kind, normal) == masked  # type: ignore[arg-type]


def test_a_star_alone_does_not_make_a_value_masked() -> None:
    assert is_masked("phone", "138****1111")
    assert is_masked("email", "z***@example.com")
    assert not is_masked("phone", "13800001111*")
    assert not is_masked("phone", "13800001111")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("phone", "*******0926"),
        ("phone", "1********26"),
        ("phone", "+86 138****1111"),
        ("phone", "010-****5678"),
        ("email", "***@example.com"),
        ("name", "张*"),
        ("name", "*三"),
        ("name", "张*三"),
        ("name", "张**"),
        ("name", "阿**明"),
        ("name", "t**8"),
        ("address", "上海市浦东新区**路*幢***室"),
        ("other", "138****1111"),
        ("other", "上海市浦东新区***"),
    ],
)
def test_a_platforms_mask_is_believed(kind: Any, value: str) -> None:
    assert is_masked(kind, value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("address", "上海市浦东新区世纪大道100号5*201室"),
        ("address", "*中山路1号"),
        ("name", "王小明*"),
        ("name", "*王小明"),
        ("name", "20000000*001 **"),
        ("phone", "1380000*111"),
        ("phone", "02150001111 ***"),
        ("phone", "张三***"),
        ("email", "zhang*@example.com"),
        ("email", "zhangsan@example.com **"),
        ("other", "中山路1号*"),
        ("other", '{"receiver_name": "张三", "receiver_mobile": "138****1111"}'),
        ("other", '["138****1111", "张三"]'),
    ],
)
def test_a_star_that_somebody_wrote_is_no_mask(kind: Any, value: str) -> None:
    assert not is_masked(kind, value)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("13800001111", True),
        ("+86 138-0000-1111", True),
        ("8613800001111", True),
        ("z@example.com", True),
        ("12800001111", False),
        ("138000011110", False),
        ("id 13800001111", False),
        ("AAH13800001111", False),
    ],
)
def test_a_contact_is_one_when_it_is_nothing_else(text: str, is_one: bool) -> None:
    assert is_contact(text) is is_one


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("please call 13800001111 today", "please call 138****1111 today"),
        ("电话138 0000 1111，谢谢", "电话138****1111，谢谢"),
        ("mail Zhang@Example.com", "mail z***@example.com"),
        ("+8613800001111", "138****1111"),
        ("order 1380000111122", "order 1380000111122"),
        ("SKU-A13800001111", "SKU-A13800001111"),
        ("12800001111", "12800001111"),
        ("no contact at all", "no contact at all"),
    ],
)
def test_contacts_in_a_text_are_masked(text: str, expected: str) -> None:
    assert mask_in_text(text) == expected
    assert holds_contact(text) is (text != expected)
