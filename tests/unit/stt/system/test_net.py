import pytest

from stt.system.net import is_address, is_loopback, is_loopback_host, is_unprotected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True), ("hub.localhost", True), ("127.0.0.1", True), ("127.8.9.1", True),
        ("127.evil.example", False), ("127.0.0.1.evil.example", False), ("10.0.0.1", False),
        ("localhost.evil.example", False), ("hub", False),
    ],
)  # fmt: skip
def test_a_name_that_only_begins_like_loopback_is_not_this_machine(
    host: str, expected: bool
) -> None:
    assert is_loopback_host(host) is expected
    assert is_loopback(f"http://{host}:8000/x") is expected
    assert is_loopback("http://[::1]:8000")


def test_an_address_is_no_name() -> None:
    assert is_address("fd00::5")
    assert not is_address("5.example")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://stt.example.org", False),
        ("http://localhost:8000", False),
        ("http://127.0.0.1:8000", False),
        ("http://[::1]:8000", False),
        ("http://192.168.1.4:8000", False),
        ("http://100.101.102.103:8000", False),  # Tailscale, which encrypts
        ("http://box:8000", False),
        ("http://box.local", False),
        ("http://stt.example.org", True),
        ("http://8.8.8.8", True),
        ("http://[2001:4860:4860::8888]", True),
    ],
)
def test_a_public_network_without_tls_is_recognised(url: str, expected: bool) -> None:
    assert is_unprotected(url) is expected
