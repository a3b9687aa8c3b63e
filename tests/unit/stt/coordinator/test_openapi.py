"""The OpenAPI schemas of the coordinator and of the whisper server."""

from pathlib import Path

import requests

from stt.coordinator.app import create_app
from stt.coordinator.context import Coordinator
from stt.store.database import Database
from tests.support.coordinator_app import settings_for
from tests.support.whisper_stand_in import running


def test_components_of_the_coordinator_are_not_called_after_modules(tmp_path: Path) -> None:
    with Database("mongodb://127.0.0.1:1", "unused") as database:
        app = create_app(Coordinator(database, settings_for(tmp_path)))
    assert names_of_modules(app.openapi()) == []


def test_components_of_the_whisper_server_are_not_called_after_modules() -> None:
    with running() as server:
        schema = requests.get(server.url + "/openapi.json", timeout=60).json()
    assert names_of_modules(schema) == []


def names_of_modules(schema: dict[str, dict[str, dict[str, object]]]) -> list[str]:
    """Components with a name that FastAPI makes if two models have the same: module__Model."""
    names = list(schema["components"]["schemas"])
    assert len(names) > 20
    return [name for name in names if "__" in name]
