"""The mutation table: each deliberate break of the protocol is caught in a storm that shows it."""

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tools.chaos_lab import storm
from tools.chaos_lab.faults import KINDS
from tools.chaos_lab.fleet import Fleet
from tools.chaos_lab.mutations import MUTATIONS
from tools.chaos_lab.stand_in import Pace
from tools.chaos_lab.storm import Plan, Result

_BUSY = Pace(0.3, 0.8, slow=0.8, slow_share=0.0)
_SLOW = Pace(0.5, 1.0, slow=3.0, slow_share=0.3)
_SHORT = Fleet(
    workers=3,
    chunks=60,
    real_servers=0,
    lease_seconds=2.0,
    chunk_timeout=8.0,
    pace=_BUSY,
    poisons=0,
)

_MOST_STORMS = 4
"""Some breaks show only if a fault strikes in the right moment, which a storm may miss."""


@dataclass(frozen=True)
class _Storm:
    """A storm that brings one break to light in a short time; over HTTP with more kinds."""

    kinds: tuple[str, ...]
    http_kinds: tuple[str, ...] = field(default=(), kw_only=True)
    seconds: float = 8.0
    every_seconds: float = 1.5
    fleet: Fleet = _SHORT

    def kinds_for(self, fleet: Fleet) -> tuple[str, ...]:
        return (*self.kinds, *self.http_kinds) if fleet.nodes else self.kinds


_STORMS = {
    "no-fence": _Storm(("worker paused past its lease",)),
    "no-renewal": _Storm((), fleet=replace(_SHORT, pace=_SLOW)),
    "own-lease": _Storm(
        ("worker paused past its lease",),
        fleet=replace(_SHORT, pace=_SLOW, lease_factors=(0.5, 4.0)),
    ),
    # Two at least that have the database, over HTTP too.
    "live-process": _Storm((), fleet=replace(_SHORT, workers=8, pace=_SLOW)),
    "client-clock": _Storm(
        ("worker's clock an hour off",),
        fleet=replace(_SHORT, pace=_SLOW),
        every_seconds=1.0,
        http_kinds=("coordinator's clock an hour off",),
    ),
    "no-compare-and-set": _Storm((), seconds=4.0),
    "no-journal": _Storm(
        ("database killed as it answers",), fleet=replace(_SHORT, sequence_seconds=0.0)
    ),
    # Calls that begin before the database goes must end while it is away.
    "no-lookup": _Storm(
        ("database killed",),
        seconds=12.0,
        every_seconds=4.0,
        fleet=replace(_SHORT, lease_seconds=4.0, calls_at_once=4, chunks=100, pace=_SLOW),
    ),
    "no-speaker-compare-and-set": _Storm((), seconds=12.0, fleet=replace(_SHORT, chunks=100)),
    "no-speaker-refresh": _Storm((), seconds=4.0),
    "blame-neighbours": _Storm((), seconds=4.0, fleet=replace(_SHORT, poisons=3)),
    "blame-server": _Storm(
        ("server dies in mid-answer", "server connections cut"), every_seconds=0.4
    ),
}


def storm_for(name: str, plan: Plan) -> Plan:
    """`plan` with this mutation; its kinds of faults alone, so that they come often."""
    targeted = _STORMS.get(name)
    kinds = targeted.kinds_for(plan.fleet) if targeted else plan.kinds
    return replace(plan, kinds=kinds, fleet=replace(plan.fleet, mutation=name))


def short_storm(name: str, seed: int, *, over_http: bool = False) -> Plan:
    """The shortest run that shows this mutation."""
    targeted = _STORMS.get(name, _Storm(tuple(KINDS)))
    fleet = targeted.fleet.over_http() if over_http else targeted.fleet
    return Plan(
        targeted.seconds,
        seed,
        targeted.every_seconds,
        targeted.kinds_for(fleet),
        calm_seconds=15.0,
        fleet=replace(fleet, mutation=name),
    )


def main(console: Console, seed: int, folder: Path, *, over_http: bool = False) -> int:
    """Runs and prints them all; 1 if one goes unnoticed."""
    table = Table(title="deliberate breaks of the protocol", title_justify="left")
    for heading in ("mutation", "what is broken", "shown by", "breaches", "rules", "storms"):
        table.add_column(heading, overflow="fold")
    unnoticed = 0
    for name, mutation in MUTATIONS.items():
        for storms in range(1, _MOST_STORMS + 1):
            plan = short_storm(name, seed + storms - 1, over_http=over_http)
            result = storm.run(plan, folder / f"{name}-{storms}", quiet=True)
            if rules := rules_broken(result):
                break
        unnoticed += not rules
        console.print(f"{name}: {sum(rules.values())} breaches", highlight=False)
        table.add_row(
            name,
            mutation.sentence,
            mutation.shown_by,
            str(sum(rules.values())) if rules else "NONE",
            ", ".join(f"{rule} {count}" for rule, count in rules.most_common()),
            str(storms),
        )
    console.print(table)
    if unnoticed:
        console.print(f"{unnoticed} of {len(MUTATIONS)} went unnoticed.", style="red")
    return int(unnoticed > 0)


def rules_broken(result: Result) -> Counter[str]:
    """How often each rule was."""
    return Counter(breach.rule for breach in result.report.breaches)
