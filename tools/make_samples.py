#!/usr/bin/env python3
"""Make the recordings in ``samples/``: synthesized speech, with what was said beside it.

Also ``stt/whisper/canary.ogg``, the recording that tells a broken server from a bad chunk: a few
clean words that any server can do.

They use only words that the demo model knows, in sentences it was never taught. Needs espeak-ng's
library (Debian: libespeak-ng1) and the packages av and numpy:

    python tools/make_samples.py --output samples
"""

from __future__ import annotations

import argparse
import random
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.audio.stream import AudioStream

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools.demo_model.speech import SAMPLE_RATE, Samples, Speaker, Synthesizer
from tools.demo_model.vocabulary import SPELLING, WORDS, sentence

SEED = 8_000_000  # far from the seeds of training

NARRATOR = Speaker("en-us", 150, 50)
CALLER = Speaker("en-us+f3", 165, 55)
OPERATOR = Speaker("en", 160, 42)

# One line is said in one breath; an empty line is a longer pause.
DIARY = """
hello world
good morning everybody
this is my recording, today is monday november sixteen

the weather was cold this morning, but the kitchen was warm
i always drink coffee before breakfast
my sister brought fresh bread and cheese
our grandmother wanted tea with milk, but not sugar
after breakfast we went outside together

our garden is beautiful in autumn
the grass is green and the apple is red
the old dog followed our rabbit under the table
that rabbit was not slow
all the children were very happy

yesterday i visited the city with my brother
we waited twenty minutes in the station
the woman with the blue umbrella answered our question
the next train went across the river and the valley
i remember every village, every bridge, every little house
the mountain was white, winter is near

in the city we found that small restaurant behind the harbor
the soup was delicious and the chicken was very good
my brother wanted chocolate, always chocolate
dinner was expensive, ninety four

after dinner we walked slowly across the old bridge
the ocean was dark and quiet
i think the ocean is dangerous in winter
before midnight the storm came from the mountain
we waited inside that empty church
the rain was cold and we were very tired

the last train home was perfect, warm and quiet
my brother played the small radio
we remembered our holiday in august
the beach, the island, the silver fish in the water
that summer was wonderful

today i stayed home alone
i cleaned the bedroom, painted the door and fixed the lamp
the old clock in the kitchen stayed slow
my father fixed that clock last march
maybe the clock is tired

my sister needed the computer after lunch
she finished the letter about the museum
the letter was long, two thousand three hundred
i believe that letter is important

this evening my friend charlie came from quebec
we opened the box with the old guitar
charlie played that lovely song about the river
everybody was happy, the cat was happy, the bird was happy
the neighbor was not happy

tomorrow is tuesday
the telephone number is zero seven one, five five eight, twenty four
my ticket is kilo lima nine, sierra two
please remember that, computer
thank you, goodbye
"""

CALL = """
good morning, this is the city museum
hello, i think my umbrella stayed in your museum yesterday
yes maybe, we found one umbrella, red and very old
no, sorry, my umbrella is blue and white
please, that small umbrella near the window
yes, that is my umbrella, wonderful
your telephone number please
zero nine six, two two five, eighty one
thank you, the umbrella is in the office every afternoon
perfect, thank you, goodbye
goodbye
"""


@dataclass(frozen=True)
class Line:
    """Something to say, by whom, and the seconds of silence after it."""

    text: str
    speaker: Speaker
    pause: float


def _lines(script: str, speakers: tuple[Speaker, ...], rng: random.Random) -> list[Line]:
    """The lines of a script, said by the speakers in turn."""
    lines: list[Line] = []
    for text in script.strip().splitlines():
        if text:
            speaker = speakers[len(lines) % len(speakers)]
            lines.append(Line(text, speaker, rng.uniform(0.4, 1.6)))
        else:
            lines[-1] = Line(lines[-1].text, lines[-1].speaker, rng.uniform(3, 6))
    return lines


def _say(lines: list[Line], synthesizer: Synthesizer) -> tuple[Samples, str]:
    """The sound of the lines, a second of silence around it, and the true text."""
    quiet = np.zeros(SAMPLE_RATE, np.float32)
    parts = [quiet]
    words: list[str] = []
    for line in lines:
        utterance = synthesizer.say(line.text, line.speaker)
        unknown = {word.text for word in utterance.words} - set(WORDS)
        if unknown:
            sys.exit(f"the model does not know {sorted(unknown)}")
        words += [word.text for word in utterance.words]
        parts += [utterance.samples, np.zeros(round(line.pause * SAMPLE_RATE), np.float32)]
    return np.concatenate([*parts, quiet]), " ".join(words)


def _encode(samples: Samples, path: Path) -> None:
    """Write mono audio; the name says the format."""
    codec, rate, bit_rate = {
        ".mp3": ("libmp3lame", 16_000, 32_000),
        ".opus": ("libopus", 48_000, 24_000),
        ".ogg": ("libopus", 48_000, 16_000),
    }[path.suffix]
    sound = av.AudioFrame.from_ndarray(
        (np.clip(samples, -1, 1) * 32767).astype(np.int16)[None], format="s16", layout="mono"
    )
    sound.sample_rate = SAMPLE_RATE
    with av.open(str(path), "w", format="mp3" if path.suffix == ".mp3" else "ogg") as container:
        stream = cast(AudioStream, container.add_stream(codec, rate=rate, layout="mono"))
        stream.bit_rate = bit_rate
        resampler = av.AudioResampler(
            format=stream.format.name,
            layout="mono",
            rate=rate,
            frame_size=stream.codec_context.frame_size or 960,
        )
        for frame in [*resampler.resample(sound), *resampler.resample(None)]:
            frame.pts = None
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def main() -> None:
    """Make all samples."""
    parser = argparse.ArgumentParser(description="Synthesize the recordings in samples/.")
    parser.add_argument("--output", type=Path, default=Path("samples"), help="folder (samples)")
    parser.add_argument("--canary", type=Path, default=Path("stt/whisper/canary.ogg"))
    arguments = parser.parse_args()
    folder: Path = arguments.output
    folder.mkdir(parents=True, exist_ok=True)
    synthesizer = Synthesizer()
    rng = random.Random(SEED)
    spelled = [" ".join(rng.choices(SPELLING, k=4)) for _ in range(5)]
    sentences = [sentence(rng) for _ in range(6)]
    default = Speaker()
    recordings = {
        "voice-diary.mp3": _lines(DIARY, (NARRATOR,), rng),
        "two-voices.mp3": _lines(CALL, (OPERATOR, CALLER), rng),
        "short-note.mp3": _lines("hello world\n\n" + "\n".join(sentences), (default,), rng),
        "spelling.opus": _lines("\n".join(spelled), (Speaker("en-gb-x-rp", 150, 48),), rng),
    }
    for name, lines in recordings.items():
        samples, text = _say(lines, synthesizer)
        _write(folder / name, samples, text)
    hiss = np.random.default_rng(SEED).standard_normal(20 * SAMPLE_RATE) * 3e-4
    _write(folder / "silence.mp3", hiss.astype(np.float32), "")
    _encode(synthesizer.say("good morning everybody", NARRATOR).samples, arguments.canary)


def _write(path: Path, samples: Samples, text: str) -> None:
    _encode(samples, path)
    path.with_suffix(".txt").write_text(f"{text}\n" if text else "")
    seconds = len(samples) / SAMPLE_RATE
    print(f"{path.name:18} {seconds:6.1f} s  {path.stat().st_size / 1000:6.0f} kB  {text[:40]}")


if __name__ == "__main__":
    main()
