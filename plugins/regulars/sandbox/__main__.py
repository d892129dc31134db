"""``python -m regulars.sandbox``: run the sandbox shop, or make its file drops."""

import time
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from regulars.errors import RegularsError
from regulars.sandbox.book import OrderBook
from regulars.sandbox.export import HISTORY_UNTIL, export_events, export_history
from regulars.sandbox.limits import Limits
from regulars.sandbox.protocol import PLATFORM_ZONE
from regulars.sandbox.server import serve
from regulars.sandbox.shop import DEFAULT_NOW
from regulars.settings import current_settings
from regulars.shops import load_shops

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="A shop on loopback with real purchases."
)


@app.command("serve")
def serve_command(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.")] = None,
    now: Annotated[
        str, typer.Option(help="The shop's clock at the start (ISO; GMT+8 without offset).")
    ] = DEFAULT_NOW.isoformat(),
    calls_per_second: Annotated[
        float | None, typer.Option(help="Rate limit of each method; default none.")
    ] = None,
    daily_quota: Annotated[
        int | None, typer.Option(help="Calls a day of the shop; default no limit.")
    ] = None,
    inbox: Annotated[
        Path | None,
        typer.Option(help="Folder of file drops: the merchant drops files as the clock moves."),
    ] = None,
    households: Annotated[
        int | None, typer.Option(help="Cut the shop to so many buyers; default all.")
    ] = None,
    announce: Annotated[
        bool, typer.Option(help="Print only `ready PORT`, for programs that wait for it.")
    ] = False,
) -> None:
    """Serve the shop until Ctrl-C. Credentials: REGULARS_SANDBOX_APP_KEY, _APP_SECRET, _SESSION."""

    def ready(taken: int) -> None:
        if announce:
            print(f"ready {taken}", flush=True)
        else:
            print(f"The sandbox shop listens on http://127.0.0.1:{taken}/router/rest", flush=True)

    instant = datetime.fromisoformat(now)
    settings = current_settings()
    serve(
        settings,
        host=host,
        port=port,
        now=instant if instant.tzinfo else instant.replace(tzinfo=PLATFORM_ZONE),
        limits=Limits(calls_per_second=calls_per_second, daily_quota=daily_quota),
        inbox=inbox,
        shops=load_shops(settings.shops_path).shops,
        households=households,
        on_ready=ready,
    )


@app.command("export")
def export_command(
    inbox: Annotated[
        Path | None, typer.Option(help="Folder of file drops; default data/inbox.")
    ] = None,
    shop: Annotated[str, typer.Option(help="The shop's code in config/shops.yml.")] = "demo_grocer",
    start: Annotated[
        str | None,
        typer.Option("--from", help="First day: drop only the events since then, not the history."),
    ] = None,
    until: Annotated[
        str, typer.Option(help="First day that is not included.")
    ] = HISTORY_UNTIL.isoformat(),
) -> None:
    """Drop the shop's history up to a day, or the marketing events of some days, as files."""
    settings = current_settings()
    began = time.perf_counter()
    book = OrderBook.load(settings.data_dir / "sandbox")
    folder = inbox or settings.inbox_dir
    last = date.fromisoformat(until)
    if start is None:
        files = export_history(folder, shop, book, last)
    else:
        files = export_events(folder, shop, book, date.fromisoformat(start), last)
    for file in files:
        print(f"{file.row_count:>9,} {file.stream:<14} {file.path}")
    print(f"{len(files)} files in {time.perf_counter() - began:.1f} s")


def main() -> None:
    """Run the command line; errors are told in one line."""
    try:
        app()
    except RegularsError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
