"""Why chunks fail, in words for people, and what to do about it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FailureText:
    """Two sentences or so: what happened, and what to do."""

    reason: str
    advice: str


_TEXTS: Mapping[str, FailureText] = {
    "bad_audio": FailureText(
        "The audio of this part cannot be read.",
        "Listen to it. If there is a better copy of the file, add that one and delete this"
        " recording; else dismiss this part, and the rest of the text stays.",
    ),
    "refused": FailureText(
        "The whisper server refused it.",
        "Its message says why. If it lacks the model, retry with another one.",
    ),
    "cannot_translate": FailureText(
        "The model of the whisper server cannot translate.",
        "Retry with a multilingual model, or transcribe the recording as spoken.",
    ),
    "server_fault": FailureText(
        "The whisper servers failed each time that they tried it.",
        "Look into the log of the server that is named. Retry once its cause is removed.",
    ),
    "server_died": FailureText(
        "A whisper server crashed each time that it tried it.",
        "It may lack memory for its model: look into its log, and retry with more memory or a"
        " smaller model. If only this part does that, dismiss it.",
    ),
    "database_refused": FailureText(
        "The database did not take the text.",
        "Its message says why. Retry once the cause is removed.",
    ),
    "expired": FailureText(
        "Each machine that tried it vanished.",
        "Machines were switched off, slept, or lost their network. Retry once they stay. If it"
        " happens with this part only, dismiss it.",
    ),
}
_OTHER = FailureText("It failed, and why was not kept.", "Retry it.")


def failure_text(kind: str | None) -> FailureText:
    """Return the words for the `kind` of a chunk's last error."""
    return _TEXTS.get(kind or "", _OTHER)
