"""How far a download is, counted by the hub's own client."""

import threading
from pathlib import Path

import pytest

from tests.support.model_hub import ModelHub
from tests.support.pace import until
from whisper_server.engines.download import Download


def test_the_bytes_of_a_download_are_counted_as_they_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants, snapshot_download

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    download, hub = Download(), ModelHub({"config.json": 10, "model.bin": 24_000_000})

    def fetch() -> None:
        with download.of("owner/model") as bar:
            snapshot_download("owner/model", endpoint=hub.url, cache_dir=tmp_path, tqdm_class=bar)

    with hub.running():
        assert str(download) == ""
        thread = threading.Thread(target=fetch)
        thread.start()
        until(lambda: str(download) == "fetching owner/model: 10 of 24 MB (44 %)")
        hub.go.set()
        thread.join(60)
    assert str(download) == ""
    assert [path.stat().st_size for path in tmp_path.rglob("model.bin")] == [24_000_000]


def test_a_client_that_counts_no_bytes_is_said_without_them() -> None:
    download = Download()
    with download.of("owner/model") as bar:
        bar(total=5, desc="Fetching 5 files", disable=True).update(3)
        assert str(download) == "fetching owner/model from the Hugging Face hub"
