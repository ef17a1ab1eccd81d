"""Memory-mapped files of NumPy arrays, and how many of them a process keeps mapped."""
