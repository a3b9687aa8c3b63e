"""Teaching the network: what it is taught in which order, and what counts as a mistake."""

from __future__ import annotations

import copy
import math
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from .corpus import Batch, Windows
from .network import TinyWhisper

PEAK_RATE = 2e-3
WARM_UP_STEPS = 150
FRAME_WEIGHT = 0.5
START_WEIGHT = 0.2
PHONEME_WEIGHT = 0.5
FOCUS_WEIGHT = 1.5  # until half of the time is over; a third of it after that
CHECKPOINT_SECONDS = 120.0
ALIGNMENT_HEADS = (0, 1)  # of the last decoder layer: taught to attend evenly to a whole word

Log = Callable[[str], None]


@dataclass(frozen=True)
class Lesson:
    """One kind of batch: how many windows (for each thread) of how many seconds.

    Speech fills about one of ``fills`` seconds of each; padding lengthens it to ``padded``.
    """

    count: int
    seconds: float
    padded: float
    fills: tuple[float, ...]


SHORT = Lesson(8, 5.0, 5.0, (5.0,))
MEDIUM = Lesson(8, 6.0, 6.0, (3.0, 6.0, 6.0))
WHOLE = Lesson(6, 10.0, 10.0, (3.0, 6.0, 10.0, 10.0))
PADDED = Lesson(4, 10.0, 15.0, (3.0, 6.0, 10.0, 10.0))
FULL = Lesson(3, 10.0, 30.0, (3.0, 6.0, 10.0, 10.0))

# Until which share of the time which lessons alternate. Attention is cheap to learn on short
# windows; the padding to Whisper's 30 seconds is expensive, and easy once the words are known.
COURSE: tuple[tuple[float, tuple[Lesson, ...]], ...] = (
    (0.10, (SHORT,)),
    (0.40, (MEDIUM,)),
    (0.52, (WHOLE, WHOLE, MEDIUM)),
    (0.72, (WHOLE, PADDED, WHOLE, FULL)),
    (1.00, (FULL, WHOLE, PADDED, WHOLE, WHOLE)),
)


@dataclass(frozen=True)
class Losses:
    """The parts of the loss of a batch, and the share of tokens predicted right."""

    tokens: Tensor
    frames: Tensor
    starts: Tensor
    focus: Tensor
    phonemes: Tensor
    accuracy: float

    def total(self, progress: float) -> Tensor:
        """The weighted sum, at a moment of training (0 ... 1).

        Where to listen comes first; once that is known, what to write counts more.
        """
        focus_weight = FOCUS_WEIGHT if progress < 0.5 else FOCUS_WEIGHT / 3
        return (
            self.tokens
            + FRAME_WEIGHT * self.frames
            + START_WEIGHT * self.starts
            + focus_weight * self.focus
            + PHONEME_WEIGHT * self.phonemes
        )


def _mass_in(scores: Tensor, focus: Tensor, *, evenly: bool) -> Tensor:
    """How far attention is from the frames where it belongs: 0 if all of it is there.

    ``scores`` are logits (batch, tokens, frames). With ``evenly`` it must spread over them as
    well, which makes the begin and end of a word visible in it.
    """
    places = torch.arange(scores.shape[-1])
    inside = (places >= focus[..., :1]) & (places < focus[..., 1:])
    known = inside.any(-1)
    inside, logits = inside[known], scores[known].log_softmax(-1)
    if evenly:
        spread = inside / inside.sum(-1, keepdim=True)
        missed = -(spread * logits).sum(-1)
    else:
        missed = -logits.masked_fill(~inside, -math.inf).logsumexp(-1)
    return missed.sum() / max(len(missed), 1)  # a batch may be all silence


def losses(model: TinyWhisper, batch: Batch) -> Losses:
    """Run the model on a batch and compare."""
    output = model(batch.features, batch.tokens)
    learned = batch.targets != -100
    logits, targets = output.logits[learned], batch.targets[learned]
    words, starts = output.frames[..., :-1], output.frames[..., -1]
    first, last = output.attention[0], output.attention[-1]
    focus = sum(
        (_mass_in(last[:, head], batch.focus, evenly=True) for head in ALIGNMENT_HEADS),
        # Knowing where the last word was heard tells where to listen for the next.
        _mass_in(first[:, 0], batch.previous_focus, evenly=False)
        + _mass_in(last[:, 2], batch.focus, evenly=False),
    )
    return Losses(
        functional.cross_entropy(logits, targets),
        functional.cross_entropy(words.flatten(0, 1), batch.frame_words.flatten()),
        functional.binary_cross_entropy_with_logits(starts, batch.frame_starts),
        focus / 4,
        functional.cross_entropy(output.phonemes.flatten(0, 1), batch.frame_phonemes.flatten()),
        float((logits.argmax(-1) == targets).float().mean()),
    )


def _gradients(
    model: TinyWhisper, progress: float, batch: Batch
) -> tuple[Losses, tuple[Tensor, ...]]:
    parts = losses(model, batch)
    return parts, torch.autograd.grad(parts.total(progress), list(model.parameters()))


class _Prefetch:
    """Makes the batches of a step ahead of time in a thread."""

    def __init__(self, make: Callable[[], list[Batch]]) -> None:
        self._make = make
        self._ready: queue.Queue[list[Batch]] = queue.Queue(maxsize=3)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            self._ready.put(self._make())

    def next(self) -> list[Batch]:
        """The batches of the next step, one for each thread."""
        return self._ready.get()


def train(
    model: TinyWhisper,
    windows: Windows,
    minutes: float,
    checkpoint: Path,
    log: Log,
    threads: int = 2,
) -> TinyWhisper:
    """Train for ``minutes`` (counting from an earlier checkpoint's); the averaged model.

    Whoever interrupts it can go on: the same call continues from ``checkpoint``.

    Each of ``threads`` works through a batch of its own, and they meet once a step. Sharing every
    single operation instead, as PyTorch does by itself, loses half of the time to waiting on a
    network this small, and more on a machine that has other things to do.
    """
    torch.set_num_threads(1)
    workers = ThreadPoolExecutor(threads)
    parameters = list(model.parameters())
    decayed = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}],
        lr=PEAK_RATE,
        betas=(0.9, 0.98),
    )
    average: TinyWhisper = copy.deepcopy(model).requires_grad_(False)
    step, before = 0, 0.0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        step, before = state["step"], state["seconds"]
        log(f"continuing at step {step}, {before / 60:.1f} min")
    windows.reseed(step)
    began = time.monotonic()
    progress = before / (60 * minutes)
    made = step

    def make() -> list[Batch]:
        nonlocal made
        lessons = next(lessons for until, lessons in COURSE if progress <= until)
        lesson = lessons[made % len(lessons)]
        made += 1
        return [
            windows.batch(lesson.count, lesson.seconds, lesson.padded, lesson.fills)
            for _ in range(threads)
        ]

    prefetch = _Prefetch(make)
    saved = time.monotonic()
    recent: list[tuple[float, ...]] = []
    while True:
        elapsed = before + time.monotonic() - began
        progress = min(elapsed / (60 * minutes), 1.0)
        done = progress >= 1.0
        if done or time.monotonic() - saved > CHECKPOINT_SECONDS:
            state = {
                "model": model.state_dict(),
                "average": average.state_dict(),
                "optimizer": optimizer.state_dict(),
                "step": step,
                "seconds": elapsed,
            }
            torch.save(state, checkpoint.with_suffix(".new"))
            checkpoint.with_suffix(".new").replace(checkpoint)
            saved = time.monotonic()
        if done:
            return average
        rate = PEAK_RATE * min(1.0, (step + 1) / WARM_UP_STEPS)
        rate *= 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress))
        for group in optimizer.param_groups:
            group["lr"] = rate
        results = list(workers.map(partial(_gradients, model, progress), prefetch.next()))
        for index, parameter in enumerate(parameters):
            parameter.grad = sum(
                (gradients[index] for _, gradients in results[1:]), results[0][1][index]
            ) / len(results)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        with torch.no_grad():
            keep = min(0.998, step / (step + 20))
            for slow, fast in zip(average.parameters(), model.parameters(), strict=True):
                slow.lerp_(fast, 1 - keep)
        recent.extend(
            (
                parts.tokens.item(),
                parts.frames.item(),
                parts.starts.item(),
                parts.focus.item(),
                parts.phonemes.item(),
                parts.accuracy,
            )
            for parts, _ in results
        )
        if step % 25 == 0:
            token, frame, start, focus, phoneme, accuracy = np.mean(recent, axis=0)
            log(
                f"{elapsed / 60:5.1f} min  step {step:5d}  rate {rate:.1e}  tokens {token:.3f}  "
                f"frames {frame:.3f}  starts {start:.3f}  focus {focus:.3f}  "
                f"phonemes {phoneme:.3f}  right {accuracy:.3f}"
            )
            recent.clear()
