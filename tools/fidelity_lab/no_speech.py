"""Sound without a word, made from formulas: `SOUNDS` by name, each the samples of some seconds."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from stt.media.audio import SAMPLE_RATE, Samples

Random = np.random.Generator
Wave = NDArray[np.float32]


def to_samples(wave: Wave) -> Samples:
    """16-bit samples of a wave between -1 and 1."""
    return np.round(np.clip(wave, -1, 1) * 32767).astype(np.int16)


def coloured_noise(random: Random, count: int, exponent: float) -> Wave:
    """Noise of RMS 1 whose power falls with frequency ** `exponent`: 0 white, 1 pink, 2 brown."""
    if count == 0:
        return np.zeros(0, np.float32)
    # In blocks: a transform of ten minutes would need a gigabyte.
    block = 1 << 17
    shape = np.maximum(np.fft.rfftfreq(block, 1 / SAMPLE_RATE), 20.0) ** (-exponent / 2)
    pieces = []
    for _ in range(-(-count // block)):
        piece = np.fft.irfft(np.fft.rfft(random.normal(size=block)) * shape)
        pieces.append((piece / np.sqrt(np.square(piece).mean())).astype(np.float32))
    return np.concatenate(pieces)[:count]


def _level(decibels: float) -> float:
    """The RMS of so many decibels below full scale."""
    return float(10 ** (decibels / 20))


def _times(seconds: float) -> NDArray[np.float64]:
    return np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def _sine(times: NDArray[np.float64], *frequencies: float) -> Wave:
    total = sum(np.sin(2 * np.pi * frequency * times) for frequency in frequencies)
    return np.asarray(total / len(frequencies), np.float32)


def _noise(exponent: float, decibels: float) -> Callable[[Random, float], Wave]:
    def made(random: Random, seconds: float) -> Wave:
        count = round(seconds * SAMPLE_RATE)
        return coloured_noise(random, count, exponent) * np.float32(_level(decibels))

    return made


def _silence(random: Random, seconds: float) -> Wave:
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


def _music(random: Random, seconds: float) -> Wave:
    """Chords of four notes with harmonics, and a melody in steps of a pentatonic scale."""
    beat, wave = 0.4, np.zeros(round(seconds * SAMPLE_RATE), np.float32)
    roots, scale = (220.0, 174.6, 261.6, 196.0), (0, 2, 4, 7, 9, 12)
    times = _times(beat * 4)
    for index, begin in enumerate(np.arange(0, seconds, beat)):
        at = round(begin * SAMPLE_RATE)
        root = roots[index // 4 % len(roots)]
        note = 2 * root * 2 ** (random.choice(scale) / 12)
        notes = [(note, 0.12)]
        if index % 4 == 0:
            notes += [(root * 2 ** (step / 12), 0.06) for step in (0, 4, 7, 12)]
        for frequency, loudness in notes:
            for harmonic in (1, 2, 3, 4):
                tone = np.sin(2 * np.pi * frequency * harmonic * times) / harmonic
                tone *= loudness * np.exp(-3 * times)
                room = min(len(tone), len(wave) - at)
                wave[at : at + room] += tone[:room].astype(np.float32)
    return wave


def _tones(random: Random, seconds: float) -> Wave:
    """Tones of half a second at random pitches, and the keys of a telephone."""
    rows, columns = (697, 770, 852, 941), (1209, 1336, 1477)
    parts, times = [], _times(0.3)
    for index in range(int(seconds / 0.5) + 1):
        if index // 10 % 2:
            tone = _sine(times, random.choice(rows), random.choice(columns))
        else:
            tone = _sine(times, random.uniform(200, 3000))
        parts += [0.3 * tone, np.zeros(round(0.2 * SAMPLE_RATE), np.float32)]
    return np.concatenate(parts)[: round(seconds * SAMPLE_RATE)].astype(np.float32)


def _call_tones(random: Random, seconds: float) -> Wave:
    """A dial tone, the sound of ringing, and that of a busy line, half a minute each in turn."""
    times = _times(seconds)
    dial = _sine(times, 350, 440)
    ringing = _sine(times, 440, 480) * (times % 6 < 2)
    busy = _sine(times, 480, 620) * (times % 1 < 0.5)
    turn = (times // 30).astype(int) % 3
    return np.asarray(0.25 * np.choose(turn, [dial, ringing, busy]), np.float32)


def _breathing(random: Random, seconds: float) -> Wave:
    """Noise between 300 and 3000 Hz that swells four seconds a breath."""
    count = round(seconds * SAMPLE_RATE)
    noise = coloured_noise(random, count, 1)
    smooth = np.convolve(noise, np.ones(5) / 5, "same") - np.convolve(
        noise, np.ones(40) / 40, "same"
    )
    phase = _times(seconds) % 4
    swell = np.where(phase < 1.5, np.sin(np.pi * phase / 1.5), 0.0)
    swell += np.where((phase >= 1.8) & (phase < 3.6), 0.6 * np.sin(np.pi * (phase - 1.8) / 1.8), 0)
    return np.asarray(_level(-32) * 3 * smooth * swell, np.float32)


def _applause(random: Random, seconds: float) -> Wave:
    """Claps of fifty people: short bursts of noise, that come and go twice a minute."""
    count = round(seconds * SAMPLE_RATE)
    clap = np.exp(-np.arange(400) / 60).astype(np.float32)
    claps = (random.random(count) < 150 / SAMPLE_RATE) * random.normal(size=count)
    wave = np.convolve(claps, clap * random.normal(size=400), "same")
    swell = np.sqrt(np.maximum(0, np.sin(2 * np.pi * _times(seconds) / 30)))
    return np.asarray(0.05 * wave * swell, np.float32)


def _wind(random: Random, seconds: float) -> Wave:
    """Brown noise in gusts of three to ten seconds."""
    count = round(seconds * SAMPLE_RATE)
    knots = random.uniform(0.1, 1.0, int(seconds / 3) + 2)
    gusts = np.interp(_times(seconds), np.arange(len(knots)) * 3.0, knots) ** 2
    return np.asarray(_level(-18) * gusts * coloured_noise(random, count, 1.7), np.float32)


def _room(random: Random, seconds: float) -> Wave:
    """Quiet brown noise, the hum of the mains, and now and then a knock or a rustle."""
    times = _times(seconds)
    wave = coloured_noise(random, len(times), 2) * _level(-52)
    wave = wave + _level(-58) * _sine(times, 50, 100, 150)
    for _ in range(int(seconds / 6)):
        at, length = random.integers(0, max(1, len(times) - 8000)), random.integers(400, 8000)
        burst = coloured_noise(random, int(length), random.choice([0, 1, 2]))
        burst *= np.exp(-5 * np.arange(length) / length).astype(np.float32)
        wave[at : at + length] += _level(random.uniform(-50, -28)) * burst[: len(wave) - at]
    return np.asarray(wave, np.float32)


SOUNDS: Mapping[str, Callable[[Random, float], Wave]] = {
    "silence": _silence,
    "white noise -70 dB": _noise(0, -70),
    "white noise -45 dB": _noise(0, -45),
    "pink noise -30 dB": _noise(1, -30),
    "brown noise -20 dB": _noise(2, -20),
    "music": _music,
    "tones": _tones,
    "dial tone": _call_tones,
    "breathing": _breathing,
    "applause": _applause,
    "wind": _wind,
    "room": _room,
}
