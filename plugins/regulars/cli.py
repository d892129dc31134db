"""The command ``regulars``: for the people who run a shop's warehouse."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from regulars import airflow_home
from regulars.errors import RegularsError

if TYPE_CHECKING:
    from regulars.night.persons import Person

app = typer.Typer(
    help="Regulars, the open member warehouse: run nights, look at them, replay them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
sandbox_app = typer.Typer(help="The sandbox shop: a real order book behind a real protocol.")
app.add_typer(sandbox_app, name="sandbox", no_args_is_help=True)
landing_app = typer.Typer(help="What has landed: list, show, verify, replay, withdraw, compact.")
app.add_typer(landing_app, name="landing", no_args_is_help=True)

quarantine_app = typer.Typer(help="Records that were refused: list, show, correct and release.")
app.add_typer(quarantine_app, name="quarantine", no_args_is_help=True)
tiers_app = typer.Typer(help="Tiers: what a program would do, and what is unwise about it.")
app.add_typer(tiers_app, name="tiers", no_args_is_help=True)
points_app = typer.Typer(help="Points: take a gift out of the catalogue.")
app.add_typer(points_app, name="points", no_args_is_help=True)
shops_app = typer.Typer(help="The shops: check their credentials, list what has landed of them.")
app.add_typer(shops_app, name="shops", no_args_is_help=True)
members_app = typer.Typer(help="Who is one person: show it, merge, split, undo by hand.")
app.add_typer(members_app, name="members", no_args_is_help=True)

Batch = Annotated[str, typer.Argument(help="Batch, as `regulars landing list` shows it.")]
Customer = Annotated[str, typer.Argument(help="Customer as SHOP:BUYER.")]
Evidence = Annotated[
    str, typer.Option(help="Where the reason can be seen, a ticket or a date; no personal data.")
]
Date = Annotated[str, typer.Argument(help="Business date, as 2017-10-01.")]


@contextmanager
def _told_plainly() -> Iterator[None]:
    """A RegularsError ends the command with its message and exit code 1, without a traceback."""
    try:
        yield
    except RegularsError as error:
        console = Console(stderr=True)
        console.print("[bold red]Failed:[/] ", end="")
        console.print(error.what, markup=False, highlight=False)
        console.print(f"  where: {error.where}", markup=False, highlight=False)
        console.print(f"  next:  {error.next_step}", markup=False, highlight=False)
        raise typer.Exit(1) from None


@app.callback()
def _environment() -> None:
    airflow_home.load_environment()


@app.command()
def nightly(
    date: Annotated[str, typer.Option(help="Business date; empty: the next one.")] = "",
    nights: Annotated[int, typer.Option(min=1, help="How many nights, one after another.")] = 1,
) -> None:
    """Run the night DAG to its end without a scheduler, with progress and a closing summary."""
    from regulars.nightly import run_nights

    with _told_plainly():
        if not run_nights(date, nights, Console(file=sys.stdout)):
            raise typer.Exit(1)


@app.command()
def ui(
    port: Annotated[int, typer.Option(help="Port of the Airflow UI.")] = airflow_home.DEFAULT_PORT,
) -> None:
    """Start Airflow with the DAGs unpaused and the sandbox beside it; Ctrl-C stops both."""
    from regulars.nightly import serve_ui

    with _told_plainly():
        serve_ui(port, Console())


@app.command()
def receive(
    host: Annotated[str, typer.Option(help="Address; empty: REGULARS_RECEIVE_HOST.")] = "",
    port: Annotated[int, typer.Option(help="Port; 0: REGULARS_RECEIVE_PORT.")] = 0,
    workers: Annotated[int, typer.Option(min=1, max=16, help="Processes.")] = 1,
) -> None:
    """Take in what providers push about messages, and people who unsubscribe, until Ctrl-C."""
    from regulars.receiving.server import serve
    from regulars.settings import read_settings

    with _told_plainly():
        settings = read_settings()
        serve(host or settings.receive_host, port or settings.receive_port, workers)


@app.command()
def status() -> None:
    """The last nights, what is published and who holds the lease."""
    from regulars.night.overview import print_status
    from regulars.settings import read_settings

    with _told_plainly():
        print_status(read_settings(), Console())


@app.command()
def replay(
    date: Date,
    restate: Annotated[
        bool,
        typer.Option(help="Use everything that has landed since; kept beside, never published."),
    ] = False,
) -> None:
    """Rebuild a past night from its manifest beside the warehouse and compare the digests."""
    from regulars.credentials import credentials_from_environment
    from regulars.night.replay import replay_night, restate_night
    from regulars.settings import read_settings

    with _told_plainly():
        settings = read_settings()
        if restate:
            path = restate_night(settings, credentials_from_environment, date)
            Console().print(f"restated marts: {path}", markup=False, highlight=False)
            return
        outcome = replay_night(settings, credentials_from_environment, date)
        Console().print(outcome.line, markup=False, highlight=False)
        if not outcome.is_equal:
            raise typer.Exit(1)


@app.command()
def backfill(
    shop: Annotated[str, typer.Argument(help="Shop code of config/shops.yml.")],
    first: Annotated[str, typer.Argument(help="First day, as 2017-10-01.")],
    last: Annotated[str, typer.Argument(help="Last day, included.")],
    again: Annotated[
        bool, typer.Option("--again", help="Ask for days that have landed as well.")
    ] = False,
) -> None:
    """Land a range of days of one shop from its API; the next night absorbs them.

    What has landed is left out, so the same command continues one that failed.
    """
    from regulars.credentials import credentials_from_environment
    from regulars.night.backfill import backfill_span, spans_between
    from regulars.settings import read_settings

    with _told_plainly():
        settings = read_settings()
        for days in spans_between(settings, shop, first, last):
            line = backfill_span(settings, credentials_from_environment, shop, days, again=again)
            Console().print(line, markup=False, highlight=False)


@app.command()
def erase(
    phone: Annotated[
        str, typer.Option(help="Mobile number; `-` asks for it, or reads it from standard input.")
    ] = "",
    email: Annotated[
        str, typer.Option(help="E-mail address; `-` asks for it, or reads it from standard input.")
    ] = "",
    buyer_id: Annotated[
        list[str] | None, typer.Option(help="Buyer as SHOP:ID, repeatable; takes only that one.")
    ] = None,
    order_id: Annotated[
        list[str] | None, typer.Option(help="An order of theirs as SHOP:ID, repeatable.")
    ] = None,
    member_key: Annotated[list[str] | None, typer.Option(help="Member, repeatable.")] = None,
    customer_key: Annotated[list[str] | None, typer.Option(help="Customer, repeatable.")] = None,
    request: Annotated[
        str, typer.Option(help="Reference of the request, a ticket or a date; no personal data.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Erase whoever is found, unasked.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="End erasures that were interrupted, and nothing else.")
    ] = False,
) -> None:
    """Erase a person everywhere but in landing, and keep them out of every future night."""
    from regulars.credentials import credentials_from_environment
    from regulars.night.erasure import Eraser, Given, holder_of, requester
    from regulars.settings import read_settings

    with _told_plainly():
        eraser = Eraser(
            read_settings(),
            credentials_from_environment,
            holder=holder_of("regulars erase"),
            requested_by=requester(),
            pid=os.getpid(),
        )
        console = Console()
        if resume:
            outcomes = eraser.resume()
        else:
            ids = {
                "buyer_id": buyer_id,
                "order_id": order_id,
                "member_key": member_key,
                "customer_key": customer_key,
            }
            given = [
                *(
                    Given(kind, _contact(kind, value))
                    for kind, value in (("phone", phone), ("email", email))
                    if value
                ),
                *(Given(kind, value) for kind, values in ids.items() for value in values or ()),
            ]
            if not given:
                raise typer.BadParameter("say who: --phone -, --email -, --buyer-id SHOP:ID, …")
            outcomes = [
                eraser.erase(
                    tuple(given),
                    request=request,
                    confirm=lambda person: _confirmed(person, yes, console),
                )
            ]
        for line in [line for one in outcomes for line in one.lines] or ["nothing is unfinished"]:
            console.print(line, markup=False, highlight=False)


def _contact(kind: str, value: str) -> str:
    """The contact itself: asked for without an echo when it is not given on the command line."""
    if value != "-":
        return value
    if sys.stdin.isatty():
        return str(typer.prompt(f"{kind} (not shown)", hide_input=True))
    return sys.stdin.readline().strip()


def _confirmed(person: "Person", yes: bool, console: Console) -> bool:
    """Name the customers that were found, on the terminal alone, and ask."""
    for (_, _, shop), buyer in person.customers:
        console.print(f"found {shop}:{buyer}", markup=False, highlight=False)
    console.print(
        f"{len(person.customers)} customers, {len(person.keys.orders)} orders, "
        f"{person.record_count} landed records",
        highlight=False,
    )
    if yes:
        return True
    if not sys.stdin.isatty():
        return False
    return typer.confirm("Erase them all? This cannot be undone.")


@app.command()
def query(
    sql: Annotated[str, typer.Argument(help="A query on the published marts.")],
) -> None:
    """Ask the published marts."""
    from regulars.night.overview import print_rows
    from regulars.settings import read_settings
    from regulars.warehouse.read import query_published

    with _told_plainly():
        names, rows = query_published(read_settings(), sql)
        print_rows(names, rows, Console())


@landing_app.command("list")
def list_landing() -> None:
    """Batches in landing, with records and quarantined records."""
    from regulars.night.overview import print_batches
    from regulars.settings import read_settings

    with _told_plainly():
        print_batches(read_settings(), Console())


@landing_app.command("verify")
def verify_landing() -> None:
    """Read every batch again and compare it with its checksum."""
    from regulars.night.overview import verify_batches
    from regulars.settings import read_settings

    with _told_plainly():
        if not verify_batches(read_settings(), Console()):
            raise typer.Exit(1)


@landing_app.command("withdraw")
def withdraw_landing(
    batch: Batch,
    reason: Annotated[str, typer.Option(help="Why, for whoever finds it; no personal data.")],
) -> None:
    """Take a bad batch out of landing; refused once a night was built on it."""
    from regulars.night.withdrawal import withdraw_batch
    from regulars.settings import read_settings

    with _told_plainly():
        line = withdraw_batch(read_settings(), batch, reason)
        Console().print(line, markup=False, highlight=False)


@landing_app.command("show")
def show_landing(
    batch: Batch, limit: Annotated[int, typer.Option(min=0, help="Records at most.")] = 3
) -> None:
    """What a batch is, and its first records; contacts are tokens, never plain."""
    from regulars.night.landed import print_batch
    from regulars.settings import read_settings

    with _told_plainly():
        print_batch(read_settings(), batch, limit, Console())


@landing_app.command("replay")
def replay_landing(batch: Batch) -> None:
    """Load a batch into raw again; the next night takes it in as if it had landed late."""
    from regulars.night.landed import replay_batch
    from regulars.settings import read_settings

    with _told_plainly():
        Console().print(replay_batch(read_settings(), batch), markup=False, highlight=False)


@landing_app.command("compact")
def compact_landing(
    before: Annotated[
        str, typer.Option(help="Months before this one, as 2017-09; empty: as the settings say.")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done.")
    ] = False,
) -> None:
    """Put the batches of old months together, one file per shop, stream and month."""
    from regulars.night.maintenance import maintenance_here
    from regulars.settings import read_settings

    with _told_plainly():
        maintenance = maintenance_here(read_settings(), "regulars landing compact")
        lines = maintenance.compact_landing(before, dry_run=dry_run)
        for line in lines or ["nothing to compact"]:
            Console().print(line, markup=False, highlight=False)


@quarantine_app.command("list")
def list_quarantine() -> None:
    """Batches of which records still wait, with the commonest reason."""
    from regulars.night.quarantine import print_quarantine
    from regulars.settings import read_settings

    with _told_plainly():
        print_quarantine(read_settings(), Console())


@quarantine_app.command("show")
def show_quarantine(
    batch: Batch, limit: Annotated[int, typer.Option(min=1, help="Records at most.")] = 10
) -> None:
    """The waiting records of a batch with their reasons; contacts are tokens, never plain."""
    from regulars.night.quarantine import print_records
    from regulars.settings import read_settings

    with _told_plainly():
        print_records(read_settings(), batch, limit, Console())


@quarantine_app.command("release")
def release_quarantine(
    batch: Batch,
    line: Annotated[
        list[int] | None, typer.Option(help="Line to release, repeatable; all that pass without.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Correction as field=value or orders.2.payment=9.90; repeatable."
        ),
    ] = None,
) -> None:
    """Check records again, with corrections if given, and land those that pass."""
    from regulars.credentials import credentials_from_environment
    from regulars.night.quarantine import release_records
    from regulars.settings import read_settings

    changes = dict(item.partition("=")[::2] for item in set_ or [])
    with _told_plainly():
        text = release_records(
            read_settings(), credentials_from_environment, batch, line or None, changes
        )
        Console().print(text, markup=False, highlight=False)


@tiers_app.command("simulate")
def simulate_tiers(
    file: Annotated[Path, typer.Argument(help="A tier program; it need not be in config/tiers.")],
) -> None:
    """Members per tier now and under a program, by the published marts; changes nothing."""
    from regulars.loyalty.telling import print_simulation
    from regulars.settings import read_settings

    with _told_plainly():
        print_simulation(read_settings(), file, Console())


@tiers_app.command("lint")
def lint_tiers(
    file: Annotated[
        Path | None, typer.Argument(help="A tier program; all of config/tiers without.")
    ] = None,
) -> None:
    """Say what is unwise about a program that the platform would take; exit 1 if anything is."""
    from regulars.loyalty.telling import print_lint
    from regulars.settings import read_settings

    with _told_plainly():
        if not print_lint(read_settings(), file, Console()):
            raise typer.Exit(1)


@tiers_app.command("export")
def export_tiers(
    file: Annotated[Path, typer.Argument(help="A tier program; it need not be in config/tiers.")],
) -> None:
    """Print what taobao.crm.grade.set takes to set a program at a shop, as JSON; sends nothing."""
    from regulars.loyalty.telling import export_program
    from regulars.settings import read_settings

    with _told_plainly():
        Console().print(
            export_program(read_settings(), file), markup=False, highlight=False, soft_wrap=True
        )


@points_app.command("redeem")
def redeem_points(
    shop: Annotated[str, typer.Argument(help="Shop code of config/shops.yml.")],
    buyer_id: Annotated[str, typer.Argument(help="The platform's id of the buyer.")],
    gift: Annotated[str, typer.Argument(help="Gift of the catalogue in config/points.")],
    request: Annotated[
        str,
        typer.Option(help="Id of the request: the same one is honoured once; no personal data."),
    ],
) -> None:
    """Take a gift for a member's points; the next night's balance shows it."""
    from regulars.loyalty.telling import redeem_gift
    from regulars.settings import read_settings

    with _told_plainly():
        line = redeem_gift(read_settings(), shop, buyer_id, gift, request)
        Console().print(line, markup=False, highlight=False)


@shops_app.command("check")
def check_shops(
    shop: Annotated[str, typer.Argument(help="Shop code; all shops without.")] = "",
) -> None:
    """Call each shop's platform once and say whether its credentials are accepted."""
    from regulars.credentials import credentials_from_environment
    from regulars.night.overview import check_credentials
    from regulars.settings import read_settings

    with _told_plainly():
        settings = read_settings()
        if not check_credentials(settings, credentials_from_environment, shop, Console()):
            raise typer.Exit(1)


@shops_app.command("windows")
def list_windows(shop: Annotated[str, typer.Argument(help="Shop code.")]) -> None:
    """What of a shop's streams has landed, the watermark, and what never has."""
    from regulars.night.overview import print_windows
    from regulars.settings import read_settings

    with _told_plainly():
        print_windows(read_settings(), shop, Console())


@members_app.command("merge")
def merge_members(one: Customer, other: Customer, evidence: Evidence) -> None:
    """Two customers of a brand are one person, from the next night on."""
    _decide("merge", one, other, evidence)


@members_app.command("split")
def split_members(one: Customer, other: Customer, evidence: Evidence) -> None:
    """Two customers are two people, whatever they share: they are never joined again."""
    _decide("split", one, other, evidence)


@members_app.command("undo")
def undo_members(one: Customer, other: Customer, evidence: Evidence) -> None:
    """What was decided about two customers holds no longer; the rules decide again."""
    _decide("undo", one, other, evidence)


def _decide(kind: str, one: str, other: str, evidence: str) -> None:
    from regulars.night.erasure import requester
    from regulars.night.identity import decide
    from regulars.settings import read_settings

    with _told_plainly():
        line = decide(read_settings(), kind, one, other, evidence=evidence, decided_by=requester())
        Console().print(line, markup=False, highlight=False)


@members_app.command("show")
def show_member(
    who: Annotated[str, typer.Argument(help="Customer as SHOP:BUYER, or a member key.")],
) -> None:
    """The customers of a member, and every piece of evidence, used or put aside."""
    from regulars.night.identity import customers_of, links_of
    from regulars.night.overview import print_rows
    from regulars.settings import read_settings

    with _told_plainly():
        settings, console = read_settings(), Console()
        print_rows(*customers_of(settings, who), console)
        print_rows(*links_of(settings, who), console)


@members_app.command("shared")
def list_shared() -> None:
    """Identifiers that too many have, or that were contradicted: they join nobody."""
    from regulars.night.identity import put_aside
    from regulars.night.overview import print_rows
    from regulars.settings import read_settings

    with _told_plainly():
        print_rows(*put_aside(read_settings()), Console())


@members_app.command("decisions")
def list_decisions() -> None:
    """Every decision by hand about who is one person."""
    from regulars.night.identity import decisions
    from regulars.night.overview import print_rows
    from regulars.settings import read_settings

    with _told_plainly():
        print_rows(*decisions(read_settings()), Console())


@sandbox_app.command("serve")
def serve_sandbox() -> None:
    """Serve the sandbox shop on loopback until Ctrl-C."""
    os.execv(  # noqa: S606 - our own module, fixed arguments
        sys.executable, [sys.executable, "-m", "regulars.sandbox", "serve", *_sandbox_port()]
    )


@sandbox_app.command("export")
def export_sandbox(
    until: Annotated[str, typer.Option(help="First day that is left out.")] = "2017-10-01",
) -> None:
    """Drop the sandbox shop's history into its inbox, as a merchant's export."""
    from regulars.settings import read_settings

    inbox = read_settings().inbox_dir
    os.execv(  # noqa: S606 - our own module, checked arguments
        sys.executable,
        [
            sys.executable, "-m", "regulars.sandbox", "export",
            "--inbox", str(inbox), "--shop", "demo_grocer", "--until", until,
        ],
    )  # fmt: skip


def _sandbox_port() -> list[str]:
    from regulars.settings import read_settings

    return ["--port", str(read_settings().sandbox_port)]


def main() -> None:
    """Entry point of ``python -m regulars.cli``."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    app()


if __name__ == "__main__":
    main()
