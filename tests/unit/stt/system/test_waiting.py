"""What a process waits for, shown if there is a terminal."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

import pytest

from stt.system import waiting as module
from stt.system.waiting import Describe, show_with, waited_for, waiting


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_waiting", module._Waiting())


def test_it_is_known_inside_and_not_outside_also_after_an_error() -> None:
    assert waited_for() == ""
    with suppress(KeyError), waiting(lambda: "the model loads") as is_shown:
        assert not is_shown
        assert waited_for() == "the model loads"
        raise KeyError
    assert waited_for() == ""


def test_whoever_can_show_it_shows_it_for_as_long_as_it_lasts() -> None:
    seen: list[str] = []

    @contextmanager
    def drawn(describe: Describe) -> Iterator[None]:
        seen.append(describe())
        yield
        seen.append("gone")

    def show(describe: Describe) -> AbstractContextManager[object] | None:
        return drawn(describe)

    show_with(show)
    with waiting(lambda: "the model loads") as is_shown:
        assert is_shown
        assert seen == ["the model loads"]
    assert seen[-1] == "gone"
