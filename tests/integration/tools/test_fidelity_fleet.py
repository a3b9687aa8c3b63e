"""The harness's fleet: real chunks in a real queue, through a real worker, put together again."""

import math
from dataclasses import dataclass

import pytest

from tests.support.scripted_server import Answer, ScriptedServer, heard, seconds_of
from tests.support.speech import tone
from tools.fidelity_lab.fleet import FLEET, FOREIGN, FOREIGN_ALONE, Fleet
from tools.fidelity_lab.tape import PLAIN, SpeechSet

SETS = (SpeechSet("long", PLAIN, tone(24.0)), SpeechSet("short", PLAIN, tone(4.0)))


@dataclass
class ServerAt:
    url: str


def fleet(kind: str, server: ScriptedServer) -> Fleet:
    return Fleet(kind, kind, ServerAt(server.url), workers=1)  # type: ignore[arg-type]


def a_word_in_ten_seconds(_number: int, upload: bytes) -> Answer:
    """A chunk comes alone, in a sequence, or with the audio beside it."""
    body = heard("a word", 0.5, 1.5)
    (word,) = body["segments"]
    count = math.ceil(seconds_of(upload) / 10)
    body["segments"] = [{**word, "start": 10 * n + 0.5, "end": 10 * n + 1.5} for n in range(count)]
    return Answer(body=body)


@pytest.mark.parametrize(
    ("kind", "starts"),
    [
        (FLEET, {"long": [0.5, 10.5, 20.5], "short": [0.5]}),
        (FOREIGN, {"long": [0.5, 10.5, 20.5], "short": [0.5]}),
        (FOREIGN_ALONE, {"long": [0.5, 10.5, 20.5], "short": [0.5]}),
    ],
)
def test_each_set_gets_the_segments_of_its_own_chunks(
    kind: str, starts: dict[str, list[float]]
) -> None:
    with ScriptedServer(a_word_in_ten_seconds).running() as server:
        found = list(fleet(kind, server).transcribe(SETS))
    assert {one.name: [part.start for part in parts] for one, parts in found} == starts
    assert all(part.text == "a word" for _, parts in found for part in parts)
