"""Writers that are dropped, forked or interrupted in the middle of their work."""

import gc
import os
import signal

import numpy as np
import pytest

import streamflow as sf
from streamflow.sources import MemmapStore, MemmapWriter


def test_a_memmap_writer_that_is_dropped_lets_go_of_the_store(tmp_path):
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


def test_a_process_forked_while_a_thread_writes_is_told(tmp_path, in_child):
    """Its copy of the lock will never be let go of."""
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
