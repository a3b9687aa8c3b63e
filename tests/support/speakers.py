"""Conversations of human voices, and which voice each found speaker is."""

from collections.abc import Sequence

from tests.support.mongo_process import missing
from tools.fidelity_lab.prompts import SpeechMissing
from tools.speaker_lab import conversations
from tools.speaker_lab.conversations import Conversation


def conversation(voices: Sequence[str], seconds: float, seed: int = 1) -> Conversation:
    """Return turns of the voices of some languages, which take turns by chance."""
    try:
        return conversations.conversation(voices, seconds, seed=seed)
    except SpeechMissing as error:
        missing(str(error))
        raise


def largest_shares(pairs: Sequence[tuple[float, str, str]]) -> dict[str, tuple[str, float]]:
    """Return for each found speaker the voice with most of its seconds, and its share of them.

    `pairs`: seconds, found speaker, true voice.
    """
    seconds: dict[str, dict[str, float]] = {}
    for length, found, true in pairs:
        of_speaker = seconds.setdefault(found, {})
        of_speaker[true] = of_speaker.get(true, 0.0) + length
    return {
        found: (max(of, key=lambda voice: of[voice]), max(of.values()) / sum(of.values()))
        for found, of in seconds.items()
    }
