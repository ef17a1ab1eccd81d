"""A script whose consumer ends in one of many ways; run by test_consumer_ends_of_many."""

import multiprocessing
import os
import re
import sys
import threading
import time

import numpy as np

import streamflow as sf


def tree(value, shard):
    i = shard[0]
    while True:
        yield {"i": i, "pid": os.getpid(), "x": np.full(200_000 if value == "blocked" else 10, i)}
        i += shard[1]
        if value == "asleep" and i > 20:
            time.sleep(3600)
        if value == "in C" and i > 20:
            time.sleep(0.2)
            re.match("(a*)*b", "a" * 60)  # one call that never releases the GIL


def loop(stream, ending):
    """Take some items, then end."""
    pids = set()
    for _ in range(6):
        pids.add(next(stream)["pid"])
    assert len(pids) == 2
    sys.stdout.write(f"{' '.join(map(str, pids))}\n")
    sys.stdout.flush()
    if ending == "error":
        raise ZeroDivisionError
    if ending == "sys.exit":
        sys.exit(3)
    if ending == "os._exit":
        os._exit(4)
    if ending == "exit":
        return
    time.sleep(0.3)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    if ending == "waiting":  # for items, inside the channel
        while True:
            next(stream)
    time.sleep(3600)


kept = []  # the pass, until the interpreter ends


def main(value, method, transport, ending):
    z = sf.ZMQStreamer(
        sf.Streamer(tree, value), n_workers=2, start_method=method, transport=transport, timeout=1, item_timeout=3000
    )
    kept.append(z.open())
    if ending == "thread":
        thread = threading.Thread(target=loop, args=(kept[0], ending))
        thread.start()
        thread.join()
    elif ending == "generator":
        kept[0] = z.iterate()
        loop(kept[0], "exit")
    else:
        loop(kept[0], ending)


if __name__ == "__main__":
    # So that its semaphores can be distinguished from those of other processes on this machine.
    multiprocessing.current_process()._config["semprefix"] = f"/mp-of-{os.getpid()}"
    main(*sys.argv[1:])
