"""LMDB stores: samples that can be appended to, readable however the writer ended."""
