"""Tables and goals of what was found on a card. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from tools.bench_lab.report import CLIPS, LONG, Goal

Row = Mapping[str, Any]
Models = Mapping[str, Mapping[str, Any]]

PUBLISHED = {"large-v3-turbo": 404.0, "large-v3": 226.0}
"""Times real time, as others publish: an H100, batches of 32; a 4090, with CUDA graphs."""
OF_CEILING, OF_CEILING_LONG, TIMES_PEERS = 0.9, 0.85, 2.0
CROWD, SWEEP, LONGEST = "64 callers", "sweep", "two hours"
OURS, PRESET, CEILING = "ours", "preset", "ceiling"
SERVED = (OURS, PRESET)
PEERS = ("plain", "batched", "transformers")
SAME_WORDS = 0.1
"""Texts of one length are the same work: by more than this share of the ceiling's they may not
differ."""


def as_text(machine: Mapping[str, Any], models: Models) -> str:
    """Return all tables in Markdown, and the goals of each model."""
    where = f"{machine['card'] or 'no card'}, {machine['cores']} core(s), {machine['date']}"
    parts = [f"Measured on {where}."]
    if not machine["card"]:
        parts.append("A dry run: these figures say that the scripts run, and nothing else.")
    for model, sections in models.items():
        parts.append(f"## {model}")
        parts += [_table(name, one["rows"]) for name, one in sections.items() if one["rows"]]
        missing = [
            f"{name}: {one['error'].partition(chr(10))[0]}"
            for name, one in sections.items()
            if one["error"]
        ]
        told = [*goals(model, sections), *differences(sections), *missing]
        parts.append("\n".join(f"- {one}" for one in told))
    return "\n\n".join(parts) + "\n"


def line(row: Row) -> str:
    """Return a row in one line."""
    return " | ".join(cell for cell in _cells(row) if cell)


def goals(model: str, sections: Mapping[str, Any]) -> list[Goal]:
    """Return the goals of a model; what was not measured is missed."""
    rows = _rows(sections)
    crowd, long = _best(rows, SERVED, CROWD), _best(rows, SERVED, LONG)
    ceiling = _best(rows, (CEILING,), CLIPS) or _best(rows, (CEILING,), SWEEP)
    longest = max(long, _best(rows, SERVED, LONGEST))
    found = []
    if model in PUBLISHED:
        best = max(crowd, longest)
        text = f"{best:.0f} times real time, more than {PUBLISHED[model]:g}"
        found.append(Goal(text, best > PUBLISHED[model]))
    for what, speed, other, least, name in (
        (CROWD, crowd, ceiling, OF_CEILING, "of the ceiling"),
        (LONG, longest, _best(rows, (CEILING,), LONG), OF_CEILING_LONG, "of the ceiling"),
        (CLIPS, crowd, _best(rows, PEERS, CLIPS), TIMES_PEERS, "times the best peer"),
        (LONG, long, _best(rows, PEERS, LONG), 1.0, "times the best peer"),
    ):
        share = f"{speed / other:.2f}" if speed and other else "not measured,"
        is_met = bool(speed and other) and speed >= least * other
        found.append(Goal(f"{what}: {share} {name}, at least {least:g}", is_met))
    return found


def differences(sections: Mapping[str, Any]) -> list[str]:
    """Say which texts are longer or shorter than the ceiling's: their work was another."""
    rows = [row for row in _rows(sections) if row.get("words") is not None]
    right = {row["what"]: row["words"] for row in rows if row["who"] == CEILING}
    found = []
    for row in rows:
        if row["who"] == "host" or row["what"] == SWEEP:  # words of its own; some of the clips
            continue
        expected = right.get(LONG if row["what"] in (LONG, LONGEST) else CLIPS)
        if expected and abs(row["words"] - expected) > SAME_WORDS * expected:
            found.append(
                f"not the same work: {row['who']}, {row['what']}, {row['shape']}: "
                f"{row['words']:.2f} words a second, the ceiling {expected:.2f}"
            )
    return found


def _best(rows: Sequence[Row], who: Sequence[str], what: str) -> float:
    """Return the highest speed; 0 if nobody was measured."""
    found = [row["speed"] for row in rows if row["who"] in who and row["what"] == what]
    return max(found, default=0.0)


def _rows(sections: Mapping[str, Any]) -> list[Row]:
    return [row for one in sections.values() for row in one["rows"]]


def _table(name: str, rows: Sequence[Row]) -> str:
    header = f"| {name} | shape | speed | words/s | p50 / p99, s | /health p99, ms | card |"
    return "\n".join([header, "| --- | --- |" + " ---: |" * 5, *map(_line, rows)])


def _line(row: Row) -> str:
    return "| " + " | ".join(cell or "-" for cell in _cells(row)) + " |"


def _cells(row: Row) -> list[str]:
    who = row["who"] if row["who"] == "stages" else f"{row['who']}: {row['what']}"
    name = row["what"] if row["who"] == "stages" else who
    latencies = [row.get("p50_seconds"), row.get("p99_seconds")]
    health, card, busy = (row.get(key) for key in ("health_p99_ms", "card_mb", "utilisation"))
    words, failed = row.get("words"), row.get("failed")
    notes = (f" ({failed} failed: {row.get('note')})" if failed else "") + (
        " (cut)" if row.get("was_cut") and who.startswith(SERVED) else ""
    )
    return [
        name,
        str(row.get("shape", "")),
        f"{row['speed']:.1f}{notes}",
        "" if words is None else f"{words:.2f}",
        "" if None in latencies else " / ".join(f"{one:.2f}" for one in latencies),
        "" if health is None else f"{health:.1f}",
        "" if card is None else f"{card:.0f} MB" + ("" if busy is None else f", {busy:.0%}"),
    ]
