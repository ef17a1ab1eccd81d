"""Several sources as one: end to end, side by side, or one of them for each batch."""
