"""Stand-ins for `systemctl` and `launchctl`: neither runs in a container."""

from pathlib import Path


class Tool:
    """A program of this name, first on the PATH, that behaves as its script says."""

    def __init__(self, folder: Path, name: str, script: str) -> None:
        self._calls = folder / f"{name}.calls"
        program = folder / name
        program.write_text(f'#!/bin/sh\necho "$*" >> "{self._calls}"\ncd "{folder}"\n{script}\n')
        program.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        return self._calls.read_text().splitlines() if self._calls.exists() else []
