"""`whisper-server calibrate` and `whisper-server download`."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.models import sample_folder, sample_model
from tests.support.whisper_process import run_server, running_server, started_server
from whisper_server.__main__ import main

COMMIT = "c" * 40


class _Hub(BaseHTTPRequestHandler):
    """As much of the Hugging Face hub as a download asks for: every repository is tiny.en."""

    def do_GET(self) -> None:
        file = sample_folder() / Path(self.path).name
        if "/tree/" in self.path:
            self._answer(json.dumps([_entry(file) for file in sample_folder().iterdir()]))
        elif self.path.startswith("/api/models/"):
            self._answer(json.dumps({"id": "x/y", "sha": COMMIT}))
        elif file.is_file():
            self._answer(file.read_bytes())
        else:
            self.send_error(404)

    def do_HEAD(self) -> None:
        self.do_GET()

    def _answer(self, content: str | bytes) -> None:
        body = content.encode() if isinstance(content, str) else content
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


def _entry(file: Path) -> dict[str, object]:
    return {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": COMMIT}


@pytest.fixture
def hub() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_calibrate_shows_every_shape_and_the_next_start_uses_the_best(tmp_path: Path) -> None:
    cache = {"XDG_CACHE_HOME": str(tmp_path)}
    arguments = ["calibrate", "--model", sample_model(), "--seconds", "1"]
    done = run_server(*arguments, **cache, BATCH_SIZE="3")
    assert done.returncode == 0, done.stderr
    assert "fastest" in done.stdout
    assert "Fastest: " in done.stdout
    assert "BATCH_SIZE is set, which wins over it" in done.stdout
    assert (tmp_path / "stt" / "whisper-shapes.json").is_file()
    with started_server(environment=cache) as server:
        server.wait_until_alive()
        assert "calibrated on this machine" in server.log


def test_a_calibration_that_is_interrupted_remembers_nothing(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "whisper_server", "calibrate", "--seconds", "600"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
        env=os.environ
        | {
            "WHISPER_MODEL": sample_model(),
            "XDG_CACHE_HOME": str(tmp_path),
            "PYTHONUNBUFFERED": "1",
        },
    )
    assert process.stdout is not None
    with process.stdout as lines:
        assert "shapes, about 600 s" in lines.readline()
        time.sleep(0.3)  # into the first of them
        process.send_signal(signal.SIGINT)
        assert "Interrupted: nothing was remembered." in lines.read()
    assert process.wait(60) == 130
    assert list(tmp_path.iterdir()) == []


def test_a_downloaded_model_is_all_that_a_start_without_a_network_needs(
    hub: str, tmp_path: Path
) -> None:
    folder = {"MODEL_DIR": str(tmp_path / "models")}
    online = {"HF_ENDPOINT": hub, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    done = run_server("download", "tiny", **folder, **online)
    assert done.returncode == 0, done.stderr
    found = Path(done.stdout.strip())
    assert (found / "model.bin").read_bytes() == (sample_folder() / "model.bin").read_bytes()
    assert found.is_relative_to(tmp_path / "models")
    assert "100%" in done.stderr  # the hub's own progress bar
    with running_server(folder, model="tiny") as server:
        assert "Model tiny is loaded" in server.log


def test_download_prints_the_folder_of_a_model_that_is_here() -> None:
    done = run_server("download", "tiny.en")
    assert (done.returncode, done.stdout) == (0, f"{sample_folder()}\n")


def test_a_check_prints_the_folder_and_fetches_nothing(hub: str, tmp_path: Path) -> None:
    online = {"HF_ENDPOINT": hub, "HF_HUB_OFFLINE": "0", "MODEL_DIR": str(tmp_path / "models")}
    here = run_server("download", "--check", "tiny.en", **online)
    assert (here.returncode, here.stdout) == (0, f"{sample_folder()}\n")
    missing = run_server("download", "--check", "small", **online)
    assert (missing.returncode, missing.stdout) == (3, "")
    assert "Model 'small' is not on this machine: the first use fetches it" in missing.stderr
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_download_of_an_unknown_name_says_what_there_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["download", "bse"]) == 3
    assert capsys.readouterr().err.startswith("whisper-server: No model 'bse'")
