"""Starts Firefox, and answers for it what Playwright asks and it does not know yet.

Playwright sets the colours of each page with a command of WebDriver BiDi that Firefox 153 lacks.
Firefox prints where it listens; the relay listens elsewhere, prints that in its place, and passes
on all else.

`python -m tests.support.bidi_relay PROGRAM ARGUMENT…`
"""

import asyncio
import json
import signal
import sys

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve

_LISTENING = "WebDriver BiDi listening on "
_NOT_KNOWN = "emulation.setMediaFeaturesOverride"


async def run(program: str, *arguments: str) -> int:
    """Return Firefox's exit code."""
    loop = asyncio.get_running_loop()
    firefox = await asyncio.create_subprocess_exec(
        program, *arguments, stderr=asyncio.subprocess.PIPE
    )
    loop.add_signal_handler(signal.SIGTERM, firefox.terminate)
    address: asyncio.Future[str] = loop.create_future()

    async def accept(playwright: ServerConnection) -> None:
        async with connect(f"{await address}/session", max_size=None) as browser:
            await asyncio.gather(_answer(playwright, browser), _pass_on(browser, playwright))

    async with serve(accept, "127.0.0.1", 0, max_size=None) as server:
        port = server.sockets[0].getsockname()[1]
        assert firefox.stderr is not None
        async for line in firefox.stderr:
            said = line.decode(errors="replace")
            if said.startswith(_LISTENING):
                address.set_result(said.removeprefix(_LISTENING).strip())
                said = f"{_LISTENING}ws://127.0.0.1:{port}\n"
            sys.stderr.write(said)
            sys.stderr.flush()
        return await firefox.wait()


async def _answer(playwright: ServerConnection, browser: ClientConnection) -> None:
    async for message in playwright:
        asked = json.loads(message)
        if asked["method"] == _NOT_KNOWN:
            answer = {"type": "success", "id": asked["id"], "result": {}}
            await playwright.send(json.dumps(answer))
        else:
            await browser.send(message)
    await browser.close()


async def _pass_on(browser: ClientConnection, playwright: ServerConnection) -> None:
    async for message in browser:
        await playwright.send(message)
    await playwright.close()


if __name__ == "__main__":
    sys.exit(asyncio.run(run(*sys.argv[1:])))
