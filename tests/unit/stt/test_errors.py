"""The tree of errors: exit codes, kinds, and the drawing at the top of the module."""

import inspect
import re

import pytest

from stt import errors
from stt.errors import (
    ChunkError,
    ConfigError,
    DatabaseUnavailable,
    KeyRejected,
    NodeRemoved,
    ServerBusy,
    ServersBroken,
    ServerUnavailable,
    SttError,
)

ALL = [
    error
    for _, error in inspect.getmembers(errors, inspect.isclass)
    if issubclass(error, SttError) and error.__module__ == errors.__name__
]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SttError, 1), (ConfigError, 3), (KeyRejected, 3), (NodeRemoved, 3),
        (DatabaseUnavailable, 4), (ServerUnavailable, 5), (ServerBusy, 5), (ServersBroken, 5),
        (ChunkError, 1),
    ],
)  # fmt: skip
def test_each_family_has_its_exit_code(error: type[SttError], code: int) -> None:
    assert error.exit_code == code


def test_what_is_charged_to_a_chunk_has_a_kind_of_its_own() -> None:
    charged = [error for error in ALL if issubclass(error, ChunkError)]
    kinds = [error.kind for error in charged]
    assert len(set(kinds)) == len(kinds) > 4
    assert all(re.fullmatch("[a-z_]+", kind) for kind in kinds)


def test_the_drawing_has_every_error_under_its_base() -> None:
    assert errors.__doc__ is not None
    drawn: list[tuple[int, str]] = []
    for line in errors.__doc__.splitlines():
        if found := re.match(r"^([│├└─ ]*)([A-Z]\w+) ", line):
            depth = len(found[1]) // 4
            drawn.append((depth, found[2]))
    bases: dict[str, str] = {}
    path: list[str] = []
    for depth, name in drawn:
        path[depth:] = [name]
        if depth:
            bases[name] = path[depth - 1]
    actual = {error.__name__: error.__bases__[0].__name__ for error in ALL if error is not SttError}
    assert bases == actual
