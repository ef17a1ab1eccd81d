"""Building a store from a folder of files: in parallel, resumable."""
