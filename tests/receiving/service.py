"""An installation that sends and receives: ledger, vault, queue, and the service over a socket."""

import json
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from regulars.credentials import Credentials
from regulars.landing import list_batches, read_batch, verify
from regulars.landing.quarantine import Quarantined, quarantined_records
from regulars.queues import UnsubscribeLinks, export_messages
from regulars.queues.transports import FileQueue
from regulars.receiving.app import Receiver
from regulars.receiving.config import Endpoint, EndpointEntry, ReceivingFile
from regulars.receiving.intake import Intake
from regulars.receiving.server import server_options
from regulars.records import BatchManifest
from regulars.settings import Settings
from regulars.shops import ShopsFile
from regulars.sources.receipts.providers import PROVIDERS
from regulars.state import StateStore
from regulars.vault import keys_from_credentials, open_vault
from tests.queues.shop import NIGHT, campaign, queued, rules
from tests.state.rows import DAY, proposal

PII = Credentials("regulars_pii", password="ab" * 32)
NOW = datetime(2017, 10, 2, 4, tzinfo=UTC)
"""Noon in Shanghai on the day on which the messages went out at ten."""
DELIVERED_AT = "2017-10-02 10:00:05"
REPLIED_AT = "2017-10-02 11:00:00"

SECRETS = {
    "aliyun": "aliyun-secret-path-0123456789",
    "tencent": "tencent-secret-path-012345678",
    "mail": "mail-secret-path-012345678901",
    "other": "other-brand-secret-0123456789",
}
SHOPS = ShopsFile.model_validate(
    {
        "brands": [
            {"brand": brand, "name": brand, "base_currency": "CNY"} for brand in ("demo", "other")
        ],
        "shops": [
            {
                "shop": shop,
                "name": shop,
                "brand": brand,
                "platform": "taobao",
                "source": "file",
                "zone": "Asia/Shanghai",
                "currency": "CNY",
                "first_date": "2017-01-01",
            }
            for shop, brand in (("grocer", "demo"), ("bakery", "demo"), ("butcher", "other"))
        ],
    }
)


def phone(number: int) -> str:
    """The mobile number of member ``number``."""
    return f"138{number:08d}"


class Office:
    """One installation below ``root``; ``config`` may be changed before it is served."""

    def __init__(self, root: Path, **limits: Any) -> None:
        self.settings = Settings(data_dir=root / "data", config_dir=root / "config")
        self.state = StateStore(self.settings.resolved_state_url)
        self.now = NOW
        self.seconds = 0.0
        self.config = ReceivingFile(
            public_url="https://receive.example.com",
            refusal_words=("R", "TD", "退订"),
            refusal_phrases=("退订", "拒收"),
            refusal_codes=("isv.CUSTOMER_REFUSED",),
            machine_agents=("GoogleImageProxy", "Barracuda"),
            trusted_proxies=("127.0.0.1/32",),
            **limits,
        )
        self.networks: tuple[str, ...] = ()
        self.signing_key = ""

    # -- sending -------------------------------------------------------------------------------

    def decide(self, *numbers: int, day: Any = DAY, **changes: Any) -> list[str]:
        """Decide a message to each member; their ids."""
        with open_vault(self.settings.vault_path, PII) as vault:
            refs = vault.tokenise("phone", [phone(number) for number in numbers])
        rows = []
        for number in numbers:
            ref = refs[phone(number)]
            row = {"contact_ref": ref.token, "contact_hash": ref.hash, **changes}
            rows.append(proposal(number, as_of_date=day, **row))
        run_id = self.state.nights.open(day).run_id
        self.state.commit_decisions(run_id, rows[0]["campaign"], rows, occurred_at=NIGHT)
        return [row["message_id"] for row in rows]

    def export(self, run_id: str = "night-20171001", now: datetime = NIGHT) -> list[str]:
        """Let everything leave that may; the ids in the queue."""
        brands = [campaign(), campaign("foreign", brand="other")]
        zone = SHOPS.shops[0].tzinfo
        zones = {shop.shop: zone for shop in SHOPS.shops}
        links = UnsubscribeLinks(self.config.public_url, keys_from_credentials(PII))
        given = rules(*brands, zones=zones, caps=(), unsubscribe=links)
        queue = FileQueue(self.settings.queues_dir)
        export_messages(self.state, queue, run_id=run_id, now=now, rules=given)
        return sorted(row["message_id"] for row in queued(self.settings.queues_dir))

    def send(self, *numbers: int, **changes: Any) -> list[str]:
        """Decide and export a message to each member; their ids."""
        ids = self.decide(*numbers, **changes)
        self.export()
        return ids

    # -- receiving -----------------------------------------------------------------------------

    def intake(self) -> Intake:
        return Intake(
            self.settings,
            SHOPS,
            self.state,
            PII,
            ahead=timedelta(seconds=self.config.ahead_seconds),
            reply_reach=timedelta(days=self.config.reply_days),
        )

    def endpoint(self, name: str) -> Endpoint:
        provider = {"aliyun": "aliyun_sms", "tencent": "tencent_sms", "mail": "events"}
        brand, shop = ("other", "butcher") if name == "other" else ("demo", "grocer")
        entry = EndpointEntry(
            endpoint=name,
            provider=provider.get(name, "aliyun_sms"),
            brand=brand,
            shop=shop,
            connection=name,
            networks=self.networks,
        )
        key = self.signing_key if name == "mail" else ""
        return Endpoint(entry, PROVIDERS[entry.provider], SECRETS[name], key)

    def receiver(self) -> Receiver:
        return Receiver(
            self.config,
            tuple(self.endpoint(name) for name in SECRETS),
            self.intake(),
            keys_from_credentials(PII),
            now=lambda: self.now,
            wall=lambda: self.now.timestamp(),
            seconds=lambda: self.seconds,
        )

    def take(self, name: str, body: object) -> Any:
        """Take in a push without HTTP."""
        endpoint = self.endpoint(name)
        reports = endpoint.provider.read(body, self.config.rules)
        return self.intake().take(endpoint, reports, json.dumps(body).encode(), self.now)

    # -- what is there afterwards --------------------------------------------------------------

    @property
    def batches(self) -> list[BatchManifest]:
        return list_batches(self.settings, source="receipts")

    def landed(self) -> list[dict[str, Any]]:
        """Every landed record, from whole batches only."""
        found = []
        for batch in self.batches:
            verify(self.settings, batch)
            found += [{**one, "_shop": batch.shop} for one in read_batch(self.settings, batch)]
        return found

    def put_aside(self) -> list[Quarantined]:
        return [one for batch in self.batches for one in quarantined_records(self.settings, batch)]

    def refusals(self) -> list[dict[str, Any]]:
        return list(self.state.iter_stream("state__refusals", 0, 10**9))

    def files(self) -> list[str]:
        """Files of landing and quarantine, by their ends."""
        roots = (self.settings.landing_dir, self.settings.quarantine_dir)
        return sorted(
            path.name.partition(".")[2]
            for root in roots
            for path in root.rglob("*")
            if path.is_file()
        )


class Service:
    """The service of an office, to be called."""

    def __init__(self, office: Office, port: int) -> None:
        self.office = office
        self.port = port
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20.0)

    def path(self, name: str) -> str:
        return f"/receipts/{self.office.endpoint(name).provider.name}/{SECRETS[name]}"

    def push(self, name: str, body: object, **headers: str) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"Content-Type": "application/json", **headers}
        return self.client.post(self.path(name), content=content, headers=given)

    def raw(self) -> socket.socket:
        """A connection without a client that knows HTTP."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)


class _Host(uvicorn.Server):
    """One server of a process, in a thread; it serves whichever office is open."""

    def __init__(self) -> None:
        super().__init__(uvicorn.Config(self.pass_on, interface="asgi3", **server_options()))
        self.app: ASGIApp | None = None
        self._announced = threading.Event()
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(listener.getsockname()[1])
        threading.Thread(target=self.run, args=([listener],), daemon=True).start()
        assert self._announced.wait(30)

    async def pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.app is not None
        await self.app(scope, receive, send)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announced.set()


_HOSTS: dict[int, _Host] = {}
"""By process: a forked child has the parent's memory, but not its thread."""


@contextmanager
def running(office: Office) -> Iterator[Service]:
    """Serve an office on a real socket, with the server that the command line uses."""
    if os.getpid() not in _HOSTS:
        _HOSTS[os.getpid()] = _Host()
    host = _HOSTS[os.getpid()]
    host.app = office.receiver().app()
    service = Service(office, host.port)
    try:
        yield service
    finally:
        service.client.close()
        host.app = None


# -- what providers write -------------------------------------------------------------------------


def aliyun(message_id: str, number: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "phone_number": phone(number),
        "send_time": "2017-10-02 10:00:00",
        "report_time": DELIVERED_AT,
        "success": True,
        "err_code": "DELIVERED",
        "err_msg": "用户接收成功",
        "sms_size": "1",
        "biz_id": f"134523^{number}",
        "out_id": message_id,
        **changes,
    }


def aliyun_reply(text: str, number: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "phone_number": phone(number),
        "content": text,
        "send_time": REPLIED_AT,
        "dest_code": "1234",
        "sequence_id": f"9{number}",
        **changes,
    }


def tencent(message_id: str, number: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "user_receive_time": DELIVERED_AT,
        "nationcode": "86",
        "mobile": phone(number),
        "report_status": "SUCCESS",
        "errmsg": "DELIVRD",
        "description": "用户短信送达成功",
        "sid": f"2019:{number}",
        "ext": message_id,
        **changes,
    }


def tencent_reply(text: str, number: int = 1) -> dict[str, Any]:
    at = datetime.fromisoformat(f"{REPLIED_AT}+08:00")
    return {
        "extend": "",
        "mobile": phone(number),
        "nationcode": "86",
        "sign": "店铺",
        "text": text,
        "time": int(at.timestamp()),
    }


def mail(message_id: str, event: str, **changes: Any) -> dict[str, Any]:
    return {
        "event": event,
        "message_id": message_id,
        "occurred_at": "2017-10-02T10:00:05+08:00",
        "event_id": f"{event}-{message_id[:8]}",
        **changes,
    }


def unique(records: Sequence[dict[str, Any]]) -> set[str]:
    return {one["receipt_id"] for one in records}
