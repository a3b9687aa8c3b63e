"""A real S3 server over HTTP, moto's, as a process; and the environment that leads to it."""

import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import boto3
import pytest
import requests
from botocore.awsrequest import AWSResponse

from stt.store import object_store
from tests.support.mongo_process import free_port

BUCKET = "audio"
STORE = f"s3://{BUCKET}/stt"


class S3Server:
    """It forgets all objects when it ends; `environment` is what a process needs to reach it."""

    def __init__(self) -> None:
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.environment = {
            "AWS_ENDPOINT_URL_S3": self.url, "AWS_ACCESS_KEY_ID": "stt",
            "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1"]
        self._process = subprocess.Popen(
            [*command, "-p", str(self._port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 180
        while not self._is_listening():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the S3 server did not start")
            time.sleep(0.02)
        self.client.create_bucket(Bucket=BUCKET)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Take connections and answer nothing, until `resume()`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def check_keys(self) -> None:
        """Refuse keys that no user has, which is all of them, until `take_keys()` or `forget()`."""
        self._take_requests(0)

    def take_keys(self) -> None:
        """Take any keys again."""
        self._take_requests(10**9)

    def forget(self) -> None:
        """Remove everything, and take any keys again."""
        self.take_keys()
        requests.post(f"{self.url}/moto-api/reset", timeout=60).raise_for_status()
        self.client.create_bucket(Bucket=BUCKET)

    @property
    def client(self) -> Any:
        keys = {"aws_access_key_id": "stt", "aws_secret_access_key": "secret"}
        return boto3.session.Session(region_name="us-east-1").client(
            "s3", endpoint_url=self.url, **keys
        )

    def stored(self) -> list[str]:
        found = self.client.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return [entry["Key"] for entry in found]

    def _take_requests(self, count: int) -> None:
        """Take so many requests with any keys."""
        url = f"{self.url}/moto-api/reset-auth"
        requests.post(url, data=str(count), timeout=60).raise_for_status()

    def _is_listening(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0


@contextlib.contextmanager
def running_s3() -> Iterator[S3Server]:
    server = S3Server()
    server.start()
    try:
        yield server
    finally:
        server.stop()


def use(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process reach the server as a command would, and no other settings of AWS count."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)


def fail_on(monkeypatch: pytest.MonkeyPatch, key: str, status: int, code: str) -> list[str]:
    """Answer reads of one object so in this process; the keys of all reads are in the list."""
    asked: list[str] = []

    def answer(request: Any, **_: object) -> AWSResponse | None:
        asked.append(unquote(urlsplit(request.url).path).removeprefix(f"/{BUCKET}/"))
        if asked[-1] != key:
            return None
        text = f"<Error><Code>{code}</Code><Message>.</Message></Error>".encode()
        return AWSResponse(request.url, status, {}, _Body(text))

    made = object_store._new_client

    def make() -> Any:
        client = made()
        client.meta.events.register("before-send.s3.GetObject", answer)
        return client

    monkeypatch.setattr(object_store, "_new_client", make)
    return asked


class _Body(io.BytesIO):
    """The body of an answer in the form that botocore reads."""

    def stream(self, **_: object) -> Iterator[bytes]:
        yield self.getvalue()
