"""Windows of many recordings in one call of CTranslate2; needs faster_whisper to be installed.

faster-whisper knows batches of one recording only: one language, one prompt. Here each row of a
batch has its own language and prompt, and its text does not depend on the others. Texts are
decoded without time stamps, which is faster and loses fewer words, unless a window asks for them;
the times of words come from the alignment.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import ctranslate2
import numpy as np
import numpy.typing as npt
from ctranslate2 import StorageView
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_suppressed_tokens, merge_punctuations

from whisper_server.engines import segments
from whisper_server.engines.base import (
    FRAMES_PER_SECOND,
    AlignedWord,
    EncodedWindow,
    LanguageSlice,
    WindowInput,
    WindowResult,
)
from whisper_server.engines.language_slices import are_doubtful, cut_frames, slice_times
from whisper_server.engines.prompt_contexts import Contexts

POSITIONS_PER_SECOND = 50
"""Of the encoder's output."""

Sound = npt.NDArray[np.float32]
"""The encoder's output for a window, shape (positions, width)."""


class WindowDecoder:
    """Decodes with one loaded model; any number of threads may call it."""

    def __init__(self, whisper: WhisperModel, contexts: Contexts) -> None:
        self._whisper = whisper
        self._model = whisper.model
        self._contexts = contexts
        self._tokenizer = lru_cache(maxsize=None)(self._new_tokenizer)
        plain = self._tokenizer("en", "transcribe")
        self._suppressed = list(get_suppressed_tokens(plain, [-1]))

    def encode(self, windows: Sequence[WindowInput]) -> list[EncodedWindow]:
        """Encode windows and find the languages of their slices.

        The encoder's output for a window is cut into slices, which costs next to nothing. In a
        window of several languages the encoder mixes them: where the slices disagree or doubt,
        each is encoded alone.
        """
        sounds = _on_host(self._encode([window.features for window in windows]))
        found = []
        for window, sound in zip(windows, sounds, strict=True):
            times = slice_times(window.seconds)
            parts = [cut_frames(sound, 0, time, POSITIONS_PER_SECOND) for time in times]
            probs = self._language_probs(StorageView.from_array(np.stack(parts)))
            if len(times) > 1 and are_doubtful(probs):
                parts = [cut_frames(window.features, 1, time, FRAMES_PER_SECOND) for time in times]
                probs = self._language_probs(self._encode(parts))
            slices = tuple(LanguageSlice(*time, p) for time, p in zip(times, probs, strict=True))
            found.append(EncodedWindow(sound, slices))
        return found

    def decode(self, windows: Sequence[WindowInput]) -> list[WindowResult]:
        """Return a result for each, in order; they share a `batch_key`."""
        encoded = self._sounds(windows)
        tokenizers = [
            self._tokenizer(self._supported(window.options.language), window.options.task)
            for window in windows
        ]
        prompts = [
            [
                *self._contexts.tokens(window.options),
                *tokenizer.sot_sequence,
                *([] if window.with_timestamps else [tokenizer.no_timestamps]),
            ]
            for window, tokenizer in zip(windows, tokenizers, strict=True)
        ]
        generated = self._model.generate(
            encoded,
            prompts,
            max_length=self._whisper.max_length,
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=self._suppressed,
            **_search(windows[0]),
        )
        texts = [
            [int(token) for token in one.sequences_ids[0] if token < tokenizer.eot]
            for one, tokenizer in zip(generated, tokenizers, strict=True)
        ]
        words = self._words(encoded, windows, tokenizers, texts)
        return [
            WindowResult(
                language=tokenizer.language_code,
                words=words[row],
                temperature=window.temperature,
                **segments.numbers_of(
                    tokenizer.decode(texts[row]),
                    generated[row].scores[0],
                    len(generated[row].sequences_ids[0]),
                    generated[row].no_speech_prob,
                ),
            )
            for row, (window, tokenizer) in enumerate(zip(windows, tokenizers, strict=True))
        ]

    def _sounds(self, windows: Sequence[WindowInput]) -> StorageView:
        """Return the encoder's output for windows, some of which may be encoded already."""
        missing = [window.features for window in windows if window.sound is None]
        if len(missing) == len(windows):
            return self._encode(missing)
        encoded = iter(_on_host(self._encode(missing)) if missing else ())
        rows = [next(encoded) if window.sound is None else window.sound for window in windows]
        return StorageView.from_array(np.stack(rows))

    def _encode(self, features: Sequence[Any]) -> StorageView:
        return self._model.encode(StorageView.from_array(np.stack(features)))

    def _language_probs(self, encoded: StorageView) -> list[dict[str, float]]:
        return [
            {token[2:-2]: float(prob) for token, prob in found}
            for found in self._model.detect_language(encoded)
        ]

    def _words(
        self,
        encoded: StorageView,
        windows: Sequence[WindowInput],
        tokenizers: Sequence[Tokenizer],
        texts: Sequence[list[int]],
    ) -> list[tuple[AlignedWord, ...]]:
        """Return the words of each text.

        CTranslate2 aligns rows of one language at a time; the others are blank meanwhile.
        """
        frames = [max(2, round(window.seconds * FRAMES_PER_SECOND)) for window in windows]
        words: list[tuple[AlignedWord, ...]] = [()] * len(windows)
        for tokenizer in {t for t, text in zip(tokenizers, texts, strict=True) if text}:
            rows = [
                text if tokenizer is own else []
                for own, text in zip(tokenizers, texts, strict=True)
            ]
            aligned = self._whisper.find_alignment(tokenizer, rows, encoded, frames)
            for row, alignment in enumerate(aligned):
                if rows[row]:
                    merge_punctuations(alignment, segments.OPENING_MARKS, segments.CLOSING_MARKS)
                    words[row] = segments.aligned_words(
                        (w["word"], w["tokens"], w["start"], w["end"], w["probability"])
                        for w in alignment
                    )
        return words

    def _supported(self, language: str | None) -> str:
        return language or "en" if self._model.is_multilingual else "en"

    def _new_tokenizer(self, language: str, task: str) -> Tokenizer:
        return Tokenizer(
            self._whisper.hf_tokenizer, self._model.is_multilingual, task=task, language=language
        )


def _on_host(encoded: StorageView) -> Sound:
    """Return the encoder's output as an array in the memory of the CPU."""
    if encoded.device != "cpu":
        encoded = encoded.to_device(ctranslate2.Device.cpu)
    if encoded.dtype == ctranslate2.DataType.bfloat16:  # which numpy does not have
        encoded = encoded.to(ctranslate2.DataType.float32)
    return np.array(encoded)


def _search(window: WindowInput) -> dict[str, Any]:
    if window.temperature > 0:
        return {
            "beam_size": 1,
            "num_hypotheses": segments.SAMPLED_CANDIDATES,
            "sampling_topk": 0,
            "sampling_temperature": window.temperature,
        }
    return {"beam_size": window.options.beam_size}
