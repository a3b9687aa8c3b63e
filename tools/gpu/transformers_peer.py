"""transformers' speech pipeline with SDPA, which decodes the windows of all callers in batches.

    python -m tools.gpu.transformers_peer FILE       FILE: JSON, see tools.bench_lab.contestants

The model is one of its own with random weights of the same shape. It does not read off a text, so
every window of a batch of clips is given the mean number of tokens that the others decode for
these, and every window of a long file that of a full window: no batch waits for its longest text,
which favours it. It decodes greedily, which favours it too: all others have a beam of 5. The
windows of a long file do not overlap, like those of the others; by default they would, by a third.
"""

import os
import queue
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import Any

from faster_whisper.audio import decode_audio

from stt.media.audio import SAMPLE_RATE
from tools.bench_lab.callers import Clip
from tools.bench_lab.contestants import ModelAt, run_task
from tools.bench_lab.random_model import TOKENS_PER_SECOND, WINDOW_SECONDS
from tools.gpu.plan import MODELS

FULL_WINDOW_TOKENS = TOKENS_PER_SECOND * WINDOW_SECONDS
DTYPES = {"float16": "float16", "float32": "float32"}


class Pipeline:
    """One pipeline; clips that wait together share its batches, a long file has its own."""

    def __init__(self, model: ModelAt, batch_size: int) -> None:
        self._pipe = _pipeline(model)
        self.number = batch_size
        self._waiting: queue.SimpleQueue[tuple[Clip, Future[None]] | None] = queue.SimpleQueue()
        threading.Thread(target=self._serve, daemon=True).start()

    def transcribe(self, clip: Clip) -> None:
        done: Future[None] = Future()
        self._waiting.put((clip, done))
        done.result()

    def close(self) -> None:
        self._waiting.put(None)

    def _serve(self) -> None:
        while first := self._waiting.get():
            batch = [first]
            while len(batch) < self.number and (more := self._next()):
                batch.append(more)
            failure: Exception | None = None
            try:
                self._transcribe([clip for clip, _ in batch])
            except Exception as error:
                failure = error
            for _, done in batch:
                if failure:
                    done.set_exception(failure)
                else:
                    done.set_result(None)

    def _next(self) -> tuple[Clip, Future[None]] | None:
        try:
            return self._waiting.get(timeout=0.02)
        except queue.Empty:
            return None

    def _transcribe(self, clips: Sequence[Clip]) -> None:
        is_long = any(clip.seconds > WINDOW_SECONDS for clip in clips)
        mean = sum(clip.seconds for clip in clips) / len(clips)
        tokens = FULL_WINDOW_TOKENS if is_long else round(TOKENS_PER_SECOND * mean)
        options = {"min_new_tokens": tokens, "max_new_tokens": tokens, "num_beams": 1}
        chunks = {"chunk_length_s": WINDOW_SECONDS, "stride_length_s": 0} if is_long else {}
        found = self._pipe(
            _samples(clips), batch_size=self.number, generate_kwargs=options, **chunks
        )
        for _ in found:  # a generator: this does the work
            pass


def _samples(clips: Sequence[Clip]) -> Iterator[dict[str, Any]]:
    """What the pipeline takes; it would call ffmpeg for files, which may not be there."""
    for clip in clips:
        yield {"raw": decode_audio(str(clip.path)), "sampling_rate": SAMPLE_RATE}


def _pipeline(model: ModelAt) -> Any:
    import torch
    import transformers as hf

    size = MODELS[model.folder.name]
    config = hf.WhisperConfig(
        vocab_size=51_866,
        num_mel_bins=size.mels,
        d_model=size.width,
        encoder_layers=size.encoder_layers,
        decoder_layers=size.decoder_layers,
        encoder_attention_heads=size.heads,
        decoder_attention_heads=size.heads,
        encoder_ffn_dim=4 * size.width,
        decoder_ffn_dim=4 * size.width,
        pad_token_id=50_257,
        bos_token_id=50_257,
        eos_token_id=50_257,
        decoder_start_token_id=50_258,
        attn_implementation="sdpa",
    )
    with torch.device(model.device):
        whisper = hf.WhisperForConditionalGeneration(config)
    whisper = whisper.to(getattr(torch, DTYPES[model.compute_type])).eval()
    tokenizer = hf.WhisperTokenizerFast(
        tokenizer_file=str(model.folder / "tokenizer.json"), pad_token="<|endoftext|>"
    )
    return hf.pipeline(
        "automatic-speech-recognition",
        model=whisper,
        tokenizer=tokenizer,
        feature_extractor=hf.WhisperFeatureExtractor(feature_size=size.mels),
        device=model.device,
        dtype=whisper.dtype,
    )


if __name__ == "__main__":
    code = run_task({"transformers": Pipeline}, sys.argv[1])
    os._exit(code)  # the threads of torch and PyAV may abort a process that ends by itself
