"""A member of a replica set that answers the driver's handshakes itself, and the rest as told."""

from datetime import UTC, datetime
from typing import Any

import mockupdb
from bson import ObjectId

_PATIENCE_SECONDS = 60


class ScriptedMember:
    """`mockupdb` as one member of a set. A later `election` beats an earlier one; 0 is none won."""

    def __init__(self) -> None:
        self._server = mockupdb.MockupDB()
        self._server.autoresponds(self._routine)
        self._server.run()
        self.address: tuple[str, int] = self._server.address
        self.host: str = self._server.address_string
        self.hosts = [self.host]
        self.election = 0

    def receives(self, command: str) -> Any:
        """The next request, which must be this command; answered by its `ok` or `hangup`."""
        request = self._server.receives(timeout=_PATIENCE_SECONDS)
        assert request.command_name == command, request
        return request

    def finds(self, *documents: dict[str, Any]) -> Any:
        """Answers the next request, which must be a find; returns what it looked for."""
        request = self.receives("find")
        cursor = {"id": 0, "ns": "stt.audio_chunks", "firstBatch": list(documents)}
        request.ok(cursor=cursor)
        return request["filter"]

    def unexpected(self) -> list[str]:
        """What else it has received, and nobody answered."""
        unexpected = []
        while self._server.got(timeout=0.02):
            unexpected.append(str(self._server.receives()))
        return unexpected

    def stop(self) -> None:
        self._server.stop()

    def _routine(self, request: Any) -> bool:
        """Answers what drivers say of their own accord, and what ours asks once."""
        command = request.command_name.lower()
        if command in ("ismaster", "hello"):
            self._greet(request)
        elif command == "buildinfo":
            request.ok(version="8.0.0")
        elif command == "endsessions":
            request.ok()
        else:
            return False
        return True

    def _greet(self, request: Any) -> None:
        is_primary = self.election > 0
        request.replies(
            ok=1,
            helloOk=True,
            isWritablePrimary=is_primary,
            ismaster=is_primary,
            secondary=not is_primary,
            setName="rs",
            setVersion=1,
            hosts=self.hosts,
            me=self.host,
            minWireVersion=0,
            maxWireVersion=25,
            maxBsonObjectSize=16 * 2**20,
            maxMessageSizeBytes=48_000_000,
            maxWriteBatchSize=100_000,
            logicalSessionTimeoutMinutes=30,
            localTime=datetime.now(UTC),
            **({"electionId": ObjectId(f"7fffffff{self.election:016x}")} if is_primary else {}),
        )
