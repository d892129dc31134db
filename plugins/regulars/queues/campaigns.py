"""config/campaigns/*.yml and config/sending.yml: what is sent to whom, when, and what may be said.

Errors name the file and the line, because the files are edited by the people who run the shops.
"""

from collections.abc import Collection, Sequence
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from regulars.errors import ConfigError
from regulars.queues.sms import Severity, lint_sms
from regulars.shops import Slug, line_of, read_yaml_model


def _as_time(value: Any) -> Any:
    """``"08:00"``; YAML reads an unquoted 08:00 as a number, which would be another time."""
    if not isinstance(value, str) or len(value) != len("HH:MM"):
        raise ValueError('a time is written "HH:MM", in quotes')
    return time.fromisoformat(value)


def _as_decimal(value: Any) -> Any:
    """YAML's 5.00 arrives as a float; its shortest text is the number that was written."""
    return str(value) if isinstance(value, float) else value


LocalTime = Annotated[time, BeforeValidator(_as_time)]
Yuan = Annotated[
    Decimal, BeforeValidator(_as_decimal), Field(ge=0, max_digits=18, decimal_places=2)
]
Share = Annotated[Decimal, BeforeValidator(_as_decimal), Field(ge=0, le=1, decimal_places=4)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SendingHours(_Model):
    """config/sending.yml: local times of each shop's own zone.

    Attributes:
        marketing_opens: first minute at which marketing may be sent.
        marketing_closes: first minute at which it may not any more.
        slots: times a delayed message moves to, ascending, within the open hours.
        forbidden_words: words that no template may hold.
    """

    marketing_opens: LocalTime
    marketing_closes: LocalTime
    slots: Annotated[tuple[LocalTime, ...], Field(min_length=1)]
    forbidden_words: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _slots_are_open(self) -> "SendingHours":
        if list(self.slots) != sorted(set(self.slots)):
            raise ValueError("slots must ascend")
        if not all(self.marketing_opens <= slot < self.marketing_closes for slot in self.slots):
            raise ValueError("every slot must lie within the open hours")
        return self

    def warehouse_row(self) -> dict[str, str]:
        """The row of ``config.sending_hours``, by which messages are planned; texts ``HH:MM``."""
        return {
            "opens": f"{self.marketing_opens:%H:%M}",
            "closes": f"{self.marketing_closes:%H:%M}",
            "first_slot": f"{self.slots[0]:%H:%M}",
        }


class Campaign(_Model):
    """One file of config/campaigns: one row of ``config.campaigns`` in the warehouse.

    Attributes:
        kind: ``triggered`` (once per occasion) or ``one_off`` (once per wave).
        purpose: ``marketing`` is capped and keeps hours, ``service`` is exempt.
        audience: the activation model that proposes it.
        salt: of the holdout draw.
        holdout_share: share (0..1) of the audience that gets nothing.
        start_date, end_date: first and last business date that may propose it.
        send_at_local: planned time in the shop's zone.
        trigger_day: days from the trigger to the message; None when the trigger is a stage.
        catch_up_days: days after the occasion's own one on which it may still be sent.
        cooldown_days: days after an order without promotion.
        coupon_amount: in the brand's base currency.
        priority: order at the exit, lower first.
        template: name of the text in config/templates.
        monitor_days: days from the planned time in which its effect is read.
    """

    campaign: Slug
    name: str
    kind: Literal["triggered", "one_off"]
    channel: Literal["sms"]
    purpose: Literal["marketing", "service"]
    audience: Slug
    salt: Annotated[str, Field(min_length=1)]
    holdout_share: Share
    start_date: date
    end_date: date
    send_at_local: LocalTime
    trigger_day: Annotated[int, Field(ge=0)] | None
    catch_up_days: Annotated[int, Field(ge=0)]
    cooldown_days: Annotated[int, Field(ge=0)]
    coupon_code: str | None
    coupon_amount: Yuan | None
    priority: int
    template: Slug
    monitor_days: Annotated[int, Field(ge=1)]
    is_active: bool
    brand: Slug

    @model_validator(mode="after")
    def _fits_together(self) -> "Campaign":
        if self.end_date < self.start_date:
            raise ValueError("end_date lies before start_date")
        if (self.coupon_code is None) != (self.coupon_amount is None):
            raise ValueError("coupon_code and coupon_amount stand together or not at all")
        return self

    def template_values(self) -> dict[str, str]:
        """Values that fill in the template's variables."""
        values = {"coupon_code": self.coupon_code}
        if self.coupon_amount is not None:
            # 5 yuan reads 5, not 5.00.
            values["coupon_amount"] = f"{self.coupon_amount:.2f}".removesuffix(".00")
        return {name: value for name, value in values.items() if value is not None}

    def warehouse_row(self) -> dict[str, Any]:
        """The row of ``config.campaigns``: ``send_at_local`` as text ``HH:MM``, amounts decimal."""
        return {**self.model_dump(), "send_at_local": f"{self.send_at_local:%H:%M}"}


def load_sending_hours(config_dir: Path) -> SendingHours:
    """Read ``config_dir/sending.yml``.

    Raises:
        ConfigError: the file is missing or does not fit; names file and line.
    """
    return read_yaml_model(config_dir / "sending.yml", SendingHours)


def queue_models(dbt_project_dir: Path) -> frozenset[str]:
    """Names of the activation models, ``queue_<channel>__<audience>``."""
    folder = dbt_project_dir / "models" / "activation"
    return frozenset(path.stem for path in folder.glob("queue_*.sql"))


def load_campaigns(
    config_dir: Path, brands: Collection[str], models: Collection[str]
) -> tuple[Campaign, ...]:
    """Read every file of ``config_dir/campaigns``, sorted by priority and code.

    The texts of SMS campaigns are checked, too.

    Args:
        config_dir: folder with campaigns/, templates/ and sending.yml.
        brands: the brands of config/shops.yml.
        models: the activation models, one of which must propose each campaign's audience.

    Raises:
        ConfigError: a file does not fit, a brand or an audience is unknown, or a text may not be
            sent; names file and line.
    """
    words = load_sending_hours(config_dir).forbidden_words
    campaigns = []
    for path in sorted((config_dir / "campaigns").glob("*.yml")):
        campaign = read_yaml_model(path, Campaign)
        if campaign.campaign != path.stem:
            raise _wrong(path, "campaign", f"the file is called {path.stem}")
        if campaign.brand not in brands:
            known = ", ".join(sorted(brands)) or "none"
            raise _wrong(path, "brand", f"there is no such brand, only {known}")
        _check_audience(path, campaign, models)
        _check_text(config_dir, path, campaign, words)
        campaigns.append(campaign)
    return tuple(sorted(campaigns, key=lambda campaign: (campaign.priority, campaign.campaign)))


def _wrong(path: Path, field: str, message: str) -> ConfigError:
    line = line_of(path.read_text(encoding="utf-8"), (field,))
    return ConfigError(f"{field}: {message}", where=f"{path}:{line}", next_step="correct the entry")


def _check_audience(path: Path, campaign: Campaign, models: Collection[str]) -> None:
    """A campaign that no model proposes would be silent for ever, and nobody would notice."""
    prefix = f"queue_{campaign.channel}__"
    if prefix + campaign.audience in models:
        return
    known = sorted(name.removeprefix(prefix) for name in models if name.startswith(prefix))
    raise _wrong(
        path,
        "audience",
        f"no model {prefix}{campaign.audience} proposes it, only {', '.join(known) or 'none'}",
    )


def _check_text(
    config_dir: Path, path: Path, campaign: Campaign, forbidden_words: Sequence[str]
) -> None:
    text_path = config_dir / "templates" / f"{campaign.template}.txt"
    try:
        text = text_path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise _wrong(path, "template", f"{text_path} cannot be read as UTF-8") from None
    errors = [
        finding
        for finding in lint_sms(text, campaign.template_values(), forbidden_words)
        if finding.severity is Severity.ERROR
    ]
    if errors:
        raise ConfigError(
            f"the text may not be sent: {errors[0].message}",
            where=f"{text_path}:1",
            next_step="correct the text",
        )
