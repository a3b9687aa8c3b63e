"""ASGI middleware that counts the bytes of a request as they arrive and stops at a limit."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whisper_server.errors import TooLarge


class UploadLimit:
    """Raises `TooLarge` out of `receive()`, so a lying or missing Content-Length is no way round.

    It sits inside of Starlette's exception handling, which turns the error into a 413.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            if _announced(scope) > self.max_bytes:
                raise self._too_large()
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_bytes:
                raise self._too_large()
            return message

        await self.app(scope, counted, send)

    def _too_large(self) -> TooLarge:
        megabytes = self.max_bytes // (1024 * 1024)
        return TooLarge(f"The request is larger than the {megabytes} MiB that this server takes.")


def _announced(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0
