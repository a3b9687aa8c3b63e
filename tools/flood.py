"""Floods a server of this machine with connections that say nothing, or next to nothing.

    python tools/flood.py http://127.0.0.1:8000 --idle 1500 --trickling 200 --log coordinator.log
    python tools/flood.py http://127.0.0.1:8081 --post /v1/audio/transcriptions

Keeps so many connections open for `--seconds`, and opens those that the server closes once more, at
most a thousand a second: idle ones send nothing, trickling ones a byte a second, half of them of a
request's head, half of a body.
Meanwhile `/health` is timed, on a new connection for each call, and the growth of `--log` measured.

Only addresses of this machine are flooded. Run the server under `ulimit -n 1024` to see it at its
limit.

Exit codes: 0 every /health was answered, p99 and log within their bounds; 1 not so; 2 wrong usage.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import urlsplit

if __name__ == "__main__":  # run as a script: its own folder is on the path, and not the project's
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from stt.system.net import is_loopback
from tools.bench_lab.health import HealthWatch

KINDS = ("idle", "head", "body")
MAX_CONNECTIONS = 20_000
MAX_SECONDS = 3_600.0
_REFILLS_A_SECOND = 10
_BODY_BYTES = 60_000
_REFILL = 100


@dataclass(frozen=True, slots=True)
class Plan:
    """How many connections of each kind to keep open at a server, and for how long."""

    host: str
    port: int
    idle: int
    trickling: int
    seconds: float
    post: str = "/login"

    def count_of(self, kind: str) -> int:
        bodies = self.trickling // 2
        return {"idle": self.idle, "head": self.trickling - bodies, "body": bodies}[kind]

    def beginning_of(self, kind: str) -> bytes:
        """Return what a connection sends as soon as it is open."""
        host = f"Host: {self.host}:{self.port}\r\n".encode()
        if kind == "head":
            return b"GET /health HTTP/1.1\r\n" + host + b"X-Slow: "
        if kind == "body":
            form = (
                "multipart/form-data; boundary=x" if self.post != "/login" else "application/json"
            )
            return (
                f"POST {self.post} HTTP/1.1\r\nContent-Type: {form}\r\n"
                f"Content-Length: {_BODY_BYTES}\r\n"
            ).encode() + host + b"\r\n"  # fmt: skip
        return b""


@contextlib.contextmanager
def flooding(plan: Plan) -> Iterator[Counter[str]]:
    """Flood inside the `with` block; at its end the counter says what became of the connections.

    In a process of its own, so that what is measured here is the server.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(plan, theirs), daemon=True)
    counts: Counter[str] = Counter()
    process.start()
    try:
        ours.recv()  # all are open
        yield counts
    finally:
        with contextlib.suppress(OSError, EOFError):
            ours.send("stop")
            counts.update(ours.recv())
        process.join(10)
        process.kill()


def _run(plan: Plan, pipe: Connection) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(_Flood(plan, pipe).run())


class _Flood:
    """Keeps the plan's connections open until its end, or a word on the pipe."""

    def __init__(self, plan: Plan, pipe: Connection) -> None:
        self._plan = plan
        self._pipe = pipe
        self._open: dict[str, set[asyncio.BaseTransport]] = {kind: set() for kind in KINDS}
        self._counts: Counter[str] = Counter()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + self._plan.seconds
        for _ in range(0, self._plan.idle + self._plan.trickling, _REFILL):
            await self._fill()
        self._pipe.send("open")
        rounds = 0
        while loop.time() < ends_at and not self._pipe.poll():
            await asyncio.sleep(1 / _REFILLS_A_SECOND)
            rounds += 1
            if rounds % _REFILLS_A_SECOND == 0:
                self._trickle()
            await self._fill()
        for kind in KINDS:
            self._counts[f"{kind} open at the end"] = len(self._open[kind])
        with contextlib.suppress(OSError):
            self._pipe.send(dict(self._counts))

    def _missing(self) -> Iterator[str]:
        for kind in reversed(KINDS):  # those that may stay first
            yield from [kind] * (self._plan.count_of(kind) - len(self._open[kind]))

    async def _fill(self) -> None:
        await asyncio.gather(*map(self._connect, islice(self._missing(), _REFILL)))

    async def _connect(self, kind: str) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(5):
                await loop.create_connection(
                    lambda: _Flooding(self._open[kind], self._counts, kind, self._plan),
                    self._plan.host,
                    self._plan.port,
                )
        except (OSError, TimeoutError):
            self._counts[f"{kind} not opened"] += 1

    def _trickle(self) -> None:
        for kind in ("head", "body"):
            for transport in list(self._open[kind]):
                assert isinstance(transport, asyncio.WriteTransport)
                transport.write(b"x")


class _Flooding(asyncio.Protocol):
    """One connection of the flood."""

    def __init__(
        self, open_: set[asyncio.BaseTransport], counts: Counter[str], kind: str, plan: Plan
    ) -> None:
        self._open = open_
        self._counts = counts
        self._kind = kind
        self._plan = plan
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._open.add(transport)
        self._counts[f"{self._kind} opened"] += 1
        transport.write(self._plan.beginning_of(self._kind))

    def connection_lost(self, _: Exception | None) -> None:
        if self._transport is not None:
            self._open.discard(self._transport)
        self._counts[f"{self._kind} closed by the server"] += 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code."""
    options = _parser().parse_args(arguments)
    log_before = _size_of(options.log)
    watch = HealthWatch(options.url, keeps_connection=False)
    with flooding(options.plan) as counts, watch:
        time.sleep(options.plan.seconds)
    p99 = watch.latency_ms(0.99)
    found = {
        "health": watch.figures(),
        "log_bytes": _size_of(options.log) - log_before,
        "connections": dict(sorted(counts.items())),
    }
    print(json.dumps(found, indent=2))
    is_fast = p99 is not None and p99 <= options.max_p99
    is_well = is_fast and not watch.failed and found["log_bytes"] <= options.max_log
    return 0 if is_well else 1


def _size_of(log: Path | None) -> int:
    return log.stat().st_size if log is not None and log.exists() else 0


def _parser() -> "_Parser":
    parser = _Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="the server's, on this machine")
    parser.add_argument("--idle", type=int, default=1_500, metavar="N", help="default: 1500")
    parser.add_argument("--trickling", type=int, default=200, metavar="N", help="default: 200")
    parser.add_argument("--seconds", type=float, default=30.0, help="default: 30")
    parser.add_argument(
        "--post", default="/login", metavar="PATH", help="where bodies go; default: /login"
    )
    parser.add_argument("--log", type=Path, metavar="FILE", help="the server's log")
    parser.add_argument("--max-p99", type=float, default=100.0, metavar="MS", help="default: 100")
    parser.add_argument(
        "--max-log", type=int, default=100_000, metavar="BYTES", help="default: 100000"
    )
    return parser


class _Parser(argparse.ArgumentParser):
    def parse_args(  # type: ignore[override]
        self, arguments: Sequence[str] | None = None
    ) -> argparse.Namespace:
        options = super().parse_args(arguments)
        parts = urlsplit(options.url)
        if parts.scheme != "http" or not is_loopback(options.url) or parts.port is None:
            self.error("the URL must be one of this machine, such as http://127.0.0.1:8000")
        if not 0 <= options.idle + options.trickling <= MAX_CONNECTIONS or options.trickling < 0:
            self.error(f"at most {MAX_CONNECTIONS} connections")
        if not 0 < options.seconds <= MAX_SECONDS:
            self.error(f"--seconds must be above 0 and at most {MAX_SECONDS:g}")
        options.url = options.url.rstrip("/")
        options.plan = Plan(
            parts.hostname or "", parts.port, options.idle, options.trickling, options.seconds,
            options.post,
        )  # fmt: skip
        return options


if __name__ == "__main__":
    sys.exit(main())
