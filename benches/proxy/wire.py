"""What a client and a backend send over HTTP/1.1 and HTTP/2, without I/O."""

import re

# ---- HTTP/1.1


class Http1:
    """Requests on 8 connections, one after the other on each."""

    protocol, connections, at_once = "http1", 8, 1
    ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nhi"

    def __init__(self, name, about, method=b"GET", body=b"", path=b"/"):
        self.name, self.about = name, about
        length = b"content-length: %d\r\n" % len(body) if body else b""
        head = b"%s %s HTTP/1.1\r\nhost: 127.0.0.1\r\nuser-agent: cost\r\naccept: */*\r\n%s\r\n"
        self.request = head % (method, path, length) + body

    def client(self):
        return Http1Peer(self.request, is_client=True)

    def server(self):
        return Http1Peer(self.ANSWER, is_client=False)


class Http1Peer:
    """Client or backend: counts the messages that it receives, and responds to each."""

    def __init__(self, message, is_client):
        self.message, self.is_client, self.data = message, is_client, b""

    def begin(self, requests):
        return self.message if requests else b""

    def more(self, requests):
        return self.message * requests

    def take(self, data):
        """Returns the number of messages that `data` completes, and the bytes to send immediately."""
        self.data += data
        complete = 0
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            if self.is_client and not self.data.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"an answer that is none: {self.data[:200]!r}")
            length = re.search(rb"content-length: (\d+)", self.data[:end], re.IGNORECASE)
            end += 4 + (int(length[1]) if length else 0)
            if len(self.data) < end:
                break
            self.data, complete = self.data[end:], complete + 1
        return complete, b"" if self.is_client else self.message * complete


# ---- HTTP/2 (RFC 9113), as far as a gRPC-like call needs it


class Http2:
    """Calls on 4 connections, 16 in flight on each; the response is 16 bytes and trailers."""

    protocol, connections, at_once = "http2", 4, 16

    def __init__(self, name, about):
        self.name, self.about = name, about

    def client(self):
        return Http2Peer(is_client=True)

    def server(self):
        return Http2Peer(is_client=False)


DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags=0, stream=0, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def literal(name, value):
    """A field without indexing (RFC 7541, 6.2.2)."""
    return b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value


# :method POST, :scheme http, :path, :authority (RFC 7541, appendix A).
REQUEST = b"\x83\x86\x04\x05/g.S/\x01\x09127.0.0.1" + b"".join(
    literal(*field) for field in ((b"content-type", b"application/grpc"), (b"te", b"trailers"))
)
RESPONSE = b"\x88" + literal(b"content-type", b"application/grpc")
TRAILERS = literal(b"grpc-status", b"0")
MESSAGE = b"\0\0\0\0\x0bhello world"


class Http2Peer:
    def __init__(self, is_client):
        self.is_client, self.stream, self.data = is_client, 1, b"" if is_client else None
        # An unlimited number of streams, and windows that need no update.
        self.hello = frame(SETTINGS, payload=b"\0\x04\x7f\xff\xff\xff") + frame(
            WINDOW_UPDATE, payload=(2**31 - 1 - 65535).to_bytes(4, "big")
        )
        self.preface = b""

    def begin(self, requests):
        return (PREFACE if self.is_client else b"") + self.hello + self.more(requests)

    def more(self, requests):
        out = b""
        for _ in range(requests):
            out += frame(HEADERS, END_HEADERS, self.stream, REQUEST)
            out += frame(DATA, END_STREAM, self.stream, MESSAGE)
            self.stream += 2
        return out

    def take(self, data):
        if self.data is None:
            self.preface += data
            if len(self.preface) < len(PREFACE):
                return 0, b""
            data, self.data = self.preface[len(PREFACE) :], b""
        self.data += data
        complete, out, at = 0, b"", 0
        while len(self.data) - at >= 9:
            end = at + 9 + int.from_bytes(self.data[at : at + 3], "big")
            if len(self.data) < end:
                break
            kind, flags = self.data[at + 3], self.data[at + 4]
            stream = int.from_bytes(self.data[at + 5 : at + 9], "big")
            if kind in (DATA, HEADERS) and flags & END_STREAM:
                complete += 1
                if not self.is_client:
                    out += frame(HEADERS, END_HEADERS, stream, RESPONSE)
                    out += frame(DATA, 0, stream, MESSAGE)
                    out += frame(HEADERS, END_HEADERS | END_STREAM, stream, TRAILERS)
            elif kind in (SETTINGS, PING) and not flags & ACK:
                out += frame(kind, ACK, payload=self.data[at + 9 : end] if kind == PING else b"")
            elif kind in (RST_STREAM, GOAWAY) and self.is_client:
                raise RuntimeError(f"a reset or an end of the connection: {self.data[at:end]!r}")
            at = end
        self.data = self.data[at:]
        return complete, out
