"""The rules for what nodes are told by coordinators: it is what the database was told as well.

Whatever a coordinator says to a node has to be so, for the node goes by it: it forgets a result
that was taken, drops one that was refused, and reads audio while it believes that it holds a claim.
"""

from collections.abc import Callable, Iterator

from tools.chaos_lab.evidence import Breach
from tools.chaos_lab.history import Operation
from tools.chaos_lab.http_history import LOST
from tools.chaos_lab.story import Story


def a_result_that_was_taken_is_there(story: Story) -> Iterator[Breach]:
    """Told "taken": then this result is the one that the database holds at the end."""
    for op in story.told_to_nodes("complete"):
        if not op.was_accepted:
            continue
        if not story.is_transcribed:
            yield story.breach("told-taken", f"{_said(story, op)}, and the database has no result")
        elif (story.final_claim, story.result.get("worker")) != (op.claim, op.worker):
            holds = f"{story.final_claim} of {story.result.get('worker')}"
            yield story.breach("told-taken", f"{_said(story, op)}, but the result is by {holds}")


def a_result_that_was_refused_is_not_there(story: Story) -> Iterator[Breach]:
    """Told "lost": then the claim had ended, and not by this result."""
    for op in story.told_to_nodes("complete"):
        hold = story.hold(op.claim)
        if op.detail != LOST or hold is None:
            continue
        if story.is_transcribed and story.final_claim == op.claim:
            yield story.breach("told-lost", f"{_said(story, op)}, and the database holds it")
        elif not story.may_have_ended(hold, by=op.told) and not story.newer_hold(hold, by=op.told):
            yield story.breach("told-lost", f"{_said(story, op)}, though its claim was still valid")


def a_claim_that_was_granted_was_made(story: Story) -> Iterator[Breach]:
    for op in story.told_to_nodes("claim"):
        if not op.was_accepted:
            continue
        hold = story.hold(op.claim)
        if hold is None or hold.asked > op.told:
            yield story.breach("told-claimed", f"{_said(story, op)}, and no worker made that claim")
        elif hold.worker != op.worker:
            yield story.breach("told-claimed", f"{_said(story, op)}, but it is {hold.worker}'s")


def a_lease_that_was_renewed_began_anew(story: Story) -> Iterator[Breach]:
    """Told "renewed": then the database has done so, and not before it was asked for."""
    renewed = [op for op in story.of("renew") if op.was_accepted]
    for op in story.told_to_nodes("renew"):
        if op.was_accepted and not any(
            done.claim == op.claim and op.asked < done.told and done.asked < op.told
            for done in renewed
        ):
            evidence = f"{_said(story, op)}, and the database has not done so"
            yield story.breach("told-renewed", evidence)


def an_ending_that_was_confirmed_was_written(story: Story) -> Iterator[Breach]:
    """Told that a failure or a release is written: then the database was asked for it, or, for a
    release, had the chunk back already."""
    for op in story.told_to_nodes("fail", "release"):
        hold = story.hold(op.claim)
        if not op.was_accepted or hold is None:
            continue
        was_asked = any(
            done.claim == op.claim and done.may_have_happened and done.asked < op.told
            for done in story.of(op.kind)
        )
        if not was_asked and not (op.kind == "release" and story.may_have_ended(hold, by=op.told)):
            yield story.breach("told-ended", f"{_said(story, op)}, and the database was not asked")


def audio_is_for_the_holder(story: Story) -> Iterator[Breach]:
    """A node is given the audio of a chunk only while one of its workers has a claim on it."""
    for op in story.told_to_nodes("audio"):
        if not op.was_accepted:
            continue
        may_hold = any(
            hold.worker == op.worker
            and hold.asked < op.told
            and story.sure_ending(hold, by=op.asked) is None
            and story.newer_hold(hold, by=op.asked) is None
            for hold in story.holds
        )
        if not may_hold:
            yield story.breach("audio", f"{_said(story, op)}, which held no claim on it")


NODE_RULES: tuple[Callable[[Story], Iterator[Breach]], ...] = (
    a_result_that_was_taken_is_there,
    a_result_that_was_refused_is_not_there,
    a_claim_that_was_granted_was_made,
    a_lease_that_was_renewed_began_anew,
    an_ending_that_was_confirmed_was_written,
    audio_is_for_the_holder,
)


def _said(story: Story, op: Operation) -> str:
    span = f"asked {story.at(op.asked)}, told {story.at(op.told)}"
    return f"{op.kind} under claim {op.claim} was {op.outcome} to {op.actor} ({span})"
