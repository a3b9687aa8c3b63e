"""Parts of the load run of a coordinator, tools/load_coordinator.py."""
