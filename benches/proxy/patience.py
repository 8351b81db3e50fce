"""The rows about time: how long the proxy waits for each side, and how gRPC calls end."""

import socket
import time

import raw


def ends(data, http2=False):
    """Sends `data`, and returns when and how the proxy closes the connection."""

    def run(proxy, _web, cap):
        sent = data.replace("TOKEN", raw.token()).encode("latin-1")
        answer = raw.exchange(proxy.http2 if http2 else proxy.http1, sent, seconds=cap)
        if not answer.ended:
            return "never" if not answer.statuses or answer.status == "200" else f"{answer.status}, stays open"
        status = f"{answer.statuses[-1]} " if answer.statuses and answer.statuses[-1] >= 400 else ""
        return f"{status}after {answer.seconds:.0f} s"

    return run


def answered_after(path, seconds_limit=None):
    """Returns the status, and its time."""

    def run(proxy, _web, cap):
        request = f"GET {path}?{raw.token()} HTTP/1.1\r\nHost: a\r\n\r\n"
        answer = raw.exchange(proxy.http1, request.encode(), seconds=seconds_limit or cap, until=lambda data: b"\r\n\r\n" in data)
        if answer.status == "no answer":
            return "none"
        return f"{answer.status} after {answer.seconds:.0f} s"

    return run


def steady_upload(proxy, _web, cap):
    """One byte per second for 20 s."""
    with raw.connect(proxy.http1) as stream:
        stream.sendall(f"POST /ok?{raw.token()} HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n".encode())
        since = time.monotonic()
        for _ in range(20):
            early = raw.read(stream, 1.0, until=lambda data: b"\r\n\r\n" in data)
            if early.statuses or early.ended:
                return f"{early.status} after {time.monotonic() - since:.0f} s"
            stream.sendall(b"x")
        return raw.read(stream, cap, until=raw.whole).status


def idle_http2(proxy, _web, cap):
    """An HTTP/2 client that sends no requests, and acknowledges settings and pings."""
    with raw.connect(proxy.http2) as stream:
        stream.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
        since, buffer = time.monotonic(), b""
        while time.monotonic() - since < cap:
            stream.settimeout(max(0.1, since + cap - time.monotonic()))
            try:
                data = stream.recv(65536)
            except TimeoutError:
                break
            except OSError:
                data = b""
            if not data:
                return f"after {time.monotonic() - since:.0f} s"
            buffer += data
            while len(buffer) >= 9:
                length, kind, flags = int.from_bytes(buffer[:3], "big"), buffer[3], buffer[4]
                if len(buffer) < 9 + length:
                    break
                payload, buffer = buffer[9 : 9 + length], buffer[9 + length :]
                if kind == 7:
                    return f"GOAWAY after {time.monotonic() - since:.0f} s"
                if kind in (4, 6) and not flags & 1:
                    reply = b"" if kind == 4 else payload
                    stream.sendall(len(reply).to_bytes(3, "big") + bytes([kind, 1, 0, 0, 0, 0]) + reply)
    return "never"


HELLO = "GET /ok?TOKEN HTTP/1.1\r\nHost: a\r\n\r\n"

ROWS = [
    ("a client that sends nothing", ends("")),
    ("a client that sends one byte", ends("G")),
    ("half an HTTP/2 preface", ends("PRI * HT", http2=True)),
    ("half a head", ends("GET / HTTP/1.1\r\nHost: a")),
    ("an idle connection after a request", ends(HELLO)),
    ("an idle HTTP/2 client that answers pings", idle_http2),
    ("half a body", ends("POST /ok?TOKEN HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")),
    ("a steady upload of 20 s", steady_upload),
    ("an upstream that answers after 20 s", answered_after("/wait/20")),
    ("an upstream that does not answer", answered_after("/wait/600")),
]


class Call:
    """One gRPC call on its own connection."""

    def __init__(self, proxy, path, content_type="application/grpc", timeout=None, port=None):
        import h2.config
        import h2.connection

        self.stream = raw.connect(port or proxy.http2)
        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        self.connection = h2.connection.H2Connection(config)
        self.connection.initiate_connection()
        head = [
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", "a"),
            (":path", path),
            ("content-type", content_type),
            ("te", "trailers"),
        ]
        if timeout:
            head.append(("grpc-timeout", timeout))
        self.connection.send_headers(1, head)
        self.connection.send_data(1, b"\0\0\0\0\0", end_stream=True)
        self.stream.sendall(self.connection.data_to_send())
        self.head, self.trailers, self.reset, self.head_after, self.seconds = {}, {}, None, None, None
        self.messages = 0

    def run(self, seconds, head_only=False):
        """Reads until the call has ended, its head has been received, or the time is up."""
        import h2.events

        since = time.monotonic()
        while time.monotonic() < since + seconds:
            self.stream.settimeout(max(0.05, since + seconds - time.monotonic()))
            try:
                data = self.stream.recv(65536)
            except TimeoutError:
                break
            except OSError:
                data = b""
            if not data:
                self.reset = self.reset or "connection"
                break
            for event in self.connection.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    self.head, self.head_after = dict(event.headers), time.monotonic() - since
                elif isinstance(event, h2.events.DataReceived):
                    self.messages += 1
                    self.connection.acknowledge_received_data(event.flow_controlled_length, 1)
                elif isinstance(event, h2.events.TrailersReceived):
                    self.trailers = dict(event.headers)
                elif isinstance(event, h2.events.StreamReset):
                    self.reset = str(getattr(event.error_code, "name", event.error_code))
            self.stream.sendall(self.connection.data_to_send())
            self.seconds = time.monotonic() - since
            if head_only and self.head:
                break
            if self.reset or "grpc-status" in {**self.head, **self.trailers} or self._has_ended():
                break
        self.close()
        return self

    def _has_ended(self):
        stream = self.connection.streams.get(1)
        return stream is None or stream.closed

    def close(self):
        self.stream.close()

    def end(self):
        status = {**self.head, **self.trailers}.get("grpc-status")
        if status is not None:
            return "OK" if status == "0" else f"grpc-status {status}"
        if self.reset:
            return f"reset: {self.reset}"
        return f"HTTP {self.head[':status']}" if self.head else "nothing"


def stream_of_20_seconds(proxy, _web, cap):
    call = Call(proxy, "/g.S/0-20").run(min(cap, 30))
    return f"{call.end()} after {call.seconds:.0f} s"


def own_deadline(proxy, _web, cap):
    call = Call(proxy, "/g.S/0-20", timeout="1S").run(min(cap, 30))
    return f"{call.end()} after {call.seconds:.0f} s"


def head_before_message(proxy, _web, cap):
    """Returns the minimum of twenty, since other processes may use the processor."""
    calls = [Call(proxy, "/g.S/3-0").run(min(cap, 20), head_only=True) for _ in range(20)]
    heads = [call.head_after for call in calls if call.head_after is not None]
    return f"{min(heads) * 1000:.1f} ms" if heads else calls[0].end()


def refused(content_type):
    """Returns the result that a client receives if no upstream is up."""

    def run(proxy, _web, cap):
        closed = socket.socket()
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with proxy.kind.start(port, port) as dead:
            call = Call(dead, "/g.S/0-0", content_type=content_type).run(min(cap, 20))
        closed.close()
        found = call.head.get("content-type", "no content-type")
        return f"{call.end()}, `{found}`" if call.head else call.end()

    return run


def grpc_rows():
    try:
        import h2  # noqa: F401
    except ImportError:
        return []
    return [
        ("a stream of 20 s, by default", stream_of_20_seconds),
        ("a stream of 20 s, `grpc-timeout: 1S`", own_deadline),
        ("the head of a stream whose message comes after 3 s", head_before_message),
        ("no upstream, gRPC", refused("application/grpc")),
        ("no upstream, gRPC-Web", refused("application/grpc-web+proto")),
    ]
