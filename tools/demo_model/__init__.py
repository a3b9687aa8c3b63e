"""The parts of ``tools/train_demo_model.py``: a small Whisper made from a speech synthesizer."""
