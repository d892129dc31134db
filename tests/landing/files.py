"""What lies in a data folder, for assertions."""

from pathlib import Path
from typing import Any

import orjson
import zstandard

from regulars.records import BatchManifest
from regulars.settings import Settings


def drop(settings: Settings, stream: str, name: str, text: str | bytes) -> Path:
    """Put a file into the demo shop's inbox."""
    path = settings.inbox_dir / "demo_grocer" / stream / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def quarantined(settings: Settings, batch: BatchManifest) -> list[dict[str, Any]]:
    """Records that a batch put aside."""
    path = settings.quarantine_dir / batch.path
    with path.open("rb") as file:
        plain = zstandard.ZstdDecompressor().stream_reader(file).read()
    return [orjson.loads(line) for line in plain.splitlines()]


def files_below(folder: Path) -> list[str]:
    """Every file below a folder, relative, sorted."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def readable_bytes(folder: Path) -> bytes:
    """All that could be read below a folder, compressed files opened."""
    parts: list[bytes] = []
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            parts.append(data)
            if path.suffix == ".zst":
                parts.append(zstandard.ZstdDecompressor().stream_reader(data).read())
    return b"\n".join(parts)
