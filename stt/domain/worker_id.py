"""The ids of workers: `OWNER_RUN`, unique among all workers that ever ran."""

import os
import re
import socket
from typing import Self


class WorkerId(str):
    """A worker's id. The owner is a host name or a node's id, the run a process id or start time.

    Ids that other programs wrote may have any form; their owner is then the text before the last
    underscore, or empty.
    """

    __slots__ = ()

    @classmethod
    def of(cls, owner: str, run: int) -> Self:
        return cls(f"{owner}_{run}")

    @classmethod
    def of_this_process(cls) -> Self:
        """Return `hostname_pid`."""
        return cls.of(socket.gethostname(), os.getpid())

    @property
    def owner(self) -> str:
        return self.rpartition("_")[0]


def pattern_of_node(node_id: str) -> re.Pattern[str]:
    """Return a pattern that matches the ids of this node's workers and no others."""
    return re.compile(f"^{re.escape(node_id)}_[0-9]+$")
