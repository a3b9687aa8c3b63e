"""What is measured for how long, on a card and in a dry run; and the models it is measured with.

    python -m tools.gpu.plan large-v3-turbo FOLDER float16 [TOKENIZER]      # writes a model

The weights are random ones of the real shape whose texts end with the sound, so every contestant
that reads them decodes the same tokens: about three a second of speech.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.bench_lab.ceiling import Shape
from tools.bench_lab.random_model import SIZES, Size, write_model

DRY = "dry"
MODELS = SIZES | {DRY: Size(128, 2, 2, 2, mels=128)}
FIRST, SECOND = 0, 1
STEPS = (
    (FIRST, "ceiling", 75), (FIRST, "ours", 85), (FIRST, "batched", 65),
    (FIRST, "transformers", 60), (SECOND, "ceiling", 45), (SECOND, "ours", 50),
    (FIRST, "shapes", 45), (FIRST, "stages", 25), (FIRST, "int8", 30),
    (FIRST, "plain", 20), (FIRST, "host", 20), (SECOND, "batched", 30),
    (SECOND, "transformers", 40),
)  # fmt: skip
"""Of which model, which section, for how many seconds: what decides most comes first. The last four
are measured in the time that others leave."""
SURE_STEPS, SURE_SECONDS = 9, 480.0
"""So many steps have time whatever the others need, with a minute for starts and ends."""
LIMIT_SECONDS = 540.0


@dataclass(frozen=True)
class Plan:
    """`compute_types`: the first is compared, the other is tried at the ceiling.

    `crowds`: numbers of callers, the first of which is judged. `peer_batches`: the likeliest first.
    """

    device: str
    compute_types: tuple[str, str]
    crowds: tuple[int, ...]
    crowd_seconds: float
    peer_seconds: float
    long_seconds: float
    longest_seconds: float
    clip_count: int
    ready_clips: int
    shapes: tuple[Shape, ...]
    shape_seconds: float
    peer_batches: tuple[int, ...]
    scale: float = 1.0
    """By how much all times are stretched."""


ON_CARD = Plan(
    device="cuda",
    compute_types=("float16", "int8_float16"),
    crowds=(64, 128, 32, 1),
    crowd_seconds=20,
    peer_seconds=15,
    long_seconds=1800,
    longest_seconds=7200,
    clip_count=64,
    ready_clips=768,
    shapes=(
        *(Shape(streams, 1, batch) for streams in (1, 2) for batch in (32, 64, 16)),
        *(Shape(3, 1, batch) for batch in (16, 32)),
    ),
    shape_seconds=4,
    peer_batches=(64, 32, 16),
)
DRY_RUN = Plan(
    device="cpu",
    compute_types=("float32", "int8"),
    crowds=(4, 1),
    crowd_seconds=5,
    peer_seconds=5,
    long_seconds=120,
    longest_seconds=180,
    clip_count=4,
    ready_clips=4,
    shapes=(Shape(1, 1, 2), Shape(1, 1, 1)),
    shape_seconds=5,
    peer_batches=(2,),
    scale=4,
)
PLANS = {"cuda": ON_CARD, "cpu": DRY_RUN}


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code."""
    name, folder, quantization, *rest = arguments
    tokenizer = Path(rest[0]) if rest else None
    write_model(
        MODELS[name], Path(folder), quantization, follows_sound=True, tokenizer_file=tokenizer
    )
    print(f"{name} with random weights, {quantization}: {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
