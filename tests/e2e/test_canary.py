"""Canaries: secrets and contacts go in through every door and stand in no file that is written.

One installation with a shop of every source runs its real nights: `regulars nightly`, in a process
of its own, with an Airflow of its own. Every part of every Connection holds a secret that is found
nowhere else, and every record names one person. The platforms are as careless as they can be: the
first night they refuse everything and repeat the whole request in their refusals, the second they
answer first with web pages that show it. Then everything that was written is searched: data folder,
Airflow's home with its database and logs, temporary files, standard output and errors.
"""

import base64
import gzip
import json
import os
import re
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import httpx
import pytest
import yaml
import zstandard
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from regulars.credentials import Credentials
from regulars.landing import list_batches
from regulars.records import BatchManifest
from regulars.sandbox.book import OrderBook
from regulars.sandbox.clockwork import ShopClock
from regulars.sandbox.faults import Edit, Faults
from regulars.sandbox.platforms import doudian, jd, pdd, shopify
from regulars.sandbox.platforms.taobao_push import PushDatabase, Pusher
from regulars.sandbox.protocol import PLATFORM_ZONE, Access
from regulars.sandbox.server import PlatformServer, sandbox_app
from regulars.sandbox.shop import SandboxShop
from regulars.settings import PROJECT_ROOT, Settings
from regulars.vault import open_vault
from tests.e2e.searching import Search
from tests.landing.files import readable_bytes
from tests.servers import shared_push_database  # noqa: F401
from tests.sources.push import run_sql
from tests.world import PII_KEY

pytestmark = [pytest.mark.airflow, pytest.mark.faults]

NIGHT = date(2017, 10, 1)
SINCE = datetime(2017, 9, 28, tzinfo=PLATFORM_ZONE)
SECONDS = 420.0
"""A night that hangs is killed then."""

PHONE = "13912345678"
EMAIL = "canary.bird@example.com"
NAME = "金丝雀小姐"
ADDRESS = "张江高科技园区金丝雀路88号501室"
CALL = f"please call {PHONE} or write to {EMAIL}"
CONTACTS = {
    "phone": PHONE,
    "phone, spelled apart": "139 1234 5678",
    "phone, with hyphens": "139-1234-5678",
    "email": EMAIL,
    "name": NAME,
    "address": ADDRESS,
}
SHOPS = {
    "taobao_top": "demo_tmall",
    "taobao_rds": "demo_push",
    "jd_jos": "demo_jd",
    "pdd_open": "demo_pdd",
    "doudian_open": "demo_douyin",
    "shopify_admin": "demo_shopify",
}
"""Sources with an API -> their shop."""


def secret(of: str) -> str:
    """A text that stands nowhere else."""
    return f"Canary7f3e{re.sub('[^a-z]', '', of)}Zq81secretXw"


# --- platforms that repeat what they are sent --------------------------------------------------


class Careless:
    """Gateways that answer with the request when something is wrong, and sometimes at once.

    ``is_refusing``: every text of a refusal repeats the request. Otherwise the first two calls to
    each platform are answered by web pages that show it.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self.is_refusing = True
        self.echoes = 0
        self.pages: dict[str, int] = {}

    clock: Any = None
    call_count = 0

    def routes(self) -> list[BaseRoute]:
        return [Route("/{path:path}", self._answer, methods=["GET", "POST", "PUT", "DELETE"])]

    async def _answer(self, request: Request) -> Response:
        body = await request.body()
        heard = f"{request.url} {dict(request.headers)} {body.decode(errors='replace')}"
        platform = request.url.path.split("/")[1]
        if platform not in ("sandbox", "storage") and not self.is_refusing:
            count = self.pages[platform] = self.pages.get(platform, 0) + 1
            if count <= 2:
                page = f"<html><body><h1>Sorry</h1><pre>{heard}</pre></body></html>"
                return Response(page, 200 if count == 1 else 502, media_type="text/html")
        transport = httpx.ASGITransport(app=self._app)
        async with httpx.AsyncClient(transport=transport) as inner:
            answer = await inner.request(
                request.method, str(request.url), content=body, headers=request.headers.raw
            )
        content = answer.content
        if self.is_refusing and platform != "sandbox":
            content = self._repeated(content, heard)
        kept = {k: v for k, v in answer.headers.items() if k in ("content-type", "retry-after")}
        return Response(content, answer.status_code, kept)

    def _repeated(self, content: bytes, heard: str) -> bytes:
        try:
            value = json.loads(content)
        except ValueError:
            return content
        self.echoes += 1
        return json.dumps(_with_echo(value, heard), ensure_ascii=False).encode()


_TEXTS = re.compile(r"msg|message|desc|errors", re.IGNORECASE)


def _with_echo(value: Any, heard: str) -> Any:
    if isinstance(value, dict):
        return {
            name: f"{inner} {heard}"
            if isinstance(inner, str) and _TEXTS.search(name)
            else _with_echo(inner, heard)
            for name, inner in value.items()
        }
    return [_with_echo(one, heard) for one in value] if isinstance(value, list) else value


# --- an installation with a shop of every source -----------------------------------------------


@dataclass
class Installation:
    """One installation below ``root``, its platforms, and what it must not write down."""

    root: Path
    platforms: Careless
    gateways: dict[str, Any]
    connections: dict[str, dict[str, Any]]
    secrets: dict[str, str] = field(default_factory=dict)
    clock_url: str = ""

    @property
    def settings(self) -> Settings:
        return Settings(data_dir=self.root / "data", shops_file=str(self.root / "shops.yml"))

    def run(self, *command: str, leak: Path | None = None) -> "subprocess.CompletedProcess[str]":
        """`regulars` as somebody types it; what it says is kept as a file, too."""
        paths = [str(PROJECT_ROOT / "plugins")]
        done = subprocess.run(
            [str(Path(sys.executable).with_name("regulars")), *command],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env=self._environment([str(leak), *paths] if leak else paths),
            cwd=self.root,
            check=False,
        )
        said = self.root / "said"
        said.mkdir(exist_ok=True)
        name = f"{len(list(said.iterdir()))}-{command[0]}"
        (said / name).write_text(f"{done.stdout}\n{done.stderr}", encoding="utf-8")
        return done

    def _environment(self, paths: list[str]) -> dict[str, str]:
        bare = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AIRFLOW", "REGULARS_", "PYTHON"))
        }
        (self.root / "tmp").mkdir(exist_ok=True)
        return {
            **bare,
            "PYTHONPATH": os.pathsep.join(paths),
            "TMPDIR": str(self.root / "tmp"),
            "COLUMNS": "200",
            "AIRFLOW_HOME": str(self.root / "airflow"),
            "REGULARS_DATA_DIR": str(self.root / "data"),
            "REGULARS_SHOPS_FILE": str(self.root / "shops.yml"),
            "REGULARS_CLOCK_URL": self.clock_url,
            "REGULARS_STATE_URL": "",
            "REGULARS_QUEUE_URL": "",
            "REGULARS_EXTRACT_RETRIES": "0",
            **{
                f"AIRFLOW_CONN_{name.upper()}": json.dumps({"conn_type": "http", **parts})
                for name, parts in self.connections.items()
            },
        }

    def search(self) -> Search:
        """A search for every secret and every contact."""
        return Search({**self.secrets, **CONTACTS})


def _access(of: str) -> Access:
    return Access(secret(f"{of}key"), secret(f"{of}secret"), secret(f"{of}session"))


def _gateways(book: OrderBook, clock: ShopClock) -> dict[str, Any]:
    parts = [book.part(number, 5) for number in range(5)]
    access = {one: _access(one) for one in ("top", "jd", "pdd", "doudian", "shopify")}
    return {
        "taobao_top": SandboxShop(parts[0], access["top"], clock=clock),
        "jd_jos": jd.Gateway(
            parts[1], access["jd"], clock, tokens=jd.Tokens(access["jd"], secret("jdrefresh"))
        ),
        "pdd_open": pdd.Gateway(
            parts[2], access["pdd"], clock, refresh_token=secret("pddrefresh"), has_all_refunds=True
        ),
        "doudian_open": doudian.Gateway(parts[3], access["doudian"], clock),
        "shopify_admin": shopify.Gateway(
            parts[4], shopify.Access(access["shopify"].session), clock
        ),
    }


def _connections(gateways: dict[str, Any], url: str, database: PushDatabase) -> dict[str, Any]:
    def parts(source: str, path: str, **extra: str) -> dict[str, Any]:
        access = gateways[source].access
        return {
            "host": f"{url}{path}",
            "login": access.app_key,
            "password": access.app_secret,
            "extra": extra,
        }

    office = gateways["doudian_open"].tokens
    # An hour before it expires it is renewed.
    expires = gateways["jd_jos"].expire_token_in(3600)
    return {
        "regulars_pii": {"password": PII_KEY},
        "demo_tmall": parts("taobao_top", "/router/rest", session=secret("topsession")),
        "demo_jd": parts(
            "jd_jos",
            "/routerjson",
            access_token=secret("jdsession"),
            refresh_token=secret("jdrefresh"),
            token_expires_at=expires.isoformat(),
        ),
        "demo_pdd": parts(
            "pdd_open",
            "/api/router",
            access_token=secret("pddsession"),
            refresh_token=secret("pddrefresh"),
            refunds_at_once="true",
        ),
        "demo_douyin": parts(
            "doudian_open",
            "",
            access_token=secret("doudiansession"),
            refresh_token=office.first_refresh_token,
        ),
        "demo_shopify": {
            "host": url,
            "login": secret("shopifykey"),
            "password": secret("shopifysecret"),
            "extra": {
                "access_token": secret("shopifysession"),
                "shop_domain": "demo-grocer.myshopify.com",
            },
        },
        "demo_push": {
            "host": f"{database.host}:{database.port}",
            "login": READER,
            "password": secret("rdssecret"),
            "extra": {"database": database.name, "seller_nick": "demo_grocer"},
        },
    }


READER = "regulars_canary_reader"


@contextmanager
def _reader(database: PushDatabase) -> Iterator[None]:
    """A user of the database server whose password is a canary."""
    user = f"'{READER}'@'%'"
    run_sql(
        database,
        f"create or replace user {user} identified by '{secret('rdssecret')}'",
        f"grant select on {database.name}.* to {user}",
        "select 1",
    )
    try:
        yield
    finally:
        run_sql(database, f"drop user if exists {user}", "select 1")


def _shops() -> str:
    document = yaml.safe_load((PROJECT_ROOT / "config/profiles/all-platforms.yml").read_text())
    entries = {one["shop"]: one for one in document["shops"]}
    entries["demo_push"] = {**entries["demo_tmall"], "source": "taobao_rds"}
    entries["demo_files"] = {**entries["demo_tmall"], "source": "file"}
    document["shops"] = [
        # Most of the records are refused: that is what this is about.
        {**entry, "shop": shop, "connection": shop, "quarantine_share": 1.0}
        for shop, entry in entries.items()
    ]
    return yaml.safe_dump(document, allow_unicode=True)


# --- the person in every record ----------------------------------------------------------------


def _tell_everybody(gateways: dict[str, Any]) -> None:
    """Put the person into every record of every gateway, and some where they do not belong."""
    top = gateways["taobao_top"]
    person = {"receiver_name": NAME, "receiver_mobile": PHONE, "receiver_address": ADDRESS}
    free = {"buyer_message": CALL, "seller_memo": CALL, "brand_new": CALL, "second_phone": PHONE}
    first, second = (int(one) for one in top.book.tid[_on_the_day(top.book)][:2])
    top.replace_faults(
        Faults(
            edits=[
                Edit(set={**person, **free, "buyer_email": EMAIL, "nested_new": {"say": CALL}}),
                Edit(line=1, set={"title": f"card of {EMAIL}", "taker_phone": "139 1234 5678"}),
                Edit(tid=first, set={"status": PHONE, "payment": EMAIL}),
                Edit(tid=second, set={"created": CALL, "orders": {"order": [{"oid": CALL}]}}),
            ]
        )
    )
    consignee = {
        "fullname": NAME, "mobile": PHONE, "telephone": "139-1234-5678", "fullAddress": ADDRESS,
    }  # fmt: skip
    jd_shop = gateways["jd_jos"]
    jd_ids = [str(one) for one in _jd_orders(jd_shop)]
    jd_shop.replace_faults(
        jd.Faults(
            edits=[
                jd.Edit(set={"consigneeInfo": consignee, "pin": NAME, "brandNew": CALL}),
                jd.Edit(set={"orderRemark": CALL, "venderRemark": CALL, "secondPhone": PHONE}),
                jd.Edit(line=1, set={"skuName": f"card of {EMAIL}", "takerPhone": PHONE}),
                jd.Edit(order_id=jd_ids[0], set={"orderState": PHONE, "orderPayment": EMAIL}),
            ]
        )
    )
    pdd_shop = gateways["pdd_open"]
    given = {
        "receiver_name": NAME, "receiver_phone": PHONE, "receiver_address": ADDRESS,
        "address": ADDRESS, "remark": CALL, "buyer_memo": CALL, "second_phone": PHONE,
        "brand_new": CALL,
    }  # fmt: skip
    pdd_shop.replace_faults(
        pdd.PddFaults(
            edits=[
                pdd.Edit(set=given),
                pdd.Edit(item=1, set={"goods_name": f"card of {EMAIL}", "taker_phone": PHONE}),
            ],
            token_expired=1,
        )
    )
    doudian_shop = gateways["doudian_open"]
    open_parts = {
        "post_receiver": NAME, "post_tel": PHONE, "encrypt_post_receiver": NAME,
        "encrypt_post_tel": PHONE, "mask_post_receiver": NAME, "mask_post_tel": PHONE,
        "buyer_words": CALL, "seller_words": CALL, "brand_new": CALL, "second_phone": PHONE,
    }  # fmt: skip
    doudian_shop.replace_faults(
        doudian.Faults(
            edits=[
                doudian.Edit(set=open_parts),
                doudian.Edit(line=1, set={"product_name": f"card of {EMAIL}", "tel_new": PHONE}),
            ]
        )
    )
    contact = {
        "email": EMAIL, "phone": f"+86{PHONE}", "anotherPhone": PHONE, "brandNew": CALL,
        "discountCodes": [CALL], "tags": [PHONE],
        "shippingAddress": {"name": NAME, "phone": PHONE, "address1": ADDRESS, "city": "上海"},
    }  # fmt: skip
    gateways["shopify_admin"].faults = shopify.ShopifyFaults(
        edits=[shopify.ShopifyEdit(set=contact)]
    )


def _on_the_day(book: OrderBook) -> Any:
    start, end = (
        int(datetime(2017, 10, day, tzinfo=PLATFORM_ZONE).timestamp()) + 8 * 3600 for day in (1, 2)
    )
    return (book.created >= start) & (book.created < end)


def _jd_orders(gateway: Any) -> Any:
    from regulars.sandbox.platforms.jd.orders import order_ids

    return order_ids(gateway.book.basket)[_on_the_day(gateway.book)]


def _push(database: PushDatabase, book: OrderBook, clock: ShopClock) -> None:
    Pusher(book, clock, database, switched_on=SINCE, history_days=3).push()
    rows = run_sql(database, "select tid, jdp_response from jdp_tb_trade")
    for number, (tid, response) in enumerate(rows):
        value = json.loads(response)
        trade = value["trade_fullinfo_get_response"]["trade"]
        trade |= {"receiver_name": NAME, "receiver_mobile": PHONE, "receiver_address": ADDRESS}
        trade |= {"buyer_message": CALL, "brand_new": CALL, "second_phone": PHONE}
        if number % 5 == 0:
            trade |= {"status": PHONE, "payment": EMAIL}
        text = json.dumps(value, ensure_ascii=False).replace("'", "''").replace("\\", "\\\\")
        if number % 7 == 0:
            text = text[: len(text) // 2]  # cut short: put aside as it is
        update = f"update jdp_tb_trade set jdp_response = '{text}' where tid = {tid}"
        run_sql(database, update, "select 1")


MEMBERS = f"""\
member_id,buyer_id,phone,email,gender,birthday,sms_consent,mobile2,memo,consent_evidence
1,2,{PHONE},{EMAIL},female,1990-01-01,granted,139 1234 5678,{CALL},form of {EMAIL}
2,2,+86-139-1234-5678,{EMAIL},{PHONE},{PHONE},{EMAIL},{PHONE},{EMAIL},x
,3,{PHONE},{EMAIL},x,1990-01-01,granted,,,{PHONE}
4,4,{PHONE},{EMAIL}
"""
REVIEWS = f"""\
review_id,order_id,buyer_id,created_at,content
1,2,3,2017-10-01 08:00:00,{CALL}
2,2,3,{PHONE},{PHONE}
"""
EXPORT = (
    "订单编号,买家会员名,买家应付货款,买家应付邮费,总金额,买家实际支付金额,订单状态,收货人姓名,"
    "收货地址 ,"
    "联系手机,订单创建时间,宝贝标题 ,新字段\n"
    f"290385921174839201,{NAME},20.00,6.00,26.00,26.00,交易成功,{NAME},{ADDRESS},"
    f"'{PHONE},2017-10-01 09:05:00,苹果,{CALL}\n"
    f"290385921174839202,{NAME},20.00,6.00,26.00,{EMAIL},{PHONE},{NAME},{ADDRESS},"
    f"'{PHONE},2017-10-01 09:05:00,{CALL},x\n"
)


GOOD = {
    "demo_files/members/members.csv": MEMBERS.encode(),
    "demo_files/reviews/reviews.csv": REVIEWS.encode(),
    "demo_tmall/taobao_orders/ExportOrderList1.csv": EXPORT.encode("gb18030"),
}
REFUSED = {
    "demo_files/members/cut.csv": (MEMBERS + f"6,6,{PHONE}").encode(),
    "demo_files/stores/odd.csv": f"{PHONE},{EMAIL}\n{NAME},2\n".encode(),
    "demo_tmall/taobao_orders/ExportOrderList2.csv": f"{NAME},{PHONE}\n1,{CALL}\n".encode(
        "gb18030"
    ),
}
"""Files that are refused as a whole; a night with one of them fails."""


def _drop(inbox: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


# --- the nights --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def installation(
    tmp_path_factory: pytest.TempPathFactory,
    shared_push_database: PushDatabase,  # noqa: F811
) -> Iterator[Installation]:
    """Two nights have run: one in which every platform refused, and the same one, repeated."""
    root = tmp_path_factory.mktemp("canary")
    clock = ShopClock(datetime(2017, 10, 1, 2, tzinfo=PLATFORM_ZONE))
    book = OrderBook.sample(households=120, until=date(2017, 10, 3))
    gateways = _gateways(book, clock)
    others = [one for source, one in gateways.items() if source != "taobao_top"]
    platforms = Careless(sandbox_app(gateways["taobao_top"], [], others))
    (root / "shops.yml").write_text(_shops(), encoding="utf-8")
    with ExitStack() as stack:
        database = shared_push_database
        stack.enter_context(_reader(database))
        url = stack.enter_context(PlatformServer(platforms)).url
        made = Installation(root, platforms, gateways, _connections(gateways, url, database))
        made.clock_url = f"{url}/sandbox/clock"
        yield _nights(made, database, book.part(0, 4), clock)


def _nights(
    made: Installation, database: PushDatabase, pushed: OrderBook, clock: ShopClock
) -> Installation:
    right = json.loads(json.dumps(made.connections))
    for name, parts in made.connections.items():
        if name != "regulars_pii":
            parts["password"] = secret(f"wrong{name}")
            if "access_token" in parts.get("extra", {}):
                parts["extra"]["access_token"] = secret(f"wrongtoken{name}")
    wrong = made.connections
    _drop(made.settings.inbox_dir, REFUSED)
    refused = made.run("nightly", "--date", str(NIGHT))
    assert refused.returncode != 0
    made.platforms.is_refusing = False
    made.connections = right
    clock.now = datetime(2017, 10, 2, 2, tzinfo=PLATFORM_ZONE)
    _push(database, pushed, clock)
    _tell_everybody(made.gateways)
    made.gateways["doudian_open"].tokens.expire()
    assert _inbox(made.settings) == []
    _drop(made.settings.inbox_dir, GOOD)
    night = made.run("nightly", "--date", str(NIGHT))
    assert night.returncode == 0, night.stdout + night.stderr
    back = made.run("backfill", "demo_shopify", "2017-09-20", "2017-09-30")
    assert back.returncode == 0, back.stdout + back.stderr
    shown = _quarantined(made.settings)[0].batch_id
    for command in (
        ("status",),
        ("quarantine", "list"),
        ("quarantine", "show", shown),
        ("shops", "check", "demo_jd"),
    ):
        made.run(*command)
    made.secrets = _secrets(wrong, right, made.gateways)
    return made


def _inbox(settings: Settings) -> list[Path]:
    return [path for path in settings.inbox_dir.rglob("*") if path.is_file()]


def _quarantined(settings: Settings) -> list[BatchManifest]:
    return [one for one in list_batches(settings) if one.quarantined_count]


_OPEN = frozenset({"database", "seller_nick", "shop_domain", "token_expires_at", "refunds_at_once"})
"""Members of ``extra`` that are no secret."""


def _secrets(*sources: dict[str, Any]) -> dict[str, str]:
    *connections, gateways = sources
    found = {}
    for number, made in enumerate(connections):
        for name, parts in made.items():
            label = f"{name} ({number})"
            found[f"password of {label}"] = parts["password"]
            if name != "demo_push" and parts.get("login"):
                found[f"login of {label}"] = parts["login"]
            for member, value in parts.get("extra", {}).items():
                if member not in _OPEN:
                    found[f"{member} of {label}"] = value
    found["renewed token of JD"] = gateways["jd_jos"].tokens.current
    found["renewed refresh token of JD"] = gateways["jd_jos"].tokens.refresh
    found["renewed token of Pinduoduo"] = gateways["pdd_open"].access_token
    found["renewed refresh token of Pinduoduo"] = gateways["pdd_open"].refresh_token
    return found


def test_the_canaries_were_sent_and_landed(installation: Installation) -> None:
    """Else finding nothing would prove nothing."""
    assert installation.platforms.echoes >= len(installation.gateways)
    asked = installation.platforms.pages
    assert {"router", "routerjson", "api", "admin", "order", "token"} <= asked.keys()
    assert installation.gateways["jd_jos"].tokens.current != secret("jdsession")
    assert installation.gateways["pdd_open"].access_token != secret("pddsession")
    batches = list_batches(installation.settings)
    landed = {(one.source, one.stream) for one in batches if one.record_count}
    assert {(source, "orders") for source in SHOPS} <= landed
    assert ("exports", "taobao_orders") in landed
    assert ("file", "members") in landed
    refused = {one.source for one in _quarantined(installation.settings)}
    assert {"taobao_top", "taobao_rds", "jd_jos", "exports", "file"} <= refused
    assert len(installation.secrets) > 30


def test_no_secret_and_no_contact_stands_in_any_file(installation: Installation) -> None:
    search = installation.search()
    assert search.below(installation.root) == {}
    assert search.files > 200
    assert search.kinds["zst"] > 15
    assert search.kinds["sqlite"] >= 3  # recorded state, vault, Airflow's database
    assert search.kinds["duckdb"] >= 3  # warehouse, marts, published


def test_the_vault_gives_the_person_back_to_a_sender(installation: Installation) -> None:
    settings = installation.settings
    landed = readable_bytes(settings.landing_dir).decode(errors="replace")
    tokens = set(re.findall(r'"[a-z_A-Z]+_ref":"([^"]+)"', landed))
    with open_vault(settings.vault_path, Credentials("regulars_pii", password=PII_KEY)) as vault:
        plain = {vault.reveal(token) for token in tokens}
    assert {PHONE, EMAIL, NAME, ADDRESS} <= plain
    assert stat.S_IMODE(settings.vault_path.stat().st_mode) == 0o600


def test_a_token_that_is_logged_is_found(installation: Installation, tmp_path: Path) -> None:
    """The mutation: a client that logs what it sends."""
    (tmp_path / "sitecustomize.py").write_text(
        "import httpx\n"
        "send = httpx.Client.send\n"
        "def told(self, request, **rest):\n"
        "    print('asking', request.url, dict(request.headers), request.read())\n"
        "    return send(self, request, **rest)\n"
        "httpx.Client.send = told\n"
    )
    before = set((installation.root / "said").iterdir())
    again = ("backfill", "demo_tmall", str(NIGHT), str(NIGHT), "--again")
    done = installation.run(*again, leak=tmp_path)
    (said,) = set((installation.root / "said").iterdir()) - before
    try:
        assert done.returncode == 0, done.stderr
        found = installation.search().below(installation.root / "said")
    finally:
        said.unlink()
    assert found["session of demo_tmall (1)"] == [str(said)]


def test_whatever_holds_a_text_is_opened(tmp_path: Path) -> None:
    text = f"{NAME} {secret('held')}"
    (tmp_path / "a.ndjson.zst").write_bytes(zstandard.ZstdCompressor().compress(text.encode()))
    (tmp_path / "b.log").write_bytes(gzip.compress(text.encode("gb18030")))
    (tmp_path / "c.json").write_text(json.dumps(text), encoding="utf-8")
    (tmp_path / "d.txt").write_bytes(b"x" + base64.b64encode(text.encode()))
    database = sqlite3.connect(tmp_path / "e.sqlite")
    database.execute("create table t (a text)")
    # Long enough to be spread over pages.
    database.execute("insert into t values (?)", ["x" * 4_000 + text + "y" * 9_000])
    database.commit()
    database.close()
    with duckdb.connect(str(tmp_path / "f.duckdb")) as warehouse:
        warehouse.execute("create table t as select {'a': [?]} as nested", [text])
        warehouse.execute(f"copy t to '{tmp_path}/g.parquet'")
    (tmp_path / "h.url").write_text(quote(NAME))
    search = Search({"name": NAME, "secret": secret("held")})
    found = search.below(tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert [Path(one).name for one in found["name"]] == names
    assert [Path(one).name for one in found["secret"]] == names[:-1]
    assert search.below(tmp_path / "nothing") == {}
