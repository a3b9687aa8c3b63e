"""Check what `stt` depends on, and say what to do where something is wrong; change nothing."""
