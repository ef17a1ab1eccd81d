"""What holds for every test."""

from hypothesis import settings

# No test measures time: a slow machine must not fail an example.  Hangs are what pytest-timeout is for.
settings.register_profile("streamflow", deadline=None, derandomize=True)  # the same examples in every run
settings.load_profile("streamflow")
