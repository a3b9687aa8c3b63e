"""A multipart form, parsed as it arrives: no more than one field is ever held in memory.

The form is RFC 7578's, with the names of files as browsers write them (HTML, "multipart/form-data
encoding algorithm"): UTF-8, with `"` and line ends as %22, %0D and %0A.
"""

from dataclasses import dataclass

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from stt.coordinator.errors import BadRequest, TooLarge

_MAX_FIELDS = 50
_MAX_FIELD_BYTES = 100_000
_ESCAPED = {"%22": '"', "%0D": "\r", "%0A": "\n"}


@dataclass(frozen=True, slots=True)
class Field:
    """A text field, whole."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class FileStart:
    """The data that follows belongs to this file."""

    filename: str


@dataclass(frozen=True, slots=True)
class FileEnd:
    """The file is whole."""


Event = Field | FileStart | bytes | FileEnd
"""What the form contains; bytes are the next data of a file."""


class MultipartStream:
    """Turns the body of a form, fed block by block, into events in the form's order.

    Raises BadRequest for what is no such form, TooLarge for too many or too large fields.
    """

    def __init__(self, content_type: str) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind.lower() != b"multipart/form-data" or not 1 <= len(boundary) <= 200:
            raise BadRequest("Send the recordings as multipart/form-data, a file in each part.")
        self.is_whole = False
        """True once the form's own end has come."""
        self._events: list[Event] = []
        self._header_name, self._header_value = b"", b""
        self._disposition = b""
        self._field_name: str | None = None  # None while in a file
        self._is_skipped = False
        self._value = bytearray()
        self._fields = 0
        self._parser = MultipartParser(
            boundary,
            {
                "on_header_field": self._on_header_name,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_part_start,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
            max_header_size=16_384,
        )

    def feed(self, block: bytes) -> list[Event]:
        try:
            self._parser.write(block)
        except MultipartParseError as error:
            raise BadRequest(f"The form cannot be read: {error}") from error
        events, self._events = self._events, []
        return events

    def _on_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_value
        self._header_name, self._header_value = b"", b""

    def _on_part_start(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._disposition = b""
        filename = options.get(b"filename")
        self._field_name, self._is_skipped = None, False
        if filename is None:
            self._field_name = _text(options.get(b"name", b""))
            self._value = bytearray()
            self._fields += 1
            if self._fields > _MAX_FIELDS:
                raise TooLarge(f"The form has more than {_MAX_FIELDS} fields.")
        elif not filename:  # an empty file input of a browser's form
            self._is_skipped = True
        else:
            name = _text(filename)
            for escaped, character in _ESCAPED.items():
                name = name.replace(escaped, character)
            self._events.append(FileStart(name))

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._field_name is not None:
            self._value += data[start:end]
            if len(self._value) > _MAX_FIELD_BYTES:
                raise TooLarge(f"A field of the form has more than {_MAX_FIELD_BYTES} bytes.")
        elif not self._is_skipped:
            self._events.append(data[start:end])

    def _on_part_end(self) -> None:
        if self._field_name is not None:
            self._events.append(Field(self._field_name, _text(bytes(self._value))))
        elif not self._is_skipped:
            self._events.append(FileEnd())

    def _on_end(self) -> None:
        self.is_whole = True


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
