"""Refuse keys that people would guess."""

import re

MIN_KEY_LENGTH = 16
"""Characters of a key that a person sets: a shorter one could be tried out."""

_MIN_SIGNS = 5
_USUAL = (
    "passphrase", "password", "passwort", "passwd", "changeme", "change", "letmein", "welcome",
    "qwertyuiop", "qwerty", "qwertz", "asdfghjkl", "asdf", "correcthorsebatterystaple", "iloveyou",
    "administrator", "admin", "root", "user", "default", "example", "sample", "testing", "test",
    "dummy", "placeholder", "replace", "insert", "please", "secret", "geheim", "super", "secure",
    "private", "random", "string", "long", "value", "here", "apikey", "bearer", "token", "key",
    "api", "whisper", "coordinator", "server", "stt", "your", "this", "with", "the", "my", "me",
)  # fmt: skip
"""What keys of samples and lists of passwords are made of, longer words first."""
_DIGITS, _LETTERS = "0123456789", "abcdefghijklmnopqrstuvwxyz"
_RUNS = (_DIGITS * 10, _LETTERS * 4, _DIGITS + _LETTERS)
_USUAL_WORD = re.compile("|".join(_USUAL))


def weakness_of(key: str) -> str | None:
    """Return why this key could be guessed, None if it could not."""
    if len(key) < MIN_KEY_LENGTH:
        return f"at least {MIN_KEY_LENGTH} characters, or it could be guessed"
    rest = _USUAL_WORD.sub("", re.sub(r"[\W_]", "", key.lower()))
    if len(set(rest)) < _MIN_SIGNS or _is_run(rest):
        return "usual words, repetitions and runs such as 1234 are guessed first"
    return None


def _is_run(text: str) -> bool:
    """Return whether each sign follows the one before it, as in 0123456789abcdef."""
    return any(text in run or text in run[::-1] for run in _RUNS)
