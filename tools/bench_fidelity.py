"""How faithful transcripts are: our server and fleet beside faster-whisper, on the same weights.

    python tools/bench_fidelity.py --model base
    python tools/bench_fidelity.py --model tiny.en --languages en --minutes 5 --json found.json
    python tools/bench_fidelity.py --model base --only server --only oracle --sets switching

Makes recordings from human speech whose words are known (Debian: asterisk-core-sounds-*), has each
contestant transcribe them, and prints the words that are wrong, the share in the right language,
words that nobody said, speech without text, and how far cue ends are from the speech's.

    fw sequential, fw batched, fw multilingual    faster-whisper, as a library
    server, server + language given               whisper-server over HTTP, whole files
    oracle                                        the same, each stretch alone, its language given
    fleet                                         stt ingest, a database, a worker
    10 s chunks, … one by one                     another program's chunks, which cut words

Recordings that switch, without speech, and in one language: see tools/fidelity_lab/sets.py. The
same seed makes the same recordings. `--minutes` scales all of them.

Exit codes: 0 all goals met, 1 one was not, or a contestant failed; 2 wrong usage, 130 interrupted.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

if __name__ == "__main__":  # run as a script: its own folder is on the path, and not the project's
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from stt.errors import SttError
from stt.system.signals import on_signals
from tools.bench_lab.callers import CallFailed
from tools.bench_lab.contestants import ModelAt
from tools.bench_lab.server import OurServer, ServerBroken, options_of
from tools.fidelity_lab import contestants, fleet, report
from tools.fidelity_lab.contestants import Contestant
from tools.fidelity_lab.fleet import Fleet, FleetFailed
from tools.fidelity_lab.goals import judged
from tools.fidelity_lab.measures import measure
from tools.fidelity_lab.prompts import SPEAKERS, SpeechMissing, load_prompts
from tools.fidelity_lab.results import Results
from tools.fidelity_lab.sets import SetMaker
from tools.fidelity_lab.tape import SpeechSet
from whisper_server.errors import ModelUnavailable
from whisper_server.model_names import find_model
from whisper_server.model_packages import installed_folder, ways_to_a_package

FILE_WIDTH = 160
FAILURES = (CallFailed, FleetFailed, ModelUnavailable, ServerBroken, SpeechMissing, SttError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        server_options = options_of(options.server_option)
    except ValueError as error:
        parser.error(f"argument --server-option: {error}")
    console = Console()
    if not console.is_terminal:
        console.width = FILE_WIDTH
    try:
        with on_signals(_interrupt), ExitStack() as stack:
            results = _run(options, server_options, stack, console)
    except FAILURES as error:
        console.print(f"Error: {error}", style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        return 130
    return _show(results, options.json, console)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="base", help="name or folder; default: base")
    parser.add_argument(
        "--languages", type=_languages, default=tuple(SPEAKERS), metavar="CODE,…",
        help=f"default: {','.join(SPEAKERS)}",
    )  # fmt: skip
    parser.add_argument(
        "--minutes", type=float, default=2.0, metavar="N",
        help="of the plain recording of each language; default: 2",
    )  # fmt: skip
    parser.add_argument(
        "--only", action="append", default=[], metavar="CONTESTANT", help="may be repeated"
    )
    parser.add_argument(
        "--sets", action="append", default=[], metavar="TEXT",
        help="only sets with this in their name, such as switching; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--workers", type=_counts, default=(4,), metavar="N,…",
        help="calls in flight of the fleet; each number is a contestant; default: 4",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of the recordings; default: 0")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there")
    parser.add_argument(
        "--server-option", action="append", default=[], metavar="NAME=VALUE",
        help="a flag for whisper-server, such as batch-size=2; may be repeated",
    )  # fmt: skip
    return parser


def _languages(text: str) -> tuple[str, ...]:
    codes = tuple(dict.fromkeys(text.split(",")))
    if unknown := set(codes) - set(SPEAKERS):
        raise argparse.ArgumentTypeError(f"no speech in {', '.join(sorted(unknown))}")
    return codes


def _counts(text: str) -> tuple[int, ...]:
    counts = tuple(int(part) for part in text.split(","))
    if not all(0 < count <= 64 for count in counts):
        raise argparse.ArgumentTypeError("each between 1 and 64")
    return counts


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _run(
    options: argparse.Namespace, server_options: dict[str, str], stack: ExitStack, console: Console
) -> Results:
    results = Results(options.model, options.minutes)
    progress = stack.enter_context(
        Progress(
            TextColumn("{task.description:32}"),
            BarColumn(),
            TextColumn("{task.completed:.0f} of {task.total:.0f} s"),
            TimeElapsedColumn(),
            console=console,
        )
    )
    prompts = {language: load_prompts(language) for language in options.languages}
    maker = SetMaker(prompts, options.minutes, options.seed)
    results.sets = [one for one in maker.make() if _is_wanted(one, options.sets)]
    for who in _contestants(options, server_options, stack):
        sets = [one for one in results.sets if who.takes(one)]
        if not sets:
            continue
        task = progress.add_task(who.name, total=sum(one.seconds for one in sets))
        began = time.monotonic()
        for one, segments in who.transcribe(sets):
            results.segments.setdefault(who.name, {})[one.name] = segments
            results.measured.setdefault(who.name, {})[one.name] = measure(one, segments)
            progress.advance(task, one.seconds)
        results.seconds[who.name] = time.monotonic() - began
        progress.stop_task(task)
    return results


def _is_wanted(one: SpeechSet, texts: Sequence[str]) -> bool:
    return not texts or any(text in one.name for text in texts)


def _contestants(
    options: argparse.Namespace, server_options: dict[str, str], stack: ExitStack
) -> Iterator[Contestant]:
    """Those that are wanted; the server starts when the first of them needs it."""
    model = ModelAt(_folder_of(options.model), "cpu", "int8")
    load = contestants.shared_model(model)
    peers = contestants.SEQUENTIAL, contestants.BATCHED, contestants.MULTILINGUAL
    for name in peers:
        if _is_chosen(name, options.only):
            yield contestants.Peer(name, load)
    work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stt-fidelity-")))
    server = stack.enter_context(OurServer(model, server_options, work))
    ours: list[Contestant] = [
        contestants.Whole(contestants.SERVER, server),
        contestants.Whole(contestants.GIVEN, server),
        contestants.Oracle(server),
    ]
    for kind in (fleet.FLEET, fleet.FOREIGN, fleet.FOREIGN_ALONE):
        for workers in options.workers:
            name = kind if workers == options.workers[0] else f"{kind}, {workers} workers"
            ours.append(Fleet(name, server, workers))
    yield from (one for one in ours if _is_chosen(one.name, options.only))


def _folder_of(model: str) -> Path:
    """Raises ModelUnavailable for a model that is neither a folder nor installed as a package."""
    folder = find_model(model).folder or installed_folder(model)
    if folder is None:
        text = f"{ways_to_a_package(model)}or name a folder with it, to compare with {model}."
        raise ModelUnavailable(text[0].upper() + text[1:])
    return folder


def _is_chosen(name: str, only: Sequence[str]) -> bool:
    return not only or name in only


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
