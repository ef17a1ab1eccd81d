"""The sockets of processes, as /proc lists them."""

from pathlib import Path


def sockets_of(pid):
    """The inodes of a process's sockets."""
    found = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(descriptor.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            found.add(target[8:-1])
    return found


def listening(pids, inherited=frozenset()):
    """(table, address, port) of every socket on which one of these processes listens, and of bound datagram sockets."""
    ours = set().union(*map(sockets_of, pids)) - inherited
    found = []
    for table in ("tcp", "tcp6", "udp", "udp6", "unix"):
        path = Path("/proc/net") / table
        if not path.exists():
            continue
        for row in (line.split() for line in path.read_text().splitlines()[1:]):
            if table == "unix":
                if row[6] in ours and int(row[3], 16) & 0x10000:  # __SO_ACCEPTCON
                    found.append((table, row[7] if len(row) > 7 else "", None))
            elif row[9] in ours and (row[3] == "0A" or table.startswith("udp")):
                address, port = row[1].split(":")
                found.append((table, address, int(port, 16)))
    return found
