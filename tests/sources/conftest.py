"""What several tests of sources use."""

import json
import os
import signal

import pytest


@pytest.fixture
def in_child():
    """A function that gives what `work()` gives in a forked child, as JSON; a child that hangs is killed."""

    def run(work):
        read, write = os.pipe()
        child = os.fork()
        if not child:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(20)
            try:
                os.write(write, json.dumps(work()).encode())
            except BaseException as error:
                os.write(write, json.dumps(repr(error)).encode())
            finally:
                os._exit(0)
        os.close(write)
        with os.fdopen(read, "rb") as answer:
            text = answer.read()
        os.waitpid(child, 0)
        return json.loads(text or '"it hung"')

    return run
