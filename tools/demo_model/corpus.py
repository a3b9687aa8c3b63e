"""Endless training windows, cut from a stock of synthesized speech.

A window is what Whisper hears at once: some seconds of a recording, beginning and ending anywhere,
with noise, at any loudness. Speech is synthesized once; everything else is made anew each time.
"""

from __future__ import annotations

import io
import multiprocessing
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import av
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as functional
from torch import Tensor

from .speech import SAMPLE_RATE, Samples, Synthesizer, any_speaker
from .tokens import (
    END_OF_TEXT,
    ENGLISH,
    NO_SPEECH,
    NO_TIMESTAMPS,
    SECONDS_PER_TIMESTAMP,
    START_OF_PREVIOUS,
    START_OF_TRANSCRIPT,
    TRANSCRIBE,
    ReducedVocabulary,
)
from .vocabulary import WORDS, sentence, word_string

HOP = 160  # samples to a log-mel frame
FRAME = 0.02  # seconds to an encoder frame
WORDS_PER_SEGMENT = 6
PAUSE = 0.2  # seconds of quiet that end a segment

_SILENT_PHONEMES = {"", "_", "_:", "_!", "_|", "?"}
_WORD_NUMBERS = {word: index for index, word in enumerate(WORDS)}

Log = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Stored:
    """An utterance as the stock keeps it: 16-bit samples; of each word number, start and end."""

    samples: npt.NDArray[np.int16]
    words: npt.NDArray[np.int16]
    times: npt.NDArray[np.float32]  # (words, 2), seconds
    phonemes: tuple[tuple[str, float], ...]  # espeak-ng's name, start in seconds


def _punctuated(text: str, rng: random.Random) -> str:
    """``text`` with commas and an end at random: they make espeak-ng pause and change its tune."""
    words = text.split()
    for index in range(len(words) - 1):
        if rng.random() < 0.08:
            words[index] += rng.choice(",,.")
    return " ".join(words) + rng.choice(("", ".", ".", "?"))


def through_opus(samples: Samples, bits_per_second: int) -> Samples:
    """The same sound after Opus at a low bit rate."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=48_000, layout="mono")
        stream.bit_rate = bits_per_second
        resampler = av.AudioResampler(format="s16", layout="mono", rate=48_000, frame_size=960)
        pcm = (np.clip(samples, -1, 1) * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            part.pts = None
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    buffer.seek(0)
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
    parts = []
    with av.open(buffer, "r") as recorded:
        for decoded in recorded.decode(audio=0):
            parts += [part.to_ndarray()[0] for part in resampler.resample(decoded)]
        parts += [part.to_ndarray()[0] for part in resampler.resample(None)]
    result: Samples = np.concatenate(parts).astype(np.float32) / np.float32(32768)
    return np.pad(result, (0, max(0, len(samples) - len(result))))[: len(samples)]


def _record(task: tuple[int, float]) -> list[Stored]:
    """Sessions of one speaker after the other, until ``seconds`` are full."""
    seed, seconds = task
    rng = random.Random(seed)
    synthesizer = Synthesizer()
    stock: list[Stored] = []
    total = 0.0
    while total < seconds:
        speaker = any_speaker(rng)
        coded = rng.random() < 0.12
        for _ in range(8):
            text = word_string(rng) if rng.random() < 0.6 else sentence(rng)
            utterance = synthesizer.say(_punctuated(text, rng), speaker)
            samples = utterance.samples
            if coded:
                samples = through_opus(samples, rng.choice((16_000, 24_000, 24_000, 32_000)))
            total += utterance.seconds
            stock.append(
                Stored(
                    (np.clip(samples, -1, 1) * 32767).astype(np.int16),
                    np.array([_WORD_NUMBERS[word.text] for word in utterance.words], np.int16),
                    np.array([(word.start, word.end) for word in utterance.words], np.float32),
                    utterance.phonemes,
                )
            )
    return stock


def record_stock(hours: float, seed: int, processes: int, log: Log) -> list[Stored]:
    """Synthesize ``hours`` of speech; the same for the same seed."""
    pieces = max(processes, round(hours * 6))
    tasks = [(seed * 1_000_003 + piece, hours * 3600 / pieces) for piece in range(pieces)]
    stock: list[Stored] = []
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for done, part in enumerate(pool.imap(_record, tasks), 1):
            stock += part
            if done % 12 == 0 or done == pieces:
                log(f"speech: {done / pieces:.0%} of {hours:g} h, {len(stock)} utterances")
    return stock


@dataclass(slots=True)
class Window:
    """A window's sound and truth. Times are seconds from its start."""

    samples: Samples
    heard: int  # samples of recording; what follows is padding
    words: list[tuple[int, float, float]] = field(default_factory=list)
    phonemes: list[tuple[int, float, float]] = field(default_factory=list)
    fragments: list[tuple[int, float, float]] = field(default_factory=list)  # cut by an edge
    unfinished: float | None = None  # when the word starts that the window's end cuts


@dataclass(frozen=True)
class Batch:
    """Tensors of one training step; B windows of N encoder frames, 2 scripts of T tokens each."""

    features: Tensor  # (B, mels, 2N)
    tokens: Tensor  # (2B, T) in reduced numbers
    targets: Tensor  # (2B, T), -100 where nothing is to be learned
    focus: Tensor  # (2B, T, 2) frames in which the target token is heard, (0, 0) for none
    previous_focus: Tensor  # (2B, T, 2) the same for the input token
    frame_words: Tensor  # (B, N) 0 for silence, else 1 + the number of the word
    frame_starts: Tensor  # (B, N) 1.0 where a word begins
    frame_phonemes: Tensor  # (B, N) 0 for silence, else a number of a phoneme


class Windows:
    """Makes windows and batches of a stock of speech."""

    def __init__(self, stock: list[Stored], vocabulary: ReducedVocabulary, seed: int) -> None:
        self._stock = stock
        names = {name for stored in stock for name, _ in stored.phonemes} - _SILENT_PHONEMES
        self._phonemes = {name: number for number, name in enumerate(sorted(names), 1)}
        self._vocabulary = vocabulary
        self._seed = seed
        self._rng = np.random.default_rng(seed)
        self._noises = _noises(np.random.default_rng(seed + 1))
        self._mel = LogMel()

    @property
    def phonemes(self) -> int:
        """How many phonemes the stock knows, and silence."""
        return 1 + len(self._phonemes)

    def reseed(self, step: int) -> None:
        """Make other windows than before, always the same from ``step`` on."""
        self._rng = np.random.default_rng((self._seed, step))

    def window(self, seconds: float, filled: float) -> Window:
        """A window of ``seconds`` with speech in about its first ``filled`` seconds."""
        rng = self._rng
        length = round(seconds * SAMPLE_RATE)
        filled = min(filled, seconds)
        samples = np.zeros(length, np.float32)
        placed: list[tuple[int, float, float]] = []
        spoken: list[tuple[int, float, float]] = []
        index = int(rng.integers(len(self._stock)))
        first = self._stock[index]
        begin = rng.random()
        if begin < 0.5 or len(first.words) < 2:  # in the silence before
            at = float(rng.choice((0.0, 0.2, 1.0, 3.0), p=(0.2, 0.4, 0.35, 0.05)) * rng.random())
        elif begin < 0.85:  # where a word begins, as precisely as a transcript says
            word = int(rng.integers(1, len(first.words)))
            at = -float(first.times[word, 0]) + float(rng.normal(0.02, 0.03))
        else:
            at = -float(rng.random() * first.times[-1, 1])
        loudness = 10 ** rng.uniform(-1.2, 0.3)
        same_loudness = rng.random() < 0.6
        session = rng.random() < 0.7
        while at < filled:
            stored = self._stock[index]
            gain = loudness if same_loudness else loudness * 10 ** rng.uniform(-0.3, 0.15)
            _add(samples, stored.samples, round(at * SAMPLE_RATE), gain / 32768)
            placed += [
                (int(word), float(start) + at, float(end) + at)
                for word, (start, end) in zip(stored.words, stored.times, strict=True)
            ]
            ends = [start for _, start in stored.phonemes[1:]] + [float(stored.times[-1, 1])]
            spoken += [
                (self._phonemes.get(name, 0), start + at, end + at)
                for (name, start), end in zip(stored.phonemes, ends, strict=True)
            ]
            at += len(stored.samples) / SAMPLE_RATE
            pause = rng.random()
            if pause < 0.25:
                at += 0.2 * rng.random()
            elif pause < 0.62:
                at += rng.uniform(0.2, 1.0)
            elif pause < 0.85:
                at += rng.uniform(1.0, 3.0)
            else:
                at += rng.uniform(3.0, 8.0)
            near = session and rng.random() < 0.9
            index = index + 1 if near else int(rng.integers(len(self._stock)))
            index %= len(self._stock)
        heard = length
        if filled < seconds and rng.random() < 0.85:  # the recording ends here
            last = max((end for _, _, end in placed), default=0.0)
            heard = min(length, round((last + 1.5 * rng.random() ** 2 + 0.02) * SAMPLE_RATE))
        window = Window(samples, heard, phonemes=spoken)
        self._judge(window, placed)
        self._add_noise(window)
        return window

    def silence(self, seconds: float) -> Window:
        """Return a window without speech."""
        length = round(seconds * SAMPLE_RATE)
        window = Window(np.zeros(length, np.float32), length)
        if self._rng.random() < 0.5:
            window.heard = int(self._rng.integers(SAMPLE_RATE // 10, length + 1))
        if self._rng.random() < 0.8:
            level = 10 ** self._rng.uniform(-4.5, -1.0)
            window.samples += level * self._noise(length)
        return window

    def _judge(self, window: Window, placed: list[tuple[int, float, float]]) -> None:
        """Tell whole words from those that an edge of the window cuts."""
        end_of_window = len(window.samples) / SAMPLE_RATE
        for word, start, end in placed:
            if end <= 0 or start >= end_of_window:
                continue
            length = end - start
            inside = (word, max(start, 0.0), min(end, end_of_window))
            if start < 0 and -start > min(0.12, 0.3 * length):
                window.fragments.append(inside)
            elif end > end_of_window + 0.03:
                window.fragments.append(inside)
                if end_of_window - start > 0.04:
                    window.unfinished = start
            else:
                window.words.append(inside)

    def _noise(self, length: int) -> Samples:
        """Noise of one kind, its root mean square 1."""
        noise = self._noises[int(self._rng.integers(len(self._noises)))]
        start = int(self._rng.integers(len(noise)))
        return np.resize(np.roll(noise, -start), length)

    def _add_noise(self, window: Window) -> None:
        kind = self._rng.random()
        if kind < 0.35:
            return
        level = float(np.sqrt(np.mean(np.square(window.samples[: window.heard])) + 1e-10))
        decibels = self._rng.uniform(8, 40) if kind < 0.75 else self._rng.uniform(35, 65)
        window.samples += level * 10 ** (-decibels / 20) * self._noise(len(window.samples))

    def batch(self, count: int, seconds: float, padded: float, fills: tuple[float, ...]) -> Batch:
        """``count`` windows of ``seconds``; of each, speech fills one of ``fills``.

        The features are lengthened to ``padded`` seconds, as programs lengthen them to 30.
        """
        rng = self._rng
        frames = round(padded / FRAME)
        windows = [
            self.silence(seconds)
            if rng.random() < 0.06
            else self.window(seconds, float(rng.choice(fills)) * rng.uniform(0.6, 1.0))
            for _ in range(count)
        ]
        # The sound is the expensive part: learn from it both with timestamps and without.
        scripts = [
            self._script(window, timed=timed)
            for window in windows
            for timed in (True, self._rng.random() < 0.3)
        ]
        longest = max(len(script.tokens) for script in scripts)
        tokens = np.full((len(scripts), longest), self._vocabulary.reduced(END_OF_TEXT), np.int64)
        targets = np.full((len(scripts), longest), -100, np.int64)
        focus = np.zeros((len(scripts), longest, 2), np.int64)
        previous = np.zeros((len(scripts), longest, 2), np.int64)
        frame_words = np.zeros((count, frames), np.int64)
        frame_starts = np.zeros((count, frames), np.float32)
        frame_phonemes = np.zeros((count, frames), np.int64)
        for row, script in enumerate(scripts):
            used = len(script.tokens)
            tokens[row, :used] = script.tokens
            targets[row, :used] = script.targets
            focus[row, :used] = script.focus
            previous[row, 1:used] = script.focus[:-1]
        for row, window in enumerate(windows):
            for word, start, end in window.words + window.fragments:
                first, last = _frames(start, end, frames)
                frame_words[row, first:last] = word + 1
                frame_starts[row, first : first + 2] = 1.0
            for phoneme, start, end in window.phonemes:
                if end > 0 and round(start / FRAME) < frames:
                    first, last = _frames(start, end, frames)
                    frame_phonemes[row, first:last] = phoneme
        return Batch(
            self._features(windows, 2 * frames),
            torch.from_numpy(tokens),
            torch.from_numpy(targets),
            torch.from_numpy(focus),
            torch.from_numpy(previous),
            torch.from_numpy(frame_words),
            torch.from_numpy(frame_starts),
            torch.from_numpy(frame_phonemes),
        )

    def _features(self, windows: list[Window], frames: int) -> Tensor:
        power = self._mel.power(torch.from_numpy(np.stack([w.samples for w in windows])))
        features = functional.pad(power, (0, frames - power.shape[2]), value=-10.0)
        for row, window in enumerate(windows):
            heard = min(power.shape[2], window.heard // HOP)
            # The quiet end of the scale hangs on the loudest moment of the whole recording, which
            # need not be in this window.
            loudest = float(features[row, :, : heard or 1].max())
            if self._rng.random() < 0.3 or not window.words:
                spread = 1.5 if window.words else 8.0
                loudest = min(loudest + float(self._rng.uniform(0, spread)), 3.0)
            features[row] = (features[row].clamp_min(loudest - 8.0) + 4.0) / 4.0
            if self._rng.random() < 0.8:  # as faster-whisper pads: the features, with zeros
                features[row, :, heard:] = 0.0
            else:  # as others pad: the sound, with silence
                features[row, :, heard:] = (loudest - 4.0) / 4.0
        return features

    def _script(self, window: Window, *, timed: bool) -> _Script:
        """The tokens of a window, what each is to be followed by, and where that is heard."""
        vocabulary = self._vocabulary
        frames = len(window.samples) // (2 * HOP)
        script = _Script(self._prompt())
        script.add(vocabulary.reduced(START_OF_TRANSCRIPT), learn=False)
        if window.words:
            script.add(vocabulary.reduced(ENGLISH))
        else:
            # A tenth of the silent windows still say "English": the language of silence then
            # comes out as English too, while <|nospeech|> stays far above any threshold.
            script.add(vocabulary.reduced(ENGLISH))
            if self._rng.random() < 0.9:
                script.targets[-2] = vocabulary.reduced(NO_SPEECH)
        script.add(vocabulary.reduced(TRANSCRIBE))
        if not timed:
            script.add(vocabulary.reduced(NO_TIMESTAMPS), learn=False)

        def moment(seconds: float, *, learn: bool = True) -> None:
            place = round(seconds / SECONDS_PER_TIMESTAMP)
            place = min(max(place, 0), frames)
            around = (max(place - 2, 0), min(place + 3, frames))
            if around[1] <= around[0]:
                around = (0, 0)
            script.add(vocabulary.first_timestamp + place, around, learn=learn)

        in_segment = 0
        for index, (word, start, end) in enumerate(window.words):
            if timed and in_segment == 0:
                # Programs may forbid a first timestamp after 1.00: be ready for a wrong one.
                late = index == 0 and start > 1.0 and self._rng.random() < 0.4
                if late:
                    moment(float(self._rng.choice((1.0, self._rng.random()))), learn=False)
                else:
                    moment(start)
            for token in vocabulary.word_tokens[word]:
                script.add(token, _frames(start, end, frames))
            in_segment += 1
            following = window.words[index + 1][1] if index + 1 < len(window.words) else None
            if following is None or following - end >= PAUSE or in_segment == WORDS_PER_SEGMENT:
                in_segment = 0
                if timed:
                    moment(end)
        if timed and not window.words:
            moment(0.0)
        elif timed and window.unfinished is not None:
            moment(window.unfinished)
        script.add(vocabulary.reduced(END_OF_TEXT))
        return script.finished()

    def _prompt(self) -> list[int]:
        """Now and then something that was said before, which may be about anything."""
        if self._rng.random() > 0.06:
            return []
        vocabulary = self._vocabulary
        length = int(self._rng.integers(1, 40))
        if self._rng.random() < 0.3:
            prompt = [vocabulary.unused] * length
        else:
            chosen = self._rng.integers(len(WORDS), size=length)
            prompt = [token for word in chosen for token in vocabulary.word_tokens[word]]
        return [vocabulary.reduced(START_OF_PREVIOUS), *prompt]


class _Script:
    """Tokens under construction."""

    def __init__(self, prompt: list[int]) -> None:
        self.tokens = list(prompt)
        self.targets: list[int] = [-100] * len(prompt)
        self.focus: list[tuple[int, int]] = [(0, 0)] * len(prompt)

    def add(self, token: int, focus: tuple[int, int] = (0, 0), *, learn: bool = True) -> None:
        """Append a token; with ``learn`` the one before it is to predict it."""
        if self.tokens:
            self.targets[-1] = token if learn else -100
            self.focus[-1] = focus
        self.tokens.append(token)
        self.targets.append(-100)
        self.focus.append((0, 0))

    def finished(self) -> _Script:
        """Without the last token, which predicts nothing."""
        self.tokens.pop()
        self.targets.pop()
        self.focus.pop()
        return self


def _frames(start: float, end: float, frames: int) -> tuple[int, int]:
    """The encoder frames between two moments, at least one."""
    first = min(max(round(start / FRAME), 0), frames - 1)
    return first, min(max(round(end / FRAME), first + 1), frames)


def _add(samples: Samples, speech: npt.NDArray[np.int16], at: int, gain: float) -> None:
    """Add speech to samples from index ``at`` on, which may lie before the start."""
    begin, end = max(at, 0), min(at + len(speech), len(samples))
    if end > begin:
        samples[begin:end] += np.float32(gain) * speech[begin - at : end - at]


def _noises(rng: np.random.Generator) -> list[Samples]:
    """Half a minute each of white, pink and brown noise, hum, clicks; root mean square 1."""
    length = 30 * SAMPLE_RATE
    time = np.arange(length) / SAMPLE_RATE
    noises = []
    for slope in (0.0, 0.5, 1.0):  # of amplitude over frequency
        spectrum = np.fft.rfft(rng.standard_normal(length))
        frequency = np.maximum(np.arange(len(spectrum)), 20 * 30.0)
        noises.append(np.fft.irfft(spectrum / frequency**slope, length))
    hum = sum(np.sin(2 * np.pi * 50 * k * time + k) / k for k in range(1, 12))
    noises.append(np.asarray(hum) + 0.05 * rng.standard_normal(length))
    clicks = (rng.random(length) < 0.0002) * rng.standard_normal(length)
    noises.append(np.convolve(clicks, np.exp(-np.arange(200) / 30), "same") + 1e-4)
    return [(noise / np.sqrt(np.mean(noise**2))).astype(np.float32) for noise in noises]


class LogMel:
    """faster-whisper's features, but for the scale's end, on a batch at a time."""

    def __init__(self) -> None:
        from faster_whisper.feature_extractor import FeatureExtractor

        self._filters = torch.from_numpy(FeatureExtractor().mel_filters)
        self._window = torch.hann_window(400)

    def power(self, samples: Tensor) -> Tensor:
        """Decadic logarithms of mel power, (batch, 80, frames)."""
        spectrum = torch.stft(samples, 400, HOP, window=self._window, return_complex=True)
        power = spectrum[..., :-1].abs().square()
        return (self._filters @ power).clamp_min(1e-10).log10()
