"""No test here may leave a process, a folder or shared memory behind; and fixtures, such as the channel to use."""

import gc
import multiprocessing.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

import streamflow
from streamflow.core import checkpoint

from ..processes import of_session, within

#: The channels of a test that names none.  TCP differs from Unix sockets only in how a worker connects.
CHANNELS = ["shm", "ipc"]


def processes() -> dict[int, str]:
    """Our child processes by id, with the beginning of their command lines; without Python's own helpers."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
            parent = int(text.rpartition(")")[2].split()[1])
            command = stat.with_name("cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        if parent == os.getpid() and not ("resource_tracker" in command or "forkserver" in command):
            found[int(text.split()[0])] = command[:100]
    return found


def segments() -> list[str]:
    """Our shared memory: open descriptors, and maps."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            target = str(link.readlink())
        except OSError:  # the descriptor of this very loop
            continue
        if "memfd:streamflow" in target:
            found.append(f"descriptor {link.name}")
    maps = Path("/proc/self/maps").read_text().splitlines()
    return found + [line for line in maps if "memfd:streamflow" in line]


@pytest.fixture(autouse=True, name="sockets")
def nothing_left(monkeypatch, tmp_path_factory, zygote):
    """The folder in which the folders of sockets are made; nothing of ours is left at the end."""
    multiprocessing.util.get_temp_dir()  # Python's own, which it keeps for the whole session, as pytest keeps its
    tmp_path_factory.getbasetemp()
    sockets = tempfile.mkdtemp(prefix="sf", dir="/tmp")  # short, since the path of a socket has at most 100 bytes
    monkeypatch.setattr(tempfile, "tempdir", sockets)
    monkeypatch.setenv("TMPDIR", sockets)
    before = set(processes())
    yield sockets
    assert set(processes()) - before == set()
    left = list(Path(sockets).glob("streamflow-*"))
    shutil.rmtree(sockets)
    assert left == []
    if segments():  # what a test has put into a reference cycle is not collected yet
        gc.collect()
    assert segments() == []


@pytest.fixture(name="channel", params=CHANNELS)
def channel_fixture(request, monkeypatch):
    """The default transport of `ZMQStreamer`.

    With ``pytestmark = pytest.mark.usefixtures("channel")`` in a file, its tests run with each of `CHANNELS`; a test
    for one of them, or for more, has ``@pytest.mark.parametrize("channel", [...], indirect=True)``.
    """
    monkeypatch.setitem(streamflow.ZMQStreamer.__init__.__kwdefaults__, "transport", request.param)
    return request.param


@pytest.fixture(name="every_item_marked")
def every_item_marked_fixture(monkeypatch):
    """Workers take a mark after every item; forked ones inherit this."""
    monkeypatch.setattr(checkpoint, "BETWEEN", 0.0)
    monkeypatch.setattr(checkpoint, "SHARE", 0)


@pytest.fixture(name="processes")
def processes_fixture():
    return processes


@pytest.fixture(name="segments")
def segments_fixture():
    return segments


@pytest.fixture(name="touched")
def touched_fixture(monkeypatch):
    """How many bytes of pages the segments made in this test have, even when nothing else holds them open."""
    copies = []
    make = os.memfd_create

    def watched(*args):
        descriptor = make(*args)
        copies.append(os.dup(descriptor))
        return descriptor

    monkeypatch.setattr(os, "memfd_create", watched)
    yield lambda: sum(os.fstat(copy).st_blocks * 512 for copy in copies)
    assert copies != []
    for copy in copies:
        os.close(copy)


@pytest.fixture(name="within")
def within_fixture():
    return within


@pytest.fixture(name="script")
def script_fixture(zygote):
    """Start a Python program from the zygote, with this package and this folder on its path."""
    yield from _starting(zygote.start)


@pytest.fixture(name="interpreter")
def interpreter_fixture():
    """The same, in a new interpreter."""

    def start(*arguments, env):
        command = [sys.executable, *map(str, arguments)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True)

    yield from _starting(start)


@pytest.fixture(name="bystander")
def bystander_fixture():
    """Fork a process that inherits everything, maps what we map, and does nothing."""
    pids = []

    def fork():
        pid = os.fork()
        if not pid:
            time.sleep(300)
            os._exit(0)
        pids.append(pid)
        return pid

    yield fork
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _starting(start):
    started = []
    where = os.pathsep.join([str(Path(streamflow.__file__).parents[1]), str(Path(__file__).parent)])

    def program(*arguments):
        started.append(start(*arguments, env={**os.environ, "PYTHONPATH": where}))
        return started[-1]

    yield program
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
        within(20, lambda process=process: not of_session(process.pid))  # what it has started may end after it
