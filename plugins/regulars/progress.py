"""Progress of a night: one line per thing done, to the log and to whoever listens.

Lines carry counts, names and seconds, never a record's values.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_logger = logging.getLogger("regulars.night")
_listeners: list[Callable[[str], None]] = []


def report(line: str) -> None:
    """Tell everybody one line of progress."""
    _logger.info("%s", line)
    for listener in _listeners:
        listener(line)


@contextmanager
def listening(listener: Callable[[str], None]) -> Iterator[None]:
    """Hand every line to ``listener`` for the length of the ``with`` block."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
