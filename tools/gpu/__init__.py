"""The benchmark on a machine with a card that has PyTorch, and no network."""
