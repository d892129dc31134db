"""config/shops.yml: the shops of this installation, with brand, platform, source, zone, currency.

Errors name the file and the line, because the file is edited by the people who run the shops.
"""

from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo, available_timezones

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from regulars.errors import ConfigError

Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Share = Annotated[float, Field(ge=0, le=1)]
ModelT = TypeVar("ModelT", bound=BaseModel)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Brand(_Model):
    """Identity, consent, caps, holdouts and base currency never cross a brand."""

    brand: Slug
    name: str
    base_currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]


class Shop(_Model):
    """One shop on one platform.

    Attributes:
        source: the API source of ``regulars.sources``; ``file`` for a shop that only drops files.
        api_from: first business date asked from the API; earlier history comes by file drop.
        streams: streams asked from the API; empty for the source's usual ones.
        overlap_minutes: minutes by which a window reaches back over the last one.
        margin_minutes: minutes that a window's end keeps from the source's present.
        resweep_every_days: every so many days the night asks again for what it has read, to find
            what a platform showed late; 0 never does.
        resweep_days: days back that it then asks again.
        quarantine_share: share (0..1) of a batch's records that may be quarantined before the
            run fails, for all streams.
        quarantine_shares: the same per stream, overriding ``quarantine_share``.
    """

    shop: Slug
    name: str
    brand: Slug
    platform: Slug
    source: Slug
    zone: str
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    first_date: date
    api_from: date | None = None
    connection: str | None = None
    streams: tuple[Slug, ...] = ()
    inbox: bool = True
    overlap_minutes: Annotated[int, Field(ge=0, le=7 * 24 * 60)] = 60
    margin_minutes: Annotated[int, Field(ge=0, le=24 * 60)] = 3
    resweep_every_days: Annotated[int, Field(ge=0, le=366)] = 7
    resweep_days: Annotated[int, Field(ge=1, le=366)] = 30
    quarantine_share: Share = 0.01
    quarantine_shares: dict[str, Share] = Field(default_factory=dict)

    @field_validator("zone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"{value!r} is not an IANA time zone")
        return value

    @model_validator(mode="after")
    def _api_needs_connection(self) -> "Shop":
        if self.source != "file" and not self.connection:
            raise ValueError(f"source {self.source!r} needs a connection")
        return self

    @property
    def tzinfo(self) -> ZoneInfo:
        """The shop's zone."""
        return ZoneInfo(self.zone)

    def day_start(self, day: date) -> datetime:
        """Instant (UTC) at which the shop's local ``day`` begins."""
        return datetime.combine(day, time(), self.tzinfo).astimezone(ZoneInfo("UTC"))

    def day_end(self, day: date) -> datetime:
        """Instant (UTC, exclusive) at which the shop's local ``day`` ends."""
        return self.day_start(day + timedelta(days=1))

    def allowed_quarantine_share(self, stream: str, default: float | None = None) -> float:
        """Share (0..1) of a batch of ``stream`` that may be quarantined.

        Args:
            stream: name of the stream.
            default: what its source allows where the shop does not name the stream.
        """
        general = self.quarantine_share if default is None else default
        return self.quarantine_shares.get(stream, general)


class ShopsFile(_Model):
    """The whole of config/shops.yml."""

    settle_minutes: Annotated[int, Field(ge=0, le=24 * 60)] = 120
    rfm_recalibrate_days: Annotated[int, Field(ge=1)] = 91
    brands: tuple[Brand, ...]
    shops: tuple[Shop, ...]

    @model_validator(mode="after")
    def _names_fit(self) -> "ShopsFile":
        brands = [brand.brand for brand in self.brands]
        codes = [shop.shop for shop in self.shops]
        for kind, names in (("brand", brands), ("shop", codes)):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{kind} {twice[0]!r} is listed twice")
        for shop in self.shops:
            if shop.brand not in brands:
                raise ValueError(f"shop {shop.shop!r} names the unknown brand {shop.brand!r}")
        return self

    def shop(self, code: str) -> Shop:
        """The shop with this code.

        Raises:
            ConfigError: no shop has it.
        """
        for shop in self.shops:
            if shop.shop == code:
                return shop
        known = ", ".join(shop.shop for shop in self.shops) or "none"
        raise ConfigError(
            f"there is no shop {code!r}",
            where="config/shops.yml",
            next_step=f"use one of the configured shops: {known}",
        )

    def night_opens_at(self, day: date) -> datetime:
        """Instant (UTC) from which night ``day`` may run: last shop's midnight + settle time."""
        if not self.shops:
            return datetime.combine(day + timedelta(days=1), time(), ZoneInfo("UTC"))
        last_midnight = max(shop.day_end(day) for shop in self.shops)
        return last_midnight + timedelta(minutes=self.settle_minutes)


def line_of(document: str, path: tuple[Any, ...]) -> int:
    """Line (from 1) at which the YAML node at ``path`` stands; the nearest parent's if absent."""
    node = yaml.compose(document, Loader=yaml.SafeLoader)
    line = 1
    for part in path:
        if isinstance(node, yaml.MappingNode):
            match = next((v for k, v in node.value if k.value == str(part)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            match = node.value[part] if part < len(node.value) else None
        else:
            match = None
        if match is None:
            break
        node = match
        line = node.start_mark.line + 1
    return line


def read_yaml_model(path: Path, model: type[ModelT]) -> ModelT:
    """Read one YAML file into ``model``.

    Raises:
        ConfigError: the file is missing, is no YAML, or does not fit; names file and line.
    """
    try:
        document = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"the file cannot be read: {error.strerror}",
            where=str(path),
            next_step="create it; docs/how-to/add-a-shop.md shows a complete one",
        ) from error
    try:
        return model.model_validate(yaml.safe_load(document) or {})
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise ConfigError(
            f"not valid YAML: {getattr(error, 'problem', error)}",
            where=f"{path}:{line}",
            next_step="correct the line",
        ) from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the document"
        raise ConfigError(
            f"{field}: {first['msg']}",
            where=f"{path}:{line_of(document, tuple(first['loc']))}",
            next_step="correct the entry",
        ) from error


def load_shops(path: Path) -> ShopsFile:
    """Read the list of shops, ``Settings.shops_path``.

    Raises:
        ConfigError: see :func:`read_yaml_model`.
    """
    return read_yaml_model(path, ShopsFile)
