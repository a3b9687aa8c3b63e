"""Make a pool of scripted servers, and call it."""

import contextlib
from collections.abc import Iterator
from typing import Any

from stt.domain.transcript import Transcript
from stt.settings import load_settings
from stt.whisper.client import Upload
from stt.whisper.pool import Call, ServerPool
from tests.support.scripted_server import Answer, ScriptedServer

UPLOAD = Upload(b"OggS: no server here decodes it", "chunk.ogg", 10.0)


KEY = "key<&>/0123456789"


def make_pool(*servers: ScriptedServer | str, **flags: Any) -> ServerPool:
    urls = [server if isinstance(server, str) else server.url for server in servers]
    pool = ServerPool(load_settings(server_urls=urls, api_key=KEY, **flags))
    pool.tune(4)
    return pool


def call(
    pool: ServerPool, seconds: float = 5.0, upload: Upload = UPLOAD, **options: Any
) -> Transcript:
    answer = pool.transcribe(Call(upload, seconds, lambda: True, **options))
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
