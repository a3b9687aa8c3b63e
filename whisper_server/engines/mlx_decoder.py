"""Windows of many recordings in one call of mlx-whisper; the only module that imports mlx.

mlx ties what it computes to the thread that began it: import this module and call it in one thread
alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten
from mlx_whisper.decoding import DecodingOptions, DecodingTask
from mlx_whisper.load_models import load_model
from mlx_whisper.timing import dtw, find_alignment, merge_punctuations
from mlx_whisper.tokenizer import get_tokenizer

from whisper_server.engines.base import (
    FRAMES_PER_SECOND,
    EncodedWindow,
    LanguageSlice,
    Options,
    WindowInput,
    WindowResult,
)
from whisper_server.engines.language_slices import cut_frames, slice_times
from whisper_server.engines.segments import (
    CLOSING_MARKS,
    OPENING_MARKS,
    SAMPLED_CANDIDATES,
    aligned_words,
    finite,
)

FRAMES_PER_POSITION = 2
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

    def encode(self, windows: Sequence[WindowInput]) -> list[EncodedWindow]:
        """Encode windows, and find the languages of their slices by the encoder's output."""
        sounds = self._encode(windows)
        found = []
        for window, sound in zip(windows, sounds, strict=True):
            times = slice_times(window.seconds)
            per_second = self._model.dims.n_audio_ctx * FRAMES_PER_SECOND / self.frames
            parts = [cut_frames(np.array(sound), 0, time, round(per_second)) for time in times]
            probs = self._language_probs(mx.array(np.stack(parts)))
            slices = tuple(LanguageSlice(*time, p) for time, p in zip(times, probs, strict=True))
            found.append(EncodedWindow(sound, slices))
        mx.clear_cache()
        return found

    def decode(self, windows: Sequence[WindowInput]) -> list[WindowResult]:
        """Return a result for each; they share all of `MlxEngine.batch_key`."""
        sound = self._encode(windows)
        options = replace(windows[0].options, language=self._supported(windows[0].options.language))
        texts = self._generate(sound, replace(windows[0], options=options))
        decoded = [self._read(*parts) for parts in zip(windows, sound, texts, strict=True)]
        mx.clear_cache()  # mlx keeps freed memory for arrays of the same size: batches differ
        return decoded

    def _encode(self, windows: Sequence[WindowInput]) -> Any:
        """Return the encoder's output for windows, some of which may be encoded already."""
        missing = [window.features for window in windows if window.sound is None]
        new: Iterator[Any] = iter(())
        if missing:
            mel = mx.array(np.stack(missing)).astype(self._dtype)
            new = iter(self._model.encoder(mel))
        return mx.stack([next(new) if w.sound is None else w.sound for w in windows])

    def _supported(self, language: str | None) -> str:
        return language or "en" if self.is_multilingual else "en"

    def _language_probs(self, sound: Any) -> list[dict[str, float]]:
        """Return the probability of each language by parts of the encoder's output."""
        tokenizer = self._tokenizer(None, None)
        logits = self._model.logits(mx.array([[tokenizer.sot]] * len(sound)), sound)[:, 0]
        tokens = list(tokenizer.all_language_tokens)
        probs = np.array(mx.softmax(logits[:, mx.array(tokens)].astype(mx.float32), axis=-1))
        return [
            dict(zip(tokenizer.all_language_codes, map(float, row), strict=True)) for row in probs
        ]

    def _generate(self, sound: Any, first: WindowInput) -> list[Any]:
        """Return a `DecodingResult` for each row of encoded sound; `first`: its first window."""
        options, temperature = first.options, first.temperature
        task = DecodingTask(
            self._model,
            DecodingOptions(
                task=options.task,
                language=options.language,
                temperature=temperature,
                prompt=self._prompt(options),
                without_timestamps=not first.with_timestamps,
                fp16=self._dtype == mx.float16,
            ),
        )
        copies = SAMPLED_CANDIDATES if temperature > 0 else 1
        found = task.run(mx.repeat(sound, copies, axis=0) if copies > 1 else sound)
        rows = [found[at : at + copies] for at in range(0, len(found), copies)]
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

    def _read(self, window: WindowInput, sound: Any, text: Any) -> WindowResult:
        tokenizer = self._tokenizer(text.language, window.options.task)
        tokens = [token for token in text.tokens if token < tokenizer.eot]
        model = SimpleNamespace(
            alignment_heads=self._model.alignment_heads, forward_with_cross_qk=self._attention
        )
        frames = max(FRAMES_PER_POSITION, round(window.seconds * FRAMES_PER_SECOND))
        alignment = find_alignment(model, tokenizer, tokens, sound, frames)
        merge_punctuations(alignment, OPENING_MARKS, CLOSING_MARKS)
        return WindowResult(
            language=text.language,
            words=aligned_words(
                (w.word, w.tokens, w.start, w.end, w.probability) for w in alignment
            ),
            temperature=window.temperature,
            avg_logprob=finite(text.avg_logprob),
            compression_ratio=finite(text.compression_ratio),
            no_speech_prob=finite(text.no_speech_prob),
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
