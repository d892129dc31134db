"""Whoever says no upstream is not messaged by the next export, without a build in between."""

from datetime import UTC, date, datetime, timedelta

import pytest

from regulars.state import ConsentRecord
from tests.receiving.service import (
    NOW,
    Office,
    Service,
    aliyun,
    aliyun_reply,
    mail,
    phone,
    tencent_reply,
)
from tests.state.rows import PLANNED, member

SECOND_DAY = date(2017, 10, 2)
SECOND_NIGHT = datetime(2017, 10, 2, 18, tzinfo=UTC)


def send_again(office: Office, *numbers: int, **changes: object) -> list[str]:
    """Decide a second message to the same people; the ids of those that left."""
    planned = (PLANNED + timedelta(days=1)).replace(tzinfo=None)
    ids = office.decide(
        *numbers, day=SECOND_DAY, occasion="2017-09-02", planned_at=planned, **changes
    )
    left = office.export("night-20171002", SECOND_NIGHT)
    return [message_id for message_id in ids if message_id in left]


def test_a_reply_of_r_stops_the_next_message(service: Service) -> None:
    office = service.office
    first = office.send(1, 2)
    assert service.push("aliyun", [aliyun_reply("R", 1)]).status_code == 200
    (left,) = send_again(office, 1, 2)
    assert left == office.state.ledger.find([left])[left].message_id
    assert office.state.ledger.find([left])[left].member_key == member(2)
    (record,) = office.landed()
    assert (record["event"], record["code"]) == ("unsubscribed", "R")
    assert record["send_id"] == first[0]


def test_a_reply_through_tencent_stops_the_next_message(service: Service) -> None:
    office = service.office
    office.send(1)
    assert service.push("tencent", tencent_reply("td")).json() == {"result": 0, "errmsg": "OK"}
    assert send_again(office, 1) == []
    (said,) = office.refusals()
    assert said["occurred_at"] == datetime(2017, 10, 2, 3)  # noqa: DTZ001 - 11:00 in Shanghai
    assert said["channel"] == "sms"


def test_words_that_refuse(office: Office) -> None:
    texts = ["Ｒ", " r ", "R。", "TD", "退订", "我要退订，谢谢", "请拒收"]
    office.send(*range(len(texts)))
    office.take("aliyun", [aliyun_reply(text, number) for number, text in enumerate(texts)])
    assert len(office.refusals()) == len(texts)


def test_words_that_do_not_refuse(office: Office) -> None:
    texts = ["谢谢", "Rest", "什么时候发货", "", "TDK 有货吗"]
    ids = office.send(*range(len(texts)))
    office.take("aliyun", [aliyun_reply(text, number) for number, text in enumerate(texts)])
    assert office.refusals() == []
    records = office.landed()
    assert {one["event"] for one in records} == {"replied"}
    assert [one["send_id"] for one in records] == ids
    kept = str(records)
    assert not any(text and text in kept for text in texts), "what somebody wrote is not kept"


def test_a_refusal_code_of_a_report_stops_the_next_message(service: Service) -> None:
    office = service.office
    (message_id,) = office.send(1)
    body = aliyun(message_id, success=False, err_code="isv.CUSTOMER_REFUSED")
    service.push("aliyun", [body])
    assert send_again(office, 1) == []


@pytest.mark.parametrize("event", ["complained", "unsubscribed"])
def test_a_complaint_about_mail_refuses_mail_and_nothing_else(office: Office, event: str) -> None:
    (message_id,) = office.send(1, channel="email", campaign="gift2")
    office.take("mail", [mail(message_id, event)])
    (said,) = office.refusals()
    assert (said["channel"], said["kind"], said["member_key"]) == ("email", "refusal", member(1))
    assert len(send_again(office, 1)) == 1, "an SMS is another channel"


def test_bounces_and_opens_refuse_nothing(office: Office) -> None:
    (message_id,) = office.send(1, channel="email")
    office.take("mail", [mail(message_id, event) for event in ("bounced", "opened", "failed")])
    assert office.refusals() == []


def test_a_reply_of_somebody_nobody_wrote_to_counts_all_the_same(office: Office) -> None:
    office.take("aliyun", [aliyun_reply("R", 9)])
    assert office.landed() == []
    assert office.put_aside()[0].reasons == ("phone: nothing was sent to it lately",)
    assert len(office.refusals()) == 1
    office.decide(9)
    assert office.export() == []


def test_a_reply_is_about_the_last_message_before_it_and_not_about_an_old_one(
    office: Office,
) -> None:
    (first,) = office.send(1)
    later = aliyun_reply("谢谢", send_time="2017-10-31 10:00:00")
    too_late = aliyun_reply("谢谢", send_time="2017-11-02 10:00:00")
    before = aliyun_reply("谢谢", send_time="2017-10-02 09:59:59")
    office.now = NOW + timedelta(days=60)
    office.take("aliyun", [later, too_late, before])
    (record,) = office.landed()
    assert (record["send_id"], record["occurred_at"][:10]) == (first, "2017-10-31")
    assert len(office.put_aside()) == 2


def test_a_refusal_never_crosses_a_brand(office: Office) -> None:
    office.send(1)
    office.take("other", [aliyun_reply("R", 1)])
    assert {said["brand"] for said in office.refusals()} == {"other"}
    assert len(send_again(office, 1)) == 1


def test_the_other_people_behind_a_contact_are_not_messaged_either(office: Office) -> None:
    (message_id,) = office.send(1)
    contact = office.state.ledger.find([message_id])[message_id].contact_hash
    office.take("aliyun", [aliyun_reply("R", 1)])
    shared = send_again(office, 5, contact_hash=contact)
    assert shared == []


def test_the_same_refusal_again_is_recorded_once(office: Office) -> None:
    office.send(1)
    for _ in range(3):
        office.take("aliyun", [aliyun_reply("R")])
    office.take("aliyun", [aliyun_reply("R"), aliyun_reply("谢谢", 2)])
    assert len(office.refusals()) == 1


def test_an_old_body_that_is_replayed_does_not_undo_a_newer_consent(office: Office) -> None:
    office.send(1)
    office.take("aliyun", [aliyun_reply("R")])
    (said,) = office.refusals()
    again = ConsentRecord(
        brand="demo",
        contact_hash=said["contact_hash"],
        member_key=said["member_key"],
        channel="sms",
        kind="consent",
        occurred_at=NOW,
        evidence="a form",
    )
    office.state.consent.record([again])
    office.now = NOW + timedelta(days=3)
    office.take("aliyun", [aliyun_reply("R")])
    office.take("aliyun", [aliyun_reply("R"), aliyun_reply("谢谢", 2)])
    assert len(office.refusals()) == 2
    assert len(send_again(office, 1)) == 1


def test_a_refusal_from_a_clock_that_is_ahead_binds_now_and_once(office: Office) -> None:
    office.send(1)
    body = [aliyun_reply("R", send_time="2031-01-01 00:00:00")]
    for _ in range(2):
        office.take("aliyun", body)
    (said,) = office.refusals()
    assert said["occurred_at"] == NOW.replace(tzinfo=None)
    assert send_again(office, 1) == []


def test_a_refusal_without_a_readable_time_binds_now(office: Office) -> None:
    office.send(1)
    office.take("aliyun", [aliyun_reply("R", send_time="soon")])
    assert office.landed() == []
    assert send_again(office, 1) == []


def test_what_is_recorded_names_no_contact(office: Office) -> None:
    office.send(1)
    office.take("aliyun", [aliyun_reply(f"退订 {phone(1)}")])
    assert phone(1) not in str(office.refusals())
    assert "aliyun, push " in office.refusals()[0]["evidence"]
