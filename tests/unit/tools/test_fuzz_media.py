"""The fuzzer finds what a file does, and some hundred damaged files do nothing of the kind."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.damage import tones
from tests.support.decoders import dying_decoders
from tests.support.dying_decoder import deadly
from tests.support.paths import ROOT
from tools.fuzz_lab.mutations import MAX_BYTES, MUTATIONS, mutated
from tools.fuzz_lab.reading import ending_of
from tools.fuzz_lab.seeds import FORMS, make_seeds

FILES = 400


@pytest.fixture(scope="module")
def seeds() -> dict[str, bytes]:
    return make_seeds()


def test_there_are_seeds_of_every_form(seeds: dict[str, bytes]) -> None:
    assert {name.partition(".")[2] for name in seeds} == set(FORMS)


def test_a_number_of_a_seed_is_always_the_same_file(seeds: dict[str, bytes]) -> None:
    for number in range(50):
        name, data = mutated(seeds, 5, number)
        assert mutated(make_seeds() if number == 0 else seeds, 5, number) == (name, data)
        assert len(data) <= MAX_BYTES
    assert mutated(seeds, 5, 1) != mutated(seeds, 6, 1)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: str(mutation.__name__))
def test_each_mutation_changes_a_file(mutation: object, seeds: dict[str, bytes]) -> None:
    assert callable(mutation)
    changed = 0
    for number in range(20):
        data = bytearray(seeds["mono.mp3"])
        mutation(data, random.Random(number), seeds)
        changed += data != seeds["mono.mp3"]
    assert changed > 10


def test_what_a_file_does_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    endings = {"SIGSEGV": "crash", "SIGKILL": "killed", "memory": "memory", "exit": "error"}
    with dying_decoders(monkeypatch):
        for kind, ending in endings.items():
            data = tones("wav") + deadly(kind)
            assert ending_of(data, random.Random(1))[0] == ending
        assert ending_of(tones("wav"), random.Random(1))[0] == "read"
        assert ending_of(b"no audio at all " * 99, random.Random(1))[0] == "refused"


def test_some_hundred_damaged_files_end_nothing(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "tools" / "fuzz_media.py"), "--files", str(FILES)]
    command += ["--seed", "12", "--minutes", "9", "--jobs", "2", "--save", str(tmp_path / "found")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{FILES} files in" in done.stdout
    assert "crashes of the parent: 0" in done.stdout
    assert not (tmp_path / "found").exists(), done.stdout
