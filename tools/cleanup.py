"""Frees the claims of workers that fell silent, and removes audio that is kept no longer.

Workers free claims by themselves, at start and now and then, and a coordinator with --keep-audio
removes audio; this is for cron, and for people.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from stt.domain.claim import ClaimRules, StaleClaim
from stt.errors import SttError
from stt.local.stack import open_database
from stt.setting_types import read_duration
from stt.settings import Settings, load_settings
from stt.store.chunk_audio import ChunkAudio
from stt.store.claims import recover
from stt.store.database import Database
from stt.store.recording_names import full_path
from stt.store.retention import remove_audio

EPILOG = """\
Examples:
  python tools/cleanup.py --older-than 10m --dry-run
  python tools/cleanup.py --older-than 1h            for cron
  python tools/cleanup.py --keep-audio 30d           text stays, and audio for 30 days
  python tools/cleanup.py --orphans --dry-run        audio in S3 that no recording has

Durations: 90s, 10m, 2h. Safe beside live workers, provided that the time is longer than the
LEASE_SECONDS set here: then no claim is freed before its own lease has run out either, whichever
its worker has. Workers renew their claims every quarter of it. A worker that wakes up after its
claim was freed writes nothing, since the claim is no longer its own.

A chunk whose claim was freed MAX_EXPIRATIONS times goes into quarantine: see `stt status`.

Exit codes: 0 all well, 2 usage, 3 configuration, 4 database unreachable, 130 interrupted.
"""

_ORPHAN_SECONDS = 86_400.0
"""Objects without a recording that are younger may belong to an ingest that has just begun."""


def duration(text: str) -> float:
    """Seconds of `90s`, `10m`, `2h` or `1d`; the unit must be said."""
    try:
        return float(str(read_duration(text)))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.older_than is None and options.keep_audio is None and not options.orphans:
        parser.error("one of --older-than, --keep-audio and --orphans is needed")
    try:
        settings = load_settings(mongo_url=options.mongo_url, database_name=options.database)
        if options.older_than is not None:
            _warn_if_short(options.older_than, settings)
        with open_database(settings) as database:
            if options.older_than is not None:
                rules = ClaimRules.of(settings)
                freed = recover(database, rules, options.older_than, dry_run=options.dry_run)
                print(report(freed, dry_run=options.dry_run))
            if options.keep_audio is not None:
                _remove_audio(database, options.keep_audio, is_dry=options.dry_run)
            if options.orphans:
                _remove_orphans(database, is_dry=options.dry_run)
    except SttError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def report(freed: Sequence[StaleClaim], *, dry_run: bool) -> str:
    """A line a worker, the one with most claims first, and a last one with the sum."""
    by_worker: dict[str, list[StaleClaim]] = defaultdict(list)
    for stale in freed:
        by_worker[str(stale.worker)].append(stale)
    lines = []
    for worker, claims in sorted(by_worker.items(), key=lambda item: (-len(item[1]), item[0])):
        times = [claim.claimed_at for claim in claims if claim.claimed_at is not None]
        since = f"{min(times).astimezone():%Y-%m-%d %H:%M:%S}" if times else "an unknown time"
        lines.append(f"{worker}: {_chunks(len(claims))}, silent since {since}")
    verb = "Would free" if dry_run else "Freed"
    quarantined = sum(stale.quarantined for stale in freed)
    note = f", {quarantined} of them into quarantine" if quarantined else ""
    return "\n".join([*lines, f"{verb} {_chunks(len(freed))}{note}"])


def _remove_audio(database: Database, keep_seconds: float, *, is_dry: bool) -> None:
    recordings = chunks = 0
    verb = "Would remove" if is_dry else "Removed"
    for removed in remove_audio(database, keep_seconds, dry_run=is_dry):
        recordings, chunks = recordings + 1, chunks + removed.chunks
        print(f"{verb} the audio of {full_path(removed.recording)}: {_chunks(removed.chunks)}")
    print(f"{verb} the audio of {recordings} recording(s), {_chunks(chunks)}")


def _remove_orphans(database: Database, *, is_dry: bool) -> None:
    older_than = datetime.now(UTC) - timedelta(seconds=_ORPHAN_SECONDS)
    count = size = 0
    for orphan in ChunkAudio(database).orphans(older_than):
        count, size = count + 1, size + orphan.bytes
        if not is_dry:
            database.objects.delete([orphan.url])
    verb = "Would remove" if is_dry else "Removed"
    print(f"{verb} {count} object(s) without a recording, {size / 1e6:.1f} MB")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--older-than",
        type=duration,
        metavar="TIME",
        help="free claims that were not renewed for so long; choose more than the lease",
    )
    parser.add_argument(
        "--keep-audio",
        type=duration,
        metavar="TIME",
        help="remove the audio of recordings that were finished so long ago; their text stays",
    )
    parser.add_argument(
        "--orphans",
        action="store_true",
        help="remove audio in S3 of recordings that this database does not have (any more)",
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    parser.add_argument("--mongo-url", metavar="URL", help="the database, if not that of MONGO_URL")
    parser.add_argument("--database", metavar="NAME", help="its name, if not DATABASE_NAME's")
    return parser


def _warn_if_short(seconds: float, settings: Settings) -> None:
    if seconds < settings.lease_seconds:
        print(
            f"Warning: {seconds:g}s is shorter than the lease of {settings.lease_seconds:g}s: "
            "claims of workers that are alive may be freed, and their work done twice.",
            file=sys.stderr,
        )


def _chunks(count: int) -> str:
    return f"{count} chunk" + ("" if count == 1 else "s")


if __name__ == "__main__":
    sys.exit(main())
