"""A client that sends raw bytes."""

import itertools
import re
import socket
import time

_numbers = itertools.count(1)


def token():
    """Returns a token that no other request contains."""
    return f"t{next(_numbers)}x"


class Answer:
    """The bytes received, whether the connection was closed, and the time that this took."""

    def __init__(self, data, ended, seconds, reset):
        self.data, self.ended, self.seconds, self.reset = data, ended, seconds, reset

    @property
    def statuses(self):
        return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3})", self.data)]

    @property
    def status(self):
        final = [status for status in self.statuses if status >= 200 or status == 101]
        if final:
            return str(final[0])
        if self.data:
            return f"{self.statuses[-1]:03} alone" if self.statuses else "bytes without a status"
        return "reset" if self.reset else "closed" if self.ended else "no answer"

    @property
    def body(self):
        return self.data.partition(b"\r\n\r\n")[2]


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def read(stream, seconds, until=None):
    """Reads until the end of the connection, until `until` is received, or until the time is up."""
    data, since, ended, reset = b"", time.monotonic(), False, False
    while not (until and until(data)):
        left = since + seconds - time.monotonic()
        if left <= 0:
            break
        stream.settimeout(left)
        try:
            piece = stream.recv(65536)
        except TimeoutError:
            break
        except OSError:
            ended = reset = True
            break
        if not piece:
            ended = True
            break
        data += piece
    return Answer(data, ended, time.monotonic() - since, reset)


def exchange(port, data, seconds=3.0, until=None):
    with connect(port) as stream:
        try:
            stream.sendall(data)
        except OSError:
            pass
        return read(stream, seconds, until)


def whole(data):
    """Returns whether this contains a complete response of the backend."""
    return data.endswith(b"\r\n\r\nhi")
