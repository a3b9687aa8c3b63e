"""Callers who all send recordings at once to a whisper server: how fast does each get its answer?

    python tools/load_whisper.py talk.mp3 --clients 8
    python tools/load_whisper.py recordings/ --clients 16 --requests 200 --compare --health

Sends FILEs in turn to the server's /v1/audio/transcriptions, N at a time, and shows percentiles of
the answers' latency, seconds of audio per second, and errors by kind. Any server of OpenAI's form
will do. Folders stand for the recordings in them. Latency and speed are those of the calls that
went well; a caller who is told to come back later (429, 503) has failed, and rests for so long, ten
seconds at most, before its next call.

With --compare one caller alone goes first and sends as many recordings as each of the N will; then
come the N, and the last line says how much faster the server is with them.

Exit codes: 0 all well, 1 some calls failed, 2 wrong usage, 3 the key is refused, 5 the server
cannot be reached, 130 interrupted (what was measured until then is shown).
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn
from rich.table import Table
from urllib3.exceptions import MaxRetryError, NewConnectionError

if __name__ == "__main__":  # run as a script: its own folder is on the path, and not the project's
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from stt.errors import RecordingError
from stt.media.folders import find_recordings
from stt.media.recording import RecordingFile
from tools.bench_lab.callers import Call, CallFailed, Clip, Hopeless, Measured, run
from tools.bench_lab.health import HealthWatch

DEFAULT_SERVER = "http://localhost:8081"
CONNECT_SECONDS = 10
LONGEST_REST_SECONDS = 10.0
PLAIN_LINE_EVERY_SECONDS = 10.0
FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
PERCENTILES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0))
EXIT_FAILED, EXIT_KEY, EXIT_AWAY, EXIT_INTERRUPTED = 1, 3, 5, 130


class KeyRefused(Hopeless):
    pass


class ServerAway(Hopeless):
    pass


class _Bearer(AuthBase):
    """Sends the key, or none; as an `auth`, it keeps requests from looking into ~/.netrc."""

    def __init__(self, key: str | None) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._key:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request


@dataclass(frozen=True)
class Server:
    """Where calls go, and what every one of them asks for."""

    url: str
    api_key: str | None
    form: dict[str, str]
    timeout_seconds: float

    def transcribe(self, clip: Clip) -> None:
        """Raises `CallFailed`."""
        answer = self._answer(clip)
        if answer.status_code in (401, 403):
            raise KeyRefused(f"HTTP {answer.status_code}: the server refuses the key")
        if answer.status_code in (429, 503):
            time.sleep(_rest_seconds(answer))
        if answer.status_code != 200:
            raise CallFailed(f"HTTP {answer.status_code}{_code_of(answer)}")
        if self.form["response_format"].endswith("json") and "text" not in _said(answer):
            raise CallFailed("an answer that is no transcript")

    def _answer(self, clip: Clip) -> requests.Response:
        try:
            with clip.path.open("rb") as file:
                return requests.post(
                    f"{self.url}/v1/audio/transcriptions",
                    files={"file": (clip.path.name, file)},
                    data=self.form,
                    auth=_Bearer(self.api_key),
                    timeout=(CONNECT_SECONDS, self.timeout_seconds),
                    allow_redirects=False,
                )
        except OSError as error:  # those of requests are OSErrors, and so is a file that is gone
            raise _failure(error) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    try:
        return _main(arguments)
    except KeyboardInterrupt:  # before the first call, or between two crowds
        return EXIT_INTERRUPTED


def _main(arguments: Sequence[str] | None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    server = Server(_url(options.server, parser), _key(options.api_key, parser), *_asked(options))
    try:
        clips = [_measured_clip(found.path) for found in find_recordings(options.files)]
    except RecordingError as error:
        parser.error(str(error))
    if not clips:
        parser.error("no recordings in there")
    wanted = options.requests or max(len(clips), options.clients)
    crowds = [(options.clients, wanted)]
    if options.compare:
        crowds.insert(0, (1, -(-wanted // options.clients)))
    watch = HealthWatch(server.url) if options.health else None
    found: list[Measured] = []
    with watch or nullcontext():
        for clients, count in crowds:
            todo = [clips[index % len(clips)] for index in range(count)]
            with _progress(clients, todo) as on_end:
                found.append(run(server.transcribe, todo, clients, on_end))
            if found[-1].was_interrupted or found[-1].hopeless:
                break
    if options.json:
        print(json.dumps(_as_json(found, watch), indent=2))
    else:
        _show(found, watch)
    return _exit_code(found)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a recording, a folder")
    parser.add_argument("--clients", type=_count, default=4, metavar="N", help="default: 4")
    parser.add_argument(
        "--requests",
        type=_count,
        metavar="M",
        help="calls in all; default: each FILE once, and at least one for each caller",
    )
    parser.add_argument(
        "--server",
        default=os.environ.get("STT_SERVER_URL", "").split(",")[0] or DEFAULT_SERVER,
        metavar="URL",
        help=f"default: the first of STT_SERVER_URL, else {DEFAULT_SERVER}",
    )
    parser.add_argument(
        "--api-key",
        metavar="KEY",
        help="better in STT_API_KEY, since others can see the flags of a running program",
    )
    parser.add_argument("--model", help="the model to ask for; default: the server's")
    parser.add_argument("--language", help="what is spoken; default: the server finds out")
    parser.add_argument("--response-format", choices=FORMATS, default="json", help="default: json")
    parser.add_argument(
        "--timeout", type=_seconds, default=600.0, metavar="SECONDS", help="of a call; default: 600"
    )
    parser.add_argument("--compare", action="store_true", help="one caller alone first: see above")
    parser.add_argument("--health", action="store_true", help="time /health meanwhile")
    parser.add_argument("--json", action="store_true", help="the numbers as JSON, and no table")
    return parser


def _count(text: str) -> int:
    count = int(text) if text.isascii() and text.isdigit() else 0
    if not 0 < count <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to a million")
    return count


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is out of range")
    return seconds


def _asked(options: argparse.Namespace) -> tuple[dict[str, str], float]:
    form = {"response_format": options.response_format}
    form |= {name: getattr(options, name) for name in ("model", "language") if vars(options)[name]}
    return form, options.timeout


def _url(text: str, parser: argparse.ArgumentParser) -> str:
    """Without a slash or /v1 at its end; a wrong one is a usage error."""
    try:
        parts = urlsplit(text)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url:
        parser.error("argument --server: write http://HOST:PORT or https://HOST")
    return text.rstrip("/").removesuffix("/v1")


def _key(flag: str | None, parser: argparse.ArgumentParser) -> str | None:
    """Of the flag, else of the environment; one that no header can carry is a usage error."""
    key = (flag if flag is not None else os.environ.get("STT_API_KEY", "")).strip()
    if not (key.isascii() and key.isprintable()):
        parser.error("the key holds characters that no HTTP header can carry")
    return key or None


def _measured_clip(path: Path) -> Clip:
    """Raises RecordingError."""
    with RecordingFile(path) as recording:
        seconds = recording.declared_seconds
        if not seconds:
            seconds = sum(len(block) for block in recording.blocks()) / 16_000
        return Clip(path, seconds)


def _failure(error: OSError) -> CallFailed:
    cause = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    if isinstance(error, requests.ConnectTimeout | requests.exceptions.ProxyError):
        return ServerAway("the server cannot be reached")
    if isinstance(reason, NewConnectionError):  # refused, or no such name
        return ServerAway("the server cannot be reached")
    if isinstance(error, requests.exceptions.SSLError):
        return ServerAway("no secure connection to the server")
    if isinstance(error, requests.Timeout):
        return CallFailed("no answer in time")
    if isinstance(error, requests.RequestException):
        return CallFailed("the connection broke off")
    return CallFailed("the recording cannot be read")


def _rest_seconds(answer: requests.Response) -> float:
    try:
        seconds = float(answer.headers.get("Retry-After", "1"))
    except ValueError:
        return 1.0
    return min(max(seconds, 0.0), LONGEST_REST_SECONDS) if seconds == seconds else 1.0


def _code_of(answer: requests.Response) -> str:
    """OpenAI's error code, where the server has one: ` queue_full`."""
    error = _said(answer).get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return f" {code[:60]}" if isinstance(code, str) and code.isprintable() else ""


def _said(answer: requests.Response) -> dict[str, object]:
    try:
        said = answer.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


@contextmanager
def _progress(clients: int, todo: Sequence[Clip]) -> Iterator[Callable[[Call], None]]:
    """A bar on a terminal, else a line now and then; both on stderr."""
    console = Console(stderr=True)
    what = f"{clients} caller{'s' if clients > 1 else ''}"
    if not console.is_terminal:
        yield _PlainProgress(what, len(todo))
        return
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=len(todo))
        yield lambda _: bar.advance(task)


class _PlainProgress:
    def __init__(self, what: str, total: int) -> None:
        self._what, self._total = what, total
        self._done = 0
        self._told_at = time.monotonic()

    def __call__(self, _: Call) -> None:
        self._done += 1
        if time.monotonic() - self._told_at >= PLAIN_LINE_EVERY_SECONDS:
            self._told_at = time.monotonic()
            print(f"{self._what}: {self._done} of {self._total} calls", file=sys.stderr)


def _show(found: Sequence[Measured], watch: HealthWatch | None) -> None:
    console = Console(soft_wrap=True)
    table = Table()
    for name in ("callers", "calls", "failed", "p50 s", "p90 s", "p99 s", "max s", "audio s/s"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in found:
        counts = (one.clients, len(one.calls), len(one.calls) - len(one.good))
        latencies = [_shown(one.latency(share)) for _, share in PERCENTILES]
        table.add_row(*map(str, counts), *latencies, f"{one.speed:.1f}")
    console.print(table)
    for one in found:
        for kind, count in one.failures.most_common():
            console.print(f"{one.clients} caller(s): {count} x {kind}", markup=False)
    if watch is not None:
        console.print(
            f"/health: p50 {_shown(watch.latency_ms(0.5))} ms, p99 "
            f"{_shown(watch.latency_ms(0.99))} ms, {watch.asked} asked, {watch.failed} failed",
            highlight=False,
        )
    if len(found) == 2 and all(one.speed for one in found):
        ratio = found[1].speed / found[0].speed
        console.print(
            f"{found[1].clients} callers: {ratio:.2f} times the speed of one", highlight=False
        )
    if found[-1].was_interrupted:
        console.print("Interrupted: this is what was measured until then.")


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _as_json(found: Sequence[Measured], watch: HealthWatch | None) -> dict[str, object]:
    runs = [
        {
            "clients": one.clients,
            "calls": len(one.calls),
            "failed": len(one.calls) - len(one.good),
            "errors": dict(one.failures),
            "wall_seconds": round(one.wall_seconds, 3),
            "audio_seconds": round(one.audio_seconds, 3),
            "audio_seconds_per_second": round(one.speed, 3),
            "latency_seconds": {name: one.latency(share) for name, share in PERCENTILES},
        }
        for one in found
    ]
    if watch is None:
        return {"runs": runs}
    health = {"p50_ms": watch.latency_ms(0.5), "p99_ms": watch.latency_ms(0.99)}
    return {"runs": runs, "health": health | {"asked": watch.asked, "failed": watch.failed}}


def _exit_code(found: Sequence[Measured]) -> int:
    hopeless = found[-1].hopeless
    if found[-1].was_interrupted:
        return EXIT_INTERRUPTED
    if isinstance(hopeless, KeyRefused):
        return EXIT_KEY
    if hopeless is not None:
        return EXIT_AWAY
    return EXIT_FAILED if any(one.failures for one in found) else 0


if __name__ == "__main__":
    sys.exit(main())
