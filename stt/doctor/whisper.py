"""Check whisper servers: whether each answers, takes the key, has the model and transcribes."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

import requests
from urllib3.exceptions import HTTPError

import stt
from stt.doctor.checks import Check, Finding
from stt.errors import ServerBusy, ServerFault, ServerUnavailable
from stt.local.whisper_server import is_installed
from stt.settings import DEFAULT_SERVER_URL, Settings
from stt.system.http import MAX_SHORT_ANSWER_BYTES, fetch, http_session
from stt.whisper.canary import canary_text
from stt.whisper.client import WhisperClient

CANARY_SECONDS = 30.0
_MODEL_SECONDS = 60.0  # its libraries load slowly
_LOCAL_SECONDS = 2.0
_CHECK = "whisper server"
_INSTALL = "pip install 'stt-fleet[server]'"


def whisper_checks(settings: Settings, limit_seconds: float) -> list[Check]:
    """Return a check for each server that is set, or else of what would be started."""
    if settings.server_urls:
        whole = limit_seconds + CANARY_SECONDS
        return [
            Check(
                _CHECK,
                partial(server_findings, settings, url, limit_seconds),
                whole,
                ServerUnavailable,
            )
            for url in settings.server_urls
        ]
    return [
        Check(
            _CHECK,
            partial(_local_server_findings, settings, limit_seconds),
            limit_seconds + CANARY_SECONDS + _MODEL_SECONDS,
            ServerUnavailable,
        )
    ]


def server_findings(settings: Settings, url: str, limit_seconds: float) -> Iterator[Finding]:
    """Check one server by a short recording. Raises SttError for what is wrong with it."""
    key = settings.api_key.get_secret_value() if settings.api_key else None
    client = WhisperClient(url, key, settings.model)
    try:
        client.ready(limit_seconds)
        began = time.monotonic()
        text = canary_text(client, CANARY_SECONDS)
    except ServerBusy as error:
        yield Finding(
            _CHECK,
            "warning",
            str(error),
            "It loads its model, or has too much to do: check again in a minute.",
        )
        return
    except ServerFault as error:
        yield Finding.problem(
            _CHECK, str(error), "See its log; it may be out of memory.", ServerUnavailable
        )
        return
    if not text:
        yield Finding(
            _CHECK,
            "warning",
            f"{url} transcribes, but gave no text for a clear recording",
            "Is its model damaged, or made for something else than speech?",
        )
        return
    taken = time.monotonic() - began
    yield Finding(_CHECK, "ok", f"{url} transcribed a short recording in {taken:.1f} s")
    yield from version_findings(_CHECK, url, key, limit_seconds)


def version_findings(check: str, url: str, key: str | None, seconds: float) -> Iterator[Finding]:
    """Compare the version of a server of this project, if it is one, with ours."""
    with (
        suppress(requests.RequestException, HTTPError, ValueError, KeyError, TypeError),
        http_session(url, key) as session,
    ):
        answer = fetch(
            session,
            "GET",
            f"{url}/health",
            timeout=seconds,
            total_seconds=seconds,
            max_bytes=MAX_SHORT_ANSWER_BYTES,
        )
        version = str(answer.json()["version"])[:50]
        if version != stt.__version__:
            yield Finding(
                check,
                "warning",
                f"{url} has version {version}, this machine {stt.__version__}",
                "Install the same version on both.",
            )


def _local_server_findings(settings: Settings, limit_seconds: float) -> Iterator[Finding]:
    """Check the server of this machine that a worker uses, or what others would start."""
    with suppress(ServerUnavailable):
        with suppress(ServerBusy):
            WhisperClient(DEFAULT_SERVER_URL, None, None).ready(_LOCAL_SECONDS)
        yield from server_findings(settings, DEFAULT_SERVER_URL, limit_seconds)
        return
    if not is_installed():
        yield Finding(
            _CHECK,
            "warning",
            f"none is set, none runs at {DEFAULT_SERVER_URL}, and none is installed",
            f"Set STT_SERVER_URL to one of another machine, or: {_INSTALL}",
        )
        return
    yield Finding(
        _CHECK,
        "ok",
        f"none is set, and none runs at {DEFAULT_SERVER_URL}: `stt transcribe` and `stt node start`"
        " start one; for a plain `stt` start whisper-server",
    )
    yield _model_finding(settings.model)


def _model_finding(model: str | None) -> Finding:
    """Ask the whisper server's program whether the model's files are on this machine."""
    command = [sys.executable, "-P", "-m", "whisper_server", "download", "--check"]
    try:
        done = subprocess.run(
            [*command, *([model] if model else [])],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_MODEL_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("model", "warning", f"it cannot be looked for: {type(error).__name__}")
    said = done.stderr.strip().rpartition("\n")[2].removeprefix("whisper-server: ")
    if done.returncode == 0:
        return Finding("model", "ok", f"{said} {done.stdout.strip()}")
    message, _, advice = (said or f"exit code {done.returncode}").partition(": ")
    return Finding("model", "warning", message, advice[:1].upper() + advice[1:])
