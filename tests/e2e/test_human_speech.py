"""People's voices through a real server: the right language's words, nearly all of them."""

import io
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from stt.media.audio import encode_flac
from tests.support.human_speech import VOICES, Speech, joined, prompts, reading
from tests.support.models import base_model
from tests.support.whisper_process import WhisperProcess, running_server
from tests.support.whisper_stand_in import TRANSCRIPTIONS
from tools.word_error_rate import word_errors

pytestmark = pytest.mark.words

SECONDS = 25
HIGHEST_ERROR_RATE = 0.3
"""Short prompts over a telephone, whose numerals are digits here and words there: it is `base` that
mishears, not what is around it. tools/bench_fidelity.py measures to a tenth of a percent."""


@pytest.fixture(scope="module")
def multilingual() -> Iterator[WhisperProcess]:
    with running_server(model=base_model()) as process:
        yield process


def transcribed(server: WhisperProcess, speech: Speech, **fields: str) -> dict[str, Any]:
    response = requests.post(
        server.url + TRANSCRIPTIONS,
        files={"file": ("speech.flac", io.BytesIO(encode_flac(speech.samples)))},
        data={"response_format": "verbose_json"} | fields,
        timeout=600,
    )
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


@pytest.mark.parametrize("language", VOICES)
def test_a_language_is_found_and_its_words_are_heard(
    multilingual: WhisperProcess, language: str
) -> None:
    speech = prompts(language, SECONDS)
    found = transcribed(multilingual, speech)
    assert found["language"] == language
    assert word_errors(speech.text, found["text"]).rate <= HIGHEST_ERROR_RATE, found["text"]


def test_a_reading_is_heard_to_the_word_by_the_smallest_model() -> None:
    speech = joined(reading())
    with running_server() as server:
        found = transcribed(server, speech)
    assert word_errors(speech.text, found["text"]).rate <= 0.05, found["text"]
