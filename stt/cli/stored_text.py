"""Recordings whose text is stored: which are transcribed again, and what is said of the others."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from stt.cli.console import print_note
from stt.cli.formatting import plural
from stt.cli.options import speaker_flags
from stt.cli.standard_input import STDIN_NAME
from stt.domain.chunk import Recording
from stt.errors import AudioRemoved, ChannelsSplit, ConfigError, HasEdits
from stt.settings import Settings
from stt.store.database import Database
from stt.store.recordings import MongoRecordings
from stt.whisper.model_names import stored_names

_MAX_NAMED = 3
Key = TypeVar("Key")


def renew_stored(
    database: Database,
    recordings: Sequence[tuple[str, Recording]],
    given: Mapping[str, Any],
    settings: Settings,
) -> None:
    """Transcribe recordings again that were not made as a person wants them now, and say so.

    `given`: the options that the person gave, and no others. Of the others say that their text is
    stored, which models made it, and how to make it again.
    """
    from stt.store.retranscription import models_of, renew

    models = stored_names(settings.model) if settings.model else frozenset()
    kept: list[tuple[str, Recording]] = []
    made_by: set[str] = set()
    for name, recording in recordings:
        before = MongoRecordings(database).details(recording.id).counts
        options = {**given, **_model_of(recording, models, settings)}
        earlier = models_of(database, recording.id)
        try:
            count = renew(database, recording, options, models)
        except HasEdits as edits:
            again = f"stt again {_named(name, recording)}"
            if "speakers" in given:
                again += f" {speaker_flags(given['speakers'], given['max_speakers'])}"
            print_note(f"{name}: {edits} If that is meant: {again}")
            continue
        except (AudioRemoved, ChannelsSplit) as refused:
            print_note(f"{name}: {refused}")
            continue
        if count:
            if before.transcribed:
                by = f", stored as {_listed(earlier)} made it" if earlier else ""
                print_note(f"{name}: transcribing {plural(count, 'chunk')} again{by}.")
        elif before.transcribed and not before.open:
            kept.append((name, recording))
            made_by.update(earlier)
    if kept:
        _say_kept(kept, made_by)


def as_they_are(
    database: Database, recordings: Mapping[Key, tuple[str, Recording]]
) -> dict[Key, tuple[str, Recording]]:
    """Return the recordings with the options that they have now, and the places of their files."""
    found = MongoRecordings(database).several(
        [recording.id for _, recording in recordings.values()]
    )
    now = {recording.id: recording for recording in found}
    return {
        key: (name, replace(now.get(given.id, given), path=given.path, folder=given.folder))
        for key, (name, given) in recordings.items()
    }


def end_recutting(database: Database, recordings: Sequence[tuple[str, Recording]]) -> None:
    """Remove the earlier text of recordings that were cut anew; say where it has to stay."""
    from stt.store.recutting import remove_earlier

    for name, recording in recordings:
        for earlier in remove_earlier(database, recording.id):
            print_note(
                f"{name}: not all of it is transcribed, or its earlier text was edited. That text"
                f" stays, as recording {earlier}; `stt remove {earlier}` removes it."
            )


def say_without_speakers(database: Database, recordings: Sequence[tuple[str, Recording]]) -> None:
    """Say which recordings have text without the speakers that were asked for."""
    from stt.store.retranscription import count_without_speakers

    once = {recording.id: (name, recording) for name, recording in recordings}
    for name, recording in once.values():
        if count := count_without_speakers(database, recording):
            flags = speaker_flags(recording.speakers, recording.max_speakers)
            print_note(
                f"{name}: {plural(count, 'chunk')} of text without speakers. To look for them"
                f" again: stt again {_named(name, recording)} {flags}"
            )


def _model_of(
    recording: Recording, models: frozenset[str], settings: Settings
) -> dict[str, str | None]:
    """Return the model to store with the recording, if another than its own is wanted.

    None with a server of this machine, which has the wanted model and no other.
    """
    from stt.store.ingest_options import IngestOptions

    if not models or recording.model in models:
        return {}
    if not settings.server_urls:
        return {"model": None}
    try:
        return {"model": IngestOptions(model=settings.model).model}
    except ConfigError:  # a folder of the server's machine: each worker's setting names it
        return {"model": None}


def _say_kept(kept: Sequence[tuple[str, Recording]], models: set[str]) -> None:
    by = f", transcribed by {_listed(models)}" if models else ""
    if len(kept) == 1:
        what = f"{kept[0][0]} is stored{by}"
    else:
        what = f"{len(kept)} recordings are stored{by}"
    names = [_named(name, recording) for name, recording in kept[:_MAX_NAMED]]
    shown = " ".join(names) + (" …" if kept[_MAX_NAMED:] else "")
    print_note(f"{what}. To transcribe again: stt again {shown}, then this command once more.")


def _named(name: str, recording: Recording) -> str:
    """Return a recording's name for a command line."""
    return shlex.quote(str(recording.id) if name == STDIN_NAME else name)


def _listed(models: Sequence[str] | set[str]) -> str:
    return " and ".join(sorted(models))
