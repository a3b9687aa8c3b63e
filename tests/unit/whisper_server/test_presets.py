"""Which model suits which machine."""

import pytest

from whisper_server.hardware import parse_card_bytes, usable_cores
from whisper_server.presets import Machine, plan_engine
from whisper_server.settings import Settings

GIB = 1024**3


@pytest.fixture(autouse=True)
def no_settings_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WHISPER_MODEL", "MODEL_NAME", "WHISPER_DEVICE", "WHISPER_COMPUTE_TYPE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("WORKER_COUNT", "CPU_THREADS"):
        monkeypatch.delenv(name, raising=False)


def settings(**variables: object) -> Settings:
    return Settings(_env_file=None, **variables)  # type: ignore[call-arg, arg-type]


def test_a_card_with_eight_gigabytes_gets_the_large_turbo_model() -> None:
    plan = plan_engine(settings(), Machine(16, cuda_devices=1, cuda_memory_bytes=8 * GIB))
    assert (plan.model, plan.device, plan.compute_type) == ("large-v3-turbo", "cuda", "float16")


def test_a_card_sold_as_eight_gigabytes_counts_as_such() -> None:
    card = parse_card_bytes("8188\n24564\n")
    plan = plan_engine(settings(), Machine(16, cuda_devices=2, cuda_memory_bytes=card))
    assert plan.model == "large-v3-turbo"


@pytest.mark.parametrize("memory", [6 * GIB, None])
def test_a_small_or_silent_card_gets_the_medium_model(memory: int | None) -> None:
    plan = plan_engine(settings(), Machine(16, cuda_devices=1, cuda_memory_bytes=memory))
    assert (plan.model, plan.device, plan.compute_type) == ("medium", "cuda", "int8")


def test_a_machine_without_a_card_gets_the_base_model() -> None:
    plan = plan_engine(settings(), Machine(cores=8))
    assert (plan.model, plan.device, plan.compute_type) == ("base", "cpu", "int8")


@pytest.mark.parametrize(
    ("cores", "workers", "threads"), [(1, 1, 1), (2, 2, 1), (8, 4, 2), (16, 4, 4)]
)
def test_cores_are_shared_out_among_the_workers(cores: int, workers: int, threads: int) -> None:
    plan = plan_engine(settings(), Machine(cores))
    assert (plan.worker_count, plan.threads_per_worker) == (workers, threads)


def test_the_demo_model_stays_on_the_cpu_unless_told_otherwise() -> None:
    machine = Machine(8, cuda_devices=1, cuda_memory_bytes=24 * GIB)
    assert plan_engine(settings(WHISPER_MODEL="demo"), machine).device == "cpu"
    chosen = plan_engine(settings(WHISPER_MODEL="demo", WHISPER_DEVICE="cuda"), machine)
    assert chosen.device == "cuda"


def test_what_is_set_wins_over_the_preset() -> None:
    plan = plan_engine(
        settings(
            WHISPER_MODEL="small",
            WHISPER_DEVICE="cpu",
            WHISPER_COMPUTE_TYPE="float32",
            WORKER_COUNT=3,
            CPU_THREADS=5,
        ),
        Machine(16, cuda_devices=1, cuda_memory_bytes=24 * GIB),
    )
    assert (plan.model, plan.device, plan.compute_type) == ("small", "cpu", "float32")
    assert (plan.worker_count, plan.threads_per_worker) == (3, 5)


def test_an_unreadable_answer_of_the_card_is_no_answer() -> None:
    assert parse_card_bytes("") is None
    assert parse_card_bytes("[N/A]\n") is None


def test_there_is_at_least_one_core() -> None:
    assert usable_cores() >= 1
