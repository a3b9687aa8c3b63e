#!/usr/bin/env python3
"""Make the recordings in `samples/`, with what is said beside each.

Also `stt/whisper/canary.ogg`, the recording that tells a broken server from a bad chunk: a few
clean words that any server can do.

Needs flite, whose voices speak, and pocketsphinx-testdata, which has the reading (Debian, Ubuntu:
apt install flite pocketsphinx-testdata):

    python tools/make_samples.py --output samples
"""

import argparse
import random
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.audio.stream import AudioStream

if __name__ == "__main__":  # run as a script: its own folder is on the path, and not the project's
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from stt.media.audio import SAMPLE_RATE, Samples, decode

SEED = 11
MAN, WOMAN = "rms", "slt"
PAUSE_SECONDS, LONG_PAUSE_SECONDS = (0.4, 1.6), (3.0, 6.0)
HISS_AMPLITUDE = 3e-4  # of full scale
CANARY = "Good morning, everybody."

# One line is said in one breath; an empty line is a longer pause.
DIARY = """
Good morning, everybody. This is my voice diary.
The weather was cold this morning, but the kitchen was warm.
I always drink a cup of coffee before breakfast.
My sister brought fresh bread and cheese from the market.
Our grandmother asked for tea with milk, but without sugar.
After breakfast we went outside together.

Our garden is beautiful in autumn. The grass is still green, and the apples are red.
The old dog followed our rabbit under the table. That rabbit was not slow!
All the children were very happy.

Yesterday I visited the city with my brother.
We waited a long time at the station.
The woman with the blue umbrella answered our question.
The next train crossed the river and the valley.
I remember every village, every bridge, and every little house.
The mountains were white. Winter is near.

In the city we found a small restaurant behind the harbor.
The soup was delicious, and the chicken was very good.
My brother wanted chocolate. He always wants chocolate.

After dinner we walked slowly across the old bridge.
The ocean was dark and quiet.
I think the sea is dangerous in winter.
Before midnight a storm came down from the mountains.
We waited inside an empty church. The rain was cold, and we were very tired.

Tomorrow is Tuesday. I have a ticket for the morning train.
Please remember to water the flowers. Thank you, and good night!
"""

CALL = """
City Museum, good morning. How can I help you?
Hello. I think I left my umbrella in your museum yesterday afternoon.
Let me see. We found several umbrellas last night. What color is yours?
It is blue and white, with a wooden handle.
Then I have good news. Your umbrella is here, at the front desk.
Wonderful! How long are you open today?
We are open until early in the evening.
Thank you very much. I will come after lunch.
You are welcome. See you this afternoon. Goodbye!
"""

NOTE = """
Do not forget to buy milk, eggs, and a loaf of bread.
The dentist called. Your appointment is on Thursday morning.
Please send the invoice to the new address before Friday.
The meeting starts after breakfast, in the large conference room.
Remind me to call my mother on her birthday.
"""

READING_FOLDER = Path("/usr/share/pocketsphinx/test/data/librivox")
READING_FILE = "sense_and_sensibility_01_austen_64kb-{}.wav"
READING = {
    "0870": "And Mr. John Dashwood had then leisure to consider how much there might be prudently "
    "in his power to do for them.",
    "0880": "He was not an ill-disposed young man,",
    "0890": "unless to be rather cold-hearted and rather selfish is to be ill-disposed.",
    "0920": "Had he married a more amiable woman, he might have been made still more respectable "
    "than he was.",
    "0930": "He might even have been made amiable himself.",
}
"""Sentences of Jane Austen's "Sense and Sensibility", as LibriVox's reader says them."""


@dataclass(frozen=True)
class Line:
    """Something that is said, and the seconds of silence after it."""

    text: str
    samples: Samples
    pause: float


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the recordings in samples/.")
    parser.add_argument("--output", type=Path, default=Path("samples"), help="folder (samples)")
    parser.add_argument("--canary", type=Path, default=Path("stt/whisper/canary.ogg"))
    arguments = parser.parse_args()
    folder: Path = arguments.output
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "voice-diary.mp3", _spoken(DIARY, (MAN,)))
    _write(folder / "two-voices.mp3", _spoken(CALL, (MAN, WOMAN)))
    _write(folder / "short-note.mp3", _spoken(NOTE, (WOMAN,)))
    _write(folder / "reading.opus", _reading())
    hiss = np.random.default_rng(SEED).standard_normal(19 * SAMPLE_RATE) * HISS_AMPLITUDE
    _write(folder / "silence.mp3", [Line("", (hiss * 32767).astype(np.int16), 0)])
    _encode(_say(CANARY, MAN), arguments.canary)


def _spoken(script: str, voices: tuple[str, ...]) -> list[Line]:
    """Return the lines of a script, said by the voices in turn."""
    rng = random.Random(SEED)
    lines: list[Line] = []
    for text in script.strip().splitlines():
        if text:
            voice = voices[len(lines) % len(voices)]
            lines.append(Line(text, _say(text, voice), rng.uniform(*PAUSE_SECONDS)))
        else:
            last = lines[-1]
            lines[-1] = Line(last.text, last.samples, rng.uniform(*LONG_PAUSE_SECONDS))
    return lines


def _reading() -> list[Line]:
    rng = random.Random(SEED)
    return [
        Line(
            text,
            decode((READING_FOLDER / READING_FILE.format(number)).read_bytes()),
            rng.uniform(*PAUSE_SECONDS),
        )
        for number, text in READING.items()
    ]


def _say(text: str, voice: str) -> Samples:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "speech.wav"
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(file)], check=True)
        return decode(file.read_bytes())


def _write(path: Path, lines: list[Line]) -> None:
    """Write the lines with half a second of silence around them, and their text."""
    quiet = np.zeros(SAMPLE_RATE // 2, np.int16)
    parts = [quiet]
    for line in lines:
        parts += [line.samples, np.zeros(round(line.pause * SAMPLE_RATE), np.int16)]
    samples = np.concatenate([*parts, quiet])
    _encode(samples, path)
    text = "\n".join(line.text for line in lines)
    path.with_suffix(".txt").write_text(f"{text}\n" if text else "")
    seconds = len(samples) / SAMPLE_RATE
    print(f"{path.name:18} {seconds:6.1f} s  {path.stat().st_size / 1000:6.0f} kB")


def _encode(samples: Samples, path: Path) -> None:
    """Write mono audio; the name says the format."""
    codec, rate, bit_rate = {
        ".mp3": ("libmp3lame", 16_000, 32_000),
        ".opus": ("libopus", 48_000, 24_000),
        ".ogg": ("libopus", 48_000, 16_000),
    }[path.suffix]
    sound = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
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


if __name__ == "__main__":
    main()
