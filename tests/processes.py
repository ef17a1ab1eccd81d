"""Processes as the system shows them, and waiting for what they do."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["alive", "of_session", "settled", "within", "workers"]


def within(seconds: float, ok: Callable[[], bool]) -> bool:
    """Whether `ok()` becomes true within some seconds."""
    end = time.monotonic() + seconds
    while not ok():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def _stat(pid: int | str) -> list[str]:
    """State, parent, group, session, ... of a process; empty if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    return _stat(pid)[:1] not in ([], ["Z"], ["X"])


def of_session(leader: int) -> list[int]:
    """All running processes of a session."""
    pids = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    return [pid for pid in pids if (stat := _stat(pid)) and stat[3] == str(leader) and stat[0] not in "ZX"]


def workers() -> list[int]:
    """Our running child processes, without Python's own helpers."""
    me, found = str(os.getpid()), []
    for path in Path("/proc").glob("[0-9]*"):
        stat = _stat(path.name)
        if not stat or stat[1] != me or stat[0] in "ZX":
            continue
        with contextlib.suppress(OSError):
            command = (path / "cmdline").read_bytes()
            if b"resource_tracker" not in command and b"forkserver" not in command:
                found.append(int(path.name))
    return sorted(found)


def settled(count: Callable[[], int]) -> int:
    """The count once it is stable and all workers are asleep (one that merely gets no CPU time is not)."""
    last, still = -1, 0
    while still < 5:
        time.sleep(0.05)
        now = count()
        asleep = all(_stat(pid)[:1] == ["S"] for pid in workers())
        last, still = now, still + 1 if now == last and asleep else 0
    return last
