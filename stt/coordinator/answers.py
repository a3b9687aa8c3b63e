"""What the OpenAPI page says of refusals: the one body that they all have."""

from typing import Any

from pydantic import BaseModel

_MEANINGS = {
    400: "The request cannot be understood.",
    401: "No key, or a wrong one.",
    403: "The key is right, but not for this.",
    404: "There is no such thing.",
    408: "Nothing has arrived for too long.",
    409: "Not as things are: the claim is lost, or the state is another one.",
    410: "This node was removed.",
    413: "Too large.",
    416: "No such range.",
    422: "Something in it is not valid.",
    429: "Too many failures from there: wait.",
    503: "The database is away: ask again.",
    507: "The disk is full.",
}


class ErrorDetail(BaseModel):
    """`code` for programs, `message` for people."""

    code: str
    message: str


class ErrorOut(BaseModel):
    """The body of every refusal."""

    error: ErrorDetail


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses`."""
    return {s: {"model": ErrorOut, "description": _MEANINGS[s]} for s in statuses}
