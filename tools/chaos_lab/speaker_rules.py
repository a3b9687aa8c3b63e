"""The rules that the speakers of each recording must keep. Each yields what breaks it."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from stt.transcripts.speakers import MIN_SPEAKER_SECONDS
from tools.chaos_lab import voices
from tools.chaos_lab.evidence import Breach, Run

_TOLERANCE_SECONDS = 0.01
_Document = Mapping[str, Any]


def speakers_are_right(run: Run) -> Iterator[Breach]:
    """Each recording that asked has its voices as speakers, made of the text that is there."""
    stored = {document["_id"]: document for document in run.speakers}
    for recording, documents in _by_recording(run).items():
        wanted = _wants_speakers(run, documents)
        for evidence in _wrong(documents, stored.pop(recording, None), wanted=wanted):
            yield Breach("speakers", None, f"recording {recording}: {evidence}")
    for recording in stored:
        yield Breach("speakers", None, f"recording {recording} has speakers, and no chunks")


def names_stay(run: Run) -> Iterator[Breach]:
    """A speaker keeps the id and the name that a person has given to the voice.

    A name that was asked for without an answer may be there, or come yet.
    """
    ids: dict[tuple[Any, int], str] = {}
    names: dict[tuple[Any, str], set[str | None]] = {}
    for event in run.names:
        recording = event["recording"]
        if event["phase"] == "seen":
            for voice, speaker, name in event["speakers"]:
                given = names.get((recording, speaker))
                if given is not None and name not in given:
                    evidence = f"recording {recording}: {speaker} is called {name}, not {given}"
                    yield Breach("names", None, evidence)
                known = ids.get((recording, voice))
                if known not in (None, speaker):
                    evidence = f"recording {recording}: {known} is {speaker} now"
                    yield Breach("names", None, evidence)
                if given is not None:
                    names[recording, speaker] = {name}
                    ids[recording, voice] = speaker
        elif event["phase"] == "asked":
            names.setdefault((recording, event["speaker"]), {None}).add(event["name"])
        else:
            names[recording, event["speaker"]] = {event["name"]}


def _wrong(documents: list[_Document], stored: _Document | None, *, wanted: bool) -> Iterator[str]:
    """Yield what is wrong with the speakers of a recording; `documents`: its chunks with text."""
    if not wanted:
        if stored is not None or any("speakers" in d["transcript"] for d in documents):
            yield "it did not ask for speakers, and has some"
        return
    if any("speakers" not in d["transcript"] for d in documents):
        yield "it asked for speakers, and has text without"
        return
    said = [local for document in documents for local in document["transcript"]["speakers"]]
    seconds: dict[int | None, float] = defaultdict(float)
    for local in said:
        seconds[voices.voice_in(local["embedding"])] += local["seconds"]
    if stored is None:
        if said:
            yield "it has no speakers"
        return
    least = min(MIN_SPEAKER_SECONDS, max(seconds.values(), default=0.0))
    lasting = {voice for voice, total in seconds.items() if total >= least}
    of_local = stored["of_local"]
    found = defaultdict(set)
    for local in said:
        voice = voices.voice_in(local["embedding"])
        if (speaker := of_local.get(local["id"])) is not None or voice in lasting:
            found[voice].add(speaker)
    if of_local.keys() - {local["id"] for local in said}:
        yield "its speakers are made of text that is not there"
    if any(len(speakers) > 1 or None in speakers for speakers in found.values()):
        yield f"voices are not one speaker each: {dict(found)}"
    elif len(set.union(set(), *found.values())) < len(found):
        yield f"several voices are one speaker: {dict(found)}"
    else:
        totals = {one["id"]: one["seconds"] for one in stored["speakers"]}
        for voice, (speaker,) in found.items():
            if not math.isclose(totals[speaker], seconds[voice], abs_tol=_TOLERANCE_SECONDS):
                yield f"{speaker} has {totals[speaker]} s, and its text {seconds[voice]} s"


def _by_recording(run: Run) -> Mapping[Any, list[_Document]]:
    """Return the chunks with text of each recording."""
    found: dict[Any, list[_Document]] = defaultdict(list)
    for document in run.documents:
        if document.get("transcribed_at") is not None and "original_id" in document:
            found[document["original_id"]].append(document)
    return found


def _wants_speakers(run: Run, documents: list[_Document]) -> bool:
    numbers = {run.chunks[d["_id"]].number for d in documents if d["_id"] in run.chunks}
    return any(voices.wants_speakers(voices.recording_of(number)) for number in numbers)
