"""Hotwords and prompt as tokens in front of the text."""

from whisper_server.engines.base import Options
from whisper_server.engines.faster_whisper import FasterWhisperEngine


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
