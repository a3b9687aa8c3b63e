"""Where settings come from, and which source wins."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from whisper_server.settings import Settings, load_settings, variable_of


@pytest.fixture(autouse=True)
def empty_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No `.env` and no variables of the person who runs the tests."""
    monkeypatch.chdir(tmp_path)
    for field in Settings.model_fields:
        monkeypatch.delenv(variable_of(field), raising=False)
    monkeypatch.delenv("MODEL_NAME", raising=False)


def test_defaults_listen_on_this_machine_only() -> None:
    settings = load_settings({})
    assert (settings.host, settings.port, settings.api_key) == ("127.0.0.1", 8081, None)


def test_a_flag_wins_over_the_environment_and_that_over_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path(".env").write_text("WHISPER_MODEL=small\nPORT=1111\nMONGO_URL=ignored\n")
    assert load_settings({}).model == "small"
    monkeypatch.setenv("WHISPER_MODEL", "medium")
    assert load_settings({}).model == "medium"
    assert load_settings({"model": "base"}).model == "base"
    assert load_settings({"model": "base"}).port == 1111


def test_the_older_name_of_the_model_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_NAME", "tiny")
    assert load_settings({}).model == "tiny"
    assert load_settings({"model": "base"}).model == "base"


def test_only_the_documented_names_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL", "tiny")
    monkeypatch.setenv("DEVICE", "cuda")
    settings = load_settings({})
    assert (settings.model, settings.device) == (None, "auto")


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "")
    monkeypatch.setenv("API_KEY", "")
    settings = load_settings({})
    assert (settings.port, settings.api_key) == (8081, None)


def test_the_key_is_in_no_representation_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "hush-hush-little-one")
    assert "hush-hush-little-one" not in repr(load_settings({}))
    monkeypatch.setenv("PORT", "seventy")
    with pytest.raises(ValidationError) as caught:
        load_settings({"api_key": "hush-hush-little-one"})
    assert "hush-hush-little-one" not in str(caught.value)


@pytest.mark.parametrize(("text", "cards"), [("0", "0"), (" 1, 0 ", "1,0"), ("ALL", "all")])
def test_cards_are_named_by_their_numbers(
    monkeypatch: pytest.MonkeyPatch, text: str, cards: str
) -> None:
    monkeypatch.setenv("GPU_DEVICES", text)
    assert load_settings({}).gpu_devices == cards


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("ALLOWED_HOSTS", "http://gpu-box"),
        ("ALLOWED_HOSTS", "gpu-box:8081"),
        ("ALLOWED_HOSTS", "a.*.example"),
        ("CORS_ORIGINS", "app.example"),
        ("CORS_ORIGINS", "https://app.example/page"),
        ("CORS_ORIGINS", "https://*.example"),
        ("CORS_ORIGINS", "null"),
        ("CORS_ORIGINS", "*"),
        ("GPU_DEVICES", "cuda:0"),
        ("GPU_DEVICES", "0,,1"),
        ("GPU_DEVICES", "-1"),
        ("MODEL_INSTANCES", "0"),
        ("STREAMS", "65"),
        ("BATCH_SIZE", "0"),
        ("BATCH_WINDOW_MS", "-1"),
        ("MAX_QUEUE_SECONDS", "0"),
        ("REQUEST_TIMEOUT", "-5"),
        ("IDLE_UNLOAD_SECONDS", "soon"),
        ("DECODING", "fast"),
        ("JOB_KEEP_SECONDS", "0"),
        ("JOB_KEEP_COUNT", "1e99"),
        ("WHISPER_BACKEND", "whisper.cpp"),
        ("WHISPER_DEVICE", "tpu"),
        ("USE_GPU", "maybe"),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_the_variables_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str
) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(ValidationError) as caught:
        load_settings({})
    assert [error["loc"][0] for error in caught.value.errors()] == [variable]


def test_a_batch_that_a_card_computes_wrongly_is_refused() -> None:
    assert load_settings({"batch_size": "64"}).batch_size == 64
    with pytest.raises(ValidationError, match="less than or equal to 64"):
        load_settings({"batch_size": "65"})


def test_hosts_and_origins_are_lists_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", " Gpu-Box, *.example.org,192.168.1.5 ,")
    monkeypatch.setenv("CORS_ORIGINS", "https://App.example/, http://[::1]:3000,tauri://localhost")
    settings = load_settings({})
    assert settings.allowed_hosts == ("gpu-box", "*.example.org", "192.168.1.5")
    assert settings.cors_origins == (
        "https://app.example", "http://[::1]:3000", "tauri://localhost",
    )  # fmt: skip
    assert (load_settings({"allowed_hosts": "*"})).allowed_hosts == ("*",)


def test_every_page_may_use_a_server_with_a_key_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError, match="set API_KEY as well"):
        load_settings({"cors_origins": "*"})
    monkeypatch.setenv("API_KEY", "hush-hush-little-one")
    assert load_settings({"cors_origins": "*"}).cors_origins == ("*",)


def test_nothing_is_unloaded_and_no_hour_long_file_is_given_up_by_default() -> None:
    settings = load_settings({})
    assert settings.idle_unload_seconds == 0
    assert settings.request_timeout >= 3600
    assert settings.max_queue_seconds >= settings.max_audio_seconds


@pytest.mark.parametrize(
    ("key", "reason"),
    [("hush", "at least 16 characters"), ("password12345678", "are guessed first")],
)
def test_a_key_that_could_be_guessed_is_refused_with_what_to_do(key: str, reason: str) -> None:
    with pytest.raises(ValidationError, match=f"{reason}.*openssl rand -hex 24") as caught:
        load_settings({"api_key": key})
    assert key not in str(caught.value)
