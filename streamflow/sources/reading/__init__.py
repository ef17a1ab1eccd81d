"""How a source is read: the order, batches, padding and cropping, random numbers, streams."""
