"""The upstreams of the proxies: a recording HTTP/1.1 server that misbehaves on request, and a gRPC server."""

import re
import socket
import threading
import time

# The response to `/raw/NAME`, and whether the connection is closed after it.
RESPONSES = {
    "cl-te": (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", True),
    "two-lengths": (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nhi!", True),
    "same-lengths": (b"HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nhi", True),
    "short": (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", True),
    "short-chunks": (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n", True),
    "bad-chunks": (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\nhalf\r\n0\r\n\r\n", True),
    "gzip-chunked": (b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", True),
    "unasked-101": (b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n", False),
    "garbage": (b"this is not HTTP\r\n\r\n", True),
    "nothing": (b"", True),
    "early-hints": (
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",
        False,
    ),
    "http10": (b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nhi", False),
    "big-head": (
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n" + b"x: " + b"y" * 40_000 + b"\r\n\r\nhi",
        False,
    ),
}
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"


class Seen:
    """A request as received: its bytes, and its connection."""

    def __init__(self, head, body, whole):
        self.head, self.body, self.whole = head, body, whole

    def fields(self, name):
        pattern = rb"^" + name.encode() + rb"[ \t]*:[ \t]*(.*?)\r?$"
        found = re.findall(pattern, self.head, re.IGNORECASE | re.MULTILINE)
        return [value.decode("latin-1") for value in found]

    @property
    def target(self):
        return self.head.split(b" ", 2)[1].decode("latin-1")

    @property
    def version(self):
        return self.head.split(b"\r\n", 1)[0].rsplit(b" ", 1)[-1].decode("latin-1")


class Backend:
    """Listens on a loopback port until the program ends."""

    def __init__(self):
        self.seen = []
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def take(self, token):
        """Returns the requests whose head contains this token."""
        with self.lock:
            return [seen for seen in self.seen if token.encode() in seen.head]

    def wait(self, token, seconds=10):
        """Waits for a request whose head contains this token."""
        end = time.monotonic() + seconds
        while not self.take(token) and time.monotonic() < end:
            time.sleep(0.01)
        return self.take(token)

    def _accept(self):
        while True:
            stream, _ = self.listener.accept()
            stream.settimeout(120)
            threading.Thread(target=self._serve, args=(stream,), daemon=True).start()

    def _serve(self, stream):
        with stream:
            try:
                buffer = b""
                while True:
                    head, buffer = _head(stream, buffer)
                    seen = Seen(head, b"", False)
                    with self.lock:
                        self.seen.append(seen)
                    target = seen.target
                    if b"100-continue" in head.lower() and "/no-continue" not in target:
                        stream.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                    if "/early/" not in target:
                        seen.body, buffer = _body(stream, seen, buffer)
                        seen.whole = True
                    delay = re.search(r"/wait/([\d.]+)", target)
                    if delay:
                        time.sleep(float(delay[1]))
                    raw = re.search(r"/raw/([a-z0-9-]+)", target)
                    answer, ends = RESPONSES[raw[1]] if raw else (OK, False)
                    stream.sendall(answer)
                    if ends:
                        return
            except (OSError, EOFError, ValueError, IndexError):
                pass


def _more(stream, buffer):
    data = stream.recv(65536)
    if not data:
        raise EOFError
    return buffer + data


def _head(stream, buffer):
    while b"\r\n\r\n" not in buffer:
        buffer = _more(stream, buffer)
    head, rest = buffer.split(b"\r\n\r\n", 1)
    return head + b"\r\n\r\n", rest


def _body(stream, seen, buffer):
    if any("chunked" in value.lower() for value in seen.fields("transfer-encoding")):
        while not re.search(rb"(^|\r\n)0\r\n(.*\r\n)*?\r\n", buffer):
            buffer = _more(stream, buffer)
        return buffer, b""
    lengths = seen.fields("content-length")
    length = int(lengths[0].split(",")[0]) if lengths else 0
    while len(buffer) < length:
        buffer = _more(stream, buffer)
    return buffer[:length], buffer[length:]


class GrpcBackend:
    """Responds with a head, after the seconds in the path (`/g.S/HEAD-END`) with a message, and ends with OK."""

    MESSAGE = b"\0\0\0\0\0"

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            stream, _ = self.listener.accept()
            threading.Thread(target=self._serve, args=(stream,), daemon=True).start()

    def _serve(self, stream):
        import h2.config
        import h2.connection
        import h2.events

        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        lock = threading.Lock()
        connection.initiate_connection()
        stream.sendall(connection.data_to_send())

        def answer(stream_id, first, last):
            def send(act):
                with lock:
                    act()
                    stream.sendall(connection.data_to_send())

            try:
                head = [(":status", "200"), ("content-type", "application/grpc")]
                send(lambda: connection.send_headers(stream_id, head))
                time.sleep(first)
                send(lambda: connection.send_data(stream_id, self.MESSAGE))
                time.sleep(last)
                end = [("grpc-status", "0")]
                send(lambda: connection.send_headers(stream_id, end, end_stream=True))
            except Exception:  # The call was given up.
                pass

        paths = {}
        with stream:
            while True:
                try:
                    data = stream.recv(65536)
                except OSError:
                    return
                if not data:
                    return
                with lock:
                    events = connection.receive_data(data)
                    stream.sendall(connection.data_to_send())
                for event in events:
                    if isinstance(event, h2.events.RequestReceived):
                        text = {_text(name): _text(value) for name, value in event.headers}
                        paths[event.stream_id] = text[":path"]
                        first, last = re.search(r"/([\d.]+)-([\d.]+)", text[":path"]).groups()
                        args = (event.stream_id, float(first), float(last))
                        threading.Thread(target=answer, args=args, daemon=True).start()


def _text(value):
    return value.decode("latin-1") if isinstance(value, bytes) else value
