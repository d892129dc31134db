"""The command ``regulars``: for the people who run a shop's warehouse."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from regulars import airflow_home
from regulars.errors import RegularsError

app = typer.Typer(
    help="Regulars, the open member warehouse: run nights, look at them, replay them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
sandbox_app = typer.Typer(help="The sandbox shop: a real order book behind a real protocol.")
app.add_typer(sandbox_app, name="sandbox", no_args_is_help=True)
landing_app = typer.Typer(help="What has landed: list, verify.")
app.add_typer(landing_app, name="landing", no_args_is_help=True)

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
) -> None:
    """Land a range of days of one shop from its API; the next night absorbs them."""
    from regulars.credentials import credentials_from_environment
    from regulars.night.backfill import backfill_day, days_between
    from regulars.settings import read_settings

    with _told_plainly():
        settings = read_settings()
        for day in days_between(first, last):
            line = backfill_day(settings, credentials_from_environment, shop, day)
            Console().print(line, markup=False, highlight=False)


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
