"""Tables and goals of what was found on a card. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tools.bench_lab.report import CLIPS, LONG, Goal

Row = Mapping[str, Any]
Models = Mapping[str, Mapping[str, Any]]

PUBLISHED = {"large-v3-turbo": 404.0, "large-v3": 226.0}
"""Times real time, as others publish: an H100, batches of 32; a 4090, with CUDA graphs."""
OF_CEILING, OF_CEILING_LONG, TIMES_PEERS = 0.9, 0.85, 2.0
CROWD = "64 callers"
PEERS = ("plain", "batched", "transformers")


def as_text(machine: Mapping[str, Any], models: Models) -> str:
    """Return all tables in Markdown, and the goals of each model."""
    where = f"{machine['card'] or 'no card'}, {machine['cores']} core(s), {machine['date']}"
    parts = [f"Measured on {where}."]
    if not machine["card"]:
        parts.append("A dry run: these figures say that the scripts run, and nothing else.")
    for model, sections in models.items():
        parts.append(f"## {model}")
        parts += [_table(name, one["rows"]) for name, one in sections.items() if one["rows"]]
        parts.append("\n".join(f"- {goal}" for goal in goals(model, sections)))
    return "\n\n".join(parts) + "\n"


def line(row: Row) -> str:
    """Return a row in one line."""
    return " | ".join(cell for cell in _cells(row) if cell)


def goals(model: str, sections: Mapping[str, Any]) -> list[Goal]:
    """Return the goals of a model, so far as their figures are there."""
    ceiling = max((row["speed"] for row in _rows(sections, "ceiling")), default=None)
    served = {row["what"]: row["speed"] for row in _rows(sections, "ours")}
    clips = served.get(CROWD)
    found = list(_against_published(model, served))
    for name, share, speed in (
        (CROWD, OF_CEILING, clips),
        (LONG, OF_CEILING_LONG, served.get(LONG)),
    ):
        if ceiling and speed:
            text = f"{name}: {speed / ceiling:.2f} of the ceiling, at least {share:g}"
            found.append(Goal(text, speed >= share * ceiling))
    peers = [(name, row) for name in PEERS for row in _rows(sections, name)]
    for what, speed, times in ((CLIPS, clips, TIMES_PEERS), (LONG, served.get(LONG), 1.0)):
        best = max((row["speed"] for _, row in peers if row["what"] == what), default=None)
        if best and speed:
            text = f"{what}: {speed / best:.2f} times the best peer, at least {times:g}"
            found.append(Goal(text, speed > times * best))
    return found


def _against_published(model: str, served: Mapping[str, float]) -> Iterator[Goal]:
    best = max(served.values(), default=None)
    if best and model in PUBLISHED:
        text = f"{best:.0f} times real time, more than {PUBLISHED[model]:g}"
        yield Goal(text, best > PUBLISHED[model])


def _rows(sections: Mapping[str, Any], name: str) -> list[Row]:
    return list(sections.get(name, {}).get("rows", ()))


def _table(name: str, rows: Sequence[Row]) -> str:
    header = f"| {name} | shape | speed | p50 / p99, s | /health p99, ms | card |"
    return "\n".join([header, "| --- | --- | ---: | ---: | ---: | ---: |", *map(_line, rows)])


def _line(row: Row) -> str:
    return "| " + " | ".join(cell or "-" for cell in _cells(row)) + " |"


def _cells(row: Row) -> list[str]:
    who = row["who"] if row["who"] == "stages" else f"{row['who']}: {row['what']}"
    name = row["what"] if row["who"] == "stages" else who
    latencies = [row.get("p50_seconds"), row.get("p99_seconds")]
    health, card, busy = (row.get(key) for key in ("health_p99_ms", "card_mb", "utilisation"))
    failed = f" ({row['failed']} failed)" if row.get("failed") else ""
    return [
        name,
        str(row.get("shape", "")),
        f"{row['speed']:.1f}{failed}",
        "" if None in latencies else " / ".join(f"{one:.2f}" for one in latencies),
        "" if health is None else f"{health:.1f}",
        "" if card is None else f"{card:.0f} MB" + ("" if busy is None else f", {busy:.0%}"),
    ]
