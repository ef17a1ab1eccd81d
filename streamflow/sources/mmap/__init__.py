"""Files of NumPy mapped into memory, and the budget of maps that a process keeps open."""
