"""The few types that sources, landing, warehouse and night hand to each other."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open span of modification time: ``start <= modified < end``, aware, UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError("a window needs aware instants")
        if self.end <= self.start:
            raise ValueError("a window ends after it starts")


@dataclass(frozen=True, slots=True)
class RawRecord:
    """One record as the source gave it.

    Attributes:
        payload: the record, native names; ids and amounts already text.
        position: where it stood: ``page 3, item 17`` or ``line 42``.
        defect: why the source could not even read it (it goes to quarantine), else None.
        is_final: asking again would find the same defect, as in a stored row; the window counts
            as read.
        key: what a defective record is called whenever it is asked for (``serviceId 42``); empty
            for a place in a list, where another record may stand the next time.
    """

    payload: Mapping[str, Any]
    position: str
    defect: str | None = None
    is_final: bool = False
    key: str = ""


@dataclass(frozen=True, slots=True)
class StoredIn:
    """Where the content of a compacted batch stands (docs/adr/0013-retention.md).

    Attributes:
        batch_id: the compacted batch that holds it.
        sha256: SHA-256 of that batch's whole uncompressed content.
        path: its data file, relative to the landing folder.
        members: how many batches stand in it.
        number: number of the member, from 1; its lines begin with it.
        frame: byte of the file at which the member's compressed frame begins.
        start: byte of the frame's uncompressed content at which the member begins.
        size: uncompressed bytes of the member.
    """

    batch_id: str
    sha256: str
    path: str
    members: int
    number: int
    frame: int
    start: int
    size: int


class BatchManifest(BaseModel):
    """What stands in one landed batch. Written after the data, so it marks the batch complete."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    batch_id: str
    source: str
    brand: str
    platform: str
    shop: str
    stream: str
    window_date: date
    window_start: datetime | None = None
    window_end: datetime | None = None
    path: str
    """Path of the data file, relative to the landing folder; where it was, for a compacted one."""
    sha256: str
    """SHA-256 of the uncompressed NDJSON content."""
    origin: str
    """``api``, or the name of the dropped file."""
    origin_sha256: str | None = None
    """SHA-256 of the dropped file."""
    record_count: int
    quarantined_count: int
    quarantine_reasons: dict[str, int] = {}
    unread_count: int = 0
    """Places of the window that the source could not read: the window is asked again."""
    given_up_count: int = 0
    """Places that could not be read when they were asked again either: quarantined for good."""
    unknown_fields: dict[str, int] = {}
    """Fields that the payload model does not know, with how many records carried them."""
    key_id: str | None = None
    """Id of the personal-data key that hashed this batch's contact fields."""
    extracted_at: datetime
    """When the batch was taken from the source (UTC); a tie-break, never business time."""
    code_version: str
    stored_in: StoredIn | None = Field(None, exclude=True)
    """Where a compacted batch's content stands now; never written into a manifest."""

    @property
    def data_path(self) -> str:
        """Path of the file that holds the content today, relative to the landing folder."""
        return self.stored_in.path if self.stored_in else self.path
