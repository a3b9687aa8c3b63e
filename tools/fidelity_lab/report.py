"""The tables of a run, and all of it as JSON."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict

import numpy as np

from tools.bench_lab.report import Shown
from tools.fidelity_lab.goals import Verdict
from tools.fidelity_lab.results import Estimate, Results
from tools.fidelity_lab.tape import NO_SPEECH, ONE_LANGUAGE, SWITCHING


def tables(of: Results) -> list[Shown]:
    """Words wrong by set; then what kinds of errors, and all other measures."""
    return [table for table in (_words_wrong(of), _kinds(of), _others(of)) if table.rows]


def mistakes(of: Results) -> Iterator[str]:
    """A line for each run of wrong words, and one for all phantom words, of each transcript."""
    for who, sets in of.measured.items():
        for name, found in sets.items():
            yield from (f"{who}, {name}, {mistake}" for mistake in found.mistakes)
            if found.phantoms:
                yield f"{who}, {name}, phantom words: {' '.join(found.phantoms)}"


def as_json(of: Results, verdicts: Iterable[Verdict]) -> dict[str, object]:
    """Everything: the sets, each transcript with its mistakes, and the goals."""
    return {
        "model": of.model,
        "minutes": of.minutes,
        "seconds": of.seconds,
        "goals": [
            {
                "text": one.goal.text,
                "value": one.value,
                "interval": one.interval,
                "limit": one.goal.limit,
                "unit": one.goal.unit,
                "is_met": one.is_met,
            }
            for one in verdicts
        ],
        "sets": {
            one.name: {"kind": one.kind, "seconds": one.seconds}
            | {"spoken": [asdict(spoken) for spoken in one.spoken]}
            for one in of.sets
        },
        "contestants": {
            who: {
                name: asdict(measured)
                | {"words": measured.words, "wrong": measured.wrong}
                | {"segments": [asdict(segment) for segment in of.segments[who][name]]}
                for name, measured in sets.items()
            }
            for who, sets in of.measured.items()
        },
    }


def _words_wrong(of: Results) -> Shown:
    who = list(of.measured)
    groups = [(one.name, {one.name}) for one in of.sets if one.spoken]
    spoken = [one.name for one in of.sets if one.kind in ONE_LANGUAGE]
    groups += [
        ("all in one language", set(spoken)),
        ("all that switch", {one.name for one in of.sets if one.kind == SWITCHING}),
    ]
    rows = tuple(
        (title, *(_wrong(of, one, names) for one in who)) for title, names in groups if names
    )
    return Shown("Words wrong, percent (95 % interval)", ("", *who), rows)


def _wrong(of: Results, who: str, names: set[str]) -> str:
    """With an interval for several sets together, which leave room for it."""
    found = of.wrong(who, names & set(of.measured[who]))
    return _percent(found) if found is None or len(names) > 1 else f"{found.value:.1f}"


def _kinds(of: Results) -> Shown:
    rows = []
    for who in of.measured:
        for title, kinds in (("one language", ONE_LANGUAGE), ("switching", (SWITCHING,))):
            names = of.of(who, kinds)
            if not names:
                continue
            counts = (
                of.share(who, names, lambda one: one.deleted),
                of.share(who, names, lambda one: one.inserted),
                of.share(who, names, lambda one: one.changed),
                of.share(who, names, lambda one: one.words * one.is_in_its_language),
            )
            rows.append((f"{who}, {title}", *map(_percent, counts), _reported(of, who, names)))
    header = ("", "deleted", "inserted", "changed", "right language", "by its own report")
    return Shown("Percent of words (95 % interval)", header, tuple(rows))


def _reported(of: Results, who: str, names: set[str]) -> str:
    """The share of prompts whose segments report the right language."""
    reported = of.languages(who, names)
    spoken = [
        spoken.language
        for name in sorted(names)
        for one in of.sets
        if one.name == name
        for spoken in one.spoken
    ]
    right = sum(one == other for one, other in zip(reported, spoken, strict=True))
    return f"{100 * right / len(spoken):.1f}" if any(reported) else "-"


def _others(of: Results) -> Shown:
    rows = []
    for who in of.measured:
        quiet = of.every(who, of.of(who, [NO_SPEECH]))
        spoken = of.every(who, of.of(who, (*ONE_LANGUAGE, SWITCHING)))
        stretches = [b - a for one in spoken for a, b in one.silent_stretches]
        ends = [abs(e) for e in (e for one in spoken for e in one.cue_end_errors)]
        rows.append(
            (
                who,
                str(sum(len(one.phantoms) for one in quiet)) if quiet else "-",
                str(sum(len(one.phantoms) for one in spoken)),
                f"{len(stretches)} / {max(stretches, default=0):.1f} s",
                "{:.2f} / {:.2f} s".format(*np.percentile(ends, (50, 95))) if ends else "-",
                f"{of.seconds[who]:.0f} s",
            )
        )
    header = (
        "",
        "phantom words, no speech",
        "phantom words, speech",
        "speech without text, count / longest",
        "cue ends, median / 95 %",
        "took",
    )
    return Shown("Inventions, losses and times", header, tuple(rows))


def _percent(value: Estimate | None) -> str:
    return f"{value.value:.1f} ({value.low:.1f}–{value.high:.1f})" if value else "-"
