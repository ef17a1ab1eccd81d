"""Reading a source: the order, batches, padding and cropping, random numbers, streams."""
