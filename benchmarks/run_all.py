"""Run every benchmark, one after the other, and print one table (about fifteen minutes).

``python run_all.py [--quick] [NAME ...]``: only those named; with ``--quick`` those of the transport, which take ten
minutes of these, make few rounds.
"""

import gc
import sys
from importlib import import_module

from timing import Row, print_header, print_table

SCRIPTS = (
    "import_time",
    "mux_cost",
    "batching",
    "maps",
    "resume",
    "eviction",
    "activation",
    "transport",
    "transport_latency",
    "transport_collating",
    "transport_memory",
    "transport_start",
    "zmq_example",
    "minibatches",
    "sources",
    "lmdb_store",
    "memmap_store",
)


def main() -> None:
    print_header()
    rows: list[Row] = []
    for script in [name for name in sys.argv[1:] if name != "--quick"] or SCRIPTS:
        rows += import_module(script).measure()
        gc.collect()
    print_table(rows)
    missed = [row.what for row in rows if row.verdict() == "MISS"]
    print(f"\n{len(missed)} of {sum(row.goal is not None for row in rows)} goals missed")


if __name__ == "__main__":
    main()
