"""The hardware of this machine, as the system describes it."""

from pathlib import Path

import pytest

from whisper_server import hardware
from whisper_server.hardware import Card, cards, parse_cards, parse_quota, usable_cores


def test_each_card_is_known_by_its_number_name_and_memory() -> None:
    answer = "NVIDIA GeForce RTX 4090, 24564, 1024\nNVIDIA A100, 80GB, 81920, 0\n"
    mib = 1024 * 1024
    assert parse_cards(answer) == (
        Card(0, "NVIDIA GeForce RTX 4090", 24564 * mib, 1024 * mib),
        Card(1, "NVIDIA A100, 80GB", 81920 * mib, 0),
    )


@pytest.mark.parametrize(
    "answer", ["", "[N/A]\n", "GB10, [N/A], [N/A]\n", "no, such\n", "a, 1, 2, x"]
)
def test_an_unreadable_answer_of_the_cards_is_no_answer(answer: str) -> None:
    assert parse_cards(answer) == ()


def test_a_container_that_may_use_a_share_of_the_cores_counts_only_that(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    unlimited = usable_cores()
    monkeypatch.setattr(hardware, "_CPU_QUOTA", tmp_path / "cpu.max")
    assert usable_cores() >= unlimited >= 1
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    assert usable_cores() == 1


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("250000 100000\n", 2),
        ("50000 100000", 1),
        ("max 100000\n", None),
        ("", None),
        ("1 0", None),
    ],
)
def test_a_share_of_the_cores_is_whole_cores(text: str, cores: int | None) -> None:
    assert parse_quota(text) == cores


def test_a_machine_without_nvidia_smi_has_no_cards(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cards() == ()


def test_only_the_cards_that_this_process_may_use_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text('#!/bin/sh\ntest "$3" = --id=1 && echo "RTX, 8, 1"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert [card.name for card in cards()] == ["RTX"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert cards() == ()
