"""What came of a comparison: tables for the terminal and for Markdown, and the goals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.table import Table

from tools.bench_lab.contestants import Result

PLAIN, BATCHED, COPIES, OURS, CEILING = "a", "b", "c", "d", "e"
NAMES = {
    PLAIN: "faster-whisper",
    BATCHED: "its batched pipeline",
    COPIES: "copies of the model",
    OURS: "whisper-server",
    CEILING: "ceiling",
}
CROWD = 8
"""From so many callers on, the ceiling is in reach."""
SHARE_OF_CEILING, TIMES_PLAIN, HEALTH_MS = 0.9, 1.6, 50.0
BEATEN = 1.05
"""A ceiling that is beaten by more than noise is none: something was measured wrongly, or the
machine was busier with the one than with the other."""
CLIPS, LONG = "clips", "long"
"""Names of scenarios: the ceiling knows but one of clips; the others are `4 callers`."""


@dataclass(frozen=True)
class Shown:
    """A table, whatever it is rendered as."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def as_rich(self) -> Table:
        table = Table()
        for index, column in enumerate(self.header):
            table.add_column(column, justify="left" if index == 0 else "right")
        for row in self.rows:
            table.add_row(*row)
        return table

    def as_markdown(self) -> str:
        ruler = ["---", *["---:"] * (len(self.header) - 1)]
        lines = [_line(self.header), _line(ruler), *(_line(row) for row in self.rows)]
        return "\n".join([f"{self.title}:", "", *lines])


@dataclass(frozen=True)
class Goal:
    text: str
    is_met: bool

    def __str__(self) -> str:
        return f"{'PASS ' if self.is_met else 'short'}  {self.text}"


@dataclass
class Comparison:
    """`results` by contestant and scenario; `settings` says what each was given."""

    model: str
    cores: int
    device: str
    results: dict[str, dict[str, Result]] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    health_p99_ms: dict[str, float] = field(default_factory=dict)
    profile: dict[str, dict[str, float]] = field(default_factory=dict)

    def add(self, contestant: str, result: Result) -> None:
        self.results.setdefault(contestant, {})[result.scenario] = result

    def scenarios(self) -> list[str]:
        served = (found for letter, found in self.results.items() if letter != CEILING)
        return list(dict.fromkeys(name for found in served for name in found))

    def speed(self, contestant: str, scenario: str) -> float | None:
        """Of the ceiling: its one speed on clips, however many callers there are."""
        own = LONG if scenario == LONG else CLIPS
        found = self.results.get(contestant, {}).get(own if contestant == CEILING else scenario)
        return found.speed if found else None


def tables(of: Comparison) -> list[Shown]:
    """Speed, latency and memory, a line for each scenario."""
    who = [letter for letter in NAMES if letter in of.results]
    header = ("", *(f"({letter})" for letter in who))
    served = [letter for letter in who if letter != CEILING]
    shown = [
        Shown(
            "Seconds of audio per second",
            (*header, "d : e"),
            tuple(
                (
                    name,
                    *(_number(of.speed(letter, name), 1) for letter in who),
                    _number(_ratio(of.speed(OURS, name), of.speed(CEILING, name)), 2),
                )
                for name in of.scenarios()
            ),
        ),
        Shown(
            "Latency p50 / p99, seconds",
            ("", *(f"({letter})" for letter in served)),
            tuple(
                (name, *(_latency(of.results[letter].get(name)) for letter in served))
                for name in of.scenarios()
            ),
        ),
        Shown(
            "Peak resident memory since the start, MB",
            ("", *(f"({letter})" for letter in served)),
            tuple(
                (name, *(_memory(of.results[letter].get(name)) for letter in served))
                for name in of.scenarios()
            ),
        ),
    ]
    if of.health_p99_ms:
        rows = tuple((name, f"{ms:.1f}") for name, ms in of.health_p99_ms.items())
        shown.append(Shown("/health of (d) meanwhile, p99 in ms", ("", "(d)"), rows))
    if of.profile:
        shown.append(_profile(of.profile))
    return shown


def goals(of: Comparison) -> list[Goal]:
    """What the project set out to reach, each with what was measured."""
    found: list[Goal] = []
    for name in of.scenarios():
        ours = of.speed(OURS, name)
        callers = _callers(name)
        share = _ratio(ours, of.speed(CEILING, name))
        if callers >= CROWD and share is not None:
            text = f"{name}: {share:.2f} of the ceiling, at least {SHARE_OF_CEILING}"
            found.append(Goal(text, SHARE_OF_CEILING <= share <= BEATEN))
        times = _ratio(ours, of.speed(PLAIN, name))
        if name == LONG and of.device == "cpu" and times is not None:
            text = f"{name}: {times:.2f} times (a), at least {TIMES_PLAIN} (on two cores)"
            found.append(Goal(text, times >= TIMES_PLAIN))
        rivals = [of.speed(letter, name) for letter in (BATCHED, COPIES)]
        lead = _ratio(ours, max((speed for speed in rivals if speed), default=None))
        if lead is not None:
            text = f"{name}: {lead:.2f} times the better of (b) and (c), at least 1"
            found.append(Goal(text, lead >= 1))
    return found + _validity(of) + _memory_goals(of) + _health_goals(of) + _failure_goals(of)


def who_is_who(of: Comparison) -> list[str]:
    """A line for each contestant, with what it was given."""
    return [
        f"({letter}) {name}: {of.settings[letter]}"
        for letter, name in NAMES.items()
        if letter in of.settings
    ]


def _validity(of: Comparison) -> list[Goal]:
    """No goal of the project, but without it the others say nothing."""
    shares = {
        name: _ratio(of.speed(OURS, name), of.speed(CEILING, name)) for name in of.scenarios()
    }
    beaten = [f"{name} {share:.2f}" for name, share in shares.items() if share and share > BEATEN]
    if not beaten:
        return []
    text = f"(d) beats the ceiling ({', '.join(beaten)}): this run's comparison with (e) is void"
    return [Goal(text, False)]


def _memory_goals(of: Comparison) -> list[Goal]:
    """One copy of the weights shows on clips: a long file is another matter."""
    names = [name for name in of.scenarios() if name != LONG]
    if not names or not {OURS, COPIES} <= of.results.keys():
        return []
    ours, copies = (of.results[who][names[-1]] for who in (OURS, COPIES))
    use_card = ours.card_mb is not None and copies.card_mb is not None
    mine, theirs = ((one.card_mb or 0.0) if use_card else one.memory_mb for one in (ours, copies))
    what = "on the card" if use_card else "of memory"
    return [Goal(f"{mine:.0f} MB {what}, less than the {theirs:.0f} MB of (c)", mine < theirs)]


def _health_goals(of: Comparison) -> list[Goal]:
    if not of.health_p99_ms:
        return []
    worst = max(of.health_p99_ms.values())
    text = f"/health p99 {worst:.1f} ms at worst, under {HEALTH_MS:g}"
    return [Goal(text, worst < HEALTH_MS)]


def _failure_goals(of: Comparison) -> list[Goal]:
    failed = sum(result.failed for result in of.results.get(OURS, {}).values())
    return [Goal(f"{failed} calls of (d) failed, none may", False)] if failed else []


def _profile(profile: Mapping[str, Mapping[str, float]]) -> Shown:
    columns = list(dict.fromkeys(name for one in profile.values() for name in one))
    rows = tuple(
        (scenario, *(_number(one.get(name), 2) for name in columns))
        for scenario, one in profile.items()
    )
    return Shown("Where the time of (d) goes, threads added up", ("", *columns), rows)


def _callers(scenario: str) -> int:
    first = scenario.split()[0]
    return int(first) if first.isdigit() else 0


def _ratio(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None


def _latency(result: Result | None) -> str:
    if result is None or result.p50_seconds is None or result.p99_seconds is None:
        return "-"
    return f"{result.p50_seconds:.2f} / {result.p99_seconds:.2f}"


def _memory(result: Result | None) -> str:
    if result is None:
        return "-"
    card = "" if result.card_mb is None else f" + {result.card_mb:.0f} on the card"
    return f"{result.memory_mb:.0f}{card}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
