"""Ask a server on this machine whether it is the embedded database, and whether it works."""

import socket
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

# The first message of a login by SCRAM: a name and a nonce.
_LOGIN = {"saslStart": 1, "mechanism": "SCRAM-SHA-256", "payload": b"n,,n=stt,r=nonce"}
_INTERNAL_ERROR = 1  # MongoDB's code for it


def url_without_password(port: int) -> str:
    return f"mongodb://127.0.0.1:{port}/?directConnection=true"


def listens(port: int) -> bool:
    """Return whether a program listens on the port; the driver needs half a second for a no."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except OSError:
        return False
    return True


def reply(url: str, command: str) -> dict[str, Any] | None:
    """Return the reply to a command, None without one. Raise OperationFailure if it is refused."""
    client: MongoClient[dict[str, Any]]
    with MongoClient(url, serverSelectionTimeoutMS=500, socketTimeoutMS=5_000) as client:
        try:
            return client.admin.command(command)
        except OperationFailure:
            raise
        except PyMongoError:
            return None


def answers(url: str) -> bool:
    """Return whether our server answers, and not another program on its port.

    Server and client prove to each other that they know the password of the URL.
    """
    try:
        return reply(url, "ping") is not None
    except OperationFailure:
        return False


def is_broken(port: int) -> bool:
    """Return whether the server answers but cannot read: its storage engine has stopped.

    Begin a login, for which it reads its users: with a broken engine no login ends.
    """
    client: MongoClient[dict[str, Any]]
    url = url_without_password(port)
    with MongoClient(url, serverSelectionTimeoutMS=5_000, socketTimeoutMS=5_000) as client:
        try:
            client.admin.command(_LOGIN)
        except OperationFailure as error:
            return error.code == _INTERNAL_ERROR
        except PyMongoError:
            return False  # for example too slow
    return False
