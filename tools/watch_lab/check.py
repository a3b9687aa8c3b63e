"""Compare a watched folder, and the queue, with what lies in it."""

import re
from collections import Counter
from pathlib import Path

from stt.store.states import UNFINISHED
from tools.watch_lab.files import Files
from tools.watch_lab.watching import Watching


def check(files: Files, watching: Watching) -> list[str]:
    """Return what is wrong, a line each."""
    faults = [] if watching.exit_code is None else [f"the watcher ended: {watching.exit_code}"]
    faults += _texts_that_are_wrong(files)
    for path, note in files.notes.items():
        if path.read_text() != note:
            faults.append(f"{path}: the person's words are changed")
    faults += [f"left behind: {path}" for path in files.folder.rglob(".stt-*")]
    return faults or _recordings_that_are_wrong(files, watching)


def describe(files: Files, watching: Watching) -> str:
    changes = ", ".join(f"{kind} {count}" for kind, count in sorted(files.changes.items()))
    return (
        f"{len(files.good)} good files, {len(files.broken)} broken, {len(files.notes)} notes;"
        f" {watching.starts} starts, {watching.resident_mb:.0f} MB; {changes}"
    )


def _texts_that_are_wrong(files: Files) -> list[str]:
    faults = []
    folders: dict[Path, Counter[tuple[int, ...]]] = {}
    for path, numbers in files.good.items():
        folders.setdefault(path.parent, Counter())[numbers] += 1
        mine = [text for text in _possible_texts(path) if numbers_in(text) == numbers]
        if not mine:
            faults.append(f"{path}: no transcript of its own")
    found: dict[Path, Counter[tuple[int, ...]]] = {}
    for text in files.folder.rglob("*.txt"):
        if text not in files.notes:
            found.setdefault(text.parent, Counter())[numbers_in(text)] += 1
    for folder, texts in found.items():
        for numbers, count in (texts - folders.get(folder, Counter())).items():
            # The last second of a beginning is cut off, and may sound like any number.
            if numbers not in files.gone and numbers[:-1] not in files.gone:
                faults.append(f"{folder}: {count} transcript(s) too many of {numbers}")
    return faults


def _possible_texts(path: Path) -> list[Path]:
    names = (path.with_suffix(".txt"), path.with_name(f"{path.name}.txt"))
    return [
        *(n for n in names if n.exists()),
        *path.parent.glob(_literal(f"{path.name}_") + "*.txt"),
    ]


def _literal(name: str) -> str:
    return re.sub(r"([\[*?])", r"[\1]", name)


def numbers_in(text: Path) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"chunk (\d+)", text.read_text())))


def _recordings_that_are_wrong(files: Files, watching: Watching) -> list[str]:
    with watching.database() as database:
        stored = list(database.recordings.find({}, ["sha256", "path"]))
        unfinished = database.chunks.count_documents(UNFINISHED)
    faults = [f"{unfinished} chunks are open"] if unfinished else []
    times = Counter(document["sha256"] for document in stored)
    faults += [f"{count} recordings of {sha}" for sha, count in times.items() if count > 1]
    others = [one["path"] for one in stored if one["sha256"] not in files.seen]
    beginnings = [path for path in others if path not in files.excused]
    faults += [f"a beginning is stored: {path}" for path in beginnings]
    return faults
