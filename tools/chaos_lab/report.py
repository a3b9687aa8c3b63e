"""What a chaos run prints at its end: faults by kind, what the fleet did, breaches, the verdict."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from tools.chaos_lab.evidence import Breach
from tools.chaos_lab.storm import Result

_BREACHES_SHOWN = 20
_LEAST_SECONDS_OF_A_TEST = 20.0
_SIGNS_OF_LIFE = ("takeovers", "fenced writes")
_SIGNS_OF_LIFE_OVER_HTTP = ("nodes told: result taken", "nodes told: claim lost")


def shortcomings(result: Result, least_faults: int) -> list[str]:
    """Why a run without a breach proves nothing, a sentence each."""
    if result.plan.fleet.mutation is not None:
        return []
    found = [
        f"only {count} of {least_faults} wanted: {kind}"
        for kind, count in result.faults.items()
        if count < least_faults
    ]
    if result.plan.seconds >= _LEAST_SECONDS_OF_A_TEST:
        found += [
            f"there were no {sign}: the run tested nothing"
            for sign in _signs_of_life(result)
            if not result.report.summary.get(sign)
        ]
    return found


def _signs_of_life(result: Result) -> tuple[str, ...]:
    return _SIGNS_OF_LIFE + (_SIGNS_OF_LIFE_OVER_HTTP if result.plan.fleet.nodes else ())


def show(console: Console, result: Result, least_faults: int) -> None:
    """The tables."""
    console.print()
    console.print(_counts("faults that struck", result.faults))
    console.print(_counts("what the fleet did", result.report.summary))
    breaches = result.report.breaches
    if breaches:
        console.print(_breaches(breaches))
    for sentence in shortcomings(result, least_faults):
        console.print(sentence, style="yellow", highlight=False)
    at = result.progress
    console.print(
        f"seed {result.plan.seed}: {at.added} chunks, {at.transcribed} transcribed,"
        f" {at.failed} in quarantine, {len(breaches)} breaches, {result.seconds:.0f} s",
        style="red" if breaches else "green",
        highlight=False,
    )


def _counts(title: str, counts: Mapping[str, int]) -> Table:
    table = Table(title=title, show_header=False, title_justify="left")
    table.add_column()
    table.add_column(justify="right")
    for name, count in counts.items():
        table.add_row(name, str(count))
    return table


def _breaches(breaches: Sequence[Breach]) -> Table:
    table = Table(title="breaches", title_justify="left")
    for heading in ("rule", "chunk", "evidence"):
        table.add_column(heading, overflow="fold")
    for breach in breaches[:_BREACHES_SHOWN]:
        table.add_row(breach.rule, str(breach.chunk or ""), breach.evidence)
    if len(breaches) > _BREACHES_SHOWN:
        table.add_row("", "", f"and {len(breaches) - _BREACHES_SHOWN} more")
    return table
