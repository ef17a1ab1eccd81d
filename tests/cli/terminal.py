"""The command on a terminal."""

import os
import re
import select

#: Takes the terminal for its own, so that Ctrl-C there reaches it.
MAIN = """
import fcntl, termios
from streamflow.cli import main
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
main()
"""


class Terminal:
    """The command on its own terminal, as the leader of a session; `before`: code that runs first."""

    def __init__(self, zygote, environment, *arguments, before=""):
        self.screen, terminal = os.openpty()
        files = {"stdin": terminal, "stdout": terminal, "stderr": terminal}
        self.process = zygote.start("-c", before + MAIN, *arguments, env=environment, **files)
        os.close(terminal)
        self.text = ""

    def read_until(self, pattern):
        """Read until a pattern appears, or to the end."""
        while pattern is None or not re.search(pattern, self.text):
            if not select.select([self.screen], [], [], 60)[0]:
                raise AssertionError(f"nothing more came after {self.text[-500:]!r}")
            try:
                data = os.read(self.screen, 1 << 16)
            except OSError:  # the other side is closed
                data = b""
            if not data:
                return
            self.text += data.decode("utf-8", "replace")

    def end(self):
        """The exit code."""
        self.read_until(None)
        code = self.process.wait(60)
        os.close(self.screen)
        for words in ("Traceback", "Exception ignored"):
            assert words not in self.text, f"exit code {code}, and the screen shows:\n{self.text}"
        assert self.text.rfind("\x1b[?25h") >= self.text.rfind("\x1b[?25l"), f"the cursor stays hidden:\n{self.text}"
        return code
