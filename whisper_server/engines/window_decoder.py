"""Windows of many recordings in one call of CTranslate2; needs faster_whisper to be installed.

faster-whisper knows batches of one recording only: one language, one prompt, no timestamps. Here
each row of a batch has its own language and prompt, and its text does not depend on the others.
"""

from collections.abc import Sequence
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np
from ctranslate2 import StorageView
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_suppressed_tokens

from whisper_server.engines import segments
from whisper_server.engines.base import FRAMES_PER_SECOND, WindowInput, WindowResult
from whisper_server.engines.batch_rows import DecodedRow, Row, decode_to_end
from whisper_server.engines.prompt_contexts import Contexts

OPENING_MARKS = "\"'“¿([{-"
CLOSING_MARKS = "\"'.。,，!！?？:：”)]}、"


class WindowDecoder:
    """Decodes with one loaded model; any number of threads may call it."""

    def __init__(self, whisper: WhisperModel, contexts: Contexts) -> None:
        self._whisper = whisper
        self._model = whisper.model
        self._contexts = contexts
        self._tokenizer = lru_cache(maxsize=None)(self._new_tokenizer)
        plain = self._tokenizer("en", "transcribe")
        self._suppressed = list(get_suppressed_tokens(plain, [-1]))

    def decode(self, windows: Sequence[WindowInput]) -> list[WindowResult]:
        """Return a result for each, in order; those not decoded to their end take more calls."""
        return decode_to_end(windows, self._supported, self._decode)

    def _decode(self, rows: Sequence[Row]) -> list[DecodedRow]:
        features = np.stack([row.features(axis=1) for row in rows])
        encoded = self._model.encode(StorageView.from_array(features))
        window = rows[0].window  # for what the rows have in common, see `batch_key`
        probs = self._language_probs(encoded, rows)
        tokenizers = [
            self._tokenizer(row.language or found[0][0], window.options.task)
            for row, found in zip(rows, probs, strict=True)
        ]
        prompts = [
            [*self._contexts.tokens(row.window.options), *tokenizer.sot_sequence]
            for row, tokenizer in zip(rows, tokenizers, strict=True)
        ]
        generated = self._model.generate(
            encoded,
            prompts,
            max_length=self._whisper.max_length,
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=self._suppressed,
            max_initial_timestamp_index=round(
                segments.MAX_INITIAL_TIMESTAMP_SECONDS / segments.SECONDS_PER_TIMESTAMP
            ),
            **_search(window),
        )
        # CTranslate2 ends a text there, finished or not.
        max_tokens = min(
            self._whisper.max_length // 2, self._whisper.max_length + 1 - len(prompts[0])
        )
        decoded = [
            _read(*one, max_tokens) for one in zip(rows, tokenizers, probs, generated, strict=True)
        ]
        if window.options.word_timestamps:
            self._place_words(encoded, decoded)
        return decoded

    def _language_probs(
        self, encoded: StorageView, rows: Sequence[Row]
    ) -> list[tuple[tuple[str, float], ...]]:
        """Return the likeliest languages of each row without a language; () for the others."""
        if all(row.language for row in rows):
            return [()] * len(rows)
        if not self._model.is_multilingual:
            return [(("en", 1.0),)] * len(rows)
        return [
            ()
            if row.language
            else segments.top_languages((token[2:-2], prob) for token, prob in found)
            for row, found in zip(rows, self._model.detect_language(encoded), strict=True)
        ]

    def _place_words(self, encoded: StorageView, decoded: Sequence[DecodedRow]) -> None:
        """Give each draft its `words`, and the times that follow from them.

        CTranslate2 aligns rows of one language at a time; the others are blank meanwhile.
        """
        frames = [max(2, round(one.row.seconds * FRAMES_PER_SECOND)) for one in decoded]
        for tokenizer in {one.tokenizer for one in decoded if one.text_tokens}:
            texts = [one.text_tokens if one.tokenizer is tokenizer else [] for one in decoded]
            aligned = self._whisper.find_alignment(tokenizer, texts, encoded, frames)
            for one, alignment in zip(decoded, aligned, strict=True):
                if one.tokenizer is tokenizer and one.drafts:
                    _add_words(one.drafts, alignment, tokenizer)

    def _supported(self, language: str | None) -> str | None:
        if not self._model.is_multilingual:
            return language and "en"
        return language if language and self._contexts.knows(language) else None

    def _new_tokenizer(self, language: str, task: str) -> Tokenizer:
        return Tokenizer(
            self._whisper.hf_tokenizer, self._model.is_multilingual, task=task, language=language
        )


def _add_words(
    drafts: list[dict[str, Any]], alignment: list[dict[str, Any]], tokenizer: Tokenizer
) -> None:
    """Add words with faster-whisper's method, with the given alignment in place of its model.

    So each row is treated as if it were alone: the method itself carries the end of one row's
    speech over to the next, and stumbles over rows without segments.
    """
    model = SimpleNamespace(
        find_alignment=lambda *_: [alignment], frames_per_second=FRAMES_PER_SECOND
    )
    WhisperModel.add_word_timestamps(
        model, [drafts], tokenizer, None, 0, OPENING_MARKS, CLOSING_MARKS, 0.0
    )


def _search(window: WindowInput) -> dict[str, Any]:
    if window.temperature > 0:
        return {
            "beam_size": 1,
            "num_hypotheses": segments.SAMPLED_CANDIDATES,
            "sampling_topk": 0,
            "sampling_temperature": window.temperature,
        }
    return {"beam_size": window.options.beam_size}


def _read(
    row: Row,
    tokenizer: Tokenizer,
    language_probs: tuple[tuple[str, float], ...],
    generated: Any,
    max_tokens: int,
) -> DecodedRow:
    tokens = all_tokens = [int(token) for token in generated.sequences_ids[0]]
    if len(all_tokens) >= max_tokens:
        tokens = segments.without_broken_tail(all_tokens, tokenizer.timestamp_begin)
    split = segments.split_at_timestamps(tokens, tokenizer.timestamp_begin, row.seconds)
    return DecodedRow(
        row=row,
        language=tokenizer.language_code,
        language_probs=language_probs,
        tokenizer=tokenizer,
        drafts=split.drafts,
        undecoded_from=split.undecoded_from,
        token_count=len(all_tokens),
        logprob=segments.finite(generated.scores[0]) * len(all_tokens),
        no_speech_prob=generated.no_speech_prob,
        text=tokenizer.decode(tokens),
    )
