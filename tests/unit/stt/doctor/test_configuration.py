"""Settings that are wrong, and names that look like one."""

from pathlib import Path

import pytest

from stt.doctor import configuration
from stt.doctor.configuration import (
    has_secrets,
    misspelled,
    name_findings,
    secrets_of,
    usable_settings,
)
from stt.settings import Settings, load_settings, variable_of
from whisper_server import settings as server_settings


@pytest.fixture(autouse=True)
def _folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("STT_SERVER_URLS", "STT_SERVER_URL"),
        ("STT_SERVR_URL", "STT_SERVER_URL"),
        ("MONGO_URI", "MONGO_URL"),
        ("MONGODB_URI", "MONGO_URL"),
        ("DATABASE", "DATABASE_NAME"),
        ("LEASE_SECOND", "LEASE_SECONDS"),
        ("NODE_MAX_MINUTE", "NODE_MAX_MINUTES"),
        ("stt_api_kye", "STT_API_KEY"),
        ("STT_SOMETHING_ELSE", None),
    ],
)
def test_a_name_that_resembles_a_setting_is_found(name: str, meant: str | None) -> None:
    assert misspelled([name]) == {name: meant}


def test_names_of_settings_and_of_other_programs_are_let_be() -> None:
    ours = [variable_of(name) for name in Settings.model_fields]
    fields = [name.upper() for name in Settings.model_fields]
    servers = [server_settings.variable_of(name) for name in server_settings.Settings.model_fields]
    others = ["PATH", "NODE_ENV", "NODE_OPTIONS", "NODE_PATH", "LANG", "MONGOSH_VERSION", "API_KEY"]
    assert misspelled([*ours, *fields, *servers, *others, "lease_seconds"]) == {}


def test_names_are_looked_for_in_the_environment_and_in_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STT_SERVER_URLS", "http://gpu")
    monkeypatch.setenv("LEASE_SECONDS", "60")
    (tmp_path / ".env").write_text("MONGO_URI=mongodb://ann:hunter2@db\n")
    *warnings, last = name_findings()
    assert [(w.state, w.message, w.advice) for w in warnings] == [
        ("warning", "STT_SERVER_URLS is no setting", "Did you mean STT_SERVER_URL?"),
        ("warning", "MONGO_URI in .env is no setting", "Did you mean MONGO_URL?"),
    ]
    assert last.state == "ok"
    assert "hunter2" not in repr(warnings)


def test_wrong_settings_are_a_problem_and_the_others_are_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LEASE_SECONDS", "soon")
    monkeypatch.setenv("NODE_LIMIT", "-1")
    monkeypatch.setenv("DATABASE_NAME", "other")
    settings, [problem] = usable_settings({"server_urls": ("gpu",), "model": "tiny.en"})
    assert (problem.state, problem.exit_code) == ("problem", 3)
    assert all(n in problem.message for n in ("LEASE_SECONDS", "NODE_LIMIT", "STT_SERVER_URL"))
    assert (settings.lease_seconds, settings.limit, settings.server_urls) == (300, None, ())
    assert (settings.database_name, settings.model) == ("other", "tiny.en")


def test_right_settings_are_no_finding() -> None:
    assert usable_settings({"database_name": "x"})[1] == []


def test_a_file_with_keys_is_known_by_its_names(tmp_path: Path) -> None:
    assert not has_secrets(configuration.DOTENV)
    (tmp_path / ".env").write_text("LEASE_SECONDS=60\n")
    assert not has_secrets(configuration.DOTENV)
    (tmp_path / ".env").write_text("stt_api_key=x\n")
    assert has_secrets(configuration.DOTENV)


def test_all_secrets_are_known() -> None:
    settings = load_settings(
        mongo_url="mongodb://ann:p%40ss@db/?x=1", api_key="the-api-key", join_code="JOIN"
    )
    assert {"p%40ss", "the-api-key", "JOIN"} <= secrets_of(settings)
