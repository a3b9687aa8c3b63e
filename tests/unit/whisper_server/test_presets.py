"""Which model, engine, device and shape suit which machine."""

from pathlib import Path

import pytest

from whisper_server.errors import StartError
from whisper_server.hardware import parse_cards
from whisper_server.presets import EnginePlan, Machine, Shape, plan_engine
from whisper_server.settings import Settings, variable_of

GIB = 1024**3


CARD = Machine(16, cuda_devices=1, cuda_memory_bytes=24 * GIB)


TWO_CARDS = Machine(16, cuda_devices=2, cuda_memory_bytes=24 * GIB)


MAC = Machine(8, has_metal=True, has_mlx=True)


CALIBRATED = Shape(4, 2, 3, "calibrated")


@pytest.fixture(autouse=True)
def no_settings_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(variable_of(field), raising=False)
    monkeypatch.delenv("MODEL_NAME", raising=False)


@pytest.fixture
def mlx_folder(tmp_path: Path) -> str:
    for name in ("config.json", "weights.npz"):
        (tmp_path / name).touch()
    return str(tmp_path)


def settings(**variables: object) -> Settings:
    return Settings(_env_file=None, **variables)  # type: ignore[call-arg, arg-type]


def planned(machine: Machine, **variables: object) -> EnginePlan:
    return plan_engine(settings(**variables), machine)


def shape_of(plan: EnginePlan) -> tuple[int, int, int]:
    return plan.shape.streams, plan.shape.threads, plan.shape.batch_size


def test_a_card_with_eight_gigabytes_gets_the_large_turbo_model() -> None:
    plan = planned(Machine(16, cuda_devices=1, cuda_memory_bytes=8 * GIB))
    assert (plan.model, plan.device, plan.compute_type) == ("large-v3-turbo", "cuda", "float16")


def test_a_card_sold_as_eight_gigabytes_counts_as_such() -> None:
    found = parse_cards("NVIDIA GeForce RTX 4060, 8188, 312\nNVIDIA RTX, one more, 24564, 1\n")
    assert [card.name for card in found] == ["NVIDIA GeForce RTX 4060", "NVIDIA RTX, one more"]
    plan = planned(Machine(16, cuda_devices=2, cuda_memory_bytes=found[0].memory_bytes))
    assert plan.model == "large-v3-turbo"


@pytest.mark.parametrize("memory", [6 * GIB, None])
def test_a_small_or_silent_card_gets_the_medium_model(memory: int | None) -> None:
    plan = planned(Machine(16, cuda_devices=1, cuda_memory_bytes=memory))
    assert (plan.model, plan.device, plan.compute_type) == ("medium", "cuda", "int8")


def test_a_machine_without_a_card_gets_the_base_model() -> None:
    plan = planned(Machine(cores=8))
    assert (plan.model, plan.device, plan.compute_type) == ("base", "cpu", "int8")


def test_apple_silicon_gets_the_large_turbo_model_on_its_own_engine() -> None:
    plan = planned(MAC)
    assert (plan.model, plan.backend, plan.device) == ("large-v3-turbo", "mlx", "metal")
    assert (plan.compute_type, plan.devices) == ("float16", ("metal",))
    assert shape_of(plan) == (1, 1, 8)


@pytest.mark.parametrize(
    "variables",
    [
        {"WHISPER_DEVICE": "cpu"},
        {"WHISPER_BACKEND": "faster-whisper"},
        {"WHISPER_COMPUTE_TYPE": "int8"},
    ],
)
def test_apple_silicon_gives_way_to_what_only_faster_whisper_can(
    variables: dict[str, object],
) -> None:
    plan = planned(MAC, **variables)
    assert (plan.backend, plan.device) == ("faster-whisper", "cpu")


@pytest.mark.parametrize(
    ("machine", "use_gpu", "device"),
    [
        (CARD, "true", "cuda"), (CARD, "1", "cuda"), (CARD, "no", "cpu"), (CARD, "false", "cpu"),
        (MAC, "true", "metal"), (MAC, "false", "cpu"), (Machine(8), "false", "cpu"),
        (CARD, "", "cuda"), (Machine(8), "", "cpu"),
    ],
)  # fmt: skip
def test_use_gpu_chooses_between_the_gpu_of_the_machine_and_its_cores(
    monkeypatch: pytest.MonkeyPatch, machine: Machine, use_gpu: str, device: str
) -> None:
    monkeypatch.setenv("USE_GPU", use_gpu)
    assert planned(machine).device == device


@pytest.mark.parametrize("machine", [Machine(8), Machine(8, has_metal=True)])
def test_use_gpu_on_a_machine_without_one_says_so(machine: Machine) -> None:
    with pytest.raises(StartError, match=r"no GPU can be used here.*USE_GPU=false"):
        planned(machine, USE_GPU="true")


def test_a_device_that_is_set_wins_over_use_gpu() -> None:
    assert planned(CARD, USE_GPU="false", WHISPER_DEVICE="cuda").device == "cuda"
    assert planned(CARD, USE_GPU="true", WHISPER_DEVICE="cpu").device == "cpu"


def test_apple_silicon_without_mlx_computes_on_its_cores() -> None:
    plan = planned(Machine(8, has_metal=True))
    assert (plan.model, plan.backend, plan.device) == ("base", "faster-whisper", "cpu")


def test_a_folder_in_mlx_form_brings_its_engine_along(mlx_folder: str) -> None:
    plan = planned(Machine(2, has_mlx=True), WHISPER_MODEL=mlx_folder)
    assert (plan.backend, plan.device, plan.compute_type) == ("mlx", "cpu", "float32")


def test_a_folder_in_the_form_of_ctranslate2_does_so_too(tmp_path: Path) -> None:
    (tmp_path / "model.bin").touch()
    plan = planned(MAC, WHISPER_MODEL=str(tmp_path))
    assert (plan.backend, plan.device) == ("faster-whisper", "cpu")


def test_a_model_for_another_engine_is_one_clear_line(mlx_folder: str) -> None:
    with pytest.raises(StartError, match="is for mlx, not for faster-whisper"):
        planned(MAC, WHISPER_MODEL=mlx_folder, WHISPER_BACKEND="faster-whisper")


@pytest.mark.parametrize(
    ("machine", "variables", "line"),
    [
        (MAC, {"WHISPER_BACKEND": "mlx", "WHISPER_DEVICE": "cuda"}, "does not run on cuda"),
        (MAC, {"WHISPER_BACKEND": "faster-whisper", "WHISPER_DEVICE": "metal"}, "not run on metal"),
        (Machine(2, has_mlx=True), {"WHISPER_DEVICE": "metal"}, "no Apple silicon"),
        (Machine(2), {"WHISPER_BACKEND": "mlx"}, r"pip install 'stt-fleet\[server,mlx\]'"),
        (Machine(2), {"WHISPER_DEVICE": "cuda"}, "No CUDA card"),
        (Machine(2), {"GPU_DEVICES": "0"}, "No CUDA card"),
        (TWO_CARDS, {"GPU_DEVICES": "1,2,7"}, "names card 2, 7, but this machine has 2"),
    ],
)
def test_settings_that_cannot_be_met_are_one_clear_line(
    machine: Machine, variables: dict[str, object], line: str
) -> None:
    with pytest.raises(StartError, match=line):
        planned(machine, **variables)


def test_a_cpu_decodes_single_windows_side_by_side() -> None:
    shapes = {cores: shape_of(planned(Machine(cores))) for cores in (1, 2, 6, 8, 16)}
    assert shapes == {1: (1, 1, 1), 2: (2, 1, 1), 6: (6, 1, 1), 8: (8, 1, 1), 16: (8, 2, 1)}


def test_a_card_decodes_one_large_batch_at_a_time() -> None:
    assert shape_of(planned(CARD)) == (1, 4, 16)
    assert shape_of(planned(Machine(2, cuda_devices=1, cuda_memory_bytes=6 * GIB))) == (1, 2, 8)


@pytest.mark.parametrize("copies", [1, 2, 3, 8, 20])
@pytest.mark.parametrize("cores", [1, 2, 7, 8, 64])
def test_copies_on_a_cpu_do_not_fight_for_its_cores(cores: int, copies: int) -> None:
    plan = planned(Machine(cores), MODEL_INSTANCES=copies)
    assert plan.device_indices == (0,) * copies
    assert plan.shape.streams * plan.shape.threads * copies <= max(cores, copies)


def test_the_first_card_gets_the_only_copy_unless_others_are_named() -> None:
    assert planned(TWO_CARDS).devices == ("cuda:0",)
    assert planned(TWO_CARDS, GPU_DEVICES="1").devices == ("cuda:1",)
    assert planned(TWO_CARDS, GPU_DEVICES="1, 0").devices == ("cuda:1", "cuda:0")
    assert planned(TWO_CARDS, GPU_DEVICES="all").devices == ("cuda:0", "cuda:1")


def test_more_copies_than_cards_share_them_in_turn() -> None:
    assert planned(TWO_CARDS, MODEL_INSTANCES=3).device_indices == (0, 0, 0)
    assert planned(TWO_CARDS, MODEL_INSTANCES=3, GPU_DEVICES="all").device_indices == (0, 1, 0)
    assert planned(TWO_CARDS, MODEL_INSTANCES=1, GPU_DEVICES="all").device_indices == (0,)


def test_enough_requests_are_in_work_to_fill_the_batches() -> None:
    assert planned(Machine(1)).worker_count == 16
    assert planned(Machine(8), STREAMS=16).worker_count == 32
    assert planned(CARD).worker_count == 32
    assert planned(TWO_CARDS, GPU_DEVICES="all", BATCH_SIZE=64).worker_count == 64
    assert planned(CARD, WORKER_COUNT=3).worker_count == 3


def test_the_fleet_is_told_of_no_more_calls_than_keep_it_full() -> None:
    assert planned(Machine(1)).useful_calls == 4
    assert planned(Machine(8)).useful_calls == 16
    assert planned(CARD).useful_calls == 32
    assert planned(CARD, WORKER_COUNT=3).useful_calls == 3


def test_what_is_set_wins_over_the_preset() -> None:
    plan = planned(
        CARD,
        WHISPER_MODEL="small",
        WHISPER_DEVICE="cpu",
        WHISPER_COMPUTE_TYPE="float32",
        STREAMS=3,
        CPU_THREADS=5,
        BATCH_SIZE=7,
    )
    assert (plan.model, plan.device, plan.compute_type) == ("small", "cpu", "float32")
    assert shape_of(plan) == (3, 5, 7)
    assert plan.shape.reason == "STREAMS, CPU_THREADS, BATCH_SIZE set"


def test_what_is_set_of_a_shape_decides_the_rest_of_it() -> None:
    assert shape_of(planned(Machine(8), STREAMS=2)) == (2, 4, 1)
    assert shape_of(planned(Machine(8), CPU_THREADS=4)) == (2, 4, 1)
    assert shape_of(planned(Machine(8), CPU_THREADS=20)) == (1, 20, 1)
    plan = planned(Machine(8), BATCH_SIZE=4)
    assert shape_of(plan) == (8, 1, 4)
    assert plan.shape.reason == "BATCH_SIZE set, the rest preset for 8 core(s)"


def test_a_calibration_wins_over_the_preset_and_says_so() -> None:
    assert plan_engine(settings(), Machine(8), CALIBRATED).shape == CALIBRATED
    plan = plan_engine(settings(GPU_DEVICES="all"), TWO_CARDS, CALIBRATED)
    assert plan.shape == CALIBRATED


@pytest.mark.parametrize("variable", ["STREAMS", "CPU_THREADS", "BATCH_SIZE", "MODEL_INSTANCES"])
def test_a_calibration_does_not_outlive_a_setting_that_contradicts_it(variable: str) -> None:
    plan = plan_engine(settings(**{variable: 2}), Machine(8), CALIBRATED)
    assert plan.shape.reason != CALIBRATED.reason
    assert shape_of(plan) == shape_of(planned(Machine(8), **{variable: 2}))


def test_the_plan_reads_as_one_line_of_a_log() -> None:
    assert str(planned(TWO_CARDS, GPU_DEVICES="all")) == (
        "large-v3-turbo with faster-whisper on cuda:0, cuda:1 as float16, 2 copy(s), each "
        "1 stream(s) of 4 thread(s), batches of 16 (preset for a roomy card)"
    )
