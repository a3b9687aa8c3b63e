"""The process of a local whisper server."""

import logging
import threading
from pathlib import Path

import pytest

from stt.errors import ConfigError
from stt.local.whisper_server import local_server
from stt.system.waiting import waited_for
from tests.support.model_hub import ModelHub
from tests.support.pace import until


def test_a_model_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    with (
        pytest.raises(
            ConfigError, match=r"local whisper server did not start: .*no-such"
        ) as raised,
        local_server(str(tmp_path / "no-such")),
    ):
        pass
    assert "\n" not in str(raised.value)


def test_the_download_of_its_model_is_what_is_waited_for_and_no_request_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    files = ("config.json", "tokenizer.json", "vocabulary.txt")
    hub = ModelHub({**dict.fromkeys(files, 10), "model.bin": 24_000_000})
    monkeypatch.setattr("stt.local.server_process._LOG_SECONDS", 0.1)
    with hub.running(), caplog.at_level(logging.DEBUG, "stt"):
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
        monkeypatch.setenv("HF_HOME", str(tmp_path))

        def wait() -> None:
            with pytest.raises(ConfigError, match="cannot be loaded"), local_server("owner/model"):
                pass

        thread = threading.Thread(target=wait)
        thread.start()
        until(lambda: "fetching owner/model: 10 of 24 MB (44 %)" in waited_for())
        until(lambda: any("10 of 24 MB" in line for line in caplog.messages))
        hub.go.set()
        thread.join(60)
    assert not [line for line in caplog.messages if "/ready" in line]
