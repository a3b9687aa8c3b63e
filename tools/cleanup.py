"""Frees the claims of workers that fell silent, and says whose and how many.

Workers do the same by themselves, at start and now and then; this is for cron, and for people.
"""

import argparse
import re
import sys
from collections import defaultdict
from collections.abc import Sequence

from stt.domain.claim import ClaimRules, StaleClaim
from stt.errors import SttError
from stt.local.stack import open_database
from stt.settings import Settings, load_settings
from stt.store.claims import recover

EPILOG = """\
Examples:
  python tools/cleanup.py --older-than 10m --dry-run
  python tools/cleanup.py --older-than 1h            for cron

Durations: 90s, 10m, 2h. Safe beside live workers, provided that the time is longer than the
LEASE_SECONDS set here: then no claim is freed before its own lease has run out either, whichever
its worker has. Workers renew their claims every quarter of it. A worker that wakes up after its
claim was freed writes nothing, since the claim is no longer its own.

A chunk whose claim was freed MAX_EXPIRATIONS times goes into quarantine: see `stt status`.

Exit codes: 0 all well, 2 usage, 3 configuration, 4 database unreachable, 130 interrupted.
"""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def duration(text: str) -> float:
    """Seconds of `90s`, `10m`, `2h` or `1d`; the unit must be said."""
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([smhd])", text.strip().lower())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration: write 90s, 10m or 2h")
    seconds = float(match[1]) * _UNITS[match[2]]
    if not 0 < seconds <= 3650 * _UNITS["d"]:
        raise argparse.ArgumentTypeError(f"{text!r} is out of range: between 1s and ten years")
    return seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        settings = load_settings(mongo_url=options.mongo_url, database_name=options.database)
        _warn_if_short(options.older_than, settings)
        rules = ClaimRules.of(settings)
        with open_database(settings) as database:
            freed = recover(database, rules, options.older_than, dry_run=options.dry_run)
        print(report(freed, dry_run=options.dry_run))
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--older-than",
        type=duration,
        required=True,
        metavar="TIME",
        help="free claims that were not renewed for so long; choose more than the lease",
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would be freed")
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
