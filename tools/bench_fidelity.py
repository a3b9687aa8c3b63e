"""How faithful transcripts are: our server and fleet beside faster-whisper, on the same weights.

    python tools/bench_fidelity.py --model base
    python tools/bench_fidelity.py --model tiny.en --minutes 5 --json found.json
    python tools/bench_fidelity.py --only server,oracle,fw-multilingual --sets switching
    python tools/bench_fidelity.py --only fleet,fleet-10s --workers 1,4 --sets switching

Makes recordings from human speech whose words are known (Debian: asterisk-core-sounds-*), has each
contestant transcribe them, and prints the words that are wrong, the share in the right language,
words that were not said, speech without text, and how far cue ends are from the speech's.

    fw-sequential, fw-batched, fw-multilingual   faster-whisper as a library, with its own defaults
    server, server-given                         whisper-server over HTTP, whole files; with the
                                                 language given
    oracle                                       each stretch alone, with its language given
    fleet                                        stt ingest, a database, a worker, a server
    fleet-10s, fleet-10s-alone                   another program's chunks, which cut words: in
                                                 sequences, and one by one

The sets: tools/fidelity_lab/sets.py. The same seed makes the same recordings; `--minutes` scales
all of them. Differences of a tenth of a point need many minutes: read the intervals.

Exit codes: 0 all goals met, 1 one was not, or a contestant failed; 2 wrong usage, 130 interrupted.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

if __name__ == "__main__":  # run as a script: its own folder is on the path, and not the project's
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from stt.errors import SttError
from stt.system.signals import on_signals
from tools.bench_lab.callers import CallFailed
from tools.bench_lab.contestants import ModelAt
from tools.bench_lab.server import ServerBroken, options_of
from tools.fidelity_lab import report
from tools.fidelity_lab.contestants import GIVEN
from tools.fidelity_lab.fleet import FleetFailed
from tools.fidelity_lab.goals import judged
from tools.fidelity_lab.measures import Measured
from tools.fidelity_lab.prompts import SPEAKERS, SpeechMissing, load_prompts
from tools.fidelity_lab.results import Results
from tools.fidelity_lab.run import NAMES, RunOptions, is_multilingual, run
from tools.fidelity_lab.sets import SetMaker
from tools.fidelity_lab.tape import SpeechSet
from whisper_server.errors import ModelUnavailable
from whisper_server.model_names import find_model
from whisper_server.model_packages import installed_folder, ways_to_a_package

FILE_WIDTH = 160
"""Of tables that are not shown on a terminal."""
FAILURES = (CallFailed, FleetFailed, ServerBroken, SttError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        model = ModelAt(_folder_of(options.model), "cpu", "int8")
        known = tuple(SPEAKERS) if is_multilingual(model.folder) else ("en",)
        run_options = RunOptions(
            # Of a model that knows but one language, it is the same as the server.
            tuple(name for name in options.only if name != GIVEN or len(known) > 1),
            options.workers,
            dict(options.server_option),
            options.peers,
        )
        results = Results(options.model, options.minutes, _sets(known, options))
    except (ModelUnavailable, SpeechMissing, ValueError) as error:
        parser.error(str(error))
    console = Console()
    if not console.is_terminal:
        console.width = FILE_WIDTH
    try:
        with on_signals(_interrupt), Shown(console) as shown:
            run(results, model, run_options, shown.begin, shown.advance)
    except FAILURES as error:
        console.print(f"Error: {error}", style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        return 130
    if options.mistakes:
        for line in report.mistakes(results):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
    return _show(results, options.json, console)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--model", default="base", help="name or folder; default: base")
    languages = ",".join(SPEAKERS)
    add("--languages", type=_languages, metavar="CODE,…",
        help=f"default: {languages}, or what the model knows of them")  # fmt: skip
    add("--minutes", type=_positive, default=1.0, metavar="N",
        help="of the plain recording of each language; default: 1")  # fmt: skip
    add("--only", type=_names, default=NAMES, metavar="NAME,…", help="contestants; default: all")
    add("--sets", action="append", default=[], metavar="TEXT",
        help="only sets with this in their name, such as switching; may be repeated")  # fmt: skip
    add("--workers", type=_counts, default=(4,), metavar="N,…",
        help="calls in flight of the fleets, each a contestant of its own; default: 4")  # fmt: skip
    add("--seed", type=int, default=0, help="of the recordings; default: 0")
    add("--json", type=Path, metavar="FILE", help="write everything there, transcripts too")
    add("--mistakes", action="store_true", help="print each run of wrong words, and phantoms")
    add("--peers", type=Path, metavar="FOLDER",
        help="keep the transcripts of faster-whisper there for the next run")  # fmt: skip
    add("--server-option", action="append", type=_pair, default=[], metavar="NAME=VALUE",
        help="a flag for whisper-server, such as batch-size=2; may be repeated")  # fmt: skip
    return parser


def _languages(text: str) -> tuple[str, ...]:
    return _chosen(text, SPEAKERS, "speech in")


def _names(text: str) -> tuple[str, ...]:
    return _chosen(text, NAMES, "contestant")


def _chosen(text: str, known: Sequence[str] | dict[str, str], what: str) -> tuple[str, ...]:
    chosen = tuple(dict.fromkeys(text.split(",")))
    if unknown := [one for one in chosen if one not in known]:
        raise argparse.ArgumentTypeError(f"no {what} {unknown[0]!r}: some of {', '.join(known)}")
    return chosen


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number <= 600:
        raise argparse.ArgumentTypeError("more than 0, at most 600")
    return number


def _counts(text: str) -> tuple[int, ...]:
    counts = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    if not all(0 < count <= 64 for count in counts):
        raise argparse.ArgumentTypeError("each between 1 and 64")
    return counts


def _pair(text: str) -> tuple[str, str]:
    try:
        ((name, value),) = options_of([text]).items()
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return name, value


def _folder_of(model: str) -> Path:
    """Raises ModelUnavailable for a model that is neither a folder nor installed as a package."""
    folder = find_model(model).folder or installed_folder(model)
    if folder is None:
        raise ModelUnavailable(
            f"The model {model} is not on this machine: {ways_to_a_package(model)}or name the"
            " folder of a model in CTranslate2 form with --model."
        )
    return folder


def _sets(known: Sequence[str], options: argparse.Namespace) -> list[SpeechSet]:
    """Raises SpeechMissing, and ValueError for an unknown language or if no set is left."""
    if unknown := [one for one in options.languages or () if one not in known]:
        raise ValueError(f"the model knows English only, and not {', '.join(unknown)}")
    prompts = {language: load_prompts(language) for language in options.languages or known}
    sets = [
        one
        for one in SetMaker(prompts, options.minutes, options.seed).make()
        if not options.sets or any(text in one.name for text in options.sets)
    ]
    if not sets:
        raise ValueError(f"no set has {' or '.join(options.sets)} in its name")
    return sets


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


class Shown:
    """The progress of a run: a bar for each contestant on a terminal, else a line for each set."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._task = TaskID(0)
        self._progress = Progress(
            TextColumn("{task.description:16}"),
            BarColumn(),
            TextColumn("{task.completed:.0f} of {task.total:.0f} s"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> "Shown":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, name: str, seconds: float) -> None:
        self._task = self._progress.add_task(name, total=seconds)

    def advance(self, name: str, one: SpeechSet, found: Measured) -> None:
        self._progress.advance(self._task, one.seconds)
        if not self._console.is_terminal:
            wrong = f"{found.wrong} of {found.words} words wrong, " if found.words else ""
            line = f"{name}, {one.name}: {wrong}{len(found.phantoms)} phantom words"
            self._console.print(line, highlight=False, markup=False, soft_wrap=True)


def _show(results: Results, json_file: Path | None, console: Console) -> int:
    for table in report.tables(results):
        console.print(f"\n{table.title}", markup=False)
        console.print(table.as_rich())
    verdicts = judged(results)
    for verdict in verdicts:
        style = "green" if verdict.is_met else "yellow"
        console.print(str(verdict), style=style, highlight=False, soft_wrap=True)
    if json_file:
        content = report.as_json(results, verdicts)
        json_file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return 0 if all(verdict.is_met for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
