"""Memory-mapped stores: arrays of any shapes in `.npy` files beside one index."""
