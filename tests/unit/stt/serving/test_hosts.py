"""Under which names and addresses a server without a key is reached."""

import socket

import pytest

from stt.serving.hosts import AllowedHosts

LOOPBACK = ("localhost", "localhost:8081", "LOCALHOST", "localhost.", "whisper.localhost:1",
            "127.0.0.1:8081", "127.1.2.3", "[::1]:8081", "[::1]")  # fmt: skip
ADDRESSES = ("192.168.1.5:8081", "10.0.0.1", "8.8.8.8", "[fd00::5]:8081", "0.0.0.0:8081")
OTHERS = (
    "evil.example", "evil.example:8081", "127.0.0.1.evil.example", "localhost.evil.example",
    "notlocalhost", "127.1", "2130706433", "0x7f000001", "", ":8081", "[::1", "::1]", "localhost:x",
    "localhost, evil.example", "user@localhost", "localhost/", "[localhost].evil.example", "a..b",
)  # fmt: skip


@pytest.fixture(autouse=True)
def own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Gpu-Box.lab.example")


@pytest.mark.parametrize("listens_on", ["127.0.0.1", "localhost", "::1"])
def test_on_loopback_nothing_else_is_allowed(listens_on: str) -> None:
    hosts = AllowedHosts(listens_on)
    assert [host for host in LOOPBACK if not hosts.is_allowed(host)] == []
    others = (*ADDRESSES, *OTHERS, "gpu-box")
    assert [host for host in others if hosts.is_allowed(host)] == []


@pytest.mark.parametrize("listens_on", ["0.0.0.0", "::", "192.168.1.5", "gpu-box"])
def test_on_a_network_addresses_and_the_machines_own_name_are_allowed_too(listens_on: str) -> None:
    hosts = AllowedHosts(listens_on)
    own = ("gpu-box:8081", "GPU-BOX", "gpu-box.lab.example", "gpu-box.local:8081")
    allowed = (*LOOPBACK, *ADDRESSES, *own)
    assert [host for host in allowed if not hosts.is_allowed(host)] == []
    others = (*OTHERS, "gpu-box.evil.example", "box.lab.example", "lab.example")
    assert [host for host in others if hosts.is_allowed(host)] == []


def test_names_may_be_added_one_by_one_by_domain_or_all() -> None:
    hosts = AllowedHosts("127.0.0.1", ["Whisper", "*.example.org"])
    for host in ("whisper:8081", "WHISPER", "a.example.org", "a.b.example.org:443"):
        assert hosts.is_allowed(host), host
    for host in ("example.org", "whisper.evil.example", "aexample.org", "example.org.evil.example"):
        assert not hosts.is_allowed(host), host
    assert AllowedHosts("127.0.0.1", ["*"]).is_allowed("anything.example")


def test_a_program_that_speaks_http_1_0_sends_no_host() -> None:
    assert AllowedHosts("127.0.0.1").is_allowed(None)
