"""The block of exit codes in docs/reference/exit-codes-and-log-lines.md, from stt/errors.py."""

from collections import defaultdict
from collections.abc import Iterator

import stt.errors
from stt.errors import SttError
from tools.reference_docs.markdown import block, page, table


def exit_codes_block() -> str:
    """Return the error classes by exit code, and the tree of stt/errors.py."""
    by_code: dict[int, list[str]] = defaultdict(list)
    for error in _subclasses(SttError):
        by_code[error.exit_code].append(f"`{error.__name__}`")
    rows = [(str(code), ", ".join(names)) for code, names in sorted(by_code.items())]
    tree = (stt.errors.__doc__ or "").partition("\n\n")[2]
    return page(table(("exit code", "errors that end a command with it"), rows), block(tree))


def error_exit_codes() -> set[int]:
    """Return the exit codes of all error classes."""
    return {error.exit_code for error in _subclasses(SttError)}


def _subclasses(error: type[SttError]) -> Iterator[type[SttError]]:
    """Yield the class and all below it that stt/errors.py defines, in the order of the file."""
    yield error
    for below in error.__subclasses__():
        if below.__module__ == error.__module__:
            yield from _subclasses(below)
