"""Our server as its users have it: a process of its own, called over HTTP."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests
from prometheus_client.parser import text_string_to_metric_families
from pydantic import AliasChoices

from tools.bench_lab.callers import CallFailed, Clip
from tools.bench_lab.contestants import BEAM_SIZE, ModelAt
from tools.bench_lab.processes import ROOT
from whisper_server.settings import Settings

START_SECONDS, END_SECONDS = 300, 30
CALL_SECONDS = 7200
_LISTENING = re.compile(r"Listening on (\S+)")


class ServerBroken(Exception):
    """It did not start, or did not answer; `str()` has the end of its log."""


class OurServer:
    """Use as a context manager: inside, the model is loaded.

    `options` are flags of `whisper-server` without their dashes. What a calibration of this
    machine has remembered is used, as it is for everybody. `module` is what is run. A server that
    has not started after `start_seconds` is broken; one that has not ended after `end_seconds` is
    killed.
    """

    def __init__(
        self,
        model: ModelAt,
        options: Mapping[str, str],
        folder: Path,
        module: str = "whisper_server",
        start_seconds: float = START_SECONDS,
        end_seconds: float = END_SECONDS,
    ) -> None:
        self._start_seconds, self._end_seconds = start_seconds, end_seconds
        flags = {
            "model": str(model.folder),
            "device": model.device,
            "compute-type": model.compute_type,
            "port": "0",
        } | dict(options)
        # In a folder of its own, so that no .env is read.
        self._home = tempfile.TemporaryDirectory(dir=folder)
        self._log = (folder / "whisper-server.log").open("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-m", module] + [f"--{name}={value}" for name, value in flags.items()],
            cwd=self._home.name,
            env=_environment(),
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self._url = ""

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def url(self) -> str:
        return self._url

    def __enter__(self) -> "OurServer":
        try:
            self._wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(self._end_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
        self._home.cleanup()

    def transcribe(self, clip: Clip) -> int:
        """Return the number of words; raises `CallFailed`."""
        return len(str(self.verbose_json(clip, "en")["text"]).split())

    def verbose_json(self, clip: Clip, language: str | None) -> dict[str, Any]:
        """The response; `language` None: the server finds it. Raises `CallFailed`."""
        fields = {"response_format": "verbose_json", "beam_size": str(BEAM_SIZE)}
        try:
            with clip.path.open("rb") as file:
                answer = requests.post(
                    f"{self._url}/v1/audio/transcriptions",
                    files={"file": (clip.path.name, file)},
                    data=fields | ({"language": language} if language else {}),
                    timeout=CALL_SECONDS,
                )
        except requests.RequestException as error:
            raise CallFailed(type(error).__name__) from error
        if not answer.ok:
            raise CallFailed(f"HTTP {answer.status_code}: {answer.text[:200]}")
        body: dict[str, Any] = answer.json()
        return body

    def shape(self) -> str:
        """In which shape the model runs and why, by `/system`; `unknown` where it is not told."""
        with suppress(requests.RequestException, ValueError, KeyError, AttributeError):
            told = requests.get(f"{self._url}/system", timeout=10).json()["shape"]
            return ", ".join(f"{name} {value}" for name, value in told.items())
        return "unknown"

    def stage_seconds(self) -> dict[str, float]:
        """Time in each stage since the start, by `/metrics`; empty where it is not told."""
        stages: dict[str, float] = defaultdict(float)
        with suppress(requests.RequestException, ValueError):
            text = requests.get(f"{self._url}/metrics", timeout=10).text
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    if "stage" in sample.labels and sample.name.endswith("_sum"):
                        stages[sample.labels["stage"]] += sample.value
        return dict(stages)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self._start_seconds
        while time.monotonic() < deadline and self._process.poll() is None:
            found = _LISTENING.search(self._logged())
            if found:
                self._url = found[1]
                with suppress(requests.RequestException):
                    if requests.get(f"{self._url}/ready", timeout=5).ok:
                        return
            time.sleep(0.1)
        raise ServerBroken(f"whisper-server is not ready:\n{self._logged()[-2000:]}")

    def _logged(self) -> str:
        return Path(self._log.name).read_text(errors="replace")


def options_of(pairs: Sequence[str]) -> dict[str, str]:
    """`["streams=2"]` → `{"streams": "2"}`; raises ValueError."""
    options = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise ValueError(f"{pair!r} is not NAME=VALUE")
        options[name.lstrip("-")] = value
    return options


def _environment() -> dict[str, str]:
    """Ours without the settings of a server."""
    settings: set[str] = set()
    for field in Settings.model_fields.values():
        alias: Any = field.validation_alias
        if isinstance(alias, AliasChoices):
            settings.update(str(choice) for choice in alias.choices)
    kept = {name: value for name, value in os.environ.items() if name.upper() not in settings}
    places = filter(None, (str(ROOT), kept.get("PYTHONPATH")))
    return kept | {
        "HF_HUB_OFFLINE": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": os.pathsep.join(places),
    }
