"""Landing the files that merchants drop into a shop's inbox."""

from collections.abc import Callable
from datetime import date

import orjson

from regulars.clock import Clock, SystemClock
from regulars.errors import FileRefused
from regulars.landing.batches import (
    BatchWriter,
    Origin,
    Place,
    batch_id_of,
    find_by_content,
    landing_errors,
    list_batches,
    remove_debris,
    write_durably,
)
from regulars.landing.results import LandingFailure, LandingResult
from regulars.landing.writing import ColumnLanding, quarantine_defect
from regulars.progress import report
from regulars.records import BatchManifest
from regulars.settings import Settings
from regulars.shops import Shop
from regulars.sources import drop_guide, droppable_models
from regulars.sources.file.inbox import Drop, find_strays, take_drops
from regulars.sources.file.reading import UnreadableFile, read_chunks
from regulars.vault import Vault

_REJECTED = ".rejected.json"


def land_inbox(
    settings: Settings,
    shop: Shop,
    vault: Vault,
    run_id: str,
    window_date: date,
    progress: Callable[[str], None] = report,
    *,
    clock: Clock | None = None,
) -> LandingResult:
    """Land every file that is ready in the shop's inbox, all streams of all droppable sources.

    A file that cannot be read is kept encrypted in quarantine with its reason and named in the
    result; the others land. A file with the same content as one landed before is that batch.

    Args:
        settings: where inbox and landing stand.
        shop: whose inbox it is; nothing happens when its ``inbox`` is off.
        vault: where contacts go.
        run_id: the night's run, for names of unfinished files.
        window_date: the night's business date, under which the batches stand.
        progress: told one line per file.
        clock: gives the time of extraction; the machine's when left out.

    Raises:
        LandingError: the disk is full or a folder cannot be written; the file stays taken and
            is found again by the next run.
    """
    if not shop.inbox:
        return LandingResult()
    models = droppable_models()
    for source in {model.source for model in models.values()}:
        remove_debris(settings, source, shop.platform, shop.shop)
    landing = _InboxLanding(settings, shop, vault, run_id, window_date, clock or SystemClock())
    with landing_errors(settings.inbox_dir / shop.shop):
        for drop in take_drops(settings.inbox_dir, shop.shop, models):
            progress(landing.land(drop))
        strays = find_strays(settings.inbox_dir, shop.shop, models)
    for stray in strays:
        progress(f"not taken from the inbox: {stray}")
    return LandingResult(
        tuple(landing.batches.values()),
        frozenset(landing.known),
        failures=tuple(landing.failures),
        strays=tuple(strays),
    )


def files_refused_before(settings: Settings, shop: Shop, run_id: str, day: date) -> list[str]:
    """What an earlier attempt of this night refused as a whole and nobody has delivered since.

    The inbox no longer has it, so this attempt would say nothing of it; a line for each, with the
    reason. A file of the same name that landed on the night's date stands for it.
    """
    places = settings.quarantine_dir.glob(f"*/{shop.platform}/{shop.shop}/*/{day}/*{_REJECTED}")
    notes = [orjson.loads(path.read_bytes()) for path in sorted(places)]
    if not notes:
        return []
    landed = {
        (batch.stream, batch.origin)
        for batch in list_batches(settings)
        if (batch.shop, batch.window_date) == (shop.shop, day)
    }
    return [
        f"{shop.shop}/{note['stream']}/{note['file']} was refused in an earlier attempt and is "
        f"missing from this night: {note['reason']}"
        for note in notes
        if note["run_id"] == run_id and (note["stream"], note["file"]) not in landed
    ]


class _InboxLanding:
    def __init__(
        self,
        settings: Settings,
        shop: Shop,
        vault: Vault,
        run_id: str,
        window_date: date,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._shop = shop
        self._vault = vault
        self._run_id = run_id
        self._date = window_date
        self._clock = clock
        self._models = droppable_models()
        self.batches: dict[str, BatchManifest] = {}
        self.known: set[str] = set()
        self.failures: list[LandingFailure] = []

    def land(self, drop: Drop) -> str:
        """Land one taken file; a line of progress."""
        shop = self._shop
        sha256 = drop.sha256()
        source = self._models[drop.stream].source
        known = find_by_content(
            self._settings, shop.platform, shop.shop, drop.stream, source, sha256
        )
        if known is not None:
            drop.finish()
            self.batches[known.batch_id] = known
            self.known.add(known.batch_id)
            return f"{shop.shop}/{drop.stream} {drop.name}: landed before as {known.batch_id}"
        try:
            if drop.expected_sha256 not in ("", sha256):
                raise UnreadableFile("its SHA-256 is not the one in the .ok file")
            manifest = self._write(drop, sha256)
        except UnreadableFile as error:
            return self._reject(drop, sha256, error.reason)
        drop.finish()
        self.batches[manifest.batch_id] = manifest
        line = f"{shop.shop}/{drop.stream} {drop.name}: {manifest.record_count} records"
        if manifest.quarantined_count:
            line += f", {manifest.quarantined_count} quarantined"
        return line

    def _write(self, drop: Drop, sha256: str) -> BatchManifest:
        model = self._models[drop.stream]
        origin = Origin(drop.name, self._clock.now(), sha256=sha256)
        with BatchWriter(self._settings, self._place(drop), self._run_id) as writer:
            columns = ColumnLanding(writer, model, self._vault)
            for chunk in read_chunks(drop.path, drop.kind, model):
                columns.write(chunk.columns, chunk.lines)
                for line, record in chunk.defects:
                    quarantine_defect(writer, self._vault, line, record)
            return writer.commit(origin)

    def _place(self, drop: Drop) -> Place:
        shop = self._shop
        source = self._models[drop.stream].source
        return Place(source, shop.brand, shop.platform, shop.shop, drop.stream, self._date)

    def _reject(self, drop: Drop, sha256: str, reason: str) -> str:
        """Keep the file encrypted beside the quarantined records, with a note."""
        folder = self._settings.quarantine_dir / self._place(drop).folder
        name = batch_id_of(self._shop.shop, drop.stream, self._date, sha256)
        sealed = folder / f"{name}.sealed"
        folder.mkdir(parents=True, exist_ok=True)
        part = sealed.with_name(sealed.name + ".part")
        self._vault.seal_file(drop.path, part)
        part.replace(sealed)
        note = {
            "shop": self._shop.shop,
            "stream": drop.stream,
            "file": drop.name,
            "sha256": sha256,
            "reason": reason,
            "run_id": self._run_id,
            "sealed": sealed.name,
            "key_id": self._vault.key_id,
        }
        write_durably(folder / f"{name}{_REJECTED}", orjson.dumps(note) + b"\n")
        drop.finish()
        return self._fail(drop.stream, drop.name, reason)

    def _fail(self, stream: str, name: str, reason: str) -> str:
        place = f"{self._shop.shop}/{stream}/{name}"
        guide = drop_guide(self._models[stream].source)
        error = FileRefused(
            f"the file was refused as a whole: {reason}",
            where=place,
            next_step=f"deliver it again, complete and as {guide} says",
        )
        self.failures.append(LandingFailure(self._shop.shop, stream, name, error))
        return f"{place}: refused, {reason}"
