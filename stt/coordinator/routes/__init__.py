"""The addresses of the coordinator, a module for each thing that they are about."""
