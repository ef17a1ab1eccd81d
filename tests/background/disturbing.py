"""Passes whose workers are killed, stopped and continued at random moments; their items must not show it."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from contextlib import suppress
from typing import Any

import streamflow as sf

from ..processes import workers
from .leaves import FINITE, LARGE, digest, expected_items


class Disturber:
    """Attacks our workers now and then.

    After three deaths without an item between them a worker is given up, so each lane gives an item between attacks.
    """

    def __init__(self, dice: random.Random, pause: float) -> None:
        self.dice, self.pause = dice, pause
        self.kills = self.stops = 0
        self._timer: threading.Timer | None = None
        self._quiet = 0  # items since the last attack

    def item(self, n_lanes: int, chance: float) -> None:
        """Called for each item: perhaps attack now, or while the consumer waits for the next ones."""
        if self._timer is not None:
            if self._timer.is_alive():
                return
            self._timer, self._quiet = None, 0
        self._quiet += 1
        if self._quiet <= n_lanes or self.dice.random() > chance:
            return
        if self.dice.random() < 0.4:
            self._quiet = 0
            self.attack()
        else:
            self._timer = threading.Timer(self.dice.random() * self.pause, self.attack)
            self._timer.start()

    def attack(self) -> None:
        there, way = workers(), self.dice.random()
        if not there:
            return
        if way < 0.1 or not self.stops:  # the first, so that there is one
            self._stop(self.dice.choice(there))
        else:
            for pid in there if way < 0.25 else [self.dice.choice(there)]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    self.kills += 1

    def _stop(self, pid: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            self.stops += 1
            time.sleep(0.03)
            os.kill(pid, self.dice.choice([signal.SIGCONT, signal.SIGKILL]))
            os.kill(pid, signal.SIGCONT)

    def wait(self) -> None:
        """Wait until no attack is scheduled."""
        if self._timer is not None:
            self._timer.join()
            self._timer, self._quiet = None, 0


def settings(dice: random.Random, n_lanes: int) -> dict[str, Any]:
    """Random settings to run so many lanes."""
    return {
        "n_lanes": n_lanes,
        "n_workers": dice.randint(1, n_lanes),
        "transport": dice.choice(["shm", "shm", "ipc"]),
        "buffer_bytes": dice.choice([1, 100_000, 8 << 20, 64 << 20]),
        "copy": dice.random() < 0.2,
        "on_worker_death": "restart",
    }


def disturbed_pass(dice: random.Random, disturber: Disturber, cuts: int = 2) -> None:
    """One pass over a random tree, resumed `cuts` times with other settings; raises if it differs from a serial one.

    It is resumed where it was cut, or some items back.
    """
    trees = {**LARGE, **FINITE}
    name, n_lanes = dice.choice(sorted(trees)), dice.choice([1, 2, 3, 5])
    expected = expected_items(trees[name], n_lanes, 120 if name in LARGE else None)
    ends = sorted(dice.randrange(len(expected) + 1) for _ in range(cuts))
    ends.append(len(expected) + (name in FINITE))
    position, state, held = 0, None, []
    for end in ends:
        way = settings(dice, n_lanes)
        where = (name, way)
        with sf.ZMQStreamer(trees[name](), **way).open() as stream:
            if state is not None:
                stream.load_state_dict(json.loads(state))
            assert stream.position == position, where
            first = position
            while position < end:
                try:
                    item = next(stream)
                except StopIteration:
                    assert position == len(expected), where
                    break
                assert position < len(expected), where
                assert digest(item) == expected[position], (position, where)
                if dice.random() < 0.08:
                    held.append((position, item))
                if dice.random() < 0.02 and held:
                    held.pop(dice.randrange(len(held)))
                del item
                position += 1
                if disturber.dice.random() < 0.05:
                    json.dumps(stream.state_dict())
                disturber.item(n_lanes, 0.15)
            behind = dice.randint(0, min(64, position - first))
            state, position = json.dumps(stream.state_dict(behind)), position - behind
            disturber.wait()
    for place, item in held:
        assert digest(item) == expected[place], (place, "held", where)
