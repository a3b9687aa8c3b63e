"""`stt doctor`: what is printed, and the exit code."""

import json
from collections.abc import Iterator, Mapping

import pytest

from stt.doctor.checks import Finding
from tests.unit.stt.cli.conftest import Run

OK = Finding("versions", "ok", "stt 1.0")
WARNING = Finding("disk", "warning", "1.0 GB free for \u202euploads", "Make room.")
PROBLEM = Finding("whisper server", "problem", "http://gpu does not answer", "Is it up?", 5)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    """What the checks find; and the flags that they got, at the end."""
    findings: list[Finding] = []

    def diagnose(flags: Mapping[str, object], limit_seconds: float) -> Iterator[Finding]:
        yield from findings
        yield Finding("flags", "ok", f"{dict(flags)} {limit_seconds:g}")

    monkeypatch.setattr("stt.doctor.diagnosis.diagnose", diagnose)
    return findings


def test_each_finding_is_a_line_and_advice_another(stt: Run, found: list[Finding]) -> None:
    found += [OK, WARNING, PROBLEM]
    assert stt("doctor") == 5
    lines = stt.out.splitlines()
    assert lines[0].split() == ["ok", "versions", "stt", "1.0"]
    assert lines[1].split(maxsplit=2) == ["warning", "disk", "1.0 GB free for  uploads"]
    assert lines[2].strip() == "→ Make room."
    assert lines[-1] == "1 problem, 1 warning."


def test_warnings_alone_are_no_failure(stt: Run, found: list[Finding]) -> None:
    found += [OK, WARNING]
    assert stt("doctor") == 0
    assert stt.out.splitlines()[-1] == "1 warning."
    found.clear()
    assert stt("doctor") == 0
    assert stt.out.splitlines()[-1] == "All is well."


def test_json_has_every_finding_and_the_exit_code(stt: Run, found: list[Finding]) -> None:
    found += [WARNING, PROBLEM]
    assert stt("doctor", "--json") == 5
    result = json.loads(stt.out)
    assert (result["is_ok"], result["exit_code"]) == (False, 5)
    assert result["checks"][1] == {
        "check": "whisper server", "state": "problem", "message": "http://gpu does not answer",
        "advice": "Is it up?", "exit_code": 5,
    }  # fmt: skip


def test_flags_reach_the_checks_unread(stt: Run, found: list[Finding]) -> None:
    assert stt("--database", "x", "doctor", "--server", "no url", "--timeout", "3") == 0
    assert "'database_name': 'x'" in stt.out
    assert "'server_urls': ('no url',)" in stt.out
    assert stt.out.splitlines()[-2].endswith("3")


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "601"])
def test_a_time_that_is_none_is_refused(stt: Run, found: list[Finding], seconds: str) -> None:
    assert stt("doctor", "--timeout", seconds) == 2
