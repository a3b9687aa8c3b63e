"""How much of a form is read into memory."""

from collections.abc import Sequence
from typing import Any, cast

import pytest
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from tests.support.event_loop import in_event_loop
from whisper_server.errors import InvalidRequest, TooLarge
from whisper_server.form_parser import MAX_BYTES_IN_MEMORY, MAX_FIELDS, MAX_TEXT_BYTES, FormParser

TYPE = "multipart/form-data; boundary=b"


def part(name: str, body: bytes, filename: str | None = None) -> bytes:
    file = "" if filename is None else f'; filename="{filename}"'
    head = f'--b\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
    return head.encode() + body + b"\r\n"


async def form(
    parts: Sequence[bytes], *, content_type: str = TYPE, max_files: int = 1_000
) -> FormData:
    pieces = [*parts, b"--b--\r\n"]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    headers = [(b"content-type", content_type.encode())]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
    return await FormParser(Request(scope, receive), max_files).read()


def is_in_memory(file: object) -> bool:
    return not cast(Any, file).file._rolled


@in_event_loop
async def test_texts_and_files_are_read() -> None:
    data = await form([part("prompt", "Grüße".encode()), part("file", b"RIFF", "ä.wav")])
    file = data["file"]
    assert data["prompt"] == "Grüße"
    assert isinstance(file, UploadFile)
    assert (file.filename, await file.read()) == ("ä.wav", b"RIFF")
    await data.close()


@pytest.mark.parametrize(
    "texts",
    [[b"x" * (MAX_TEXT_BYTES + 1)], [b"x" * (MAX_TEXT_BYTES // 10)] * 11],
    ids=["one", "several"],
)
@in_event_loop
async def test_more_text_than_fits_is_refused(texts: list[bytes]) -> None:
    with pytest.raises(TooLarge, match="4096 kB"):
        await form([part("prompt", text) for text in texts])


@in_event_loop
async def test_more_fields_or_files_than_any_client_sends_are_refused() -> None:
    assert len(await form([part("prompt", b"x")] * MAX_FIELDS)) == 1
    for parts in ([part("prompt", b"x")] * (MAX_FIELDS + 1), [part("file", b"x", "a")] * 3):
        with pytest.raises(InvalidRequest, match="Too many f"):
            await form(parts, max_files=2)


@in_event_loop
async def test_many_small_files_go_to_disk_as_one_large_one_does() -> None:
    size = MAX_BYTES_IN_MEMORY // 8
    data = await form([part("file", b"x" * size, str(number)) for number in range(20)])
    files = data.getlist("file")
    assert sum(map(is_in_memory, files)) <= 9  # the last of them crosses the bound
    assert not is_in_memory(files[-1])
    assert len(await cast(UploadFile, files[-1]).read()) == size
    await data.close()


@pytest.mark.parametrize("charset", ["punycode", "utf-16", "latin-1", "nonsense"])
@in_event_loop
async def test_a_charset_that_a_client_names_is_ignored(charset: str) -> None:
    data = await form([part("prompt", "Grüße".encode())], content_type=f"{TYPE}; charset={charset}")
    assert data["prompt"] == "Grüße"


@pytest.mark.parametrize("boundary", [r'"b\"\\;charset=x"', "charset"])
@in_event_loop
async def test_a_boundary_may_have_any_signs(boundary: str) -> None:
    plain = boundary.strip('"').replace('\\"', '"').replace("\\\\", "\\").encode()
    body = part("prompt", b"hello").replace(b"--b", b"--" + plain)
    content_type = f"multipart/form-data; boundary={boundary}"
    data = await form([body, b"--" + plain + b"--\r\n"], content_type=content_type)
    assert data["prompt"] == "hello"


@in_event_loop
async def test_a_form_without_a_boundary_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="boundary"):
        await form([], content_type="multipart/form-data")
