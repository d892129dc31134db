"""What can be made to go wrong with the Shopify shop; nothing of it happens by itself."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from regulars.sandbox.faults import HttpError, Slow


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ShopifyEdit(_Model):
    """Changes objects on their way out, whatever the book says.

    Attributes:
        gid: global id of the object concerned; None for every order.
        set: members to set, for example an unknown status or a member that nobody knows.
        drop: members to leave out.
    """

    gid: str | None = None
    set: dict[str, Any] = Field(default_factory=dict)
    drop: list[str] = Field(default_factory=list)


class ShopifyThrottle(_Model):
    """The next calls are refused as THROTTLED, with HTTP ``status``."""

    calls: int = Field(1, ge=0)
    status: Literal[200, 429] = 200


class ShopifyFaults(_Model):
    """All faults. Numbers are calls left; a finished fault is 0 or has 0 calls.

    Attributes:
        truncate, html: answers cut in the middle, answers that are a web page.
        token_expired: calls refused with HTTP 401.
        internal_error: calls refused with INTERNAL_SERVER_ERROR.
        poisoned: global ids of objects that make every query reading them fail.
        touch_after_page: orders to modify after each list answer (no countdown).
        tick_seconds: seconds by which the clock moves after each list answer (no countdown).
        position_cursors: cursors are positions in the list instead of keys (no countdown).
        ignored_filters: filters that the search ignores with a warning (no countdown).
        protected_data: customer data is refused as to an app without approval (no countdown).
        served_version: version that answers name, whatever was asked for.
        bulk_busy: starts of bulk operations that are refused because others run.
        bulk_failed: bulk operations that fail with ``bulk_error`` and a partial file.
        bulk_cut: files of bulk operations that are cut short.
        bulk_url_expired: downloads that are refused because the address has expired.
        bulk_loses: orders that the file of a bulk operation leaves out (no countdown).
        edits: see :class:`ShopifyEdit`; they stay until the faults are replaced.
    """

    throttle: ShopifyThrottle | None = None
    http_error: HttpError | None = None
    slow: Slow | None = None
    truncate: int = Field(0, ge=0)
    html: int = Field(0, ge=0)
    token_expired: int = Field(0, ge=0)
    internal_error: int = Field(0, ge=0)
    poisoned: list[str] = Field(default_factory=list)
    touch_after_page: int = Field(0, ge=0)
    tick_seconds: int = Field(0, ge=0)
    position_cursors: bool = False
    ignored_filters: list[str] = Field(default_factory=list)
    protected_data: bool = False
    served_version: str | None = None
    bulk_busy: int = Field(0, ge=0)
    bulk_failed: int = Field(0, ge=0)
    bulk_error: Literal["INTERNAL_SERVER_ERROR", "TIMEOUT", "ACCESS_DENIED"] = "TIMEOUT"
    bulk_cut: int = Field(0, ge=0)
    bulk_url_expired: int = Field(0, ge=0)
    bulk_loses: int = Field(0, ge=0)
    edits: list[ShopifyEdit] = Field(default_factory=list)

    def take(self, name: str) -> bool:
        """Use up one call of a counted fault; False when none is left."""
        left: int = getattr(self, name)
        if left > 0:
            setattr(self, name, left - 1)
        return left > 0


def take_throttle(fault: ShopifyThrottle | None) -> bool:
    """Use up one call of a throttle; False when it is not set or none is left."""
    if fault is None or fault.calls <= 0:
        return False
    fault.calls -= 1
    return True


def edited(value: Any, edits: list[ShopifyEdit]) -> None:
    """Apply the edits to every object with an id in an answer, in place."""
    if isinstance(value, list):
        for one in value:
            edited(one, edits)
    elif isinstance(value, dict):
        for inner in list(value.values()):
            edited(inner, edits)
        gid = value.get("id")
        is_order = str(gid).startswith("gid://shopify/Order/")
        for edit in edits:
            if gid is not None and (edit.gid == gid or (edit.gid is None and is_order)):
                value.update(edit.set)
                for name in edit.drop:
                    value.pop(name, None)
