"""What `import streamflow` costs beside the two libraries that it loads.

Each time is taken inside a fresh process, so that starting the interpreter, which is the same for both, does not
flatter the ratio.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from statistics import median

from timing import Row, interleave, main, ratio, show_time

CODE = """
from time import perf_counter
start = perf_counter()
import {}
print(perf_counter() - start)
"""


def importing(modules: str, byte_code: str) -> Callable[[], float]:
    """A contender: the seconds that a fresh process takes to import `modules`, compiled already as pip leaves them."""
    # -P: what is imported is what is installed, not what happens to lie in the current folder.
    command = [sys.executable, "-P", "-c", CODE.format(modules)]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": byte_code}

    def run() -> float:
        return float(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)

    run()  # compiles
    return run


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as byte_code:
        names = ("streamflow", "numpy, zmq")
        times = interleave({name: importing(name, byte_code) for name in names}, rounds=41)
    note = ", ".join(f"{name} {show_time(median(seconds))}" for name, seconds in times.items())
    return [Row("import streamflow / import numpy, zmq", ratio(times, "streamflow", "numpy, zmq"), goal=1.3, note=note)]


if __name__ == "__main__":
    main(measure)
