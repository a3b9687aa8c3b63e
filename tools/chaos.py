"""Does to a fleet what the world does, records what is asked and told, and has a checker judge.

    python tools/chaos.py                             # a minute, a seed from the clock
    python tools/chaos.py --seconds 600 --chunks 3000 --seed 7 --require-faults 20
    python tools/chaos.py --over-http                 # most workers know a coordinator alone
    python tools/chaos.py --mutation no-fence         # a broken protocol: the checker must see it
    python tools/chaos.py --mutations                 # all of them, as a table

Starts a database, whisper servers (scripted ones, whose words name the chunk and the call, beside
real ones), worker processes, and a TCP proxy between each of them; kills, stops, cuts, delays and
lies to them in an order that the seed decides; then mends everything, lets the fleet finish, and
checks its history: each chunk has exactly one result, written by the claim that was valid then;
nothing is lost, stuck, or blamed for what was not its own doing. Every other recording asks for its
speakers, and somebody names them all the while: each voice must be one speaker, and keep its name.

With --over-http there are two coordinators, and one worker in four reaches the database itself; the
others are nodes, which write down what their coordinators tell them: that must be so as well.

Exit codes: 0 no breach, 1 a breach (the logs are kept), or nothing was tested; 2 wrong usage, 130
interrupted.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

if __name__ == "__main__":  # run as a script: its own folder is on the path, and not the project's
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from stt.system.signals import on_signals
from tools.chaos_lab import barcode, http_faults, mutation_table, report, storm
from tools.chaos_lab.clock import has_clock_faker
from tools.chaos_lab.faults import KINDS
from tools.chaos_lab.fleet import Fleet
from tools.chaos_lab.hand_tools import has_shell
from tools.chaos_lab.mutations import MUTATIONS
from tools.chaos_lab.stand_in import Pace


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    options = _parser().parse_args(arguments)
    console = Console()
    plan = plan_of(arguments)
    if not has_clock_faker():
        console.print("faketime is not installed: no worker's clock will be off.")
        if os.environ.get("CI"):
            console.print("In CI it must be there (package faketime).")
            return 1
    if not has_shell():
        console.print("mongosh is not installed: the guide's query goes through the driver.")
    folder = options.keep or Path(tempfile.mkdtemp(prefix="stt-chaos-"))
    code = 1
    try:
        with on_signals(_interrupt):
            if options.mutations:
                code = mutation_table.main(console, plan.seed, folder, over_http=options.over_http)
            else:
                code = _run(console, plan, folder, options.require_faults)
    except KeyboardInterrupt:
        console.print("\nInterrupted; everything is taken down again.")
        return 130
    finally:
        if code == 0 and options.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            console.print(f"The logs are in {folder}", highlight=False)
    return code


def _run(console: Console, plan: storm.Plan, folder: Path, least_faults: int) -> int:
    fleet = plan.fleet
    nodes = f" and {fleet.nodes} nodes" if fleet.nodes else ""
    console.print(
        f"seed {plan.seed}: {fleet.workers} workers{nodes}, {fleet.chunks} chunks,"
        f" {plan.seconds:g} s of {len(plan.kinds)} kinds of faults",
        highlight=False,
    )
    result = storm.run(plan, folder)
    report.show(console, result, least_faults)
    return int(bool(result.report.breaches or report.shortcomings(result, least_faults)))


def plan_of(arguments: Sequence[str] | None) -> storm.Plan:
    """What these flags ask for."""
    options = _parser().parse_args(arguments)
    fleet = Fleet(
        workers=options.workers,
        chunks=options.chunks,
        real_servers=options.real_servers,
        lease_seconds=options.lease,
        chunk_timeout=3 * options.lease,
        pace=Pace(0.2, 2.0, slow=1.2 * options.lease, slow_share=0.05),
    )
    kinds = tuple(KINDS)
    if options.over_http:
        fleet = fleet.over_http()
        kinds += tuple(http_faults.KINDS)
    if not has_clock_faker():
        kinds = tuple(kind for kind in kinds if "clock" not in kind)
    seed = int(time.time()) if options.seed is None else options.seed
    plan = storm.Plan(options.seconds, seed, options.every, kinds, fleet=fleet)
    if options.mutation is not None:
        return mutation_table.storm_for(options.mutation, replace(plan, fleet=fleet))
    return plan


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=_positive, default=60.0, help="of storm (60)")
    parser.add_argument("--workers", type=_count(2, 64), default=8, help="worker processes (8)")
    parser.add_argument(
        "--chunks", type=_count(1, barcode.LARGEST_NUMBER + 1), default=500, help="of audio (500)"
    )
    parser.add_argument("--seed", type=int, help="the same faults again; else from the clock")
    parser.add_argument("--real-servers", type=_count(0, 8), default=1, metavar="N",
                        help="whisper servers with the model tiny.en (1)")  # fmt: skip
    parser.add_argument("--every", type=_positive, default=0.9, metavar="SECONDS",
                        help="between two faults (0.9)")  # fmt: skip
    parser.add_argument("--lease", type=_positive, default=4.0, metavar="SECONDS",
                        help="LEASE_SECONDS of the fleet (4)")  # fmt: skip
    parser.add_argument("--require-faults", type=_count(0, 10_000), default=0, metavar="N",
                        help="exit 1 if a kind of fault struck fewer times")  # fmt: skip
    parser.add_argument("--over-http", action="store_true",
                        help="three workers in four reach a coordinator alone")  # fmt: skip
    parser.add_argument("--mutation", choices=MUTATIONS, help="break the protocol on purpose")
    parser.add_argument("--mutations", action="store_true", help="all of them, a short storm each")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep all logs there")
    return parser


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < 1e6:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and a million")
    return number


def _count(least: int, most: int) -> Callable[[str], int]:
    def count(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is no number from {least} to {most}")
        return int(text)

    return count


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
