"""How samples become batches: order, forms, padding, randomness, streams."""
