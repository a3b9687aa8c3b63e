"""Options of the fleet: environment over database over default, and what may be stored."""

from collections.abc import Iterator
from typing import Any

import pytest

from stt.coordinator.store.options import OptionLocked, StoredOptions
from stt.errors import ConfigError
from stt.settings import Settings
from stt.store.database import Database
from tests.support.coordinator_app import CoordinatorThread, running_coordinator


@pytest.fixture
def stored(database: Database) -> StoredOptions:
    return StoredOptions(database, Settings())


@pytest.fixture(scope="module")
def coordinator(mongo_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with (
        Database(mongo_url, "stt_test_options") as database,
        running_coordinator(database, tmp_path_factory.mktemp("data"), max_upload_mb=7) as running,
    ):
        yield running


def test_the_defaults_are_those_of_the_settings(stored: StoredOptions) -> None:
    assert stored.current() == Settings()
    assert {option.source for option in stored.all()} == {"default"}


def test_a_stored_value_holds_for_every_coordinator_until_it_is_put_back(
    database: Database, stored: StoredOptions
) -> None:
    stored.change({"heartbeat_seconds": 10, "default_language": "de"})
    elsewhere = StoredOptions(database, Settings())
    assert (elsewhere.current().heartbeat_seconds, elsewhere.current().default_language) == (
        10,
        "de",
    )
    assert {o.name for o in elsewhere.all() if o.source == "database"} == {
        "heartbeat_seconds",
        "default_language",
    }
    stored.change({"heartbeat_seconds": None, "default_language": None})
    assert StoredOptions(database, Settings()).current() == Settings()


def test_an_empty_text_puts_an_option_back(stored: StoredOptions) -> None:
    stored.change({"default_language": "German", "default_model": "tiny"})
    stored.change({"default_language": "", "default_model": ""})
    assert stored.current() == Settings()
    with pytest.raises(ConfigError):
        stored.change({"heartbeat_seconds": ""})


def test_an_option_with_few_values_lists_them(stored: StoredOptions) -> None:
    choices = {option.name: option.choices for option in stored.all() if option.choices}
    assert choices == {"default_task": ("transcribe", "translate")}


def test_the_environment_wins_and_locks(
    database: Database, stored: StoredOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored.change({"chunk_timeout_seconds": 100})
    monkeypatch.setenv("CHUNK_TIMEOUT", "900")
    locked = StoredOptions(database, Settings())
    (option,) = (o for o in locked.all() if o.name == "chunk_timeout_seconds")
    assert (option.value, option.source, option.is_locked, option.variable) == (
        900,
        "environment",
        True,
        "CHUNK_TIMEOUT",
    )
    with pytest.raises(OptionLocked, match="CHUNK_TIMEOUT"):
        locked.change({"chunk_timeout_seconds": 5})


@pytest.mark.parametrize(
    "change",
    [
        {"nothing": 1},
        {"people_key": "x"},
        {"distributed": "yes"},
        {"distributed": 1},
        {"max_upload_mb": 0},
        {"max_upload_mb": True},
        {"max_upload_mb": 1.5},
        {"heartbeat_seconds": 0.5},
        {"heartbeat_seconds": float("nan")},
        {"heartbeat_seconds": 90},  # longer than offline_seconds
        {"offline_seconds": 20},
        {"default_language": "<b>"},
        {"default_language": "klingon"},
        {"default_model": "two words"},
        {"default_task": "sing"},
        {"default_priority": 10**12},
    ],
    ids=str,
)
def test_a_value_that_makes_no_sense_is_refused_and_so_is_what_came_with_it(
    stored: StoredOptions, change: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError):
        stored.change({"join_code_minutes": 5, **change})
    assert stored.current() == Settings()


def test_what_somebody_wrote_by_hand_counts_only_if_it_is_valid(
    database: Database, stored: StoredOptions
) -> None:
    database.options.insert_many(
        [
            {"_id": "heartbeat_seconds", "value": "often"},
            {"_id": "offline_seconds"},
            {"_id": "max_upload_mb", "value": 5},
        ]
    )
    assert stored.current() == Settings(max_upload_mb=5)


def test_the_page_changes_options_and_sees_where_they_come_from(
    coordinator: CoordinatorThread,
) -> None:
    with coordinator.person() as person:
        changed = person.patch("/api/options", json={"distributed": False}).json()["options"]
        by_name = {option["name"]: option for option in changed}
        assert by_name["distributed"]["value"] is False
        assert by_name["distributed"]["source"] == "database"
        assert by_name["max_upload_mb"]["is_locked"]
        assert person.patch("/api/options", json={"max_upload_mb": 9}).status_code == 409
        wrongs: list[Any] = [
            {"distributed": "no"},
            {"nothing": 1},
            {"heartbeat_seconds": [1]},
            [],
            None,
        ]
        for wrong in wrongs:
            assert person.patch("/api/options", json=wrong).status_code == 422, wrong
        for raw in ('{"heartbeat_seconds": NaN}', '{"heartbeat_seconds": 1e999}', "{", ""):
            json = {"Content-Type": "application/json"}
            assert person.patch("/api/options", data=raw, headers=json).status_code == 422, raw
        assert person.patch("/api/options", json={"distributed": None}).status_code == 200
        assert coordinator.coordinator.options.distributed is True
