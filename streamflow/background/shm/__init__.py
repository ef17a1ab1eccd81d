"""Records as blocks of shared memory (Linux)."""
