import pytest

from stt.system.net import is_unprotected


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
