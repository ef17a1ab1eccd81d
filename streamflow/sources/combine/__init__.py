"""Sources made of several others: concatenated, zipped, composed, or one of them per batch."""
