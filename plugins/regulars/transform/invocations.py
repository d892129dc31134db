"""What dbt does again in every invocation of a process, though a night invokes it many times.

Both reach into dbt, whose version is locked; tests/dbt/test_invocations.py fails when it changes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from dbt.compilation import Compiler
from dbt.graph import Graph
from dbt_common.events.base_types import BaseEvent, EventLevel
from dbt_common.events.event_manager import EventManager
from dbt_common.events.event_manager_client import ctx_set_event_manager, get_event_manager

_LINKING = "compile"
"""The method of dbt's compiler that links a manifest."""
_linked: dict[tuple[int, bool], tuple[Any, Graph]] = {}
"""By manifest and whether checks hold back what comes after them; the manifest stays alive."""


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
    """Let this process's invocations make no messages of debug events."""
    if not isinstance(get_event_manager(), _LoggedEvents):
        ctx_set_event_manager(_LoggedEvents())


@contextmanager
def link_once() -> Iterator[None]:
    """Let the invocations of this block share the graph of a manifest, which none of them alters.

    Linking the models and what their checks hold back takes half a second an invocation. An inline
    query alters the manifest; whoever runs one does so outside.
    """
    original = Compiler.compile

    @wraps(original)
    def compile_once(
        compiler: Compiler, manifest: Any, write: bool = True, add_test_edges: bool = False
    ) -> Graph:
        key = (id(manifest), add_test_edges)
        if key not in _linked:
            _linked[key] = (manifest, original(compiler, manifest, write, add_test_edges))
        return _linked[key][1]

    setattr(Compiler, _LINKING, compile_once)
    try:
        yield
    finally:
        setattr(Compiler, _LINKING, original)
