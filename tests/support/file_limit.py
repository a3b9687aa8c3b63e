"""Processes that may open few files."""

from collections.abc import Sequence


def command_with_limit(command: Sequence[str], max_files: int | None) -> list[str]:
    """Return a command with this limit, soft and hard, unless it is None. Its pid is the same."""
    if max_files is None:
        return list(command)
    return ["/bin/sh", "-c", f'ulimit -n {max_files} && exec "$@"', "sh", *command]
