"""How well a model folder hears speech it was never taught, through faster-whisper itself."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from faster_whisper import WhisperModel

from .corpus import through_opus
from .speech import (
    SAMPLE_RATE,
    Samples,
    Speaker,
    SpokenWord,
    Synthesizer,
    Utterance,
    any_speaker,
)
from .vocabulary import sentence, word_string

HELD_OUT_SEED = 9_000_000  # training seeds stay far below, see corpus.record_stock
CHUNK_SECONDS = 30  # a pipeline stores recordings in Opus chunks of this length


@dataclass
class Score:
    """Mistakes and misplacements on one set of recordings."""

    words: int = 0
    substituted: int = 0
    deleted: int = 0
    inserted: int = 0
    segment_errors: list[float] = field(default_factory=list)  # seconds
    start_errors: list[float] = field(default_factory=list)
    end_errors: list[float] = field(default_factory=list)

    @property
    def wrong(self) -> int:
        return self.substituted + self.deleted + self.inserted

    @property
    def rate(self) -> float:
        """Word error rate; for silence the number of invented words."""
        return self.wrong / self.words if self.words else float(self.wrong)


def join(utterances: Iterable[Utterance], pauses: Iterable[float]) -> Utterance:
    """One recording of several, a pause (seconds) after each."""
    parts: list[Samples] = []
    words: list[SpokenWord] = []
    at = 0
    for utterance, pause in zip(utterances, pauses, strict=False):
        shift = at / SAMPLE_RATE
        words += [SpokenWord(w.text, w.start + shift, w.end + shift) for w in utterance.words]
        quiet = np.zeros(round(pause * SAMPLE_RATE), np.float32)
        parts += [utterance.samples, quiet]
        at += len(utterance.samples) + len(quiet)
    return Utterance(np.concatenate(parts), tuple(words))


def as_stored(samples: Samples) -> Samples:
    """The sound after storage: cut into chunks, each Opus at 24 kb/s, and joined again."""
    step = CHUNK_SECONDS * SAMPLE_RATE
    chunks = [samples[at : at + step] for at in range(0, len(samples), step)]
    return np.concatenate([through_opus(chunk, 24_000) for chunk in chunks])


def _text(rng: random.Random) -> str:
    return word_string(rng) if rng.random() < 0.5 else sentence(rng)


def _long(synthesizer: Synthesizer, rng: random.Random, speaker: Speaker) -> Utterance:
    utterances: list[Utterance] = []
    pauses: list[float] = []
    length = rng.uniform(30, 60)
    while sum(u.seconds for u in utterances) + sum(pauses) < length:
        utterances.append(synthesizer.say(f"{_text(rng)}.", speaker))
        pauses.append(rng.choice((rng.uniform(0, 0.3), rng.uniform(0.3, 1), rng.uniform(1, 4))))
    return join(utterances, pauses)


def held_out(count: int) -> Iterator[tuple[str, list[Utterance]]]:
    """Named sets of recordings; ``count`` short ones in each, fewer long ones."""
    synthesizer = Synthesizer()
    rng = random.Random(HELD_OUT_SEED)
    noise = np.random.default_rng(HELD_OUT_SEED)
    default = Speaker()
    yield "default voice", [synthesizer.say(_text(rng), default) for _ in range(count)]
    yield (
        "default voice, joined by commas",
        [
            synthesizer.say(", ".join(_text(rng) for _ in range(3)), default)
            for _ in range(count // 3)
        ],
    )
    varied = [synthesizer.say(_text(rng), any_speaker(rng)) for _ in range(count)]
    yield "all voices", varied
    noisy = []
    for utterance in varied:
        level = float(np.sqrt(np.mean(utterance.samples**2))) * 10 ** (-rng.uniform(10, 30) / 20)
        added = level * noise.standard_normal(len(utterance.samples)).astype(np.float32)
        noisy.append(Utterance(utterance.samples + added, utterance.words))
    yield "all voices, noise 10-30 dB below", noisy
    long_default = [_long(synthesizer, rng, default) for _ in range(count // 15)]
    yield "30-60 s, default voice", long_default
    long_varied = [_long(synthesizer, rng, any_speaker(rng)) for _ in range(count // 15)]
    yield "30-60 s, all voices", long_varied
    both = long_default + long_varied
    yield "30-60 s, stored as Opus", [Utterance(as_stored(u.samples), u.words) for u in both]
    silences = []
    for index in range(max(count // 5, 4)):
        length = int(rng.uniform(0.5, 45) * SAMPLE_RATE)
        level = 0.0 if index % 3 == 0 else 10 ** rng.uniform(-4.5, -1.5)
        samples = level * noise.standard_normal(length).astype(np.float32)
        silences.append(Utterance(samples.astype(np.float32), ()))
    yield "silence and faint noise", silences


def align(truth: Sequence[str], heard: Sequence[str]) -> list[tuple[int | None, int | None]]:
    """The cheapest pairing of two word lists; None stands where a partner is missing."""
    cost = np.zeros((len(truth) + 1, len(heard) + 1), np.int32)
    cost[:, 0], cost[0, :] = np.arange(len(truth) + 1), np.arange(len(heard) + 1)
    for i, word in enumerate(truth, 1):
        for j, other in enumerate(heard, 1):
            swap = cost[i - 1, j - 1] + (word != other)
            cost[i, j] = min(swap, cost[i - 1, j] + 1, cost[i, j - 1] + 1)
    pairs: list[tuple[int | None, int | None]] = []
    i, j = len(truth), len(heard)
    while i or j:
        if i and j and cost[i, j] == cost[i - 1, j - 1] + (truth[i - 1] != heard[j - 1]):
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif i and cost[i, j] == cost[i - 1, j] + 1:
            i -= 1
            pairs.append((i, None))
        else:
            j -= 1
            pairs.append((None, j))
    return pairs[::-1]


def score(model: WhisperModel, recordings: Iterable[Utterance], **options: Any) -> Score:
    """Transcribe and compare; with ``word_timestamps`` the times of words too."""
    result = Score()
    for recording in recordings:
        segments = list(model.transcribe(recording.samples, language="en", **options)[0])
        heard: list[str] = []
        bounds: list[tuple[float | None, float | None]] = []  # of segments, at their words
        times: list[tuple[float, float] | None] = []
        for segment in segments:
            words = segment.text.split()
            heard += words
            bounds += [
                (
                    segment.start if index == 0 else None,
                    segment.end if index == len(words) - 1 else None,
                )
                for index in range(len(words))
            ]
            timed = segment.words if segment.words and len(segment.words) == len(words) else None
            times += [(w.start, w.end) for w in timed] if timed else [None] * len(words)
        truth = [word.text for word in recording.words]
        result.words += len(truth)
        for i, j in align(truth, heard):
            if i is None:
                result.inserted += 1
            elif j is None:
                result.deleted += 1
            elif truth[i] != heard[j]:
                result.substituted += 1
            else:
                word = recording.words[i]
                start, end = bounds[j]
                if start is not None:
                    result.segment_errors.append(abs(start - word.start))
                if end is not None:
                    result.segment_errors.append(abs(end - word.end))
                if (time := times[j]) is not None:
                    result.start_errors.append(abs(time[0] - word.start))
                    result.end_errors.append(abs(time[1] - word.end))
    return result


def _spread(errors: list[float]) -> str:
    if not errors:
        return "-"
    return f"{np.median(errors):.2f} / {np.percentile(errors, 95):.2f}"


def report(folder: Path, count: int, **options: Any) -> Iterator[str]:
    """The lines of a table: one for each set of recordings, and one for all words together."""
    model = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=2)
    yield "| recordings | words | WER | sub/del/ins | segment times | word starts | word ends |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    words = wrong = 0
    for name, recordings in held_out(count):
        result = score(model, recordings, **options)
        words += result.words
        wrong += result.wrong
        rate = f"{result.rate:.1%}" if result.words else f"{result.inserted} words invented"
        yield (
            f"| {name} | {result.words} | {rate} | "
            f"{result.substituted}/{result.deleted}/{result.inserted} | "
            f"{_spread(result.segment_errors)} | {_spread(result.start_errors)} | "
            f"{_spread(result.end_errors)} |"
        )
    yield f"| all together | {words} | {wrong / words:.1%} | | | | |"
