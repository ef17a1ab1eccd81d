"""What is registered to run around a fork, and in which order it runs."""

import subprocess
import sys

#: In a process of its own, because what is registered stays registered.
SCRIPT = """
import os
from streamflow.core.fork import at_fork

seen = []

def fails():
    raise KeyError("in a hook")

for name in "ab":
    at_fork(
        before=lambda name=name: seen.append(f"before {name}"),
        in_parent=lambda name=name: seen.append(f"parent {name}"),
        in_child=lambda name=name: seen.append(f"child {name}"),
    )
    BETWEEN
child = os.fork()
if child:
    os.waitpid(child, 0)
print(*seen, sep=", ", flush=True)
os._exit(0)
"""


def forked(between: str) -> subprocess.CompletedProcess[str]:
    script = SCRIPT.replace("BETWEEN", between)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=100, check=True)


BOTH_SIDES = [
    "before b, before a, child a, child b",
    "before b, before a, parent a, parent b",
]


def test_each_runs_on_its_side_of_a_fork_in_order():
    done = forked(between="at_fork(in_child=int)")
    assert (done.stdout.splitlines(), done.stderr) == (BOTH_SIDES, "")


def test_an_error_in_one_does_not_keep_the_others_from_running():
    done = forked(between="at_fork(before=fails, in_parent=fails, in_child=fails)")
    assert done.stdout.splitlines() == BOTH_SIDES
    assert "KeyError: 'in a hook'" in done.stderr
