"""Writes the reference pages in docs/reference that are made from code; `make docs` runs it.

python -m tools.make_docs            # writes them
python -m tools.make_docs --check    # exit code 1 if one is not current
"""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.reference_docs.commands import commands_page
from tools.reference_docs.exit_codes import exit_codes_block
from tools.reference_docs.http_api import http_api_page
from tools.reference_docs.settings import settings_page

REFERENCE = Path(__file__).resolve().parents[1] / "docs" / "reference"
EXIT_CODES = REFERENCE / "exit-codes-and-log-lines.md"
_BLOCK = re.compile(r"(?s)(?<=<!-- begin of the generated block -->\n).*(?=<!-- end of)")


def generated() -> Mapping[Path, str]:
    """Return the pages as they should be, by their paths."""
    by_hand = EXIT_CODES.read_text("utf-8")
    with_block, count = _BLOCK.subn(lambda _: f"\n{exit_codes_block()}\n", by_hand)
    if count != 1:
        raise ValueError(f"{EXIT_CODES} has no place for the generated block")
    return {
        REFERENCE / "commands.md": commands_page(),
        REFERENCE / "http-api.md": http_api_page(),
        REFERENCE / "settings.md": settings_page(),
        EXIT_CODES: with_block,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing")
    is_check = parser.parse_args(arguments).check
    stale = {path: text for path, text in generated().items() if _read(path) != text}
    for path, text in stale.items():
        if not is_check:
            path.write_text(text, "utf-8")
        print(f"{path.name} {'is not current: run make docs' if is_check else 'written'}")
    return int(is_check and bool(stale))


def _read(path: Path) -> str | None:
    return path.read_text("utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
