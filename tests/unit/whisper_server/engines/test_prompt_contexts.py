"""Hotwords and prompt as tokens in front of the text."""

from dataclasses import replace

import pytest

from whisper_server.engines.base import Options, Samples
from whisper_server.engines.faster_whisper import FasterWhisperEngine

MARKS = "<|endoftext|><|startoftranscript|>"


def test_prompt_and_hotwords_of_any_length_leave_half_of_the_places_to_the_text(
    engine: FasterWhisperEngine,
) -> None:
    contexts = engine._contexts
    assert contexts is not None
    long, short = "the old house by the river " * 200, "hello"
    lengths = {
        (prompt, hotwords): len(contexts.tokens(Options(prompt=prompt, hotwords=hotwords)))
        for prompt in (long, short, "  ", None)
        for hotwords in (long, short, "", None)
    }
    assert max(lengths.values()) == lengths[long, long] == lengths[long, None] == 224
    assert lengths[None, None] == lengths["  ", ""] == 0
    assert lengths[short, short] == 2 * lengths[short, None] - 1
    last = contexts.tokens(Options(prompt=long + short))
    first = contexts.tokens(Options(hotwords=short + " " + long))
    both = contexts.tokens(Options(prompt=long + short, hotwords=short + " " + long))
    assert both == (*first[:112], *last[-112:])
    assert contexts.fitting(None) is None
    assert len((contexts.fitting(long) or "").split()) < len(long.split()) / 5


@pytest.mark.parametrize(
    "text",
    [f"{MARKS} hello", "<|0.00|> one<|30.00|>", "<<|de|>>", "a <| b |>"],
)
def test_special_tokens_and_time_stamps_in_a_prompt_or_in_hotwords_are_plain_text(
    engine: FasterWhisperEngine, text: str
) -> None:
    contexts, tokenizer = engine._contexts, engine._whisper.hf_tokenizer
    assert contexts is not None
    end_of_text = tokenizer.token_to_id("<|endoftext|>")
    for options in (Options(prompt=text), Options(hotwords=text)):
        first, *rest = contexts.tokens(options)
        assert first == tokenizer.token_to_id("<|startofprev|>")
        assert max(rest) < end_of_text
        assert tokenizer.decode(rest, skip_special_tokens=False) == f" {text}"


@pytest.mark.parametrize(
    "options", [Options(prompt=f"{MARKS} hello"), Options(hotwords=f"{MARKS} hello")]
)
def test_the_long_form_does_not_take_a_prompt_for_what_was_said(
    engine: FasterWhisperEngine, speech: Samples, options: Options
) -> None:
    """faster-whisper encodes both by itself."""
    options = replace(options, language="en")
    assert "hello" not in engine.transcribe(speech, options, lambda: False).text.lower()
