"""A socket on which the consumer waits for its worker, and to which nobody else can connect.  `channel` uses it.

``ipc``: a Unix socket in a folder that only this user may enter, removed as soon as the worker has connected.  ``tcp``,
for systems without Unix sockets: a port of the loopback interface with CURVE.  Both ends have keys made for this one
channel, and a client with any other key is rejected (by ZMQ's authentication protocol, RFC 27).  Once the worker has
connected, nothing answers that protocol any more, and without an answer nobody is accepted.  (ZMQ cannot close a
listening socket and keep the connections that it has accepted.)

The listening socket is opened before the worker starts and handed to ZMQ afterwards: so no thread of ZMQ runs while a
worker is forked, and a forked worker can close its copy.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import sys
import tempfile
from typing import NamedTuple
from weakref import WeakSet

import zmq
from zmq.utils import z85

from ...exceptions import BackgroundError

__all__ = ["Address", "Listener", "close_inherited", "default_socket"]

#: Most bytes in the path of a Unix socket; the strictest system allows 104.
_MAX_PATH = 100
#: The listeners of this process.
_listening: WeakSet[Listener] = WeakSet()
_ZAP = "inproc://zeromq.zap.01"


class Address(NamedTuple):
    """All that a worker needs to connect; a forked worker inherits it, for other start methods it is pickled."""

    url: str
    folder: str | None  #: of the socket, until it is removed
    keys: tuple[bytes, bytes, bytes] | None  #: the worker's public and secret key, the consumer's public key

    def connect(self, worker: zmq.Socket[bytes]) -> None:
        """Connect a worker's socket."""
        if self.keys is not None:
            worker.curve_publickey, worker.curve_secretkey, worker.curve_serverkey = self.keys
        worker.connect(self.url)

    def remove(self) -> None:
        """Remove the folder, if it is still there."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def default_socket() -> str:
    """The kind of socket to use: 'ipc' where the system has it, else 'tcp'."""
    return "ipc" if zmq.has("ipc") and sys.platform != "win32" else "tcp"


class Listener:
    """A listening socket for one worker.

    Parameters
    ----------
    transport : {'ipc', 'tcp'}
    ports : (first, last)
        Ports that may be tried for ``tcp``, both included.
    tries : int
        How many of them are tried.

    Raises
    ------
    BackgroundError
        If there is no free port, no folder for a socket, or no CURVE in this build of ZMQ.
    """

    def __init__(self, transport: str, ports: tuple[int, int], tries: int) -> None:
        self._zap: zmq.Socket[bytes] | None = None
        self._fd: int | None = None
        self._inode = 0
        self._secret = b""
        if transport == "ipc":
            folder = _private_folder()
            self.socket = socket.socket(socket.AF_UNIX)
            self.address = Address(f"ipc://{folder}/s", folder, None)
            name: str | tuple[str, int] = f"{folder}/s"
        else:
            if not zmq.has("curve"):
                raise BackgroundError(
                    "transport='tcp' needs a build of ZMQ with CURVE (libsodium), without which others on this machine "
                    "could read and forge what workers send; install pyzmq from a wheel, or use transport='ipc'"
                )
            self.socket = socket.socket(socket.AF_INET)
            public, self._secret = zmq.curve_keypair()
            name = ("127.0.0.1", _bound_port(self.socket, ports, tries))
            self.address = Address(f"tcp://127.0.0.1:{name[1]}", None, (*zmq.curve_keypair(), public))
        try:
            if transport == "ipc":
                self.socket.bind(name)
            self.socket.listen(8)
            self._fd = self.socket.fileno()
            self._inode = os.fstat(self._fd).st_ino
            _listening.add(self)
        except OSError as error:
            self.close()
            raise BackgroundError(f"no worker can connect, because listening at {name} failed: {error}") from error

    def adopt(self, consumer: zmq.Socket[bytes]) -> None:
        """Hand the listening socket to a ZMQ socket, once the worker has been started."""
        if self.address.keys is not None:
            zap = self._zap = consumer.context.socket(zmq.REP)
            zap.linger = 0
            zap.bind(_ZAP)
            consumer.curve_server = True
            consumer.curve_secretkey = self._secret
            consumer.zap_domain = b"streamflow"
            consumer.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)  # nobody is accepted while nothing answers
        consumer.setsockopt(zmq.USE_FD, self.socket.fileno())
        consumer.bind(self.address.url)
        self.socket.detach()  # it is ZMQ's now

    def forget(self) -> None:
        """Forget the descriptor once the socket is closed, by ZMQ too: its number may be another file's by now."""
        self._fd = None

    def wait(self, consumer: zmq.Socket[bytes], milliseconds: int) -> bool:
        """Wait for the first message; meanwhile accept the client with the worker's key and reject all others."""
        poller = zmq.Poller()
        poller.register(consumer, zmq.POLLIN)
        if self._zap is not None:
            poller.register(self._zap, zmq.POLLIN)
        ready = dict(poller.poll(milliseconds))
        if self._zap is not None and self._zap in ready:
            self._answer(self._zap)
        return consumer in ready

    def _answer(self, zap: zmq.Socket[bytes]) -> None:
        version, request, _domain, _peer, _identity, mechanism, *credentials = zap.recv_multipart()
        key = z85.encode(credentials[0]) if mechanism == b"CURVE" and len(credentials) == 1 else b""
        known = self.address.keys is not None and secrets.compare_digest(key, self.address.keys[0])
        code, text = (b"200", b"OK") if known else (b"400", b"unknown key")
        zap.send_multipart([version, request, code, text, b"", b""])

    def close(self) -> None:
        """Accept nobody else, and remove the folder; may be called again."""
        if self.socket.fileno() >= 0:
            self.forget()
        self.socket.close()
        self.address.remove()
        if self._zap is not None:
            self._zap.close(0)
            self._zap = None


def close_inherited() -> None:
    """In a forked worker: close its copies of the sockets on which the consumer listens for this worker and others."""
    for listener in list(_listening):
        fd, listener._fd = listener._fd, None
        if fd is not None:
            # Another thread may have closed it just before the fork, and its number may be another file's by now.
            with contextlib.suppress(OSError):
                if os.fstat(fd).st_ino == listener._inode:
                    os.close(fd)


def _private_folder() -> str:
    """A new folder for this user alone (mode 0700), with a path short enough for a socket in it."""
    tried = []
    for parent in dict.fromkeys((tempfile.gettempdir(), "/tmp")):  # noqa: S108  (mkdtemp makes it safe)
        if len(os.fsencode(parent)) + 24 >= _MAX_PATH:
            tried.append(f"{parent}: the path is too long for a socket")
            continue
        try:
            return tempfile.mkdtemp(prefix="streamflow-", dir=parent)
        except OSError as error:
            tried.append(f"{parent}: {error}")
    raise BackgroundError(f"no folder can be made for a socket ({'; '.join(tried)}); set TMPDIR to another folder")


def _bound_port(listening: socket.socket, ports: tuple[int, int], tries: int) -> int:
    """Bind to a port of a range, drawn anew for each try (not from `random`, whose state is the user's)."""
    first, last = ports
    why: OSError | None = None
    for _ in range(tries):
        port = first + secrets.randbelow(last - first + 1)
        try:
            listening.bind(("127.0.0.1", port))
        except OSError as error:
            why = error
        else:
            return port
    listening.close()
    raise BackgroundError(
        f"no free port on 127.0.0.1 between {first} and {last} in {tries} tries ({why}); give another range with "
        "`min_port` and `max_port`, or more `max_tries`"
    ) from why
