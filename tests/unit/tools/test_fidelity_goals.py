"""The goals of the harness: what is measured, and the exit code that follows."""

import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from stt.media.audio import SAMPLE_RATE
from tools import bench_fidelity
from tools.fidelity_lab import report
from tools.fidelity_lab.contestants import ORACLE, SERVER
from tools.fidelity_lab.goals import judged
from tools.fidelity_lab.measures import Segment, measure
from tools.fidelity_lab.results import Results
from tools.fidelity_lab.tape import NO_SPEECH, PLAIN, SWITCHING, SpeechSet, Spoken

TEXTS = ("Please enter your number.", "Marque el código de la ciudad.")
SILENCE = np.zeros(8 * SAMPLE_RATE, np.int16)
SPOKEN = (Spoken(0.0, 3.0, "en", TEXTS[0]), Spoken(4.0, 8.0, "es", TEXTS[1]))
SETS = [
    SpeechSet("plain en", PLAIN, SILENCE, SPOKEN[:1]),
    SpeechSet("switching en-es", SWITCHING, SILENCE, SPOKEN),
    SpeechSet("silence", NO_SPEECH, SILENCE),
]
RIGHT = (Segment(0.0, 3.0, TEXTS[0]), Segment(4.0, 8.0, TEXTS[1]))
HALF = (RIGHT[0], Segment(4.0, 8.0, "Dial the city code."))


def results(**by_name: dict[str, tuple[Segment, ...]]) -> Results:
    """By contestant (dashes as `_`) and the first word of a set's name."""
    found = Results("test", 1.0, SETS)
    for who, transcripts in by_name.items():
        for one in SETS:
            if (segments := transcripts.get(one.name.split()[0])) is not None:
                name = who.replace("_", "-")
                found.segments.setdefault(name, {})[one.name] = segments
                found.measured.setdefault(name, {})[one.name] = measure(one, segments)
                found.seconds[name] = 1.0
    return found


def verdicts(found: Results) -> dict[str, bool]:
    return {verdict.goal.text: verdict.is_met for verdict in judged(found)}


def test_what_meets_every_goal_passes_and_exits_with_0() -> None:
    right = {"plain": RIGHT[:1], "switching": RIGHT, "silence": ()}
    found = results(
        server=right,
        fleet=right,
        oracle={"switching": RIGHT},
        fw_sequential={"plain": RIGHT[:1]},
        fw_batched={"plain": ()},
        fw_multilingual={"switching": HALF},
    )
    met = verdicts(found)
    assert set(met.values()) == {True}
    assert {
        "fleet − server, en",
        "server − the better of faster-whisper, en",
        "server − oracle, switching",
        "server : multilingual=True, switching",
        "server: longest speech without text, switching",
        "fleet: phantom words where nothing is said",
        "server: error of cue ends, median",
        "|fleet − server|, switching",
    } <= met.keys()
    assert bench_fidelity._show(found, None, Console(quiet=True)) == 0


def test_each_goal_is_missed_by_what_it_is_about(tmp_path: Path) -> None:
    found = results(
        server={"plain": RIGHT[:1], "switching": RIGHT[:1], "silence": (Segment(0, 1, "you"),)},
        fleet={"plain": (Segment(0.0, 4.0, "Please number."),)},
        oracle={"switching": RIGHT},
        fw_multilingual={"switching": HALF},
    )
    missed = {text for text, is_met in verdicts(found).items() if not is_met}
    assert missed == {
        "fleet − server, en",
        "server − oracle, switching",
        "server : multilingual=True, switching",
        "server: longest speech without text, switching",
        "server: phantom words where nothing is said",
        "fleet: error of cue ends, median",
        "fleet: error of cue ends, 95th percentile",
    }
    file = tmp_path / "found.json"
    assert bench_fidelity._show(found, file, Console(quiet=True)) == 1
    goals = json.loads(file.read_text())["goals"]
    assert {goal["text"] for goal in goals if not goal["is_met"]} == missed


def test_fleets_that_differ_by_their_number_of_workers_are_compared() -> None:
    english = tuple(Segment(one.start, one.end, one.text, "en") for one in RIGHT)
    spanish = (english[0], Segment(4.0, 8.0, TEXTS[1], "es"))
    found = results(fleet={"switching": spanish}, **{"fleet@4": {"switching": english}})
    met = verdicts(found)
    assert met["|fleet@4 − fleet|, switching"] is True
    assert met["fleet@4: prompts in another language than fleet's, switching"] is False


def test_a_goal_that_the_run_says_nothing_about_is_not_judged() -> None:
    assert verdicts(results(fw_sequential={"plain": RIGHT[:1]})) == {}


def test_intervals_hold_the_value_and_are_the_same_each_time() -> None:
    found = results(server={"switching": HALF}, oracle={"switching": RIGHT})
    estimate = found.difference(SERVER, ORACLE, {"switching en-es"})
    assert estimate is not None
    assert estimate.low <= estimate.value <= estimate.high
    assert estimate.value == pytest.approx(100 * found.every(SERVER)[0].wrong / 10)
    assert found.difference(SERVER, ORACLE, {"switching en-es"}) == estimate


def test_the_tables_have_a_column_or_line_for_each_contestant() -> None:
    found = results(server={"plain": RIGHT[:1]}, oracle={"switching": HALF})
    wrong, kinds, others = report.tables(found)
    assert wrong.header == ("", SERVER, ORACLE)
    assert wrong.rows[0] == ("plain en", "0.0", "-")
    assert [row[0] for row in kinds.rows] == [f"{SERVER}, one language", f"{ORACLE}, switching"]
    assert [row[0] for row in others.rows] == [SERVER, ORACLE]


def test_sets_without_speech_have_no_table_of_words() -> None:
    (others,) = report.tables(Results("test", 1.0, SETS[2:], {SERVER: {}}, seconds={SERVER: 1.0}))
    assert others.rows == ((SERVER, "-", "0", "0 / 0.0 s", "-", "1 s"),)


def test_each_mistake_has_a_line_with_its_place_and_time() -> None:
    found = results(
        server={
            "plain": (Segment(0.0, 3.0, "Enter a number."),),
            "silence": (Segment(0, 1, "you"),),
        }
    )
    assert list(report.mistakes(found)) == [
        "server, plain en, 0.0 s: please → -",
        "server, plain en, 1.6 s: your → a",
        "server, silence, phantom words: you",
    ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--only", "other"], "no contestant 'other': some of fw-sequential,"),
        (["--languages", "en,xx"], "no speech in 'xx': some of en, es"),
        (["--minutes", "0"], "more than 0"),
        (["--workers", "0"], "each between 1 and 64"),
        (["--model", "nothing-like-it"], "No model 'nothing-like-it'"),
        (["--server-option", "streams"], "is not NAME=VALUE"),
    ],
)
def test_wrong_usage_is_said_before_any_work(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        bench_fidelity.main(arguments)
    assert ended.value.code == 2
    assert says in capsys.readouterr().err
