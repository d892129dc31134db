"""Normal forms, masked forms, and contacts that stand in the middle of a text."""

import pytest

from regulars.vault.contacts import holds_contact, is_masked, mask, mask_in_text, normalise


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
    assert is_masked("138****1111")
    assert is_masked("z***@example.com")
    assert not is_masked("13800001111*")
    assert not is_masked("13800001111")


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
