"""Our server beside what people use today, in one run, on one machine.

    python tools/bench_server.py                           # tiny.en and `base`, on the CPU
    python tools/bench_server.py --quick                   # does it run at all
    python tools/bench_server.py --model base --profile --markdown table.md
    python tools/bench_server.py --model large-v3-turbo --device cuda --compute-type float16

1, 2, 4, 8 and 16 callers send clips of 5 to 30 seconds, and one sends an hour, to

  (a) faster-whisper: one model, callers served one after the other, with the better thread count
  (b) its BatchedInferencePipeline on each request, with the best batch size
  (c) copies of the model, a process each, behind one queue
  (d) whisper-server over HTTP, in the shape that it picks by itself
  (e) the ceiling: CTranslate2 on ready spectrograms, in the best shape of a sweep

Each has a process of its own and the same audio, beam size and temperatures; (a) to (d) decode
audio and look for speech, (e) does neither. `tiny.en` has real weights (extra sample-model); every
other size has random weights that say the same text to every window
(tools/bench_lab/random_model.py). Nothing is downloaded. `--model FOLDER` takes any model in
CTranslate2 form. Speed is seconds of audio per second, from the first call to the last answer.

Exit codes: 0 all goals met, 1 one was not, or a contestant failed; 2 wrong usage, 130 interrupted.
"""

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

if __name__ == "__main__":  # run as a script: its own folder is on the path, and not the project's
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from tools.bench_lab import random_model, report
from tools.bench_lab.bench import Bench, Wishes
from tools.bench_lab.contestants import ModelAt
from tools.bench_lab.processes import ContestantFailed
from tools.bench_lab.report import Comparison
from tools.bench_lab.server import ServerBroken, options_of
from whisper_server.hardware import usable_cores

CARD_SWEEP_CLIPS, SWEEP_CLIPS_PER_CORE = 256, 8
CARD_TUNE_SECONDS, TUNE_SECONDS = 1800.0, 180.0
QUICK_SECONDS, QUICK_LONG_SECONDS, QUICK_TUNE_SECONDS, QUICK_SWEEP_SHARE = 1.0, 120.0, 30.0, 0.25


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        options_of(options.server_option)
    except ValueError as error:
        parser.error(f"argument --server-option: {error}")
    console = Console()
    try:
        found = [
            _compare(options, name, console)
            for name in options.model or (random_model.SAMPLE, "base")
        ]
    except (ContestantFailed, ServerBroken) as error:
        console.print(f"Error: {error}", style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        return 130
    for comparison in found:
        _show(comparison, console)
    if options.markdown:
        options.markdown.write_text("\n\n".join(_markdown(one) for one in found) + "\n")
    if options.json:
        options.json.write_text(json.dumps([_as_json(one) for one in found], indent=2) + "\n")
    goals = [goal for comparison in found for goal in report.goals(comparison)]
    return 0 if all(goal.is_met for goal in goals) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ", ".join((random_model.SAMPLE, *random_model.SIZES))
    parser.add_argument(
        "--model",
        action="append",
        type=_model,
        metavar="MODEL",
        help=f"{names}, or a folder; may be repeated; default: {random_model.SAMPLE} and base",
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--compute-type", default=None, help="default: int8; float16 with cuda")
    parser.add_argument(
        "--callers", type=_counts, default=(1, 2, 4, 8, 16), metavar="N,N,…", help="crowds to try"
    )
    parser.add_argument(
        "--seconds", type=_positive, default=8, help="about so long for the ceiling in each crowd"
    )
    parser.add_argument(
        "--long-minutes", type=_positive, default=60, metavar="N", help="the long file; default: 60"
    )
    parser.add_argument(
        "--copies",
        type=_copies,
        default=None,
        metavar="N",
        help="of (c): a core each, or 4 on a card",
    )
    parser.add_argument(
        "--server-option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a flag for (d), such as streams=2; may be repeated",
    )
    parser.add_argument(
        "--only", type=_letters, default="abcd", metavar="LETTERS", help="beside e; default: abcd"
    )
    parser.add_argument("--profile", action="store_true", help="say where the time of (d) goes")
    parser.add_argument("--quick", action="store_true", help="few clips, two minutes for the hour")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="and all numbers there")
    parser.add_argument(
        "--models", type=Path, metavar="FOLDER", help="keep random models there for the next run"
    )
    return parser


def _model(text: str) -> str:
    is_known = text == random_model.SAMPLE or text in random_model.SIZES
    if not is_known and not (Path(text) / "model.bin").is_file():
        raise argparse.ArgumentTypeError(f"'{text}' is neither a known model nor a folder with one")
    return text


def _counts(text: str) -> tuple[int, ...]:
    counts = tuple(int(part) for part in text.split(","))
    if not all(0 < count <= 1000 for count in counts):
        raise argparse.ArgumentTypeError("each between 1 and 1000")
    return counts


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number <= 1e4:
        raise argparse.ArgumentTypeError("more than 0, at most 10000")
    return number


def _copies(text: str) -> int:
    count = int(text)
    if not 0 < count <= 64:
        raise argparse.ArgumentTypeError("between 1 and 64")
    return count


def _letters(text: str) -> str:
    if not text or set(text) - set("abcd"):
        raise argparse.ArgumentTypeError("some of the letters abcd")
    return text


def _compare(options: argparse.Namespace, name: str, console: Console) -> Comparison:
    compute_type = options.compute_type or ("float16" if options.device == "cuda" else "int8")
    with tempfile.TemporaryDirectory(prefix="stt-bench-") as work:
        console.print(f"{name}:", style="bold")
        models = options.models or Path(work)
        model = ModelAt(_model_folder(name, models, compute_type), options.device, compute_type)
        bench = Bench(
            model,
            _wishes(options),
            Path(work),
            lambda line: console.print(line, highlight=False, markup=False, soft_wrap=True),
        )
        return bench.run(name)


def _wishes(options: argparse.Namespace) -> Wishes:
    quick, has_card = options.quick, options.device == "cuda"
    sweep_clips = CARD_SWEEP_CLIPS if has_card else SWEEP_CLIPS_PER_CORE * usable_cores()
    tune_seconds = CARD_TUNE_SECONDS if has_card else TUNE_SECONDS
    return Wishes(
        crowds=options.callers,
        seconds=QUICK_SECONDS if quick else options.seconds,
        long_seconds=QUICK_LONG_SECONDS if quick else options.long_minutes * 60,
        tune_seconds=QUICK_TUNE_SECONDS if quick else tune_seconds,
        sweep_clips=round(sweep_clips * (QUICK_SWEEP_SHARE if quick else 1)),
        copies=options.copies,
        contestants=options.only,
        server_options=options_of(options.server_option),
        profile=options.profile,
    )


def _model_folder(name: str, models: Path, compute_type: str) -> Path:
    """Of real weights, or of a model with random ones, which is made if it is not there."""
    if name == random_model.SAMPLE:
        return random_model.sample_folder()
    if name not in random_model.SIZES:
        return Path(name)
    folder = models / f"{name}-{compute_type}"
    if not (folder / random_model.WRITTEN_LAST).exists():
        random_model.write_model(random_model.SIZES[name], folder, compute_type)
    return folder


def _show(comparison: Comparison, console: Console) -> None:
    lines = ["", _machine(comparison), *report.who_is_who(comparison)]
    for table in report.tables(comparison):
        console.print("\n".join([*lines, "", table.title]), markup=False, soft_wrap=True)
        console.print(table.as_rich())
        lines = []
    for goal in report.goals(comparison):
        style = "green" if goal.is_met else "yellow"
        console.print(str(goal), style=style, highlight=False, soft_wrap=True)


def _markdown(comparison: Comparison) -> str:
    who = [f"- {line}" for line in report.who_is_who(comparison)]
    parts = ["\n".join([_machine(comparison), "", *who])]
    parts += [table.as_markdown() for table in report.tables(comparison)]
    parts.append("\n".join(f"- {goal}" for goal in report.goals(comparison)))
    return "\n\n".join(parts)


def _machine(comparison: Comparison) -> str:
    where = f"{comparison.device}, {comparison.cores} core(s), {platform.machine()}"
    return f"Model {comparison.model}, {where}, {time.strftime('%Y-%m-%d')}:"


def _as_json(comparison: Comparison) -> dict[str, object]:
    goals = [{"text": goal.text, "is_met": goal.is_met} for goal in report.goals(comparison)]
    return asdict(comparison) | {"goals": goals}


if __name__ == "__main__":
    sys.exit(main())
