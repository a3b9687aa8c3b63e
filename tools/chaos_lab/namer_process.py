"""The process that names speakers in a chaos run."""

from collections.abc import Mapping

from tools.chaos_lab.folders import Folders
from tools.chaos_lab.processes import close, spawn

_END_SECONDS = 60.0


class NamerProcess:
    """`tools.chaos_lab.namer`, with the database's own address."""

    def __init__(
        self, folders: Folders, environment: Mapping[str, str], mutation: str | None
    ) -> None:
        arguments = ["--log", str(folders.names), "--actor", "namer"]
        if mutation is not None:
            arguments += ["--mutation", mutation]
        log = folders.logs / "namer.log"
        self._process = spawn("tools.chaos_lab.namer", arguments, log, environment)

    def finish(self) -> bool:
        """Let it look at all recordings once more, at a database that is up; False if it failed."""
        self._process.terminate()
        return self._process.wait(_END_SECONDS) == 0

    def close(self) -> None:
        close(self._process)
