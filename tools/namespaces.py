"""Two nodes on networks of their own, without a way to the database, one of them cut off for long.

    python tools/namespaces.py                        # needs root and `ip`
    python tools/namespaces.py --nodes 3 --chunks 200 --lease 5 --cut 3

Each node is a real `stt node start` in a network namespace (`ip netns`) that reaches a coordinator
and nothing else. The first one's cable is pulled until its lease has run out and others have taken
over, then plugged in again. Then every chunk has exactly one result, of the claim that was valid
when it was written, and what the node that was cut off offers too late is refused.

Exit codes: 0 all well, 1 a breach, or nothing was tested (the logs are kept); 2 wrong usage, 3 no
namespaces here, 130 interrupted. It leaves no namespace behind.
"""

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import requests
from rich.console import Console
from rich.table import Table

if __name__ == "__main__":  # run as a script: its own folder is on the path, and not the project's
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from stt.errors import SttError
from stt.system.signals import on_signals
from tools.chaos_lab import far_nodes
from tools.chaos_lab.network import missing_for_namespaces


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    options = _parser().parse_args(arguments)
    console = Console(highlight=False)
    if missing := missing_for_namespaces():
        console.print(f"Network namespaces need {missing}.")
        return 3
    plan = far_nodes.Plan(options.nodes, options.chunks, options.lease, options.cut)
    folder = options.keep or Path(tempfile.mkdtemp(prefix="stt-namespaces-"))
    code = 1
    try:
        with on_signals(_interrupt):
            result = far_nodes.run(plan, folder, console.print)
        code = _show(console, plan, result)
    except (RuntimeError, SttError, subprocess.SubprocessError, requests.RequestException) as error:
        console.print(str(error), style="red", markup=False)
    except KeyboardInterrupt:
        console.print("Interrupted; everything is taken down again.")
        return 130
    finally:
        if code == 0 and options.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            console.print(f"The logs are in {folder}")
    return code


def _show(console: Console, plan: far_nodes.Plan, result: far_nodes.Result) -> int:
    table = Table(title="nodes", title_justify="left")
    for heading in ("node", "address", "database", "coordinator", "results", "lost claims"):
        table.add_column(heading, overflow="fold")
    for node in result.nodes:
        table.add_row(
            node.name,
            node.address,
            ", ".join(sorted(set(node.to_database))),
            node.to_coordinator,
            str(node.results),
            str(node.lost),
        )
    console.print(table)
    late = Counter(f"{op.kind} {op.outcome}" for op in result.nodes[0].late)
    told = ", ".join(f"{what} ({count})" for what, count in late.items()) or "nothing"
    console.print(f"{result.nodes[0].name} after {result.cut_seconds:.1f} s on its own: {told}")
    breaches = result.report.breaches
    for breach in breaches:
        console.print(f"{breach.rule}: {breach.evidence}", style="red", markup=False)
    for sentence in result.shortcomings:
        console.print(sentence, style="yellow")
    is_well = result.transcribed == plan.chunks and not breaches and not result.shortcomings
    console.print(
        f"{plan.chunks} chunks, {result.transcribed} transcribed, {len(breaches)} breaches",
        style="green" if is_well else "red",
    )
    return 0 if is_well else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, default=2, choices=range(2, 9), help="(2)")
    parser.add_argument("--chunks", type=int, default=36, help="of a second each (36)")
    parser.add_argument("--lease", type=float, default=3.0, metavar="SECONDS", help="(3)")
    parser.add_argument("--cut", type=float, default=1.5, metavar="LEASES",
                        help="for how long at least (1.5)")  # fmt: skip
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep all logs there")
    return parser


def _interrupt(*_: object) -> None:
    # Once is enough: a second one must not break off what takes the namespaces down.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
