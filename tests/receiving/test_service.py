"""The service in front of strangers: secrets, networks, sizes, rates, slow and broken callers."""

import errno
import json
import os
from ipaddress import ip_network
from typing import Any

import pytest

from regulars.landing import batches as landing_batches
from regulars.receiving.limits import Bucket, caller, is_within, sign
from regulars.receiving.server import PromptProtocol
from tests.receiving.service import NOW, SECRETS, Office, Service, aliyun, mail, running

JSON = "application/json"


def test_a_wrong_secret_looks_like_a_path_that_does_not_exist(service: Service) -> None:
    (message_id,) = service.office.send(1)
    body = json.dumps([aliyun(message_id)])
    right = SECRETS["aliyun"]
    wrong = [
        "/receipts/aliyun_sms/wrong",
        f"/receipts/aliyun_sms/{right}x",
        f"/receipts/aliyun_sms/{right[:-1]}",
        f"/receipts/aliyun_sms/{right.upper()}",
        f"/receipts/tencent_sms/{right}",
        f"/receipts/nobody/{right}",
        f"/receipts/{right}",
        f"/{right}",
        f"/receipts/aliyun_sms/{right}/more",
        "/receipts/aliyun_sms/%00%ff",
    ]
    answers = [service.client.post(path, content=body) for path in wrong]
    assert {(one.status_code, one.content) for one in answers} == {(404, b"not found\n")}
    assert service.office.batches == []


def test_only_listed_networks_may_push(office: Office) -> None:
    office.networks = ("203.0.113.0/24",)
    with running(office) as service:
        assert service.push("aliyun", []).status_code == 404
        here = {"X-Forwarded-For": "198.51.100.1, 203.0.113.7"}
        assert service.push("aliyun", [], **here).status_code == 200, "behind our own proxy"
        there = {"X-Forwarded-For": "203.0.113.7, 198.51.100.1"}
        assert service.push("aliyun", [], **there).status_code == 404, "what a caller writes"


def test_callers_are_who_no_proxy_of_ours_added() -> None:
    trusted = (ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8"))
    assert caller("9.9.9.9", ["1.1.1.1"], trusted) == "9.9.9.9"
    assert caller("127.0.0.1", [], trusted) == "127.0.0.1"
    assert caller("127.0.0.1", ["1.1.1.1, 2.2.2.2", "10.0.0.3"], trusted) == "2.2.2.2"
    assert caller("127.0.0.1", ["nonsense"], trusted) == "nonsense"
    assert not is_within("nonsense", trusted)
    assert is_within("::ffff:10.1.2.3", trusted)


def test_a_signed_endpoint_takes_nothing_unsigned(office: Office) -> None:
    office.signing_key = "a-key-of-the-sender"
    (message_id,) = office.send(1, channel="email")
    body = json.dumps([mail(message_id, "opened")]).encode()
    now = int(NOW.timestamp())
    with running(office) as service:
        signed = {
            "right": sign(office.signing_key, body, now),
            "other key": sign("else", body, now),
            "other body": sign(office.signing_key, body + b" ", now),
            "too old": sign(office.signing_key, body, now - 301),
            "too new": sign(office.signing_key, body, now + 301),
            "nonsense": "t=1,v1=x",
            "none": "",
        }
        answers = {
            name: service.push("mail", body, **{"X-Regulars-Signature": value}).status_code
            for name, value in signed.items()
        }
    assert answers == {name: 200 if name == "right" else 401 for name in signed}
    assert len(office.batches) == 1


def test_only_json_in_known_charsets_is_taken(service: Service) -> None:
    ids = iter(service.office.decide(*range(8)))
    kinds = [
        (JSON, 200),
        ("application/json;charset=UTF-8", 200),
        ('Application/JSON; Charset="gb18030"', 200),
        ("application/json; charset=gbk", 200),
        ("application/json; charset=utf-16", 415),
        ("application/x-www-form-urlencoded", 415),
        ("text/xml", 415),
        ("", 415),
    ]
    for kind, status in kinds:
        charset = "gb18030" if "gb" in kind else "utf-8"
        body = json.dumps([aliyun(next(ids))], ensure_ascii=False).encode(charset)
        answer = service.push("aliyun", body, **{"Content-Type": kind})
        assert answer.status_code == status, kind
    assert len(service.office.landed()) == 4


def test_what_is_no_list_of_records_is_refused_and_leaves_nothing(service: Service) -> None:
    bodies = [
        b"",
        b"{",
        b"[{]",
        b"null",
        b'"text"',
        b"42",
        b"\xff\xfe[\x00]\x00",
        '["用户"]'.encode("gb18030"),
        b'["\\ud800"]',
        b"[" * 100_000,
        b'{"events": {}}',
    ]
    for body in bodies:
        answer = service.push("mail", body)
        told = (answer.status_code, answer.text)
        assert told == (400, "not the JSON that this endpoint takes\n"), body[:20]
    assert service.office.files() == []


def test_a_body_with_a_byte_order_mark_is_read(service: Service) -> None:
    assert service.push("aliyun", b"\xef\xbb\xbf[]").status_code == 200


def test_a_body_that_is_too_large_is_refused(tmp_path: Any) -> None:
    with running(Office(tmp_path, max_body_bytes=2048)) as service:
        assert service.push("aliyun", b"[" + b" " * 2045 + b"]").status_code == 200
        assert service.push("aliyun", b"[" + b" " * 2048 + b"]").status_code == 413
        # Without a length the service has to count for itself.
        parts = iter([b"[", *[b" " * 512] * 8, b"]"])
        headers = {"Content-Type": JSON}
        answer = service.client.post(service.path("aliyun"), content=parts, headers=headers)
        assert answer.status_code == 413
        assert service.office.files() == []


def test_too_many_pushes_are_told_when_to_come_again(tmp_path: Any) -> None:
    with running(Office(tmp_path, max_pushes_per_minute=2)) as service:
        assert [service.push("aliyun", []).status_code for _ in range(3)] == [200, 200, 429]
        assert service.push("aliyun", []).headers["retry-after"] == "30"
        assert service.push("tencent", []).status_code == 200, "another endpoint's rate is its own"
        service.office.seconds += 30
        assert service.push("aliyun", []).status_code == 200


def test_guessing_is_slowed_down_and_does_not_hinder_providers(tmp_path: Any) -> None:
    with running(Office(tmp_path, max_misses_per_minute=3)) as service:
        guesses = [service.client.post(f"/receipts/aliyun_sms/{n}").status_code for n in range(5)]
        assert guesses == [404, 404, 404, 429, 429]
        assert service.push("aliyun", []).status_code == 200


def test_a_bucket_refills_evenly() -> None:
    at = [0.0]
    bucket = Bucket(60, lambda: at[0])
    assert [bucket.take() for _ in range(60)] == [0] * 60
    assert bucket.take() == 1
    at[0] = 0.99
    assert bucket.take() == 1
    at[0] = 1.0
    assert bucket.take() == 0
    at[0] = 10_000.0
    assert [bucket.take() for _ in range(61)] == [*[0] * 60, 1]


def test_a_body_that_drips_is_cut_off(tmp_path: Any) -> None:
    with running(Office(tmp_path, body_seconds=0.2)) as service, service.raw() as connection:
        head = f"POST {service.path('aliyun')} HTTP/1.1\r\nHost: x\r\nContent-Type: {JSON}\r\n"
        connection.sendall(f"{head}Content-Length: 100\r\n\r\n[".encode())
        answer = b""
        while part := connection.recv(4096):
            answer += part
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert service.office.files() == []


def test_a_head_that_drips_is_cut_off(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PromptProtocol, "head_seconds", 0.2)
    with service.raw() as connection:
        connection.sendall(b"POST /receipts/ali")
        assert connection.recv(4096) == b"", "the connection is closed without an answer"
    with service.raw() as connection:
        # Patience begins anew after each answer.
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
        connection.sendall(b"GET /hea")
        while connection.recv(4096):
            pass
    assert service.client.get("/health").status_code == 200


def test_a_full_disk_is_told_and_nothing_half_written_is_left(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    (message_id,) = service.office.send(1)
    body = [aliyun(message_id), aliyun("0" * 32)]
    real, failed = os.fsync, []
    for fail_at in range(1, 8):
        calls = [0]

        def full(descriptor: int, calls: list[int] = calls, fail_at: int = fail_at) -> None:
            calls[0] += 1
            if calls[0] == fail_at:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            real(descriptor)

        monkeypatch.setattr(landing_batches.os, "fsync", full)
        answer = service.push("aliyun", body)
        if answer.status_code == 200:
            break
        failed.append(fail_at)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "60"
        # The commit mark may stand when only its folder could not be synced: then all of it does.
        left = service.office.files()
        assert left == [] or len(service.office.batches) == 1, left
    assert len(failed) >= 4
    monkeypatch.setattr(landing_batches.os, "fsync", real)
    assert service.push("aliyun", body).status_code == 200
    (batch,) = service.office.batches
    assert (batch.record_count, batch.quarantined_count) == (1, 1)
    assert service.office.files() == ["manifest.json", "ndjson.zst", "ndjson.zst"]


def test_an_error_of_ours_tells_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("13800000001 was in here")

    (message_id,) = service.office.send(1)
    monkeypatch.setattr("regulars.receiving.intake._read", broken)
    answer = service.push("aliyun", [aliyun(message_id)])
    assert (answer.status_code, answer.text) == (500, "try again later\n")
    assert "KeyError at test_service.py:" in caplog.text
    assert "13800000001" not in caplog.text


def test_other_methods_and_paths(service: Service) -> None:
    assert service.client.get("/health").text == "ok\n"
    assert service.client.get(service.path("aliyun")).status_code == 405
    assert service.client.put("/u/x").status_code == 405
    for path in ("/", "/receipts", "/docs", "/openapi.json", "/u/"):
        assert service.client.get(path).status_code == 404, path
    assert "server" not in service.client.get("/").headers
