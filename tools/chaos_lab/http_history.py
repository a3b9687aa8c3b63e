"""What the nodes of a chaos run asked their coordinators, and what each was told.

An operation's `kind` is the transition that was asked for, or `audio`; it is accepted if the answer
was 200, and refused if it said that there is nothing to do or no right to. Everything else leaves
it unclear: what the coordinator has asked of the database may have been done, or be done yet.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tools.chaos_lab.history import (
    ACCEPTED,
    REFUSED,
    UNCLEAR,
    Event,
    History,
    Operation,
    read_events,
)

LOST = "claim lost"
"""The `detail` of what was refused because another worker has the claim."""

_NOTHING_DONE = {204, 403, 404, 409, 410, 413, 422}


def load(folder: Path) -> History:
    """Reads every `*.jsonl` of `folder`. Reports are by worker. Raises ValueError as history's."""
    operations: list[Operation] = []
    reports: dict[str, list[float]] = defaultdict(list)
    for path in sorted(folder.glob("*.jsonl")):
        worker: str | None = None
        for asked, answer in _pairs(path):
            worker = asked.get("worker", worker)
            if asked["op"] != "report":
                operations.append(_operation(asked, answer, worker))
            elif answer is not None and answer.get("status") == 200:
                reports[asked["worker"]].append(answer["t"])
    operations.sort(key=lambda operation: operation.asked)
    return History(tuple(operations), reports)


def _pairs(path: Path) -> Iterator[tuple[Event, Event | None]]:
    """Requests, in the order of the asking, with their answers if they had any."""
    asked: dict[int, Event] = {}
    answers: dict[int, Event] = {}
    for event in read_events(path):
        if event.get("phase") == "asked":
            asked[event["seq"]] = event
        elif event.get("phase") == "told":
            answers[event["seq"]] = event
    for number, event in asked.items():
        yield event, answers.get(number)


def _operation(asked: Event, answer: Event | None, worker: str | None) -> Operation:
    status = answer["status"] if answer is not None else None
    outcome = UNCLEAR
    if status == 200:
        outcome = ACCEPTED
    elif status in _NOTHING_DONE:
        outcome = REFUSED
    return Operation(
        kind=asked["op"],
        chunk=asked["chunk"],
        actor=asked["actor"],
        asked=asked["t"],
        told=answer["t"] if answer is not None and outcome != UNCLEAR else math.inf,
        outcome=outcome,
        thread=asked["thread"],
        claim=asked.get("claim"),
        worker=worker,
        detail=LOST if status == 409 else asked.get("detail"),
    )
