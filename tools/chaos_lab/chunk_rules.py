"""The rules that the story of each single chunk must keep. Each yields what breaks it.

Intervals, not moments, are compared: something is a breach only if no order of events within
the intervals in which they took effect would excuse it.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

from tools.chaos_lab.evidence import Breach
from tools.chaos_lab.history import Operation
from tools.chaos_lab.story import Hold, Story

Rule = Callable[[Story], Iterator[Breach]]

_CLOCK_TOLERANCE_SECONDS = 0.05  # the database's times are in whole milliseconds
_REPORTS_OF_A_LIVE_HEARTBEAT = 3
_SERVER_KINDS = frozenset({"server_fault", "server_died"})
_ANSWERS = frozenset({"server_fault", "refused"})  # a cut connection may look like a death
_OWN_KINDS: Mapping[str | None, frozenset[str]] = {
    None: _SERVER_KINDS,  # by bad luck, once or twice
    "audio": frozenset({"bad_audio"}),
    "refused": _SERVER_KINDS | {"refused"},
    "fault": _SERVER_KINDS,
    "killer": _SERVER_KINDS,
}
_STAND_IN_TEXT = re.compile(r"chunk (\d+) call (\S+)")


def ends_as_it_should(story: Story) -> Iterator[Breach]:
    """An innocent chunk ends transcribed, a poisonous one in quarantine; nothing stays behind."""
    document, poison = story.document, story.fact.poison
    if document is None:
        yield story.breach("ends", "is lost: the database has no such document")
    elif document.get("processing_by") is not None:
        yield story.breach("ends", f"is stuck in the hands of {document['processing_by']}")
    elif story.is_transcribed and story.is_quarantined:
        yield story.breach("ends", "is both transcribed and quarantined")
    elif not story.is_transcribed and not story.is_quarantined:
        yield story.breach("ends", "is stuck: still pending when the fleet had gone quiet")
    elif story.is_quarantined and poison is None:
        kinds = [error.get("kind") for error in document.get("errors") or ()]
        yield story.breach("ends", f"is quarantined and innocent; its errors: {kinds}")
    elif story.is_transcribed and poison is not None:
        heard_by = story.result.get("server")
        if poison == "audio" or heard_by not in story.run.real_servers:
            yield story.breach("ends", f"is poison ({poison}) and yet transcribed, by {heard_by}")


def one_result(story: Story) -> Iterator[Breach]:
    """Exactly one result was accepted, or one unclear write is the one that the database holds."""
    accepted = [op for op in story.of("complete") if op.was_accepted]
    if len(accepted) > 1:
        evidence = "; ".join(_said(story, op) for op in accepted)
        yield story.breach("one-result", f"has {len(accepted)} accepted results: {evidence}")
    if story.is_transcribed and not story.completions():
        yield story.breach("one-result", f"has a result that no worker wrote: {story.final_claim}")


def result_of_its_claim(story: Story) -> Iterator[Breach]:
    """The result was written by the holder of the claim that the document names."""
    if not story.is_transcribed:
        return
    writer, hold = story.result.get("worker"), story.hold(story.final_claim)
    if hold is None:
        yield story.breach("holder", f"its claim {story.final_claim} is in no process's history")
    elif writer != hold.worker:
        evidence = f"the result is {writer}'s, but claim {hold.claim} was {hold.worker}'s"
        yield story.breach("holder", evidence)


def text_of_its_chunk(story: Story) -> Iterator[Breach]:
    """The text names this chunk, and a call for it that was made under its claim."""
    server = story.result.get("server")
    if not story.is_transcribed or server in story.run.real_servers:
        return
    text = " ".join(segment.get("text", "") for segment in story.result.get("segments") or ())
    named = _STAND_IN_TEXT.fullmatch(text.strip())
    if named is None or int(named[1]) != story.fact.number:
        yield story.breach("text", f"its text is {text!r}")
        return
    calls = [c for c in story.calls if str(c["call"]) == named[2]]
    hold = story.hold(story.final_claim)
    written = max(
        (op.told for op in story.of("complete") if op.claim == story.final_claim), default=0
    )
    if not calls:
        yield story.breach("text", f"no server had call {named[2]} for it")
    elif hold is not None and not any(hold.asked <= c["t"] <= written for c in calls):
        at = story.at(calls[0]["t"])
        yield story.breach("text", f"call {named[2]} came at {at}, outside the claim that wrote it")


def no_write_after_the_claim(story: Story) -> Iterator[Breach]:
    """What a claim's holder writes is refused as soon as the claim ended or a newer one exists."""
    for op in story.fenced:
        if not story.happened(op):
            continue
        hold = story.hold(op.claim)
        if hold is None:
            yield story.breach("fence", f"{_said(story, op)}, without ever holding the chunk")
        elif newer := story.newer_hold(hold, by=op.asked):
            evidence = f"although {newer.worker} held claim {newer.claim} since"
            yield story.breach("fence", f"{_said(story, op)}, {evidence} {story.at(newer.known)}")
        elif ending := story.sure_ending(hold, by=op.asked):
            yield story.breach("fence", f"{_said(story, op)}, after {_said(story, ending)}")


def one_claim_at_a_time(story: Story) -> Iterator[Breach]:
    """Between two claims something ended the first; what is done is not claimed again."""
    for first, second in zip(story.holds, story.holds[1:], strict=False):
        if not _in_turn(story, first, second) and not _in_turn(story, second, first):
            evidence = f"{_held(story, second)} while {_held(story, first)}, which nothing ended"
            yield story.breach("one-claim", evidence)
    revived = any(op.may_have_happened for op in story.of("retry"))
    for hold in story.holds:
        for op in story.of("complete", "fail", "recover"):
            is_last = op.was_accepted and (op.kind == "complete" or op.quarantines)
            if is_last and op.told < hold.asked and not revived:
                evidence = f"{_held(story, hold)}, after the end: {_said(story, op)}"
                yield story.breach("one-claim", evidence)


def no_early_recovery(story: Story) -> Iterator[Breach]:
    """A claim is freed only when it was not renewed for its own lease, or for what the tool was
    told, or when its holder's process had ended."""
    for op in story.of("recover"):
        if not op.was_accepted or op.claim is None or story.holder_had_ended(op):
            continue
        signs = [o for o in story.of("claim", "renew") if o.claim == op.claim and o.was_accepted]
        last = max((o for o in signs if o.told < op.asked), key=_asked_at, default=None)
        if last is None:
            continue
        threshold = op.threshold_seconds or last.lease_seconds or story.run.lease_seconds
        age = op.told - last.asked
        if age < threshold - _CLOCK_TOLERANCE_SECONDS:
            evidence = f"{age:.3f} s after its last renewal, not {threshold:g} s"
            yield story.breach("early-recovery", f"{_said(story, op)} {evidence}")


def held_means_renewed(story: Story) -> Iterator[Breach]:
    """No claim runs out while its holder knows of it, and has a heartbeat that gets through."""
    for op in story.of("recover"):
        hold = story.hold(op.claim) if op.was_accepted else None
        if hold is None:
            continue
        seen, reports = story.seen_by_holder(hold)
        own = [o for o in seen if o.asked < op.asked]
        if any(o.kind in ("complete", "fail", "release") for o in own):
            continue  # it had let go, whether or not that got through
        if not any(o.was_accepted and o.kind in ("claim", "lookup") for o in own):
            continue  # it was never told
        silences = story.run.nodes.silences.get(hold.worker, ())
        if any(hold.asked < t < op.asked for t in silences):
            continue  # a node that could not end one claim leaves its neighbours to their leases
        last = own[-1].asked
        timeout = story.run.chunk_timeout_seconds
        if timeout is not None and last - hold.asked > timeout - story.run.lease_seconds:
            continue  # a call that hangs is left to its lease, on purpose
        times = [last, *sorted(t for t in reports if last < t < op.asked), op.asked]
        # In a gap the database was away, and the holder may have given up what it could not write.
        gap = max(later - sooner for sooner, later in pairwise(times))
        alive = len(times) - 2
        if alive >= _REPORTS_OF_A_LIVE_HEARTBEAT and gap < story.run.lease_seconds / 2:
            evidence = (
                f"{hold.worker} reported {alive} times after {story.at(last)}, and never renewed"
            )
            yield story.breach("renewal", f"{_said(story, op)}; {evidence}")


def what_was_accepted_stays(story: Story) -> Iterator[Breach]:
    """Whatever a process was told to be written is there at the end: nothing is forgotten."""
    for op in story.of("complete"):
        if op.was_accepted and not story.is_transcribed:
            yield story.breach("durable", f"{_said(story, op)}, and is not in the database")
    if any(story.of("retry")):
        return
    for kind, field in (("fail", "attempts"), ("recover", "expirations")):
        counted = (story.document or {}).get(field) or 0
        sure = sum(op.was_accepted for op in story.of(kind))
        possible = sum(op.may_have_happened for op in story.of(kind))
        if not sure <= counted <= possible:
            evidence = f"{field} is {counted}, but the history has {sure} to {possible}"
            yield story.breach("durable", evidence)


def blame_is_its_own(story: Story) -> Iterator[Breach]:
    """A chunk is charged for what it did itself, and three times before it is quarantined."""
    allowed = _OWN_KINDS[story.fact.poison]
    fails = [op for op in story.of("fail") if op.may_have_happened]
    for op in fails:
        if op.was_accepted and op.detail not in allowed:
            is_a = f"is poison ({story.fact.poison})" if story.fact.poison else "is innocent"
            yield story.breach("blame", f"{is_a}; {_said(story, op)}")
        elif op.was_accepted and op.detail in _ANSWERS and not _was_called_alone(story, op):
            yield story.breach("blame", f"{_said(story, op)}, but no server had it alone")
    expirations = sum(op.may_have_happened for op in story.of("recover"))
    run = story.run
    if story.is_quarantined and len(fails) < run.max_attempts and expirations < run.max_expirations:
        evidence = f"quarantined after {len(fails)} failures and {expirations} expirations"
        yield story.breach("blame", evidence)


def no_result_refused_without_cause(story: Story) -> Iterator[Breach]:
    """A finished result is refused only if its claim had ended: else a transcription is lost."""
    for op in story.of("complete"):
        hold = story.hold(op.claim)
        if op.may_have_happened or hold is None or hold.known > op.asked:
            continue
        if not story.may_have_ended(hold, by=op.told) and not story.newer_hold(hold, by=op.told):
            yield story.breach("refusal", f"{_said(story, op)}, though its claim was still valid")


RULES: tuple[Rule, ...] = (
    ends_as_it_should,
    one_result,
    result_of_its_claim,
    text_of_its_chunk,
    no_write_after_the_claim,
    one_claim_at_a_time,
    no_early_recovery,
    held_means_renewed,
    what_was_accepted_stays,
    blame_is_its_own,
    no_result_refused_without_cause,
)


def _asked_at(op: Operation) -> float:
    return op.asked


def _in_turn(story: Story, first: Hold, second: Hold) -> bool:
    return first.asked < second.known and story.may_have_ended(first, by=second.known)


def _was_called_alone(story: Story, op: Operation) -> bool:
    """False if no server can have said so of this chunk, in a call without its neighbours."""
    hold, timeout = story.hold(op.claim), story.run.chunk_timeout_seconds
    if hold is None or op.server in story.run.real_servers:  # those keep no log
        return True
    if timeout is not None and op.asked - hold.asked >= timeout:
        return True  # the network may have swallowed it
    together = story.run.chunks_in_call
    times = [call["t"] for call in story.calls if together[call["call"]] == 1]
    return any(hold.asked <= t <= op.told for t in times)


def _said(story: Story, op: Operation) -> str:
    what = f"{op.kind} ({op.detail})" if op.detail and op.kind == "fail" else op.kind
    span = f"asked {story.at(op.asked)}, told {story.at(op.told)}"
    return f"{what} of claim {op.claim} by {op.actor} was {op.outcome} ({span})"


def _held(story: Story, hold: Hold) -> str:
    return f"{hold.worker} held claim {hold.claim} from {story.at(hold.asked)}"
