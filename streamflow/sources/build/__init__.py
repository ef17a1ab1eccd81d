"""Building a store from a folder of files: in parallel, and resumable whenever it is stopped."""
