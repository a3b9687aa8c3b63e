"""OpenAI's own client against a real server with real weights."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import openai
import pytest
from openai import OpenAI
from openai.types.audio import (
    TranscriptionTextDeltaEvent,
    TranscriptionTextDoneEvent,
    TranscriptionTextSegmentEvent,
)

from tests.support.models import base_model
from tests.support.speech import MILK, words
from tests.support.whisper_process import WhisperProcess, running_server
from tests.support.whisper_stand_in import StandInEngine, running, wav
from whisper_server.errors import EngineFailed

KEY = "open-sesame-for-all"


@pytest.fixture(scope="module")
def server() -> Iterator[WhisperProcess]:
    with running_server(worker_count=2, api_key=KEY) as process:
        yield process


@pytest.fixture(scope="module")
def client(server: WhisperProcess) -> Iterator[OpenAI]:
    with OpenAI(base_url=server.url + "/v1", api_key=KEY, max_retries=0, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return MILK.write(tmp_path_factory.mktemp("speech") / "speech.wav")


def test_json(client: OpenAI, speech: Path) -> None:
    found = client.audio.transcriptions.create(model="whisper-1", file=speech)
    assert words(found.text) == words(MILK.text)


def test_verbose_json_with_words_and_segments(client: OpenAI, speech: Path) -> None:
    found = client.audio.transcriptions.create(
        model="whisper-1",
        file=speech,
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
        language="en",
        temperature=0,
        prompt="A note.",
    )
    assert (words(found.text), found.language) == (words(MILK.text), "en")
    assert found.words is not None
    assert words(" ".join(word.word for word in found.words)) == words(MILK.text)
    starts = [word.start for word in found.words]
    assert starts == sorted(starts)
    assert found.segments
    assert found.segments[0].id == 0
    assert found.segments[-1].end <= found.duration + 0.5


@pytest.mark.parametrize(
    ("response_format", "head"), [("text", "Do not"), ("srt", "1\n00:"), ("vtt", "WEBVTT\n\n00:")]
)
def test_the_formats_that_are_no_json(
    client: OpenAI, speech: Path, response_format: Literal["text", "srt", "vtt"], head: str
) -> None:
    found = client.audio.transcriptions.create(
        model="whisper-1", file=speech, response_format=response_format
    )
    assert isinstance(found, str)
    assert found.startswith(head)
    assert "buy milk" in found


def test_a_stream(client: OpenAI, speech: Path) -> None:
    events = list(client.audio.transcriptions.create(model="whisper-1", file=speech, stream=True))
    assert isinstance(events[-1], TranscriptionTextDoneEvent)
    deltas = [e.delta for e in events if isinstance(e, TranscriptionTextDeltaEvent)]
    assert "".join(deltas) == events[-1].text
    assert words(events[-1].text) == words(MILK.text)
    assert len(deltas) == len(events) - 1


def test_a_stream_with_times(client: OpenAI, speech: Path) -> None:
    stream = client.audio.transcriptions.create(
        model="whisper-1", file=speech, stream=True, response_format="verbose_json"
    )
    segments = [e for e in stream if isinstance(e, TranscriptionTextSegmentEvent)]
    assert words("".join(segment.text for segment in segments)) == words(MILK.text)
    assert segments[0].start < segments[-1].end


def test_what_no_whisper_can_do_is_taken_with_a_warning(client: OpenAI, speech: Path) -> None:
    answer = client.audio.transcriptions.with_raw_response.create(
        model="whisper-1",
        file=speech,
        chunking_strategy={"type": "server_vad", "threshold": 0.5},
        include=["logprobs"],
        known_speaker_names=["a", "b"],
        known_speaker_references=["data:audio/wav;base64,AAAA"],
    )
    assert words(answer.parse().text) == words(MILK.text)
    warnings = answer.headers.get_list("Warning")
    assert sorted(warning.split("'")[1] for warning in warnings) == [
        "chunking_strategy", "include", "known_speaker_names", "known_speaker_references",
    ]  # fmt: skip


@pytest.mark.words
@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # by OpenAI, for its own
def test_translations(speech: Path) -> None:
    with (
        running_server(model=base_model()) as server,
        OpenAI(base_url=server.url + "/v1", api_key="x", timeout=60) as client,
    ):
        found = client.audio.translations.create(model="whisper-1", file=speech)
    assert "milk" in words(found.text)


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
def test_a_model_that_knows_english_alone_cannot_translate(client: OpenAI, speech: Path) -> None:
    with pytest.raises(openai.BadRequestError, match="knows English only"):
        client.audio.translations.create(model="whisper-1", file=speech)


def test_the_models(client: OpenAI) -> None:
    first = client.models.list().data[0]
    assert client.models.retrieve("whisper-1").id == first.id


def test_errors_become_the_clients_own(
    client: OpenAI, server: WhisperProcess, speech: Path
) -> None:
    create = client.audio.transcriptions.create
    with pytest.raises(openai.NotFoundError, match="is not loaded") as not_found:
        create(model="gpt-4o-transcribe", file=speech)
    assert not_found.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as empty:
        create(model="whisper-1", file=("a.wav", b""))
    assert (empty.value.code, empty.value.param) == ("empty_file", "file")
    with pytest.raises(openai.BadRequestError):
        create(model="whisper-1", file=("a.wav", b"no audio" * 100), stream=True)
    with pytest.raises(openai.BadRequestError, match="needs --speakers"):
        create(model="whisper-1", file=speech, response_format="diarized_json")
    with pytest.raises(openai.BadRequestError, match="less than or equal to 1"):
        create(model="whisper-1", file=speech, temperature=2)
    stranger = client.with_options(api_key="wrong")
    with pytest.raises(openai.AuthenticationError, match="key is wrong"):
        stranger.audio.transcriptions.create(model="whisper-1", file=speech)


def test_an_error_within_a_stream_is_raised_by_the_client() -> None:
    """Over the stand-in, since a real engine does not break to order."""
    engine = StandInEngine()

    def breaks_later(windows: object) -> Exception | None:
        return EngineFailed("broken") if len(engine.calls) > 1 else None

    engine.refuses = breaks_later
    with running(engine) as server, OpenAI(base_url=server.url + "/v1", api_key="x") as client:
        stream = client.audio.transcriptions.create(
            model="whisper-1", file=("a.wav", wav(100.0)), stream=True
        )
        assert next(stream).type == "transcript.text.delta"
        with pytest.raises(openai.APIError, match="transcription failed"):
            list(stream)
