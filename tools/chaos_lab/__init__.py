"""The parts of tools/chaos.py: faults, a recorded history of what each process asked, a checker."""
