"""What is measured for how long, on a card and in a dry run; and the models it is measured with.

    python -m tools.gpu.plan large-v3-turbo FOLDER float16      # writes a model

The weights are random ones of the real shape whose texts end with the sound, so every contestant
that reads them decodes the same tokens: about three a second of speech.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tools.bench_lab.ceiling import Shape
from tools.bench_lab.random_model import SIZES, Size, write_model

DRY = "dry"
MODELS = SIZES | {DRY: Size(128, 2, 2, 2, mels=128)}
FIRST_SECONDS = {
    "ceiling": 85, "ours": 100, "batched": 45, "transformers": 60, "plain": 20, "stages": 35,
    "preset": 30, "host": 25,
}  # fmt: skip
"""Of the first model, by section, in the order in which they run."""
SECOND_SECONDS = {"ceiling": 35, "ours": 50, "batched": 25, "transformers": 30}
"""Of each further model."""
LIMIT_SECONDS = 540.0


@dataclass(frozen=True)
class Plan:
    """`compute_types`: the first is what is compared, the others are tried at the ceiling."""

    device: str
    compute_types: tuple[str, ...]
    crowds: tuple[int, ...]
    crowd_seconds: float
    long_seconds: float
    clip_count: int
    ready_clips: int
    batches: tuple[int, ...]
    streams: tuple[int, ...]
    shape_seconds: float
    peer_batches: tuple[int, ...]
    tune_seconds: float
    scale: float = 1.0
    """By how much all times are stretched."""

    def shapes(self) -> list[Shape]:
        """In the order in which they are tried: what is likeliest to be best comes first."""
        middle = sorted(self.batches, key=lambda batch: abs(self.batches.index(batch) - 2.4))
        return [Shape(streams, 1, batch) for streams in self.streams for batch in middle]

    def sections(self, is_first: bool) -> dict[str, float]:
        """Seconds of each section of a model."""
        seconds = FIRST_SECONDS if is_first else SECOND_SECONDS
        return {name: one * self.scale for name, one in seconds.items()}

    def shortened(self) -> "Plan":
        """For a further model: fewer shapes and crowds, a shorter long file."""
        return replace(
            self,
            crowds=self.crowds[-2:],
            long_seconds=self.long_seconds / 4,
            batches=self.batches[1:-1] or self.batches[:1],
            streams=self.streams[:2],
            compute_types=self.compute_types[:1],
            peer_batches=self.peer_batches[-2:],
        )


ON_CARD = Plan(
    device="cuda",
    compute_types=("float16", "int8_float16"),
    crowds=(1, 8, 32, 64, 128),
    crowd_seconds=6,
    long_seconds=7200,
    clip_count=64,
    ready_clips=768,
    batches=(8, 16, 32, 64, 128, 256),
    streams=(1, 2, 3),
    shape_seconds=2,
    peer_batches=(16, 32, 64),
    tune_seconds=900,
)
DRY_RUN = Plan(
    device="cpu",
    compute_types=("float32", "int8"),
    crowds=(1, 4),
    crowd_seconds=10,
    long_seconds=40,
    clip_count=4,
    ready_clips=4,
    batches=(1, 2),
    streams=(1,),
    shape_seconds=0.1,
    peer_batches=(2,),
    tune_seconds=20,
    scale=20,
)
PLANS = {"cuda": ON_CARD, "cpu": DRY_RUN}


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code."""
    name, folder, quantization = arguments
    write_model(MODELS[name], Path(folder), quantization, follows_sound=True)
    print(f"{name} with random weights, {quantization}: {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
