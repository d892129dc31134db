"""Erasure requests as files: how a contact reaches the scheduler without being written down.

What a DAG is started with stands in the scheduler's database, in its logs and on its pages. So a
contact is handed over as a file in ``data/requests/``, which is read once and destroyed.
"""

import os
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from regulars.errors import ErasureError
from regulars.night.erasure import Eraser, Given, Outcome
from regulars.settings import Settings

Texts = Annotated[tuple[str, ...], Field(default=())]


class ErasureRequest(BaseModel):
    """``data/requests/<name>.yml``.

    Attributes:
        request: reference of the request; no personal data.
        phone, email: the contact.
        buyer_id, order_id: as SHOP:ID.
        member_key, customer_key: keys.
        erase_all: erase every customer that is found, where there are several.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    request: Annotated[str, Field(min_length=1)]
    phone: str = Field("", repr=False)
    email: str = Field("", repr=False)
    buyer_id: Texts
    order_id: Texts
    member_key: Texts
    customer_key: Texts
    erase_all: bool = False

    @property
    def given(self) -> tuple[Given, ...]:
        """Everything that the person is known by."""
        contacts = (("phone", self.phone), ("email", self.email))
        keys = ("buyer_id", "order_id", "member_key", "customer_key")
        return (
            *(Given(kind, value) for kind, value in contacts if value),
            *(Given(kind, value) for kind in keys for value in getattr(self, kind)),
        )


def erase_by_file(eraser: Eraser, settings: Settings, name: str) -> Outcome:
    """Erase whoever the file ``data/requests/<name>`` names, and destroy the file.

    It is destroyed as well when nobody is known by it or when it cannot be used: a contact must not
    lie about until somebody corrects it. It stays when a night runs or a place is out of reach, so
    that a repetition finds it.

    Raises:
        ErasureError: there is no such file, it cannot be used, or several customers were found and
            ``erase_all`` is not set.
        RegularsError: the erasure could not be done now.
    """
    path = settings.requests_dir / name
    if Path(name).name != name or not path.is_file():
        raise ErasureError(
            "there is no such request",
            where="data/requests",
            next_step="put the file there and give its name alone, without a folder",
        )
    try:
        wanted = _read(path)
        outcome = eraser.erase(
            wanted.given,
            request=wanted.request,
            confirm=lambda person: wanted.erase_all or len(person.customers) <= 1,
        )
    except ErasureError:
        destroy(path)
        raise
    destroy(path)
    return outcome


def _read(path: Path) -> ErasureRequest:
    where = f"data/requests/{path.name}"
    next_step = "write it anew as docs/how-to/erase-a-person.md says; this one was destroyed"
    try:
        found = ErasureRequest.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        field = ".".join(str(part) for part in error.errors(include_input=False)[0]["loc"])
        raise ErasureError(
            f"the request cannot be read: {field or 'it is no mapping'}",
            where=where,
            next_step=next_step,
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError):
        # A parser's message shows the text around the place.
        raise ErasureError("the request is no YAML", where=where, next_step=next_step) from None
    if not found.given:
        raise ErasureError("the request names nobody", where=where, next_step=next_step)
    return found


def destroy(path: Path) -> None:
    """Overwrite a file, as far as the disk does what it is told, and remove it."""
    with path.open("r+b") as file:
        file.write(b"\0" * path.stat().st_size)
        file.flush()
        os.fsync(file.fileno())
    path.unlink()
