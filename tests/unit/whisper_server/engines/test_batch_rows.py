"""Windows and what is left of them, decoded to their end by a decoder of the test's own."""

from collections.abc import Callable, Sequence
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from whisper_server.engines.base import Options, WindowInput
from whisper_server.engines.batch_rows import MAX_CALLS, DecodedRow, Row, decode_to_end

END_OF_TEXT = 100
TOKENIZER = Mock(eot=END_OF_TEXT, decode=lambda tokens: "".join(f" {token}" for token in tokens))


def window(seconds: float, language: str | None = "en") -> WindowInput:
    features = np.arange(3000, dtype=np.float32).repeat(2).reshape(3000, 2)
    return WindowInput(features, seconds, Options(language=language), 0.2)


def decoded(row: Row, *tokens: int, undecoded_from: float | None = None, **more: Any) -> DecodedRow:
    """Return a row of which each token was a segment of one second."""
    drafts = [
        {"seek": 0, "start": float(at), "end": at + 1.0, "tokens": [token]}
        for at, token in enumerate(tokens)
    ]
    fields: dict[str, Any] = {
        "language": "en", "language_probs": (), "token_count": len(tokens), "logprob": -1.0,
        "no_speech_prob": 0.1, "text": TOKENIZER.decode(tokens),
    }  # fmt: skip
    return DecodedRow(
        row=row, tokenizer=TOKENIZER, drafts=drafts, undecoded_from=undecoded_from,
        **fields | more,
    )  # fmt: skip


def spelled(language: str | None) -> str | None:
    return language if language == "en" else None


class Decoder:
    """Decodes rows with a function, and keeps them."""

    def __init__(self, decode: Callable[[Row], DecodedRow]) -> None:
        self.calls: list[list[Row]] = []
        self._decode = decode

    def __call__(self, rows: Sequence[Row]) -> list[DecodedRow]:
        self.calls.append(list(rows))
        return [self._decode(row) for row in rows]


def test_windows_that_end_at_once_take_one_call() -> None:
    decoder = Decoder(lambda row: decoded(row, row.position))
    results = decode_to_end([window(10.0), window(20.0)], spelled, decoder)
    assert [[s.text for s in result.segments] for result in results] == [[" 0"], [" 1"]]
    assert len(decoder.calls) == 1
    assert results[0].temperature == 0.2


def test_only_what_is_left_is_decoded_again_and_its_times_are_the_windows() -> None:
    def decode(row: Row) -> DecodedRow:
        if row.position == 0 and row.start == 0:
            return decoded(row, 1, 2, undecoded_from=2.0)
        return decoded(row, 3)

    decoder = Decoder(decode)
    first, second = decode_to_end([window(10.0), window(10.0)], spelled, decoder)
    assert [[row.position for row in rows] for rows in decoder.calls] == [[0, 1], [0]]
    assert [(s.text, s.start, s.end) for s in first.segments] == [
        (" 1", 0.0, 1.0), (" 2", 1.0, 2.0), (" 3", 2.0, 3.0),
    ]  # fmt: skip
    assert len(second.segments) == 1


def test_the_language_of_the_first_part_holds_for_the_rest() -> None:
    languages: list[str | None] = []

    def decode(row: Row) -> DecodedRow:
        languages.append(row.language)
        rest = 2.0 if row.start == 0 else None
        return decoded(row, 1, undecoded_from=rest, language="de", language_probs=(("de", 0.9),))

    [result] = decode_to_end([window(10.0, "xx")], spelled, Decoder(decode))
    assert languages == [None, "de"]
    assert (result.language, result.language_probs) == ("de", (("de", 0.9),))


@pytest.mark.parametrize(("undecoded_from", "calls"), [(None, 1), (9.6, 1), (9.4, 2)])
def test_a_rest_as_short_as_a_breath_is_left(undecoded_from: float | None, calls: int) -> None:
    decoder = Decoder(
        lambda row: decoded(row, 1, undecoded_from=None if row.start else undecoded_from)
    )
    decode_to_end([window(10.0)], spelled, decoder)
    assert len(decoder.calls) == calls


def test_a_model_that_takes_tiny_steps_comes_to_an_end() -> None:
    decoder = Decoder(lambda row: decoded(row, 1, undecoded_from=0.02))
    [result] = decode_to_end([window(10.0)], spelled, decoder)
    assert len(decoder.calls) == MAX_CALLS
    assert len(result.segments) == MAX_CALLS


def test_numbers_are_those_of_all_parts_together() -> None:
    def decode(row: Row) -> DecodedRow:
        if row.start == 0:
            return decoded(row, 1, 2, undecoded_from=2.0, logprob=-1.5, no_speech_prob=0.3)
        return decoded(row, 3, logprob=-1.0, no_speech_prob=0.9)

    [result] = decode_to_end([window(10.0)], spelled, Decoder(decode))
    assert result.avg_logprob == pytest.approx(-2.5 / 5)  # three tokens and two ends
    assert result.no_speech_prob == 0.3
    assert {segment.avg_logprob for segment in result.segments} == {result.avg_logprob}


def test_what_is_in_the_padding_or_has_no_text_is_left_out() -> None:
    [result] = decode_to_end(
        [window(1.5)], spelled, Decoder(lambda row: decoded(row, 1, END_OF_TEXT, 2))
    )
    assert [segment.text for segment in result.segments] == [" 1"]


@pytest.mark.parametrize("axis", [0, 1])
def test_the_features_of_a_rest_are_moved_to_the_front_and_padded(axis: int) -> None:
    whole = np.moveaxis(window(30.0).features, 0, axis)
    row = Row(0, WindowInput(whole, 30.0, Options(), 0.0), 10.0, "en")
    moved = np.moveaxis(row.features(axis), axis, 0)
    assert moved.shape == (3000, 2)
    assert moved[0, 0] == 1000.0
    assert moved[1999, 0] == 2999.0
    assert not moved[2000:].any()
    assert Row(0, row.window, 0.0, "en").features(axis) is whole
