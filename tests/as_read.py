"""What a store of samples gives back for a sample that was written."""

import numpy as np


def as_read(value):
    """A value as it is read: a scalar as NumPy's."""
    if isinstance(value, dict):
        return {key: as_read(inside) for key, inside in value.items()}
    if isinstance(value, tuple):
        return tuple(map(as_read, value))
    return value if isinstance(value, (str, bytes)) else np.asarray(value)[()]
