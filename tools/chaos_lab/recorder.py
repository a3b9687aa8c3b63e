"""Writes down, at the driver's edge, what this process asks of the queue and what it is told.

It hears what goes over the wire, so it does not matter what our own code believes.
"""

import threading
from typing import Any

from pymongo import monitoring

from tools.chaos_lab.history import EventLog


class Recorder(monitoring.CommandListener):
    """Logs each write to `audio_chunks`, each look-up by `claim_id`, and each worker's report."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._open: set[int] = set()  # requests that were written down and have no answer yet

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        for asked in _asked(event.command_name, event.command):
            self._open.add(event.request_id)
            self._log.write(
                phase="asked",
                seq=event.request_id,
                op=event.command_name,
                thread=threading.get_ident(),
                **asked,
            )

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        if event.request_id in self._open:
            self._open.discard(event.request_id)
            self._log.write(phase="told", seq=event.request_id, **_told(event.reply))

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        if event.request_id in self._open:
            self._open.discard(event.request_id)
            why = str(event.failure.get("errmsg", event.failure))[:200]
            self._log.write(phase="failed", seq=event.request_id, why=why)


def _asked(name: str, command: Any) -> list[dict[str, Any]]:
    """One entry for a command about the queue, none for others."""
    collection = command.get(name)
    retry = (
        {"retry": f"{command['lsid']['id'].hex()}/{command['txnNumber']}"}
        if ("txnNumber" in command)
        else {}
    )
    if collection == "workers" and name == "update":
        return [{"collection": collection}]
    if collection != "audio_chunks":
        return []
    if name == "findAndModify":
        return [{"filter": command["query"], "update": command["update"], **retry}]
    if name == "update":
        statement, *others = command["updates"]  # in bulk they differ only in what they are about
        multi = statement.get("multi", False)
        query = dict(statement["q"])
        whose = query.get("processing_by")
        if isinstance(whose, dict) and "$regex" in whose:  # which JSON would take for a pattern
            query["processing_by"] = {"pattern": whose["$regex"], "but": whose.get("$ne")}
        more = {"others": [dict(other["q"]) for other in others]} if others else {}
        return [{"filter": query, **more, "update": statement["u"], "multi": multi, **retry}]
    if name == "find" and "claim_id" in command["filter"]:
        return [{"filter": command["filter"]}]
    return []


def _told(reply: Any) -> dict[str, Any]:
    """How many documents it was done to, or were found; and what was wrong with it, if anything."""
    if "cursor" in reply:
        found = reply["cursor"]["firstBatch"]
        return {
            "n": len(found),
            "found": [d.get("claim_id") for d in found if d.get("processing_by")],
        }
    n = int(reply.get("value") is not None) if "value" in reply else reply["n"]
    wrong = {
        key: str(reply[key])[:200] for key in ("writeErrors", "writeConcernError") if key in reply
    }
    return {"n": n, **wrong}
