"""Make a pool of scripted servers, and call it."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from stt.domain.transcript import Transcript
from stt.whisper.client import Upload, WhisperClient
from stt.whisper.health import PoolRules
from stt.whisper.pool import ServerPool
from tests.support.scripted_server import Answer, ScriptedServer

UPLOAD = Upload(b"OggS, as far as anybody here can tell", "chunk.ogg", 10.0)


KEY = "key<&>/0123456789"


def make_pool(*servers: ScriptedServer | str, limit: int = 4, **rules: float | None) -> ServerPool:
    urls = [server if isinstance(server, str) else server.url for server in servers]
    given = PoolRules(**({"canary_seconds": 2.0} | rules))  # type: ignore[arg-type]
    pool = ServerPool([WhisperClient(url, KEY, None) for url in urls], given)
    pool.tune(limit)
    return pool


def call(pool: ServerPool, seconds: float = 5.0, **options: Any) -> Transcript:
    answer = pool.transcribe(UPLOAD, seconds, lambda: True, **options)
    assert answer is not None
    return answer


def text(transcript: Transcript) -> str:
    return transcript.segments[0].text


@contextlib.contextmanager
def two_servers(first: Answer, second: Answer) -> Iterator[tuple[ScriptedServer, ScriptedServer]]:
    with (
        ScriptedServer(lambda number, upload: first).running() as one,
        ScriptedServer(lambda number, upload: second).running() as other,
    ):
        yield one, other


def until(condition: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)
