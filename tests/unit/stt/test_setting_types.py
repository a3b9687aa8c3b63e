"""The types of settings: what they accept, how they store it, and what they refuse."""

from typing import Any

import pytest
from pydantic import SecretStr, TypeAdapter, ValidationError

from stt.setting_types import (
    CoordinatorKey,
    Duration,
    Key,
    LanguageName,
    ModelName,
    Proxies,
    PublicUrl,
    S3Place,
    S3Places,
    ServerUrls,
)


def checked(kind: Any, value: str) -> Any:
    return TypeAdapter(kind).validate_python(value)


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (ServerUrls, "http://a:1/, https://b/v2 ,", ("http://a:1", "https://b/v2")),
        (ServerUrls, "", ()),
        (PublicUrl, " https://stt.example/ ", "https://stt.example"),
        (Proxies, "10.0.0.0/8, ::1", "10.0.0.0/8, ::1"),
        (Duration, "30d", 30 * 86_400.0),
        (Duration, " 1.5H", 5_400.0),
        (S3Place, "s3://audio/stt/", "s3://audio/stt"),
        (S3Places, "s3://audio, s3://other/x ,", ("s3://audio", "s3://other/x")),
        (LanguageName, "pt-BR", "pt-BR"),
        (ModelName, "Systran/faster-whisper-large-v3", "Systran/faster-whisper-large-v3"),
    ],
)
def test_good_values(kind: Any, text: str, expected: object) -> None:
    assert checked(kind, text) == expected


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (ServerUrls, "gpu-box:8081"),
        (ServerUrls, "http://a:1,ftp://b"),
        (ServerUrls, "http://me:secret@a:1"),
        (ServerUrls, "http://a:1?key=secret"),
        (ServerUrls, "http://a:1#secret"),
        (PublicUrl, "https://stt.example/app"),
        (Proxies, "10.0.0.0/8,proxy.example"),
        (Duration, "30"),
        (Duration, "0s"),
        (Duration, "3651d"),
        (Duration, "1w"),
        (S3Place, "https://audio/stt"),
        (S3Places, "s3://audio,audio"),
        (LanguageName, "1"),
        (LanguageName, "en!"),
        (ModelName, "large v3"),
        (ModelName, "x" * 201),
        (Key, "key with an é"),
        (Key, "two\nlines"),
        (CoordinatorKey, "x" * 15),
    ],
)
def test_bad_values(kind: Any, text: str) -> None:
    with pytest.raises(ValidationError):
        checked(kind, text)


def test_a_key_is_stripped_and_an_empty_one_is_none() -> None:
    key = checked(Key, " 0123456789abcdef\n")
    assert isinstance(key, SecretStr)
    assert key.get_secret_value() == "0123456789abcdef"
    assert checked(Key, " ") is None
    assert checked(CoordinatorKey, "") is None
