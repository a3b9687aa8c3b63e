"""Judges a chaos run: from its history, the final documents and the servers' own logs."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from bson.objectid import ObjectId

from tools.chaos_lab.chunk_rules import RULES
from tools.chaos_lab.evidence import Breach, Fact, Report, Run, WorkerEnd
from tools.chaos_lab.history import ACCEPTED, UNCLEAR, Operation
from tools.chaos_lab.http_history import LOST
from tools.chaos_lab.node_rules import NODE_RULES
from tools.chaos_lab.speaker_rules import names_stay, speakers_are_right
from tools.chaos_lab.story import FENCED, Story

__all__ = ["Breach", "Fact", "Report", "Run", "WorkerEnd", "check"]

Counts = Counter[str]


def check(run: Run) -> Report:
    """Every breach of every rule. Pure: the same run gives the same report."""
    documents = {document["_id"]: document for document in run.documents}
    stories = [Story(run, chunk, documents.get(chunk)) for chunk in run.chunks]
    rules = (*RULES, *NODE_RULES)
    breaches = [breach for story in stories for rule in rules for breach in rule(story)]
    breaches += (
        Breach("ends", unknown, "no ingest made this document")
        for unknown in documents.keys() - run.chunks.keys()
    )
    breaches += _stats_add_up(run, stories)
    breaches += [*speakers_are_right(run), *names_stay(run)]
    return Report(tuple(breaches), {**summary(stories), **_named(run)})


def _stats_add_up(run: Run, stories: Sequence[Story]) -> Iterator[Breach]:
    """What the workers printed is what their histories say, and in sum what the database holds."""
    results = {"result": _endings(stories, "complete"), "failure": _endings(stories, "fail")}
    least = most = 0
    for end in run.ends:
        for what, (sure, possible) in results.items():
            low, high = sure[end.actor], possible[end.actor]
            if end.stats is not None:
                said = _said(end.stats, what)
                if not low <= said <= high:
                    evidence = (
                        f"{end.actor} printed {said} {what}s, its history has {low} to {high}"
                    )
                    yield Breach("stats", None, evidence)
                low = said  # what was written but never confirmed, it may have left out
            if what == "result":
                least, most = least + low, most + high
    held = sum(story.is_transcribed for story in stories)
    if not least <= held <= most:
        evidence = f"the database holds {held} results, the workers had {least} to {most}"
        yield Breach("stats", None, evidence)


def _said(stats: Mapping[str, int], what: str) -> int:
    if what == "failure":
        return stats.get("error", 0)
    return stats.get("transcribed", 0) + stats.get("empty", 0)


def _endings(stories: Sequence[Story], kind: str) -> tuple[Counts, Counts]:
    """By actor: claims that it was told to have ended so, and those that it may have ended so."""
    sure: Counts = Counter()
    possible: Counts = Counter()
    for story in stories:
        told: set[tuple[str, ObjectId | None]] = set()
        open_: set[tuple[str, ObjectId | None]] = set()
        # A coordinator's results are those of the nodes that it wrote them for.
        for op in (*story.of(kind), *story.told_to_nodes(kind)):
            if op.was_accepted:
                told.add((op.actor, op.claim))
            elif story.happened(op) or (kind == "fail" and op.may_have_happened):
                open_.add((op.actor, op.claim))
        sure.update(actor for actor, _ in told)
        possible.update(actor for actor, _ in told | open_)
    return sure, possible


def summary(stories: Sequence[Story]) -> dict[str, int]:
    """How much happened at all: a run without takeovers and fenced writes tested nothing."""
    counts: Counts = Counter()
    for name in ("claims", "misses", "takeovers", "fenced writes", "results", "renewals"):
        counts[name] = 0
    for story in stories:
        held = {hold.claim for hold in story.holds}
        counts["claims"] += len(held)
        counts["takeovers"] += _takeovers(story)
        counts["results"] += len(story.completions())
        for op in story.operations:
            if op.kind == "claim" and not op.may_have_happened and op.claim not in held:
                counts["misses"] += 1
            counts["fenced writes"] += _was_fenced(story, op)
            if op.was_accepted and op.kind in _COUNTED:
                counts[_COUNTED[op.kind]] += 1
            if op.was_accepted and op.kind == "fail":
                counts[f"failures: {op.detail}"] += 1
                counts["innocent charged"] += story.fact.poison is None
            if op.outcome == UNCLEAR and op.kind not in ("hand_reset", "give_back", "lookup"):
                counts["unclear outcomes"] += 1
                was_done = story.happened(op) or (op.kind == "claim" and op.claim in held)
                counts["unclear, and had happened"] += was_done
        for op in story.at_nodes:
            counts["nodes told: claim lost"] += op.detail == LOST
            if told := _TOLD_TO_NODES.get((op.kind, op.outcome)):
                counts[told] += 1
    return dict(counts)


def _named(run: Run) -> dict[str, int]:
    names = sum(event["phase"] == "told" for event in run.names)
    return {"recordings with speakers": len(run.speakers), "names given": names}


_TOLD_TO_NODES = {
    ("claim", ACCEPTED): "nodes told: claimed",
    ("complete", ACCEPTED): "nodes told: result taken",
    ("complete", UNCLEAR): "nodes not told what became of a result",
}


_COUNTED = {"renew": "renewals", "release": "releases", "recover": "recoveries"}


def _takeovers(story: Story) -> int:
    """Claims that follow on one that another worker lost: it ran out, or was reset by hand."""
    count = 0
    for first, second in zip(story.holds, story.holds[1:], strict=False):
        own = (op for op in story.of("complete", "fail", "release") if op.claim == first.claim)
        count += first.worker != second.worker and not any(op.was_accepted for op in own)
    return count


def _was_fenced(story: Story, op: Operation) -> bool:
    """A write that was refused because another process had ended the claim, or taken the chunk."""
    hold = story.hold(op.claim)
    if op.kind not in FENCED or op.may_have_happened or hold is None:
        return False
    if story.newer_hold(hold, by=op.told) is not None:
        return True
    return any(
        other.may_have_happened and other.asked < op.told
        for other in story.of("recover", "hand_reset", "give_back")
        if other.claim == hold.claim or other.kind == "hand_reset"
    )
