"""The engine itself, in this process, with the demo model."""

import io
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.paths import SAMPLES
from tests.support.speech import speak
from tests.support.whisper_process import demo_model
from tests.support.whisper_stand_in import Patched, text_of, yes_after
from whisper_server.audio_windows import Window, cut_into_windows
from whisper_server.engines.base import SAMPLE_RATE, Options, Samples, WindowInput, WindowResult
from whisper_server.engines.faster_whisper import FasterWhisperEngine
from whisper_server.engines.silero import find_speech
from whisper_server.errors import EngineFailed, EngineStopped, ModelUnavailable, OutOfMemory
from whisper_server.model_names import Model, find_model
from whisper_server.presets import EnginePlan, Shape
from whisper_server.recording import Recording

PLAN = EnginePlan("demo", "faster-whisper", "cpu", "int8", Shape(1, 2, 4, "a test"), (0,), 1)
PLAIN = Options(language="en")
WORDS = Options(language="en", word_timestamps=True)
DIARY = SAMPLES / "voice-diary.mp3"


def never() -> bool:
    return False


def loaded_engine(plan: EnginePlan = PLAN) -> FasterWhisperEngine:
    engine = FasterWhisperEngine(find_model(demo_model()), plan)
    engine.load()
    return engine


@pytest.fixture(scope="module")
def engine() -> FasterWhisperEngine:
    return loaded_engine()


@pytest.fixture
def model(engine: FasterWhisperEngine) -> Any:
    """CTranslate2's model within the engine, for tests that stand in its way."""
    return engine._whisper.model


def samples_of(path: Path) -> Samples:
    return np.concatenate(list(Recording([io.BytesIO(path.read_bytes())], 600, "file").blocks()))


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    path = speak("one two three alpha bravo charlie", tmp_path_factory.mktemp("speech") / "a.wav")
    return samples_of(path)


@pytest.fixture(scope="module")
def windows(engine: FasterWhisperEngine) -> list[Window]:
    """Eight of them, of unlike lengths, in no order that tells the longest."""
    diary = [samples_of(DIARY)[: 75 * SAMPLE_RATE]]
    pieces = cut_into_windows(diary, engine.window_seconds, find_speech)
    return [window for piece in pieces for window in piece][:8]


def ready(
    engine: FasterWhisperEngine, samples: Samples, options: Options = PLAIN, temperature: float = 0
) -> WindowInput:
    return WindowInput(
        engine.features(samples), len(samples) / SAMPLE_RATE, options, float(temperature)
    )


# Batches


@pytest.fixture(scope="module")
def inputs(engine: FasterWhisperEngine, windows: list[Window]) -> list[WindowInput]:
    return [ready(engine, window.samples, WORDS) for window in windows]


@pytest.fixture(scope="module")
def alone(engine: FasterWhisperEngine, inputs: list[WindowInput]) -> list[WindowResult]:
    return [engine.decode([window])[0] for window in inputs]


@pytest.mark.parametrize("batch_size", [2, 4, 8])
def test_a_window_is_heard_alike_alone_and_in_company(
    engine: FasterWhisperEngine,
    inputs: list[WindowInput],
    alone: list[WindowResult],
    batch_size: int,
) -> None:
    """Every token, time and number: with int8 on a CPU the arithmetic of a row is its own."""
    assert engine.decode(inputs[:batch_size]) == alone[:batch_size]
    assert all(text_of(found) for found in alone)


def test_with_float32_only_the_last_digits_of_a_probability_know_the_company(
    windows: list[Window],
) -> None:
    engine = loaded_engine(replace(PLAN, compute_type="float32"))
    inputs = [ready(engine, window.samples, WORDS) for window in windows[:2]]
    for found, lone in zip(
        engine.decode(inputs), (engine.decode([one])[0] for one in inputs), strict=True
    ):
        assert [s.tokens for s in found.segments] == [s.tokens for s in lone.segments]
        assert [(s.start, s.end) for s in found.segments] == [
            (s.start, s.end) for s in lone.segments
        ]
        assert found.avg_logprob == pytest.approx(lone.avg_logprob, abs=1e-5)


def test_a_lone_window_is_heard_as_faster_whisper_itself_hears_it(
    engine: FasterWhisperEngine, windows: list[Window]
) -> None:
    """Given as much padding as it takes, which for this model is three times its own window."""
    from faster_whisper.audio import pad_or_trim

    for window in windows[:3]:
        entry = ready(engine, window.samples, WORDS)
        (found,) = engine.decode([replace(entry, features=pad_or_trim(entry.features))])
        reference, _ = engine._whisper.transcribe(
            window.samples, language="en", word_timestamps=True
        )
        for theirs, ours in zip(reference, found.segments, strict=True):
            assert ours.tokens == tuple(theirs.tokens)
            assert (ours.start, ours.end) == pytest.approx((theirs.start, theirs.end))
            assert ours.avg_logprob == pytest.approx(theirs.avg_logprob)
            assert ours.no_speech_prob == pytest.approx(theirs.no_speech_prob)
            assert [(w.word, w.start, w.end, w.probability) for w in ours.words] == [
                (w.word.strip(), *map(pytest.approx, (w.start, w.end, w.probability)))
                for w in theirs.words
            ]


def test_rows_of_one_batch_may_have_different_languages(
    engine: FasterWhisperEngine, windows: list[Window]
) -> None:
    mixed = [
        ready(engine, window.samples, replace(WORDS, language=language))
        for window, language in zip(windows, ["en", "ja", None], strict=False)
    ]
    assert len({engine.batch_key(window) for window in mixed}) == 1
    found = engine.decode(mixed)
    assert found == [engine.decode([window])[0] for window in mixed]
    assert [one.language for one in found] == ["en", "ja", "en"]
    words = [segment.words for one in found for segment in one.segments]
    assert all(words)


def test_only_a_language_that_was_not_given_is_detected(
    engine: FasterWhisperEngine, windows: list[Window]
) -> None:
    given, unknown = engine.decode(
        [ready(engine, windows[0].samples, Options(language=code)) for code in ("en", None)]
    )
    assert given.language_probs == ()
    likeliest, probability = unknown.language_probs[0]
    assert likeliest == "en"
    assert probability == pytest.approx(1.0, abs=0.01)
    assert text_of(given) == text_of(unknown)


def test_a_language_that_this_model_was_never_taught_is_detected_instead(
    engine: FasterWhisperEngine, speech: Samples
) -> None:
    (found,) = engine.decode([ready(engine, speech, Options(language="yue"))])
    assert found.language == "en"
    assert text_of(found) == "one two three alpha bravo charlie"


def test_different_prompts_of_equal_length_share_a_batch(
    engine: FasterWhisperEngine, speech: Samples, windows: list[Window]
) -> None:
    prompts = [
        replace(PLAIN, prompt="red house"),
        replace(PLAIN, prompt="old dog"),
        replace(PLAIN, hotwords="old dog"),
    ]
    mixed = [
        ready(engine, samples, options)
        for samples, options in zip(
            [speech, windows[0].samples, windows[1].samples], prompts, strict=True
        )
    ]
    assert len({engine.batch_key(window) for window in mixed}) == 1
    assert engine.decode(mixed) == [engine.decode([window])[0] for window in mixed]


@pytest.mark.parametrize(
    "other",
    [
        replace(PLAIN, task="translate"),
        replace(PLAIN, beam_size=2),
        replace(PLAIN, word_timestamps=True),
        replace(PLAIN, prompt="hello"),
        replace(PLAIN, hotwords="hello"),
    ],
)
def test_windows_that_cannot_share_a_call_have_keys_of_their_own(
    engine: FasterWhisperEngine, speech: Samples, other: Options
) -> None:
    assert engine.batch_key(ready(engine, speech, other)) != engine.batch_key(ready(engine, speech))
    assert engine.batch_key(ready(engine, speech, PLAIN, 0.2)) != engine.batch_key(
        ready(engine, speech)
    )


@pytest.mark.parametrize("beam_size", [1, 3])
def test_any_beam_hears_plain_words(
    engine: FasterWhisperEngine, speech: Samples, beam_size: int
) -> None:
    (found,) = engine.decode([ready(engine, speech, replace(PLAIN, beam_size=beam_size))])
    assert text_of(found) == "one two three alpha bravo charlie"


def test_a_temperature_samples_and_is_told(engine: FasterWhisperEngine, speech: Samples) -> None:
    (found,) = engine.decode([ready(engine, speech, PLAIN, 0.4)])
    assert found.temperature == found.segments[0].temperature == 0.4
    assert "alpha bravo" in text_of(found)


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


# One window


def test_features_are_those_of_faster_whisper(engine: FasterWhisperEngine, speech: Samples) -> None:
    from faster_whisper.audio import pad_or_trim

    ours = engine.features(speech)
    theirs = pad_or_trim(engine._whisper.feature_extractor(speech)[..., :-1], ours.shape[1])
    assert ours.dtype == np.float32
    assert ours.flags.c_contiguous
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("options", [WORDS, Options(word_timestamps=True, beam_size=1)])
@pytest.mark.parametrize("length", [0, 1, 300, 2 * SAMPLE_RATE])
def test_in_silence_nothing_is_heard(
    engine: FasterWhisperEngine, length: int, options: Options
) -> None:
    (found,) = engine.decode([ready(engine, np.zeros(length, np.float32), options)])
    assert found.segments == ()
    assert found.compression_ratio == 0.0


def test_a_silent_row_does_not_disturb_its_neighbours(
    engine: FasterWhisperEngine, inputs: list[WindowInput], alone: list[WindowResult]
) -> None:
    silence = ready(engine, np.zeros(SAMPLE_RATE, np.float32), WORDS)
    found = engine.decode([silence, inputs[0], silence, inputs[1]])
    assert [found[1], found[3]] == alone[:2]
    assert found[0].segments == found[2].segments == ()


def test_times_are_plain_numbers_within_the_window(
    engine: FasterWhisperEngine, speech: Samples
) -> None:
    # The window claims to be shorter than what is heard in it, as if the rest were padding.
    window = replace(ready(engine, speech, WORDS), seconds=1.5)
    (found,) = engine.decode([window])
    words = [word for segment in found.segments for word in segment.words]
    times = [(one.start, one.end) for one in found.segments]
    times += [(one.start, one.end) for one in words]
    numbers = [number for pair in times for number in pair]
    assert all(type(number) is float for number in numbers)
    assert all(0 <= number <= 1.5 for number in numbers)
    assert type(found.avg_logprob) is float
    assert type(found.no_speech_prob) is float
    assert all(type(token) is int for token in found.segments[0].tokens)
    assert words[0].word == "one"


def test_what_the_model_leaves_unheard_at_a_windows_end_is_decoded_again(
    engine: FasterWhisperEngine,
    windows: list[Window],
    model: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whisper opens a segment and leaves it empty where a window ends within a sentence. The demo
    model was never taught to, so its own tokens are cut behind the first segment here."""
    samples = windows[0].samples
    whole = text_of(engine.decode([ready(engine, samples)])[0])
    generate = model.generate
    calls: list[int] = []

    def cut_short(encoded: Any, prompts: Any, **options: Any) -> Any:
        results = generate(encoded, prompts, **options)
        calls.append(len(prompts))
        if len(calls) == 1:
            results[0] = Shortened(results[0])
        return results

    monkeypatch.setattr(engine._decoder, "_model", Patched(model, generate=cut_short))
    found, other = engine.decode([ready(engine, samples, WORDS), ready(engine, samples, WORDS)])
    assert calls == [2, 1]
    assert text_of(other) == whole
    assert text_of(found).split()[:2] == whole.split()[:2]
    assert text_of(found).split()[-2:] == whole.split()[-2:]
    words = [word for segment in found.segments for word in segment.words]
    assert [word.start for word in words] == sorted(word.start for word in words)
    assert words[-1].end == pytest.approx(other.segments[-1].words[-1].end, abs=0.3)
    assert [segment.seek > 0 for segment in found.segments][:2] == [False, True]


def test_text_that_has_no_room_is_heard_in_two_goes(
    engine: FasterWhisperEngine,
    windows: list[Window],
    model: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Dense speech takes more tokens than there is room for; here the room is made small."""
    window = ready(engine, windows[0].samples)
    (whole,) = engine.decode([window])
    room = sum(len(segment.tokens) for segment in whole.segments[:3]) + 3
    monkeypatch.setattr(engine._whisper, "max_length", 2 * room)
    found, again = engine.decode([window, window])
    assert found == again
    assert [s.tokens for s in found.segments[:3]] == [s.tokens for s in whole.segments[:3]]
    assert [segment.seek > 0 for segment in found.segments] == [False, False, False, True]
    assert text_of(found).split()[-2:] == text_of(whole).split()[-2:]


class Shortened:
    """A result of `generate` whose tokens end where the second segment begins."""

    def __init__(self, result: Any) -> None:
        tokens = result.sequences_ids[0]
        stamps = [i for i, token in enumerate(tokens) if token > 50_363]
        self.sequences_ids = [tokens[: stamps[2] + 1]]
        self.scores = result.scores
        self.no_speech_prob = result.no_speech_prob


# When things go wrong


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("CUDA failed with error out of memory", OutOfMemory),
        ("cuBLAS failed with status CUBLAS_STATUS_ALLOC_FAILED", OutOfMemory),
        ("std::bad_alloc", OutOfMemory),
        ("CUDA failed with error an illegal memory access\nwas encountered", EngineFailed),
    ],
)
def test_an_error_of_the_device_says_whether_memory_ran_out(
    engine: FasterWhisperEngine,
    speech: Samples,
    model: Any,
    monkeypatch: pytest.MonkeyPatch,
    message: str,
    kind: type[EngineFailed],
) -> None:
    """No device here runs out of memory when it is asked to, so `generate` says it did."""

    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError(message)

    monkeypatch.setattr(engine._decoder, "_model", Patched(model, generate=fail))
    with pytest.raises(EngineFailed) as caught:
        engine.decode([ready(engine, speech)])
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    kept = [frame.frame.f_locals for frame in traceback_of(caught.value.__cause__)]
    assert not any("encoded" in names for names in kept), "the encoder's output fills the device"


def traceback_of(error: BaseException | None) -> Iterator[Any]:
    assert error is not None
    step = error.__traceback__
    while step is not None:
        yield type("Step", (), {"frame": step.tb_frame})
        step = step.tb_next


def test_an_unloaded_engine_prepares_windows_and_decodes_them_once_it_is_back() -> None:
    engine = loaded_engine()
    samples = samples_of(DIARY)[: 5 * SAMPLE_RATE]
    before = engine.decode([ready(engine, samples)])
    engine.unload()
    window = ready(engine, samples)
    assert engine.batch_key(window)
    assert engine.window_seconds == 10.0
    assert engine.can_translate()
    assert (engine.knows("de"), engine.knows("yue")) == (True, False)
    with pytest.raises(EngineFailed, match="'demo' is not loaded"):
        engine.decode([window])
    with pytest.raises(EngineFailed, match="'demo' is not loaded"):
        engine.transcribe(samples, PLAIN, never)
    engine.load()
    assert engine.decode([window]) == before


def test_a_broken_model_file_is_one_clear_line(tmp_path: Path) -> None:
    whole = find_model(demo_model()).folder
    assert whole is not None
    folder = tmp_path / "broken"
    shutil.copytree(whole, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    folder.chmod(0o755)
    (folder / "model.bin").unlink()
    (folder / "model.bin").write_bytes(b"\x06\0\0\0broken")
    with pytest.raises(ModelUnavailable, match="'broken' cannot be loaded on cpu") as caught:
        FasterWhisperEngine(find_model(str(folder)), PLAN).load()
    assert "\n" not in str(caught.value)


def test_an_unknown_compute_type_is_not_blamed_on_the_folder() -> None:
    plan = replace(PLAN, compute_type="int7")
    with pytest.raises(ModelUnavailable, match=r"int7.*another --compute-type") as caught:
        FasterWhisperEngine(find_model(demo_model()), plan).load()
    assert "folder" not in str(caught.value)


def test_a_model_that_cannot_be_had_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelUnavailable, match="whisper-server download base") as caught:
        FasterWhisperEngine(Model("base"), PLAN, download_folder=tmp_path).load()
    assert "\n" not in str(caught.value)
    assert "give a folder with --model" in str(caught.value)


# Sequential decoding


def test_the_long_form_hears_more_than_a_window(
    engine: FasterWhisperEngine, speech: Samples
) -> None:
    pause = np.zeros(12 * SAMPLE_RATE, np.float32)
    twice = np.concatenate([speech, pause, speech])
    found = engine.transcribe(twice, WORDS, never)
    words = [word for segment in found.segments for word in segment.words]
    assert [word.word for word in words] == ["one", "two", "three", "alpha", "bravo", "charlie"] * 2
    second_start = (len(speech) + len(pause)) / SAMPLE_RATE
    assert words[6].start == pytest.approx(second_start, abs=0.5)
    assert found.duration_seconds == pytest.approx(len(twice) / SAMPLE_RATE)
    assert all(type(word.start) is float for word in words)


def test_the_long_form_takes_every_option(engine: FasterWhisperEngine, speech: Samples) -> None:
    options = Options(prompt="hello", hotwords="world", beam_size=2, vad_filter=False)
    found = engine.transcribe(speech, options, never)
    assert "charlie" in found.text
    assert found.top_language_probs[0][0] == found.language == "en"


def test_a_yes_to_should_stop_ends_the_work(engine: FasterWhisperEngine, speech: Samples) -> None:
    for position in range(3):
        with pytest.raises(EngineStopped):
            engine.transcribe(speech, Options(), yes_after(position))
