"""Run every benchmark, one after the other, and print one table (about five minutes)."""

import activation
import batching
import eviction
import import_time
import mux_cost
import resume
import sources
import transport
from timing import Row, gc, print_header, print_table

SCRIPTS = (import_time, mux_cost, batching, resume, eviction, activation, transport, sources)


def main() -> None:
    print_header()
    rows: list[Row] = []
    for script in SCRIPTS:
        rows += script.measure()
        gc.collect()
    print_table(rows)
    missed = [row.what for row in rows if row.verdict() == "MISS"]
    print(f"\n{len(missed)} of {sum(row.goal is not None for row in rows)} goals missed")


if __name__ == "__main__":
    main()
