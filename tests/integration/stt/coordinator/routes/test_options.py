"""Options of the whole fleet over HTTP."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.coordinator_app import CoordinatorThread, KeyedSession


@pytest.fixture(autouse=True)
def _put_back(person: KeyedSession) -> Iterator[None]:
    yield
    person.patch("/api/options", json={"heartbeat_seconds": None, "distributed": None})


def option(person: KeyedSession, name: str) -> dict[str, Any]:
    [found] = [o for o in person.get("/api/options").json()["options"] if o["name"] == name]
    return dict(found)


def test_a_changed_option_says_where_it_comes_from_and_null_puts_it_back(
    person: KeyedSession,
) -> None:
    before = option(person, "heartbeat_seconds")
    assert before["source"] == "default"
    answer = person.patch("/api/options", json={"heartbeat_seconds": 12})
    assert answer.status_code == 200
    assert answer.json() == person.get("/api/options").json()
    changed = option(person, "heartbeat_seconds")
    assert (changed["value"], changed["source"]) == (12, "database")
    person.patch("/api/options", json={"heartbeat_seconds": None})
    assert option(person, "heartbeat_seconds") == before


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"nothing": 1}, "configuration"),
        ({"heartbeat_seconds": 0.1}, "configuration"),
        ({"distributed": [1]}, "invalid"),
        ({f"o{n}": 1 for n in range(51)}, "invalid"),
    ],
    ids=["unknown", "out of bounds", "no value", "too many"],
)
def test_a_change_that_makes_no_sense_changes_nothing(
    person: KeyedSession, change: dict[str, object], code: str
) -> None:
    before = person.get("/api/options").json()
    answer = person.patch("/api/options", json={"distributed": False} | change)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, code)
    assert person.get("/api/options").json() == before


def test_options_are_for_people(coordinator: CoordinatorThread) -> None:
    _, key = coordinator.join()
    with coordinator.node(key) as node:
        assert node.get("/api/options").status_code == 403
        assert node.patch("/api/options", json={"distributed": False}).status_code == 403
