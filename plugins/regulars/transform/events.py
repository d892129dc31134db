"""dbt's own events, of which a night reads only what its log keeps."""

from typing import Any

from dbt_common.events.base_types import BaseEvent, EventLevel
from dbt_common.events.event_manager import EventManager
from dbt_common.events.event_manager_client import ctx_set_event_manager, get_event_manager


class _LoggedEvents(EventManager):
    """Leaves out events below ``info``, which no log of ours holds.

    dbt makes a message and a line of text of each of them, several for every statement, before it
    looks at the level: a fifth of its own time.
    """

    def fire_event(
        self,
        e: BaseEvent,
        level: EventLevel | None = None,
        node: Any = None,
        force_warn_or_error_handling: bool = False,
    ) -> None:
        """Pass on what is at least an information."""
        if (level or e.level_tag()) is not EventLevel.DEBUG or force_warn_or_error_handling:
            super().fire_event(e, level, node, force_warn_or_error_handling)


def leave_out_debug_events() -> None:
    """Let this process's dbt invocations make no messages of debug events."""
    if not isinstance(get_event_manager(), _LoggedEvents):
        ctx_set_event_manager(_LoggedEvents())
