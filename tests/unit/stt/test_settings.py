"""Where settings come from, which wins, and what a wrong one says."""

from pathlib import Path

import pytest

from stt.errors import ConfigError
from stt.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("MONGO_URL", "STT_SERVER_URL", "STT_API_KEY", "MAX_PARALLEL_WORKERS"):
        monkeypatch.delenv(name, raising=False)


def test_nothing_set_gives_the_defaults_of_the_readme() -> None:
    settings = load_settings()
    assert settings.mongo_url is None
    assert settings.server_urls == ()
    assert settings.parallel_limit == 4
    assert settings.lease_seconds == 300
    assert settings.max_attempts == 3


def test_the_environment_wins_over_the_file_and_a_flag_over_both(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("MAX_ATTEMPTS=7\nLEASE_SECONDS=70\nDATABASE_NAME=filed\n")
    monkeypatch.setenv("LEASE_SECONDS", "80")
    monkeypatch.setenv("DATABASE_NAME", "set")
    settings = load_settings(database_name="flagged")
    assert (settings.max_attempts, settings.lease_seconds) == (7, 80)
    assert settings.database_name == "flagged"


def test_several_servers_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STT_SERVER_URL", "http://a:8081/, http://b:8081")
    assert load_settings().server_urls == ("http://a:8081", "http://b:8081")


def test_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USE_PARALLEL_TRANSCRIPTION", "false")
    monkeypatch.setenv("MAX_PARALLEL_WORKERS", "8")
    assert load_settings().parallel_limit == 1


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_PARALLEL_WORKERS", "")
    assert load_settings().parallel_limit == 4


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_PARALLEL_WORKERS", "0"),
        ("LEASE_SECONDS", "soon"),
        ("STT_SERVER_URL", "gpu-box:8081"),
        ("CHUNK_TIMEOUT", "-1"),
        ("STT_LOG_FORMAT", "xml"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=name) as wrong:
        load_settings()
    assert wrong.value.exit_code == 3


@pytest.mark.parametrize("value", ["inf", "nan", "1e10"])
@pytest.mark.parametrize(
    ("flag", "name"),
    [
        (f, str(field.validation_alias or f).upper())
        for f, field in Settings.model_fields.items()
        if field.annotation in (float, float | None, int, int | None)
    ],
)
def test_a_number_that_no_clock_can_take_is_refused(
    monkeypatch: pytest.MonkeyPatch, flag: str, name: str, value: str
) -> None:
    with pytest.raises(ConfigError, match=rf"--[a-z-]+ \({name}\): Input should be"):
        load_settings(**{flag: float(value)})
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=rf"Wrong setting\. {name}: Input should be"):
        load_settings()


def test_what_is_wrong_is_said_in_our_own_words() -> None:
    with pytest.raises(ConfigError) as wrong:
        load_settings(server_urls=("gpu-box",))
    assert str(wrong.value) == (
        "Wrong setting. --server (STT_SERVER_URL): 'gpu-box' is not a URL: write http://HOST:PORT"
    )


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STT_API_KEY", "hush")
    monkeypatch.setenv("MONGO_URL", "mongodb://me:hush@db")
    assert "hush" not in repr(load_settings())


@pytest.mark.parametrize("url", ["http://gpu-box:8081/?key=hush", "http://gpu-box:8081/#hush"])
def test_a_key_in_the_servers_url_is_refused_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("STT_SERVER_URL", url)
    with pytest.raises(ConfigError, match="STT_API_KEY") as wrong:
        load_settings()
    assert "hush" not in str(wrong.value)


def test_the_environment_is_read_by_the_documented_names_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    others = {
        "limit": "7",
        "model": "odd",
        "prompt": "$ ",
        "default_language": "de",
        "api_key": "k",
    }
    for name, value in others.items():
        monkeypatch.setenv(name.upper(), value)
    (tmp_path / ".env").write_text("\n".join(f"{name}={others[name]}" for name in others))
    assert load_settings() == Settings(_env_file=None)  # type: ignore[call-arg]
    assert load_settings().limit is None
    monkeypatch.setenv("node_limit", "9")
    assert load_settings().limit == 9
    assert load_settings(limit=8).limit == 8
