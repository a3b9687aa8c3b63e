"""Fields that log records carry beside their message: worker, recording, chunk, attempt, server.

`log_fields` sets them for all that a thread logs meanwhile, in whatever module; a single call
passes its own as `extra`. `--log-format json` writes them as keys.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import partial

_fields: ContextVar[Mapping[str, object]] = ContextVar("log_fields", default={})  # noqa: B039

PLAIN = {"is_plain": True}
"""`extra` of a worker's own lines, which people grep for; on a terminal they have no time."""


@contextmanager
def log_fields(**fields: object) -> Iterator[None]:
    """Add these fields to every record of this thread, until the block ends."""
    token = _fields.set({**_fields.get(), **fields})
    try:
        yield
    finally:
        _fields.reset(token)


def with_log_fields(target: Callable[[], None]) -> Callable[[], None]:
    """Return `target` with the present fields, for another thread to run."""
    return partial(copy_context().run, target)


def add_log_fields(record: logging.LogRecord) -> bool:
    """Copy the fields of `log_fields` into a record; a filter for a handler."""
    for name, value in _fields.get().items():
        record.__dict__.setdefault(name, value)
    return True
