"""Windows of many recordings in one call of mlx-whisper; the only module that imports mlx.

mlx ties what it computes to the thread that began it: import this module and call it in one thread
alone.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten
from mlx_whisper.decoding import DecodingOptions, DecodingTask, LogitFilter, detect_language
from mlx_whisper.load_models import load_model
from mlx_whisper.timing import add_word_timestamps, dtw
from mlx_whisper.tokenizer import get_tokenizer

from whisper_server.engines.base import FRAMES_PER_SECOND, Options, WindowInput, WindowResult
from whisper_server.engines.batch_rows import DecodedRow, Row, decode_to_end
from whisper_server.engines.segments import (
    MAX_INITIAL_TIMESTAMP_SECONDS,
    SAMPLED_CANDIDATES,
    split_at_timestamps,
    top_languages,
)

FRAMES_PER_POSITION = 2
WHISPER_POSITIONS = 1500
_NOT_STORED = "alignment_heads"
"""Models made without them fall back on the later half of the decoder."""


class MlxDecoder:
    """One copy of the weights.

    `folder` is in mlx form, `compute_type` float16 or float32. mlx-whisper knows no beam search:
    texts are decoded greedily at any `beam_size`.
    """

    def __init__(self, folder: Path, compute_type: str, *, on_cpu: bool) -> None:
        if on_cpu:
            mx.set_default_device(mx.cpu)
        self._dtype = getattr(mx, compute_type)
        self._model = load_model(str(folder), self._dtype)
        self._check_complete(folder)
        self._model.set_dtype(self._dtype)  # the files may hold another
        mx.eval(self._model.parameters())
        self.mels: int = self._model.dims.n_mels
        self.frames: int = self._model.dims.n_audio_ctx * FRAMES_PER_POSITION
        self.is_multilingual = bool(self._model.is_multilingual)
        codes = self._tokenizer(None, None).all_language_codes
        self.languages = frozenset(codes if self.is_multilingual else ["en"])
        dtw(np.zeros((2, 2), np.float32))  # is compiled at its first call, which takes seconds

    def decode(self, windows: Sequence[WindowInput]) -> list[WindowResult]:
        """Return a result for each; they share task, language, temperature and prompt."""
        return decode_to_end(windows, self._supported, self._decode)

    def _decode(self, rows: Sequence[Row]) -> list[DecodedRow]:
        if len({row.language for row in rows}) > 1:  # rests of windows whose language was detected
            return [decoded for row in rows for decoded in self._decode([row])]
        language, window = rows[0].language, rows[0].window
        mel = mx.array(np.stack([row.features(axis=0) for row in rows])).astype(self._dtype)
        sound = self._model.encoder(mel)
        probabilities = [()] * len(rows) if language else self._language_probs(sound)
        texts = self._generate(
            sound, replace(window.options, language=language), window.temperature
        )
        decoded = [
            self._read(*parts) for parts in zip(rows, sound, texts, probabilities, strict=True)
        ]
        mx.clear_cache()  # mlx keeps freed memory for arrays of the same size: batches differ
        return decoded

    def _supported(self, language: str | None) -> str | None:
        if not self.is_multilingual:
            return "en"
        return language if language in self.languages else None

    def _language_probs(self, sound: Any) -> list[tuple[tuple[str, float], ...]]:
        _, rows = detect_language(self._model, sound)
        return [top_languages(sorted(row.items(), key=lambda pair: -pair[1])) for row in rows]

    def _generate(self, sound: Any, options: Options, temperature: float) -> list[Any]:
        """Return a `DecodingResult` for each row of encoded sound."""
        # mlx-whisper takes the positions, however many, for 30 seconds.
        stretched = WHISPER_POSITIONS / self._model.dims.n_audio_ctx
        task = DecodingTask(
            self._model,
            DecodingOptions(
                task=options.task,
                language=options.language,
                temperature=temperature,
                prompt=self._prompt(options),
                max_initial_timestamp=MAX_INITIAL_TIMESTAMP_SECONDS * stretched,
                fp16=self._dtype == mx.float16,
            ),
        )
        task.logit_filters.insert(
            -1, _RisingTimestamps(task.tokenizer.timestamp_begin, task.sample_begin)
        )
        copies = SAMPLED_CANDIDATES if temperature > 0 else 1
        found = task.run(mx.repeat(sound, copies, axis=0) if copies > 1 else sound)
        rows = [found[first : first + copies] for first in range(0, len(found), copies)]
        return [max(row, key=lambda text: text.avg_logprob) for row in rows]

    def _prompt(self, options: Options) -> list[int] | None:
        """Return hotwords and the end of the prompt, at most as long as mlx-whisper keeps."""
        most = self._model.dims.n_text_ctx // 2 - 1
        hotwords = self._tokens(options.hotwords)[: most // 2]
        prompt = self._tokens(options.prompt)[-(most - len(hotwords)) :]
        return hotwords + prompt or None

    def _tokens(self, text: str | None) -> list[int]:
        if not text or not text.strip():
            return []
        encoding = self._tokenizer(None, None).encoding
        tokens: list[int] = encoding.encode_ordinary(f" {text.strip()}")  # "<|...|>" is text too
        return tokens

    def _tokenizer(self, language: str | None, task: str | None) -> Any:
        return get_tokenizer(
            self.is_multilingual,
            num_languages=self._model.num_languages,
            language=language,
            task=task,
        )

    def _read(
        self, row: Row, sound: Any, text: Any, probabilities: tuple[tuple[str, float], ...]
    ) -> DecodedRow:
        tokenizer = self._tokenizer(text.language, row.window.options.task)
        split = split_at_timestamps(text.tokens, tokenizer.timestamp_begin, row.seconds)
        # What the model writes for the padding behind the audio is invented.
        drafts = [draft for draft in split.drafts if draft["start"] < row.seconds]
        if row.window.options.word_timestamps:
            add_word_timestamps(
                segments=drafts,
                model=SimpleNamespace(
                    alignment_heads=self._model.alignment_heads,
                    forward_with_cross_qk=self._attention,
                ),
                tokenizer=tokenizer,
                mel=sound,
                num_frames=max(FRAMES_PER_POSITION, round(row.seconds * FRAMES_PER_SECOND)),
                last_speech_timestamp=0.0,
            )
        return DecodedRow(
            row=row,
            language=text.language,
            language_probs=probabilities,
            tokenizer=tokenizer,
            drafts=drafts,
            undecoded_from=split.undecoded_from,
            token_count=len(text.tokens),
            logprob=text.avg_logprob * (len(text.tokens) + 1),
            no_speech_prob=text.no_speech_prob,
            text=text.text,
        )

    def _attention(self, sound: Any, tokens: Any) -> tuple[Any, Any]:
        """Return the logits and the attention of a whole text; the sound is encoded already."""
        logits, _, attention = self._model.decoder(tokens, sound)
        return logits, attention

    def _check_complete(self, folder: Path) -> None:
        """Raise ValueError if the file lacks weights: mlx would leave them random."""
        files = (folder / "weights.safetensors", folder / "weights.npz")
        stored = set(mx.load(str(next(file for file in files if file.exists()))))
        expected = {name for name, _ in tree_flatten(self._model.parameters())}
        if missing := sorted(expected - stored - {_NOT_STORED}):
            raise ValueError(f"its weights lack {missing[0]} and {len(missing) - 1} more")


class _RisingTimestamps(LogitFilter):  # type: ignore[misc]
    """Forbids timestamps that fall, and segments that end where they start.

    mlx-whisper has that rule as well, but compares a timestamp's position in the text instead.
    """

    def __init__(self, first_timestamp: int, sample_begin: int) -> None:
        self._first_timestamp = first_timestamp
        self._sample_begin = sample_begin

    def apply(self, logits: Any, tokens: Any) -> Any:
        """Return the filtered logits; `logits` and `tokens` have a row for each text."""
        rows = np.array(tokens)[:, self._sample_begin :]
        if not (rows >= self._first_timestamp).any():
            return logits
        mask = np.zeros(logits.shape, np.float32)
        for row, text in enumerate(rows):
            timestamps = text[text >= self._first_timestamp]
            if len(timestamps):
                closes = text[-1] >= self._first_timestamp and (
                    len(text) > 1 and text[-2] < self._first_timestamp
                )
                mask[row, self._first_timestamp : timestamps[-1] + (0 if closes else 1)] = -np.inf
        return logits + mx.array(mask)
