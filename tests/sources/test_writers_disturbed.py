"""Writers that are dropped, forked or interrupted in the middle of their work."""

import contextlib
import gc
import os
import resource
import signal
import sys

import numpy as np
import pytest

import streamflow as sf
from streamflow.sources import MemmapStore, MemmapWriter
from streamflow.sources.memmap.arrays import ArrayWriter

from ..amount import amount


def test_a_memmap_writer_that_is_dropped_releases_the_store(tmp_path):
    out = MemmapWriter(tmp_path)
    out.add(np.arange(3))
    del out
    gc.collect()
    with MemmapWriter(tmp_path) as again:
        again.add(np.arange(4))
    assert [len(MemmapStore(tmp_path)[i]) for i in range(2)] == [3, 4]


def test_a_memmap_writer_belongs_to_its_process(tmp_path, in_child):
    out = MemmapWriter(tmp_path)
    out.add(np.arange(3))

    def use():
        with pytest.raises(sf.StreamflowError, match="another process"):
            out.add(np.arange(4))
        with pytest.raises(sf.StreamflowError, match="another process"):
            out.close()
        return True

    assert in_child(use) is True
    out.add(np.arange(5))
    out.close()
    assert [len(entry) for entry in MemmapStore(tmp_path)] == [3, 5]


def test_a_process_forked_while_a_thread_writes_gets_an_error(tmp_path, in_child):
    """Its copy of the lock will never be released."""
    out = MemmapWriter(tmp_path)
    with out._lock:

        def use():
            for call in (lambda: out.add(np.arange(4)), lambda: out.append(1), out.flush, out.close):
                with pytest.raises(sf.StreamflowError, match="another process"):
                    call()
            with pytest.raises(KeyError), out:
                raise KeyError
            return True

        assert in_child(use) is True
    out.add(np.arange(5))  # its folder was not taken away
    out.close()
    assert [len(entry) for entry in MemmapStore(tmp_path)] == [5]


def test_a_process_forked_by_a_killed_writer_does_not_keep_the_lock(tmp_path):
    writer = os.fork()
    if writer == 0:
        out = MemmapWriter(tmp_path)
        out.add(np.arange(3))
        if os.fork() == 0:
            (tmp_path / ".pid").write_text(str(os.getpid()))
            os.kill(os.getppid(), signal.SIGKILL)
            signal.alarm(60)
        signal.pause()
        os._exit(0)
    os.waitpid(writer, 0)
    try:
        with MemmapWriter(tmp_path) as again:
            assert len(again) == 1
    finally:
        os.kill(int((tmp_path / ".pid").read_text()), signal.SIGKILL)


def test_a_forked_process_does_not_keep_the_lock(tmp_path):
    out = MemmapWriter(tmp_path)
    out.add(np.arange(3))
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        signal.pause()
        os._exit(0)
    try:
        out.close()
        with MemmapWriter(tmp_path) as again:
            again.add(np.arange(4))
        assert len(MemmapStore(tmp_path)) == 2
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def interrupted(run, moment):
    """Run it with a Ctrl-C at the n-th of all lines and returns that it comes by; whether it got there."""
    left = moment

    def trace(frame, event, _):
        nonlocal left
        path = frame.f_code.co_filename
        if event == "call":
            ours = ("/sources/memmap/" in path or path.endswith("contextlib.py")) and frame.f_code.co_name != "unlock"
            return trace if ours else None
        left -= 1
        if left == 0:
            sys.settrace(None)
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


@pytest.mark.filterwarnings("ignore:.*unclosed file")  # a file that was opened and not noted yet
@pytest.mark.filterwarnings("ignore:.*FileIO")
@pytest.mark.timeout(amount(60, 600))
@pytest.mark.parametrize("shard_bytes", [None, 10**6])
@pytest.mark.parametrize("continues", [True, False])
def test_a_memmap_writer_may_be_interrupted_anywhere(tmp_path, shard_bytes, continues, monkeypatch):
    """It continues, or ends and another continues; no entry that was added is lost, and none is there twice."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # some hundred writers
    moment, there = 0, True
    while there:
        moment += amount(7, 1)
        path, done = tmp_path / str(moment), []
        out = MemmapWriter(path, shard_bytes=shard_bytes)

        def adds(out=out, done=done):
            out.add([0, 0], {"x": 1}, name="0")
            done.append(0)
            out.close()

        there = interrupted(adds, moment)
        if not continues:
            out.__exit__(KeyboardInterrupt, None, None)
            out = MemmapWriter(path, shard_bytes=shard_bytes)
        assert len(out) >= len(done), moment
        if not len(out):
            out.add([0, 0], {"x": 1}, name="0")
        out.close()
        with MemmapWriter(path) as out:
            assert len(out) == 1, moment
        store = MemmapStore(path)
        assert store.names == ("0",), moment
        assert store[0].tolist() == [0, 0], moment
    assert moment > 50


def test_a_full_disk_leaves_no_half_line(tmp_path, monkeypatch):
    """The system takes half of what is to be written, and then nothing more."""
    write, left = os.write, [1]

    def short(descriptor, data):
        if len(data) < 40:
            return write(descriptor, data)
        if not left.pop():
            raise OSError(28, "No space left on device")
        left.append(0)
        return write(descriptor, data[: len(data) // 2])

    out = MemmapWriter(tmp_path)
    out.add(np.arange(3))
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", short)
        with pytest.raises(OSError, match="No space"):
            out.add(np.arange(4))
    out.add(np.arange(5))
    out.close()
    assert [len(entry) for entry in MemmapStore(tmp_path)][:1] == [3]


class Slow:
    """A file of which the system takes a few bytes at a time."""

    def __init__(self, file):
        self._file = file

    def write(self, data):
        return self._file.write(data[:7])

    def __getattr__(self, name):
        return getattr(self._file, name)


def test_a_header_that_is_taken_in_pieces_is_whole(tmp_path, monkeypatch):
    begin = ArrayWriter._next

    def slow(arrays):
        arrays._open = Slow(begin(arrays))
        return arrays._open

    monkeypatch.setattr(ArrayWriter, "_next", slow)
    with MemmapWriter(tmp_path, shard_bytes=10**6) as out:
        out.add(np.zeros((0, 3)))
        out.add(np.arange(4))
    assert [entry.shape for entry in MemmapStore(tmp_path)] == [(0, 3), (4,)]


def test_what_did_not_fit_leaves_its_room(tmp_path, in_child):
    """A limit of the size of files stands for a disk that is full."""

    def writes():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8050, resource.RLIM_INFINITY))
        out = MemmapWriter(tmp_path, shard_bytes=10**6)
        out.add(np.arange(9))
        with pytest.raises(OSError, match="too large: .*arrays.*shard'$"):
            out.add(np.arange(2000))
        sizes = [path.stat().st_size for path in tmp_path.rglob("*.shard")]
        with pytest.raises(OSError, match="too large: .*journal.jsonl'$"):
            out.add(np.arange(9), {"long": "x" * 8000})
        out.close()
        return sizes

    assert in_child(writes) == [128 + 72]
    assert [len(entry) for entry in MemmapStore(tmp_path)] == [9]


@pytest.mark.parametrize("fails", [False, True])
def test_metadata_of_a_writer_that_has_ended_are_only_read(tmp_path, fails):
    out = MemmapWriter(tmp_path)
    with contextlib.suppress(KeyError), out:
        out.metadata["a"] = "b"
        if fails:
            raise KeyError
    for change in (lambda: out.metadata.update(c="d"), lambda: out.metadata.pop("a")):
        with pytest.raises(sf.StreamflowError):
            change()
    assert dict(out.metadata) == {"a": "b"}
