"""Say whether all that is measured can be imported, and whether the card can be used.

python -m tools.gpu.card_check cuda
"""

import sys
from collections.abc import Sequence

import ctranslate2
import numpy as np


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code."""
    import torch
    import transformers

    import tools.gpu.sections
    import tools.gpu.stages  # noqa: F401
    import whisper_server.server  # noqa: F401

    device = arguments[0]
    print(f"Python {sys.version.split()[0]}, ctranslate2 {ctranslate2.__version__}")
    print(f"torch {torch.__version__}, transformers {transformers.__version__}")
    if device == "cpu":
        return 0
    types = sorted(ctranslate2.get_supported_compute_types("cuda"))
    print(f"CTranslate2 sees {ctranslate2.get_cuda_device_count()} card(s): {types}")
    print(f"torch sees {torch.cuda.device_count()}: {torch.cuda.get_device_name(0)}")
    return 0 if _multiplies_on_the_card() else 1


def _multiplies_on_the_card() -> bool:
    """Whether the sample model decodes there: cuBLAS is opened at the first product only."""
    from tools.bench_lab.random_model import sample_folder

    model = ctranslate2.models.Whisper(str(sample_folder()), device="cuda", compute_type="float16")
    silence = ctranslate2.StorageView.from_array(np.zeros((1, 80, 3000), np.float32))
    found = model.generate(silence, [[50257]], max_length=8)
    print(f"the sample model decodes on the card: {len(found[0].sequences_ids[0])} tokens")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
