"""One-click unsubscribe (RFC 8058): a POST acts, nothing else does, and nobody can forge a link."""

from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regulars.credentials import Credentials
from regulars.errors import ConfigError
from regulars.queues.unsubscribe import (
    MAIL_POLICY,
    ONE_CLICK,
    message_of_token,
    unsubscribe_headers,
    unsubscribe_token,
)
from regulars.state import ConsentRecord
from regulars.vault import keys_from_credentials
from tests.receiving.service import NOW, PII, Service

KEYS = keys_from_credentials(PII)
FORM = "application/x-www-form-urlencoded"
MULTIPART = (
    b'--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n'
)
ids = st.binary(min_size=16, max_size=16).map(bytes.hex)


def link(service: Service, number: int = 1) -> str:
    (message_id,) = service.office.send(number, channel="email")
    return f"/u/{unsubscribe_token(KEYS, message_id)}"


def post(service: Service, path: str, body: bytes = ONE_CLICK.encode(), kind: str = FORM) -> int:
    headers = {"Content-Type": kind}
    return service.client.post(path, content=body, headers=headers).status_code


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"List-Unsubscribe=One-Click", FORM),
        (b"List-Unsubscribe=One-Click\r\n", f"{FORM}; charset=utf-8"),
        (MULTIPART, "multipart/form-data; boundary=b"),
        (MULTIPART, 'multipart/form-data; boundary="b"'),
    ],
)
def test_one_click_refuses_the_channel(service: Service, body: bytes, kind: str) -> None:
    answer = service.client.post(link(service), content=body, headers={"Content-Type": kind})
    assert (answer.status_code, answer.is_redirect) == (200, False)
    assert "set-cookie" not in answer.headers
    (said,) = service.office.refusals()
    assert (said["channel"], said["kind"]) == ("email", "refusal")
    assert said["occurred_at"] == NOW.replace(tzinfo=None)
    (record,) = service.office.landed()
    assert (record["event"], record["provider"]) == ("unsubscribed", "one_click")


def test_looking_changes_nothing(service: Service) -> None:
    path = link(service)
    page = service.client.get(path)
    assert page.status_code == 200
    assert '<form method="post">' in page.text
    assert 'name="List-Unsubscribe" value="One-Click"' in page.text
    head = service.client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    for answer in (page, head):
        assert "set-cookie" not in answer.headers
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
    assert service.office.refusals() == []
    assert service.office.batches == []


def test_another_form_changes_nothing(service: Service) -> None:
    path = link(service)
    forms = [
        (b"", FORM),
        (b"List-Unsubscribe=No", FORM),
        (b"List-Unsubscribe=One-Click", "text/plain"),
        (b'{"List-Unsubscribe": "One-Click"}', "application/json"),
        (MULTIPART, "multipart/form-data"),
        (b"--b\r\n\xff\xff", "multipart/form-data; boundary=b"),
        (b"&" * 4000, FORM),
    ]
    assert [post(service, path, *form) for form in forms] == [400] * len(forms)
    assert service.office.refusals() == []


def test_a_large_form_is_refused(service: Service) -> None:
    assert post(service, link(service), b"x" * 5000) == 413


def test_unknown_tokens_all_get_the_same_answer(service: Service) -> None:
    path = link(service)
    (unsent,) = service.office.decide(7, outcome="holdout", arm="holdout", channel="email",
                                      campaign="gift2")  # fmt: skip
    token = path.removeprefix("/u/")
    other = keys_from_credentials(Credentials("other", password="cd" * 32))
    unknown = [
        "x",
        token[:-1],
        token + "A",
        ("A" if token[0] != "A" else "B") + token[1:],
        token.replace(token[20], "*"),
        unsubscribe_token(other, "0" * 32),
        unsubscribe_token(KEYS, "0" * 32),
        unsubscribe_token(KEYS, unsent),
    ]
    answers = [service.client.get(f"/u/{one}") for one in unknown]
    answers += [
        service.client.post(f"/u/{one}", content=ONE_CLICK, headers={"Content-Type": FORM})
        for one in unknown
    ]
    answers.append(service.client.get("/nothing"))
    shapes = {
        (one.status_code, one.content, tuple(sorted(set(one.headers) - {"date"})))
        for one in answers
    }
    assert len(shapes) == 1
    assert answers[0].status_code == 404
    assert service.office.refusals() == []


def test_clicking_again_changes_nothing_until_the_person_says_yes(service: Service) -> None:
    office = service.office
    path = link(service)
    for _ in range(3):
        assert post(service, path) == 200
    (said,) = office.refusals()
    assert len(office.batches) == 1
    yes = ConsentRecord(
        brand="demo",
        contact_hash=said["contact_hash"],
        member_key=said["member_key"],
        channel="email",
        kind="consent",
        occurred_at=NOW + timedelta(hours=1),
        evidence="a form",
    )
    office.state.consent.record([yes])
    office.now = NOW + timedelta(hours=2)
    assert post(service, path) == 200
    assert [one["kind"] for one in office.refusals()] == ["refusal", "consent", "refusal"]


def test_a_link_is_valid_for_years(service: Service) -> None:
    path = link(service)
    service.office.now = NOW + timedelta(days=3650)
    assert post(service, path) == 200
    assert len(service.office.refusals()) == 1


# -- tokens ------------------------------------------------------------------------------------


@given(ids)
def test_a_token_leads_back_to_its_message_and_does_not_show_it(message_id: str) -> None:
    token = unsubscribe_token(KEYS, message_id)
    assert token == unsubscribe_token(KEYS, message_id)
    assert len(token) == 59
    assert token.replace("-", "").replace("_", "").isalnum()
    assert message_of_token(KEYS, token) == message_id


@given(ids, st.integers(0, 58), st.sampled_from("ABCXYZabcxyz0189-_"))
def test_a_token_with_another_character_is_none(message_id: str, at: int, other: str) -> None:
    token = unsubscribe_token(KEYS, message_id)
    changed = token[:at] + other + token[at + 1 :]
    assert message_of_token(KEYS, changed) == (message_id if changed == token else None)


@given(st.text(max_size=100))
def test_any_text_is_no_token(text: str) -> None:
    assert message_of_token(KEYS, text) is None


def test_a_reference_for_another_use_is_no_token() -> None:
    assert message_of_token(KEYS, KEYS.seal_reference("else", bytes(16))) is None


@pytest.mark.parametrize("wrong", ["", "xyz", "0" * 31, "A" * 32, "0" * 32 + "\n"])
def test_only_message_ids_have_tokens(wrong: str) -> None:
    with pytest.raises(ValueError, match="32 hexadecimal digits"):
        unsubscribe_token(KEYS, wrong)


# -- headers -----------------------------------------------------------------------------------


def headers(**changes: str) -> dict[str, str]:
    token = unsubscribe_token(KEYS, "0123456789abcdef" * 2)
    given = {"public_url": "https://receive.example.com/", "token": token, **changes}
    return unsubscribe_headers(**given)


def test_headers_stand_on_one_line_each_when_mail_is_written() -> None:
    wanted = headers(mailto="unsubscribe@example.com")
    message = EmailMessage(policy=MAIL_POLICY)
    for name, value in wanted.items():
        message[name] = value
    message.set_content("text")
    lines = message.as_bytes().split(b"\r\n")
    for name, value in wanted.items():
        assert f"{name}: {value}".encode() in lines
    read = message_from_bytes(message.as_bytes(), policy=policy.default)
    assert read["List-Unsubscribe"] == wanted["List-Unsubscribe"]
    assert read["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


def test_the_usual_policy_would_break_the_link() -> None:
    message = EmailMessage(policy=policy.SMTP)
    message["List-Unsubscribe"] = headers()["List-Unsubscribe"]
    lines = message.as_bytes().split(b"\r\n")
    assert b"List-Unsubscribe: " + headers()["List-Unsubscribe"].encode() not in lines


def test_the_link_leads_to_the_page() -> None:
    token = unsubscribe_token(KEYS, "0123456789abcdef" * 2)
    assert headers()["List-Unsubscribe"] == f"<https://receive.example.com/u/{token}>"
    assert headers(mailto="a@b.cn")["List-Unsubscribe"].endswith(">, <mailto:a@b.cn>")


@pytest.mark.parametrize(
    "changes",
    [
        {"public_url": "http://receive.example.com"},
        {"public_url": ""},
        {"public_url": "https://"},
        {"public_url": "https://a.example\r\nBcc: x@example.com"},
        {"public_url": "https://a.example/>, <https://evil.example"},
        {"public_url": "https://a.example/?x=1"},
        {"public_url": "https://例子.example"},
        {"public_url": "https://" + "a" * 950 + ".example"},
        {"mailto": "a@b\r\nBcc: x@example.com"},
        {"mailto": "nobody"},
    ],
)
def test_headers_are_refused_when_they_would_break(changes: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        headers(**changes)
