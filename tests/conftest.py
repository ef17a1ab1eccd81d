"""What holds for every test."""

from hypothesis import settings

# No test measures time: a slow machine must not fail an example.  Hangs are what pytest-timeout is for.
# Every run has the same examples.
settings.register_profile("streamflow", deadline=None, derandomize=True)
settings.load_profile("streamflow")
