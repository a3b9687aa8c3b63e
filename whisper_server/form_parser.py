"""Read a multipart form within bounds: what is not written to disk must fit into memory.

RFC 7578 has no charset for the form as a whole; the texts are UTF-8. One that a client names is
ignored: Python has codecs that take minutes for a megabyte.
"""

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, Headers
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from whisper_server.errors import InvalidRequest, TooLarge

MAX_FIELDS = 100
MAX_TEXT_BYTES = 4 * 1024 * 1024
"""All texts of a form together: a few of OpenAI's fields hold short recordings in base64."""
MAX_BYTES_IN_MEMORY = 4 * 1024 * 1024
"""Files of a form together, until each goes to disk; a large one goes there by itself."""

_TO_DISK_AT_ONCE = 1  # byte; 0 would mean never


class FormParser(MultiPartParser):
    """Starlette's parser, with a bound to all texts and to all small files together."""

    def __init__(self, request: Request, max_files: int) -> None:
        headers = Headers({"Content-Type": _without_charset(request.headers["Content-Type"])})
        super().__init__(
            headers,
            request.stream(),
            max_files=max_files,
            max_fields=MAX_FIELDS,
            max_part_size=MAX_TEXT_BYTES,
        )
        self._text_bytes = 0
        self._file_bytes = 0

    async def read(self) -> FormData:
        """Return the form. Raises InvalidRequest, TooLarge."""
        try:
            return await self.parse()
        except MultiPartException as error:
            raise InvalidRequest(error.message, code="invalid_request") from error

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._current_part.file is None:
            self._text_bytes += end - start
            if self._text_bytes > MAX_TEXT_BYTES:
                raise TooLarge(
                    f"The texts of the form are larger than {MAX_TEXT_BYTES // 1024} kB.",
                    code="fields_too_large",
                )
        else:
            self._file_bytes += end - start
            if self._file_bytes > MAX_BYTES_IN_MEMORY:
                self.spool_max_size = _TO_DISK_AT_ONCE
        super().on_part_data(data, start, end)


def _without_charset(content_type: str) -> str:
    """Return the content type with the boundary as its only parameter."""
    _, options = parse_options_header(content_type)
    if b"boundary" not in options:
        return "multipart/form-data"
    boundary = options[b"boundary"].decode("latin-1")
    escaped = boundary.replace("\\", "\\\\").replace('"', '\\"')
    return f'multipart/form-data; boundary="{escaped}"'
