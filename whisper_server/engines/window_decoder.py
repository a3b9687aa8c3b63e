"""Windows of many recordings in one call of CTranslate2; needs faster_whisper to be installed.

faster-whisper knows batches of one recording only: one language, one prompt, no time stamps. Here
each row of a batch has its own language and prompt, and what is heard in one row does not depend
on the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from ctranslate2 import StorageView
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_compression_ratio, get_suppressed_tokens

from whisper_server.engines.base import (
    Features,
    Segment,
    WindowInput,
    WindowResult,
    Word,
)
from whisper_server.engines.contexts import Contexts
from whisper_server.engines.segments import finite, split_at_stamps, within, without_broken_tail

TOP_LANGUAGES = 5
FRAMES_PER_SECOND = 100
STAMPS_PER_SECOND = 50
LATEST_FIRST_STAMP = 1 * STAMPS_PER_SECOND
"""Whisper's `max_initial_timestamp`: the first segment starts within a second."""
SAMPLED_CANDIDATES = 5
"""Whisper's `best_of`: of so many sampled texts the likeliest counts."""
MIN_REST_SECONDS = 0.5
"""What was left unheard at a window's end is decoded again unless it is as short as a breath."""
MAX_CALLS = 5
"""For one window, so that a model that takes tiny steps comes to an end."""
OPENING_MARKS = "\"'“¿([{-"
CLOSING_MARKS = "\"'.。,，!！?？:：”)]}、"


@dataclass(frozen=True)
class _Stretch:
    """A window, or what is left of it from `start` (seconds): one row of a batch."""

    row: int
    window: WindowInput
    start: float
    language: str | None

    @property
    def seconds(self) -> float:
        return self.window.seconds - self.start

    def features(self) -> Features:
        """Those of the window, moved to the front, with zeros behind as Whisper pads them."""
        first = round(self.start * FRAMES_PER_SECOND)
        if not first:
            return self.window.features
        moved = np.zeros_like(self.window.features)
        moved[:, : moved.shape[1] - first] = self.window.features[:, first:]
        return moved


@dataclass(frozen=True)
class _Heard:
    """What came of one stretch; `slices` are dicts as faster-whisper makes and changes them."""

    stretch: _Stretch
    tokenizer: Tokenizer
    language_probs: tuple[tuple[str, float], ...]
    slices: list[dict[str, Any]]
    unheard_from: float | None
    token_count: int
    logprob: float
    no_speech_prob: float
    text: str

    @property
    def text_tokens(self) -> list[int]:
        return [t for part in self.slices for t in part["tokens"] if t < self.tokenizer.eot]

    @property
    def rest(self) -> _Stretch | None:
        """What is left to be heard, if it is worth it."""
        row, window, start = self.stretch.row, self.stretch.window, self.stretch.start
        if not self.unheard_from:
            return None
        rest = _Stretch(row, window, start + self.unheard_from, self.tokenizer.language_code)
        return rest if rest.seconds >= MIN_REST_SECONDS else None


class WindowDecoder:
    """Works on one loaded model; any number of threads may call it."""

    def __init__(self, whisper: WhisperModel, contexts: Contexts) -> None:
        self._whisper = whisper
        self._model = whisper.model
        self._contexts = contexts
        self._tokenizer = lru_cache(maxsize=None)(self._new_tokenizer)
        plain = self._tokenizer("en", "transcribe")
        self._suppressed = list(get_suppressed_tokens(plain, [-1]))

    def decode(self, windows: Sequence[WindowInput]) -> list[WindowResult]:
        """One result each, in order. Windows that were not heard to their end take more calls."""
        heard: list[list[_Heard]] = [[] for _ in windows]
        stretches = [
            _Stretch(row, window, 0.0, self._known(window.options.language))
            for row, window in enumerate(windows)
        ]
        for _ in range(MAX_CALLS):
            found = self._hear(stretches)
            for one in found:
                heard[one.stretch.row].append(one)
            stretches = [rest for one in found if (rest := one.rest)]
            if not stretches:
                break
        return [_result(parts) for parts in heard]

    def _hear(self, stretches: Sequence[_Stretch]) -> list[_Heard]:
        features = np.stack([stretch.features() for stretch in stretches])
        encoded = self._model.encode(StorageView.from_array(features))
        window = stretches[0].window  # for what the rows have in common, see `batch_key`
        probs = self._language_probs(encoded, stretches)
        tokenizers = [
            self._tokenizer(stretch.language or probs[row][0][0], window.options.task)
            for row, stretch in enumerate(stretches)
        ]
        prompts = [
            [*self._contexts.tokens(stretch.window.options), *tokenizer.sot_sequence]
            for stretch, tokenizer in zip(stretches, tokenizers, strict=True)
        ]
        generated = self._model.generate(
            encoded,
            prompts,
            max_length=self._whisper.max_length,
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=self._suppressed,
            max_initial_timestamp_index=LATEST_FIRST_STAMP,
            **_search(window),
        )
        # CTranslate2 ends a text there, finished or not.
        most_tokens = min(
            self._whisper.max_length // 2, self._whisper.max_length + 1 - len(prompts[0])
        )
        heard = [
            _read(*row, most_tokens)
            for row in zip(stretches, tokenizers, probs, generated, strict=True)
        ]
        if window.options.word_timestamps:
            self._place_words(encoded, heard)
        return heard

    def _language_probs(
        self, encoded: StorageView, stretches: Sequence[_Stretch]
    ) -> list[tuple[tuple[str, float], ...]]:
        """The likeliest languages of each row whose language is not known, else nothing."""
        if all(stretch.language for stretch in stretches):
            return [()] * len(stretches)
        if not self._model.is_multilingual:
            return [(("en", 1.0),)] * len(stretches)
        return [
            ()
            if stretch.language
            else tuple((token[2:-2], float(prob)) for token, prob in found[:TOP_LANGUAGES])
            for stretch, found in zip(stretches, self._model.detect_language(encoded), strict=True)
        ]

    def _place_words(self, encoded: StorageView, heard: Sequence[_Heard]) -> None:
        """Give each slice its `words`, and the times that follow from them.

        CTranslate2 aligns rows of one language at a time; the others are blank meanwhile.
        """
        frames = [max(2, round(one.stretch.seconds * FRAMES_PER_SECOND)) for one in heard]
        for tokenizer in {one.tokenizer for one in heard if one.text_tokens}:
            texts = [one.text_tokens if one.tokenizer is tokenizer else [] for one in heard]
            aligned = self._whisper.find_alignment(tokenizer, texts, encoded, frames)
            for one, alignment in zip(heard, aligned, strict=True):
                if one.tokenizer is tokenizer and one.slices:
                    _Aligned(alignment).place_words(one.slices, tokenizer)

    def _known(self, language: str | None) -> str | None:
        """None for what the model has no token for: better detected than refused to the batch."""
        if not self._model.is_multilingual:
            return language and "en"
        known = self._whisper.hf_tokenizer.token_to_id(f"<|{language}|>") is not None
        return language if known else None

    def _new_tokenizer(self, language: str, task: str) -> Tokenizer:
        return Tokenizer(
            self._whisper.hf_tokenizer, self._model.is_multilingual, task=task, language=language
        )


@dataclass(frozen=True)
class _Aligned:
    """Stands where faster-whisper's method expects the model, which it asks for an alignment.

    So each row is treated as if it were alone: the method itself carries the end of one row's
    speech over to the next, and stumbles over rows without segments.
    """

    alignment: list[dict[str, Any]]
    frames_per_second: int = FRAMES_PER_SECOND

    def find_alignment(self, *_: Any) -> list[list[dict[str, Any]]]:
        return [self.alignment]

    def place_words(self, slices: list[dict[str, Any]], tokenizer: Tokenizer) -> None:
        WhisperModel.add_word_timestamps(
            self, [slices], tokenizer, None, 0, OPENING_MARKS, CLOSING_MARKS, 0.0
        )


def _search(window: WindowInput) -> dict[str, Any]:
    if window.temperature > 0:
        return {
            "beam_size": 1,
            "num_hypotheses": SAMPLED_CANDIDATES,
            "sampling_topk": 0,
            "sampling_temperature": window.temperature,
        }
    return {"beam_size": window.options.beam_size}


def _read(
    stretch: _Stretch,
    tokenizer: Tokenizer,
    language_probs: tuple[tuple[str, float], ...],
    generated: Any,
    most_tokens: int,
) -> _Heard:
    tokens = all_tokens = [int(token) for token in generated.sequences_ids[0]]
    if len(all_tokens) >= most_tokens:
        tokens = without_broken_tail(all_tokens, tokenizer.timestamp_begin)
    split = split_at_stamps(tokens, tokenizer.timestamp_begin, stretch.seconds)
    slices = [
        {"seek": 0, "start": part.start, "end": part.end, "tokens": list(part.tokens)}
        for part in split.slices
    ]
    return _Heard(
        stretch=stretch,
        tokenizer=tokenizer,
        language_probs=language_probs,
        slices=slices,
        unheard_from=split.unheard_from,
        token_count=len(all_tokens),
        logprob=finite(generated.scores[0]) * len(all_tokens),
        no_speech_prob=finite(generated.no_speech_prob),
        text=tokenizer.decode(tokens),
    )


def _result(parts: Sequence[_Heard]) -> WindowResult:
    """The parts of one window as one; its average is over all their tokens and ends."""
    first = parts[0]
    window = first.stretch.window
    result = WindowResult(
        language=first.tokenizer.language_code,
        language_probs=first.language_probs,
        segments=(),
        temperature=window.temperature,
        avg_logprob=sum(p.logprob for p in parts) / sum(p.token_count + 1 for p in parts),
        compression_ratio=get_compression_ratio("".join(p.text for p in parts).strip()),
        no_speech_prob=first.no_speech_prob,
    )
    segments = [
        _segment(part, one, result)
        for part in parts
        for one in part.slices
        if part.stretch.start + one["start"] < window.seconds  # nothing is said in the padding
    ]
    return replace(result, segments=tuple(s for s in segments if s.text.strip()))


def _segment(heard: _Heard, part: dict[str, Any], result: WindowResult) -> Segment:
    stretch = heard.stretch
    seconds = stretch.window.seconds
    start, end = within(stretch.start + part["start"], stretch.start + part["end"], seconds)
    words = []
    for word in part.get("words", ()):
        times = within(stretch.start + word["start"], stretch.start + word["end"], seconds)
        words.append(Word(*times, word["word"].strip(), finite(word["probability"])))
    return Segment(
        start=start,
        end=end,
        text=heard.tokenizer.decode(part["tokens"]),
        seek=round(stretch.start * FRAMES_PER_SECOND),
        tokens=tuple(part["tokens"]),
        temperature=result.temperature,
        avg_logprob=result.avg_logprob,
        compression_ratio=result.compression_ratio,
        no_speech_prob=result.no_speech_prob,
        words=tuple(words),
    )
