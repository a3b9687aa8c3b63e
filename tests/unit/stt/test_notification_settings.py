"""Where the end of recordings is notified: what the settings accept, and what they refuse."""

import pytest

from stt.errors import ConfigError
from stt.notification_settings import secret_bytes, split_form
from stt.settings import Settings, load_settings

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def settings(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return load_settings()


def test_nothing_is_notified_unless_it_is_set() -> None:
    assert not load_settings().notifies


def test_several_destinations_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    read = settings(monkeypatch, STT_ON_DONE="https://a.example/x?y=z, ntfy+https://ntfy.sh/talks")
    assert [split_form(url.get_secret_value()) for url in read.on_done] == [
        ("json", "https://a.example/x?y=z"),
        ("ntfy", "https://ntfy.sh/talks"),
    ]
    assert read.notifies


def test_a_command_alone_is_enough() -> None:
    assert load_settings(on_done_command="true").notifies


@pytest.mark.parametrize(
    "url",
    [
        "hooks.example/hunter2",
        "ftp://hooks.example/hunter2",
        "discord+https://hooks.example/hunter2",
        "https://hooks.example/hunter2 x",
        "https://hooks.example:hunter2/",
        "ntfy+https://ntfy.sh/",
        "ntfy+https://ntfy.sh/hunter2/json",
    ],
)
def test_a_wrong_destination_is_refused_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    with pytest.raises(ConfigError, match=r"STT_ON_DONE: .* write") as refused:
        settings(monkeypatch, STT_ON_DONE=url)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("secret", ["hunter2", "whsec_hunter2", "whsec_aHVudGVyMg==", SECRET[6:]])
def test_a_weak_secret_is_refused_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    with pytest.raises(ConfigError, match="openssl rand -base64 32") as refused:
        settings(monkeypatch, STT_ON_DONE_SECRET=secret)
    assert secret.removeprefix("whsec_") not in str(refused.value)


def test_the_secret_is_the_bytes_of_its_base64(monkeypatch: pytest.MonkeyPatch) -> None:
    read = settings(monkeypatch, STT_ON_DONE_SECRET=SECRET)
    assert read.on_done_secret is not None
    assert len(secret_bytes(read.on_done_secret.get_secret_value())) == 24


def test_events_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().on_done_events == ("recording.done", "recording.failed", "queue.empty")
    read = settings(monkeypatch, STT_ON_DONE_EVENTS="queue.empty, recording.failed")
    assert read.on_done_events == ("queue.empty", "recording.failed")
    with pytest.raises(ConfigError, match="STT_ON_DONE_EVENTS"):
        settings(monkeypatch, STT_ON_DONE_EVENTS="done")
