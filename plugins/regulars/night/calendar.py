"""Which business date a night is for, and when it may run.

Date D is each shop's own local day D. The night of D may run once the last shop's day D has ended
and the settle time has passed. The schedule fires at that moment in the zone of that last shop, so
an interval of the schedule begins on D and its date there is D.
"""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from regulars.errors import NightError
from regulars.shops import ShopsFile

# Any day serves to find the shop whose midnight falls last: zones are compared, not dates.
_REFERENCE_DAY = date(2017, 1, 1)


def calendar_zone(shops: ShopsFile) -> ZoneInfo:
    """Zone of the shop whose midnight falls last; UTC without shops."""
    if not shops.shops:
        return ZoneInfo("UTC")
    return max(shops.shops, key=lambda shop: shop.day_end(_REFERENCE_DAY)).tzinfo


def night_cron(shops: ShopsFile) -> str:
    """Cron expression (in :func:`calendar_zone`) of the moment at which a night may run."""
    hours, minutes = divmod(shops.settle_minutes, 60)
    return f"{minutes} {hours % 24} * * *"


def business_date(interval_start: datetime, zone: ZoneInfo) -> date:
    """Business date of a schedule interval: the local date on which the interval begins."""
    return interval_start.astimezone(zone).date()


def next_business_date(
    shops: ShopsFile, last_completed: date | None, *, now: datetime, simulated: bool
) -> date:
    """The date of the night that comes next.

    Args:
        shops: the configured shops.
        last_completed: date of the last completed night, None before the first.
        now: the shops' present (UTC).
        simulated: True when the present is a sandbox's, which a night may move forward.

    Raises:
        NightError: that night may not run yet.
    """
    if last_completed is not None:
        day = last_completed + timedelta(days=1)
    elif simulated:
        day = max([shop.api_from or shop.first_date for shop in shops.shops] or [now.date()])
    else:
        day = latest_open_date(shops, now)
    if not simulated:
        require_open(shops, day, now)
    return day


def latest_open_date(shops: ShopsFile, now: datetime) -> date:
    """The latest date whose night may run at ``now``."""
    day = now.date() + timedelta(days=1)
    while shops.night_opens_at(day) > now:
        day -= timedelta(days=1)
    return day


def require_open(shops: ShopsFile, day: date, now: datetime) -> None:
    """Do nothing when night ``day`` may run at ``now``.

    Raises:
        NightError: it may not yet; says when.
    """
    opens_at = shops.night_opens_at(day)
    if now < opens_at:
        local = opens_at.astimezone(calendar_zone(shops))
        raise NightError(
            f"the night of {day} may not run before {local:%Y-%m-%d %H:%M %Z}",
            where="settle_minutes of config/shops.yml",
            next_step="run it then, or name an earlier DATE",
        )


def parse_date(text: str) -> date:
    """A date of the form 2017-10-01.

    Raises:
        NightError: it is none.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise NightError(
            f"{text!r} is not a date",
            where="DATE",
            next_step="write it as 2017-10-01",
        ) from None


def logical_date_of(shops: ShopsFile, day: date) -> datetime:
    """Logical date (UTC) of the scheduled run for business date ``day``."""
    zone = calendar_zone(shops)
    hours, minutes = divmod(shops.settle_minutes, 60)
    return datetime(day.year, day.month, day.day, hours % 24, minutes, tzinfo=zone).astimezone(UTC)
