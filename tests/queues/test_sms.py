from pathlib import Path

import pytest

from regulars.queues.campaigns import load_campaigns, load_sending_hours, queue_models
from regulars.queues.sms import Severity, lint_sms, sms_length, sms_parts

CONFIG = Path(__file__).resolve().parents[2] / "config"
GOOD = "【常客小铺】{nickname}，满月礼到账。拒收请回复R"
LONGEST = {"nickname": "十个字以内的昵称吧"}


def rules_broken(template: str, severity: Severity = Severity.ERROR) -> list[str]:
    findings = lint_sms(template, LONGEST, ["贷款"])
    return [finding.rule for finding in findings if finding.severity is severity]


@pytest.mark.parametrize(("length", "parts"), [(1, 1), (70, 1), (71, 2), (134, 2), (135, 3)])
def test_parts_are_counted_as_carriers_do(length: int, parts: int) -> None:
    assert sms_parts("字" * length) == parts


def test_an_emoji_is_two_characters() -> None:
    assert sms_length("礼🎁a ") == 5
    assert (sms_parts("字" * 68 + "🎁"), sms_parts("字" * 69 + "🎁")) == (1, 2)


def test_a_good_text_has_no_findings() -> None:
    assert lint_sms(GOOD, LONGEST, ["贷款"]) == []


@pytest.mark.parametrize(
    ("template", "rule"),
    [
        (GOOD.replace("【常客小铺】", ""), "signature"),
        ("您好" + GOOD, "signature"),
        (GOOD.replace("满月礼", "【礼】"), "signature"),
        (GOOD.replace("常客小铺", "铺"), "signature"),
        (GOOD.replace("常客小铺", "字" * 13), "signature"),
        (GOOD.replace("拒收请回复R", "退订回T"), "opt_out"),
        (GOOD + "。", "opt_out"),
        (GOOD.replace("到账", "到账 http://t.cn/abc "), "link"),
        (GOOD.replace("到账", "到账t.cn/abc "), "link"),
        (GOOD.replace("到账", "到账 t.cn/abc"), "link"),
        (GOOD.replace("满月礼", "{gift}"), "variable"),
        (GOOD.replace("满月礼", "低息贷款"), "word"),
        (GOOD.replace("{nickname}", "亲"), "salutation"),
        (GOOD.replace("{nickname}", "亲爱的会员"), "salutation"),
        (GOOD.replace("{nickname}", "尊敬的客户"), "salutation"),
        (GOOD.replace("到账", "字" * 480), "length"),
    ],
)
def test_a_text_that_may_not_be_sent_is_named(template: str, rule: str) -> None:
    assert rule in rules_broken(template)


@pytest.mark.parametrize(
    "template",
    [
        GOOD.replace("常客小铺", "字" * 12),
        GOOD.replace("常客小铺", "小铺"),
        GOOD.replace("到账", "到账 t.cn/abc 查看"),
        GOOD.replace("满月礼", "亲子装"),
    ],
)
def test_what_only_looks_wrong_is_left_alone(template: str) -> None:
    assert rules_broken(template) == []


def test_length_is_taken_with_the_longest_values() -> None:
    filling = "字" * (70 - sms_length(GOOD.replace("{nickname}", LONGEST["nickname"])))
    full = GOOD.replace("到账", "到账" + filling)
    assert rules_broken(full, Severity.WARNING) == []
    assert rules_broken(full.replace("到账", "到账字"), Severity.WARNING) == ["length"]


def test_missing_nickname_and_mixed_order_are_warned_of() -> None:
    assert rules_broken("【小铺】满月礼到账。拒收请回复R", Severity.WARNING) == ["nickname"]
    mixed = "【小铺】{coupon_amount}元券，{nickname}。拒收请回复R"
    found = lint_sms(mixed, {"nickname": "名", "coupon_amount": "5"})
    assert [finding.rule for finding in found] == ["order"]


def test_shipped_texts_may_be_sent_in_one_part() -> None:
    words = load_sending_hours(CONFIG).forbidden_words
    for campaign in load_campaigns(CONFIG, {"demo"}, queue_models(CONFIG.parent / "dbt_project")):
        text = (CONFIG / "templates" / f"{campaign.template}.txt").read_text(encoding="utf-8")
        findings = lint_sms(text, campaign.template_values(), words)
        # Masked platforms give no nickname, so the shipped texts have none.
        assert [finding.rule for finding in findings] == ["nickname"], campaign.campaign
