"""The names of models, and the files that a name stands for."""

import re
from dataclasses import dataclass
from pathlib import Path

from whisper_server.errors import ModelUnavailable

SIZES = (
    "tiny", "tiny.en", "base", "base.en", "small", "small.en", "medium", "medium.en",
    "large-v1", "large-v2", "large-v3", "large-v3-turbo",
    "distil-small.en", "distil-medium.en", "distil-large-v2", "distil-large-v3",
    "distil-large-v3.5",
)  # fmt: skip
"""What faster-whisper finds on the hub by a short name (a test compares the two lists)."""

ALIASES = {"large": "large-v3", "turbo": "large-v3-turbo"}
OPENAI_NAME = "whisper-1"
"""OpenAI's only Whisper; clients that know no other name mean the model that is loaded."""

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_NEEDED_FILES = ("model.bin", "config.json", "tokenizer.json")
_MLX_WEIGHTS = ("weights.safetensors", "weights.npz")

FASTER_WHISPER = "faster-whisper"
MLX = "mlx"
MLX_HUB_OWNER = "mlx-community"
"""The account of the hub that has Whisper's models in mlx form."""


@dataclass(frozen=True)
class Model:
    """A model by its public name; without a `folder`, a size or hub id to be fetched."""

    name: str
    folder: Path | None = None

    def answers_to(self, name: str) -> bool:
        """Return whether `name` in a request means this model."""
        return ALIASES.get(name, name) == self.name or name == OPENAI_NAME


def find_model(wanted: str) -> Model:
    """Return the model that a setting names: a folder before a name.

    Raises ModelUnavailable when there is no such name or the folder is not a model.
    """
    if folder := _folder(wanted):
        return Model(folder.resolve().name, _checked(folder))
    name = ALIASES.get(wanted, wanted)
    if name in SIZES:
        return Model(name)
    if _HUB_ID.fullmatch(wanted) and not wanted.startswith("."):
        return Model(wanted)
    raise ModelUnavailable(
        f"No model '{wanted}': it is neither a folder nor a known name. "
        f"Choose one of {', '.join(SIZES)}, an id like Systran/faster-whisper-base, "
        "or the path of a folder with a model in CTranslate2 or mlx form."
    )


def backend_of(wanted: str) -> str | None:
    """Return the engine that a model's files are for; None if any engine may do."""
    if folder := _folder(wanted):
        forms = {FASTER_WHISPER: (folder / "model.bin").is_file(), MLX: is_mlx_folder(folder)}
        fitting = [backend for backend, fits in forms.items() if fits]
        return fitting[0] if len(fitting) == 1 else None
    return MLX if wanted.startswith(f"{MLX_HUB_OWNER}/") else None


def is_mlx_folder(folder: Path) -> bool:
    """Return whether the folder holds a model as mlx-whisper reads it."""
    has_weights = any((folder / name).is_file() for name in _MLX_WEIGHTS)
    return has_weights and (folder / "config.json").is_file()


def _folder(wanted: str) -> Path | None:
    """Return the folder that a setting means; one called as a size counts if it has weights."""
    folder = Path(wanted).expanduser()
    if not wanted or not folder.is_dir():
        return None
    is_size = ALIASES.get(wanted, wanted) in SIZES
    has_weights = is_mlx_folder(folder) or (folder / "model.bin").is_file()
    return folder if has_weights or not is_size else None


def _checked(folder: Path) -> Path:
    if is_mlx_folder(folder):
        return folder
    missing = [name for name in _NEEDED_FILES if not (folder / name).is_file()]
    if not any(folder.glob("vocabulary.*")):
        missing.append("vocabulary.json")
    if missing:
        raise ModelUnavailable(
            f"The model folder {folder} is incomplete: it lacks {', '.join(missing)}. "
            "Copy the whole folder of a Whisper model in CTranslate2 form there (one in mlx form "
            f"has config.json and {' or '.join(_MLX_WEIGHTS)}), or choose another with --model."
        )
    return folder
