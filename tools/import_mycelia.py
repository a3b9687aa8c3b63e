"""Moves the text of a `transcriptions` collection, as mycelia writes it, into the chunks.

`stt status`, `stt export` and the search read it there. `transcriptions` is only read.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from stt.domain.chunk import ASSUMED_SECONDS, Chunk
from stt.domain.transcript import Segment, Transcript
from stt.errors import SttError
from stt.local.stack import open_database
from stt.settings import load_settings
from stt.store.chunk_key import key_of
from stt.store.database import Database, Document, translated
from stt.store.documents import (
    read_chunk,
    read_list,
    read_mapping,
    read_number,
    read_text,
    read_time,
    write_transcript,
)
from stt.store.states import TRANSCRIBED, state_of
from stt.transcripts.languages import foreign_language

EPILOG = """\
Examples:
  python tools/import_mycelia.py --dry-run
  python tools/import_mycelia.py --database mycelia

A segment goes to the chunk that most of it is in. A chunk that has a transcript already, and one
that is not transcribed, is left as it is: so this may be run again, broken off with Ctrl-C, and run
beside workers. What fits no chunk is listed, and stays in `transcriptions`.

Exit codes: 0 all well, 2 usage, 3 configuration, 4 database unreachable, 130 interrupted.
"""

_FIELDS = ("original", "start", "segments", "language", "top_language_probs", "model")
_CHUNK_FIELDS = (
    "original_id", "index", "start", "offset", "duration", "transcribed_at", "failed_at",
    "processing_by", "transcript.language",
)  # fmt: skip


@dataclass(slots=True)
class Report:
    """What was imported, and by transcription why a part of it was not."""

    transcriptions: int = 0
    segments: int = 0
    chunks: int = 0
    repeated: int = 0
    """Segments that a later transcription of the same audio has as well."""
    left: dict[str, Counter[str]] = field(default_factory=dict)

    def leave(self, transcription: Document, reason: str) -> None:
        self.left.setdefault(str(transcription["_id"]), Counter())[reason] += 1

    def lines(self, *, dry_run: bool) -> Iterator[str]:
        """Yield a line for each transcription that was not imported whole, and the sums."""
        for id_, reasons in self.left.items():
            why = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
            yield f"transcription {id_}: {why}"
        verb = "Would write" if dry_run else "Wrote"
        left = sum(sum(reasons.values()) for reasons in self.left.values())
        yield (
            f"{verb} {self.segments} segments of {self.transcriptions} transcriptions to"
            f" {self.chunks} chunks; {self.repeated} are in a later transcription of the same"
            f" audio; {left} are left"
        )


@dataclass(slots=True)
class _Target:
    """A chunk, and what of the transcriptions belongs to it; times in seconds since 1970."""

    chunk: Chunk
    begin: float
    end: float
    state: str
    has_transcript: bool
    found: list[tuple[Segment, Document]] = field(default_factory=list)

    def overlap(self, begin: float, end: float) -> float:
        return min(self.end, end) - max(self.begin, begin)

    def transcript(self) -> Transcript:
        """Return the segments in order, in the time of the chunk."""
        source = self.found[0][1]
        probability = _probability(source)
        return Transcript(
            segments=tuple(sorted((s for s, _ in self.found), key=lambda s: s.start)),
            language=foreign_language(source.get("language")),
            language_probability=probability,
            model=read_text(source.get("model")),
        )


def import_transcriptions(
    database: Database,
    report: Report,
    *,
    dry_run: bool,
    advance: Callable[[int], None] = lambda _count: None,
) -> None:
    """Fill in `report` recording by recording. Raise DatabaseUnavailable, DatabaseRefused."""
    source = database.chunks.database["transcriptions"]
    with translated(), source.find({}, _FIELDS).sort("original").allow_disk_use(True) as cursor:
        for original, documents in groupby(cursor, key=lambda one: one.get("original")):
            transcriptions = list(documents)
            targets = _targets(database, original)
            _place(transcriptions, targets, report)
            for target in targets:
                if target.found and (dry_run or _write(database, target)):
                    report.chunks += 1
                    report.segments += len(target.found)
            advance(len(transcriptions))


def _write(database: Database, target: _Target) -> bool:
    """Write one chunk's transcript; return False if it has got another one meanwhile."""
    query = {**key_of(target.chunk), **TRANSCRIBED, "transcript": None}
    update = {"$set": {"transcript": write_transcript(target.transcript())}}
    return database.chunks.update_one(query, update).matched_count > 0


def _targets(database: Database, original: Any) -> list[_Target]:
    """Return the chunks of a recording that have a time, in their order."""
    query = {"original_id": {"$eq": original}}
    found = [
        (read_chunk(document), document)
        for document in database.chunks.find(query, _CHUNK_FIELDS).sort("index")
    ]
    timed = sorted(
        ((chunk.start.timestamp(), chunk, doc) for chunk, doc in found if chunk.start is not None),
        key=lambda one: one[0],
    )
    if not timed:
        return []
    follows = [*(begin for begin, _, _ in timed[1:]), None]
    gaps = [after - begin for (begin, _, _), after in zip(timed, follows, strict=True) if after]
    usual = Counter(round(gap, 3) for gap in gaps).most_common(1)
    usual_seconds = usual[0][0] if usual else ASSUMED_SECONDS
    targets = []
    for (begin, chunk, document), after in zip(timed, follows, strict=True):
        seconds = chunk.duration or usual_seconds
        end = begin + seconds if after is None else min(after, begin + max(seconds, usual_seconds))
        has_transcript = document.get("transcript") is not None
        targets.append(_Target(chunk, begin, end, state_of(document), has_transcript))
    return targets


def _place(transcriptions: Sequence[Document], targets: Sequence[_Target], report: Report) -> None:
    """Give each segment to the chunk that most of it is in; the latest transcription first.

    mycelia transcribes the chunk at which it divides a long sequence twice, and a chunk that two
    of its workers have claimed as well.
    """
    covered: list[tuple[float, float]] = []
    for transcription in sorted(transcriptions, key=lambda one: str(one["_id"]), reverse=True):
        report.transcriptions += 1
        own: list[tuple[float, float]] = []
        for segment, begin, end in _segments(transcription, report):
            target = max(targets, key=lambda t: t.overlap(begin, end), default=None)
            if target is None or target.overlap(begin, end) <= 0:
                report.leave(transcription, "in no chunk of its recording")
            elif sum(max(0.0, min(end, e) - max(begin, b)) for b, e in covered) > (end - begin) / 2:
                report.repeated += 1
            elif target.has_transcript:
                report.leave(transcription, "in a chunk that has a transcript already")
            elif target.state != "transcribed":
                report.leave(transcription, f"in a chunk that is {target.state}")
            else:
                moved = _within(segment, begin - target.begin, target.end - target.begin)
                target.found.append((moved, transcription))
            own.append((begin, end))
        covered += own


def _segments(transcription: Document, report: Report) -> Iterator[tuple[Segment, float, float]]:
    """Yield the segments with a text, and when each begins and ends in seconds since 1970."""
    start = _time(transcription.get("start"))
    for entry in read_list(transcription.get("segments")):
        body = read_mapping(entry)
        text = (read_text(body.get("text")) or "").strip()
        begin, end = read_number(body.get("start")), read_number(body.get("end"))
        if not text:
            continue
        if start is None or begin is None:
            report.leave(transcription, "without a time")
            continue
        end = max(end or begin, begin + 0.001)
        segment = Segment(
            begin, end, text, read_number(body.get("avg_logprob")),
            read_number(body.get("no_speech_prob")),
            language=foreign_language(transcription.get("language")),
        )  # fmt: skip
        yield segment, start + begin, start + end


def _within(segment: Segment, start: float, length: float) -> Segment:
    """Return the segment as it begins at `start` of a chunk, no longer than the chunk."""
    moved = segment.shifted(start - segment.start)
    begin = min(max(moved.start, 0.0), length)
    return Segment(
        round(begin, 3), round(min(max(moved.end, begin), length), 3), moved.text,
        moved.avg_logprob, moved.no_speech_prob, language=moved.language,
    )  # fmt: skip


def _time(value: Any) -> float | None:
    """Return a date, or the text of one, in seconds since 1970."""
    try:
        found = read_time(value) or datetime.fromisoformat(read_text(value) or "")
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _probability(transcription: Mapping[str, Any]) -> float | None:
    for entry in read_list(transcription.get("top_language_probs")):
        if isinstance(entry, list) and entry[:1] == [transcription.get("language")]:
            return read_number(entry[-1])
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    options = _parser().parse_args(arguments)
    report = Report()
    try:
        settings = load_settings(mongo_url=options.mongo_url, database_name=options.database)
        with open_database(settings) as database, _progress(database) as advance:
            import_transcriptions(database, report, dry_run=options.dry_run, advance=advance)
    except SttError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        _print(report.lines(dry_run=options.dry_run))
        print("Interrupted: run it again to go on.", file=sys.stderr)
        return 130
    _print(report.lines(dry_run=options.dry_run))
    return 0


@contextmanager
def _progress(database: Database) -> Iterator[Callable[[int], None]]:
    """Show on a terminal how many transcriptions are done; yield what counts them."""
    columns = (TextColumn("transcriptions"), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        with translated():
            total = database.chunks.database["transcriptions"].estimated_document_count()
        task = bar.add_task("", total=total)
        yield lambda count: bar.advance(task, count)


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would be written")
    parser.add_argument("--mongo-url", metavar="URL", help="the database, if not that of MONGO_URL")
    parser.add_argument("--database", metavar="NAME", help="its name, if not DATABASE_NAME's")
    return parser


if __name__ == "__main__":
    sys.exit(main())
