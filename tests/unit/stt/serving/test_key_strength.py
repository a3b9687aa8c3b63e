"""Which keys of people are refused."""

import random
from base64 import urlsafe_b64encode

import pytest

from stt.serving.key_strength import weakness_of


@pytest.mark.parametrize("key", ["", "x", "hush-hush", "0a1b2c3d4e5f6a7"])
def test_a_short_key_is_weak(key: str) -> None:
    assert "at least 16 characters" in (weakness_of(key) or "")


@pytest.mark.parametrize(
    "key",
    [
        "passwordpassword", "Password12345678", "change-me-please-1234", "changemechangeme",
        "super-secret-api-key", "your-secret-key-here", "aaaaaaaaaaaaaaaa", "abababababababab",
        "1234567890123456", "0123456789abcdef", "abcdefghijklmnop", "9876543210987654",
        "my-whisper-server-key", "qwertyuiop123456", "----------------", " " * 20,
        "correct horse battery staple", "the-STT_API_KEY-secret",
    ],
)  # fmt: skip
def test_what_is_guessed_first_is_weak(key: str) -> None:
    assert "guessed first" in (weakness_of(key) or "")


@pytest.mark.parametrize(
    "key",
    [
        "open-sesame-for-people", "hunter2-coordinator", "ein-gehëimer-schlüssel",
        "d41d8cd98f00b204e9800998ecf8427e", "kdZ8-m4nq-Wv0p-72xt",
    ],
)  # fmt: skip
def test_other_keys_are_taken(key: str) -> None:
    assert weakness_of(key) is None


def test_random_keys_are_taken() -> None:
    digits = random.Random(12)  # a few of all keys of 16 hex digits have but four different ones
    for _ in range(1_000):
        for key in (digits.randbytes(8).hex(), urlsafe_b64encode(digits.randbytes(16)).decode()):
            assert weakness_of(key) is None
