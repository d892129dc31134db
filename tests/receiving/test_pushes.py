"""Providers push: what lands, what is put aside, what is answered."""

import json
from pathlib import Path

import pytest

from regulars.landing import remove_debris
from regulars.landing.results import check_quarantine_share
from tests.receiving.service import (
    NOW,
    SECRETS,
    SHOPS,
    Office,
    Service,
    aliyun,
    mail,
    phone,
    tencent,
    unique,
)
from tests.state.rows import held_out


def test_a_delivery_lands_and_is_answered_as_its_provider_expects(service: Service) -> None:
    (message_id,) = service.office.send(1)
    answer = service.push("aliyun", [aliyun(message_id)])
    assert (answer.status_code, answer.json()) == (200, {"code": 0, "msg": "接收成功"})
    (record,) = service.office.landed()
    assert record["send_id"] == message_id
    assert (record["event"], record["code"]) == ("delivered", "DELIVERED")
    assert record["occurred_at"] == "2017-10-02 10:00:05+08:00"
    assert record["native_id"] == "134523^1"
    assert record["part_count"] == "1"
    assert record["phone_masked"] == "138****0001"
    assert phone(1) not in json.dumps(record)
    assert "err_msg" not in record


def test_tencent_is_read_by_its_session_context(service: Service) -> None:
    ids = service.office.send(1, 2)
    failed = tencent(ids[1], 2, report_status="FAIL", errmsg="MK:0001")
    answer = service.push("tencent", [tencent(ids[0]), failed])
    assert answer.json() == {"result": 0, "errmsg": "OK"}
    records = {one["send_id"]: one for one in service.office.landed()}
    assert (records[ids[0]]["event"], records[ids[1]]["event"]) == ("delivered", "failed")
    assert records[ids[1]]["code"] == "MK:0001"


def test_a_status_without_session_context_is_put_aside(office: Office) -> None:
    (message_id,) = office.send(1)
    body = tencent(message_id)
    del body["ext"]
    office.take("tencent", [body])
    assert office.landed() == []
    (one,) = office.put_aside()
    assert one.reasons == ("send_id: no message of this installation",)


def test_mail_events_land_and_machines_are_flagged(service: Service) -> None:
    (message_id,) = service.office.send(1, channel="email")
    events = [
        mail(message_id, "delivered"),
        mail(message_id, "opened", user_agent="Mozilla/5.0 (via ggpht.com GoogleImageProxy)"),
        mail(message_id, "clicked", user_agent="Mozilla/5.0 (Windows NT 10.0)"),
        mail(message_id, "bounced", code="5.1.1", email="canary@example.com"),
    ]
    assert service.push("mail", {"events": events}).json() == {"status": "landed"}
    records = {one["event"]: one for one in service.office.landed()}
    assert records.keys() == {"delivered", "opened", "clicked", "bounced"}
    assert records["opened"]["is_machine"] == "true"
    assert "is_machine" not in records["clicked"]
    assert records["bounced"]["email_masked"] == "c***@example.com"
    assert service.office.refusals() == []


def test_reports_land_at_the_shop_that_sent(office: Office) -> None:
    grocer, bakery = office.send(1, shop="grocer"), office.send(2, shop="bakery", campaign="gift2")
    office.take("aliyun", [aliyun(grocer[0], 1), aliyun(bakery[0], 2), aliyun("nobody", 3)])
    assert {(one["_shop"], one["send_id"]) for one in office.landed()} == {
        ("grocer", grocer[0]),
        ("bakery", bakery[0]),
    }
    assert [(batch.shop, batch.quarantined_count) for batch in office.batches] == [
        ("bakery", 0),
        ("grocer", 1),
    ]


def test_an_unknown_message_is_put_aside_and_stops_no_night(office: Office) -> None:
    office.take("aliyun", [aliyun("0" * 32, n) for n in range(1, 4)])
    assert office.landed() == []
    assert {one.reasons for one in office.put_aside()} == {
        ("send_id: no message of this installation",)
    }
    (batch,) = office.batches
    check_quarantine_share(SHOPS.shop("grocer"), batch)  # does not raise


def test_an_id_of_another_brand_changes_nothing(office: Office) -> None:
    (message_id,) = office.send(1, brand="other", shop="butcher", campaign="foreign")
    office.take("aliyun", [aliyun(message_id, err_code="isv.CUSTOMER_REFUSED", success=False)])
    (one,) = office.put_aside()
    assert one.reasons == ("send_id: a message of another brand",)
    assert office.refusals() == []
    office.take("other", [aliyun(message_id)])
    assert [one["_shop"] for one in office.landed()] == ["butcher"]


def test_a_message_that_was_held_out_gets_no_receipt(office: Office) -> None:
    row = held_out(1)
    run_id = office.state.nights.open(row["as_of_date"]).run_id
    office.state.commit_decisions(run_id, "gift", [row])
    office.take("aliyun", [aliyun(row["message_id"])])
    assert office.put_aside()[0].reasons == ("send_id: a message that was never to be sent",)


def test_a_report_through_the_wrong_channel_is_put_aside(office: Office) -> None:
    (message_id,) = office.send(1)
    office.take("mail", [mail(message_id, "opened")])
    assert office.put_aside()[0].reasons == ("channel: the message went through another one",)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"report_time": "yesterday"}, "occurred_at: not a timestamp"),
        ({"success": "maybe"}, "event: *** (5 characters) is not a documented event"),
        ({"success": None}, "event: required"),
        ({"sms_size": "two"}, "part_count: not a number"),
        ({"report_time": {"at": 1}}, "occurred_at: a nested value"),
    ],
)
def test_a_report_of_another_shape_is_put_aside(
    office: Office, changes: dict[str, object], reason: str
) -> None:
    ids = office.send(1, 2)
    office.take("aliyun", [aliyun(ids[0], **changes), aliyun(ids[1], 2)])
    assert [one["send_id"] for one in office.landed()] == [ids[1]]
    assert office.put_aside()[0].reasons[0].startswith(reason)


def test_an_item_that_is_no_record_is_sealed(office: Office) -> None:
    (message_id,) = office.send(1)
    office.take("aliyun", [aliyun(message_id), phone(7), None])
    assert len(office.landed()) == 1
    assert {one.reasons for one in office.put_aside()} == {("not an object",)}
    assert phone(7) not in str(office.put_aside())


def test_a_field_that_nobody_knows_is_counted(office: Office) -> None:
    (message_id,) = office.send(1)
    office.take("aliyun", [aliyun(message_id, template_code="SMS_1", mobile_owner=phone(3))])
    (batch,) = office.batches
    assert batch.unknown_fields == {"mobile_owner": 1, "template_code": 1}
    assert phone(3) not in json.dumps(office.landed())


def test_times_without_an_offset_of_our_own_form_are_put_aside(office: Office) -> None:
    (message_id,) = office.send(1, channel="email")
    office.take("mail", [mail(message_id, "opened", occurred_at="2017-10-02 10:00:05")])
    assert office.put_aside()[0].reasons == ("occurred_at: without an offset",)


def test_a_clock_that_is_ahead_is_borne_within_reason(office: Office) -> None:
    ids = office.send(1, 2)
    soon, late = "2017-10-02 12:04:59", "2017-10-02 12:05:01"
    office.take(
        "aliyun", [aliyun(ids[0], 1, report_time=soon), aliyun(ids[1], 2, report_time=late)]
    )
    assert [one["send_id"] for one in office.landed()] == [ids[0]]
    assert office.put_aside()[0].reasons == ("occurred_at: later than it was received",)


def test_the_same_body_is_one_batch_and_is_answered_alike(service: Service) -> None:
    (message_id,) = service.office.send(1)
    answers = [service.push("aliyun", [aliyun(message_id)]) for _ in range(3)]
    assert {(one.status_code, one.content) for one in answers} == {(200, answers[0].content)}
    assert len(service.office.batches) == 1
    service.office.now = NOW.replace(day=20)
    assert service.push("aliyun", [aliyun(message_id)]).status_code == 200
    assert len(service.office.batches) == 1, "an old body that is replayed is the old batch"


def test_the_same_report_in_another_body_is_the_same_receipt(office: Office) -> None:
    ids = office.send(1, 2)
    office.take("aliyun", [aliyun(ids[0], 1), aliyun(ids[1], 2)])
    office.take("aliyun", [aliyun(ids[1], 2)])
    assert len(office.batches) == 2
    assert len(office.landed()) == 3
    assert len(unique(office.landed())) == 2


def test_an_empty_list_is_fine(service: Service) -> None:
    assert service.push("aliyun", []).status_code == 200
    assert service.office.batches == []


@pytest.mark.slow
def test_ten_thousand_receipts_in_one_push(service: Service) -> None:
    office = service.office
    ids = office.decide(*range(1, 10_001))
    body = [aliyun(message_id, number) for number, message_id in enumerate(ids, start=1)]
    assert service.push("aliyun", body).status_code == 200
    (batch,) = office.batches
    assert (batch.record_count, batch.quarantined_count) == (10_000, 0)
    assert len(unique(office.landed())) == 10_000


def test_debris_of_a_night_and_of_a_push_do_not_touch_each_other(office: Office) -> None:
    (message_id,) = office.send(1)
    folder = office.settings.landing_dir / "receipts/taobao/grocer/reports/2017-10-02"
    folder.mkdir(parents=True)
    (folder / "reports-receive-0-1.ndjson.zst.part").write_bytes(b"being written")
    for source in ("file", "taobao_top"):
        remove_debris(office.settings, source, "taobao", "grocer")
    assert len(list(folder.iterdir())) == 1, "a night must not delete a receipt being written"
    (folder / "reports-release-1.ndjson.zst.part").write_bytes(b"somebody releases records")
    office.take("aliyun", [aliyun(message_id)])
    parts = [path.name for path in folder.glob("*.part")]
    assert parts == ["reports-release-1.ndjson.zst.part"], "nobody else's unfinished file"
    assert len(office.landed()) == 1


def test_no_contact_and_no_secret_stands_anywhere_but_in_the_vault(
    service: Service, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    office = service.office
    canary = 99_887_766
    (message_id,) = office.send(canary)
    number = phone(canary)
    pushes = [
        [aliyun(message_id, canary, err_msg=f"给{number}", err_code=number, new=f"x {number}")],
        [aliyun("0" * 32, canary, report_time=number)],
        [{"phone_number": number, "content": f"打我电话{number}", "send_time": number}],
        [number, {"a": {"b": number}}],
        [aliyun(message_id, canary, out_id=number, sms_size=number, biz_id=f"+86 {number}")],
    ]
    for body in pushes:
        assert service.push("aliyun", body).status_code == 200
    service.push("aliyun", number.encode())
    service.push("aliyun", b'{"a": "' + number.encode())
    service.client.get(f"/receipts/aliyun_sms/{number}")
    hidden = [number.encode(), *(secret.encode() for secret in SECRETS.values())]
    for path in tmp_path.rglob("*"):
        if path.is_file() and "vault" not in path.parts:
            content = path.read_bytes()
            if path.name.endswith(".zst"):
                import zstandard

                content = zstandard.ZstdDecompressor().decompressobj().decompress(content)
            assert not any(value in content for value in hidden), path
    # The client of this test tells what it calls; the service must not.
    said = [
        one for one in caplog.records if one.name.partition(".")[0] not in ("httpx", "httpcore")
    ]
    assert [one for one in said if one.name == "regulars.receiving"]
    assert not [one for one in said if any(value.decode() in one.getMessage() for value in hidden)]
