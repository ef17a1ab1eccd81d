"""A channel through shared memory (Linux)."""
