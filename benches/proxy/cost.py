#!/usr/bin/env python3
"""Counts what a request costs tower-proxy: user instructions (valgrind's callgrind) and system calls (strace).

    python3 benches/proxy/cost.py                  builds, counts, compares with cost.txt; exit code 1 if anything is over
    python3 benches/proxy/cost.py --update         writes cost.txt
    python3 benches/proxy/cost.py --only get       one case: get, post or http2
    python3 benches/proxy/cost.py --profile FILE --only get --instructions    keeps callgrind's output of the longer run

Each count is the slope of two runs of different length, with one worker thread, so that start and end do not count. The
instructions do not depend on what else the machine does; system calls do a little, since a slow peer spoils batches.
"""

import argparse
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import proxies

HERE = os.path.dirname(os.path.abspath(__file__))
REFERENCE = os.path.join(HERE, "cost.txt")
TOLERANCE = 0.05

CONFIG = """
[[listeners]]
listen = "127.0.0.1:{listen}"
[[routes]]
cluster = "backend"
[clusters.backend]
protocol = "{protocol}"
endpoints = ["127.0.0.1:{backend}"]
"""


# ---- HTTP/1.1


class Http1:
    """Requests on 8 connections, one after the other on each."""

    protocol, connections, at_once = "http1", 8, 1
    ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nhi"

    def __init__(self, name, about, method=b"GET", body=b""):
        self.name, self.about = name, about
        length = b"content-length: %d\r\n" % len(body) if body else b""
        head = b"%s / HTTP/1.1\r\nhost: 127.0.0.1\r\nuser-agent: cost\r\naccept: */*\r\n%s\r\n"
        self.request = head % (method, length) + body

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


CASES = [
    Http1("get", "HTTP/1.1 GET, 2 bytes, 8 connections"),
    Http1("post", "HTTP/1.1 POST, 16 KiB, 8 connections", b"POST", b"x" * 16384),
    Http2("http2", "HTTP/2 to HTTP/2, gRPC-like, 4 x 16 streams"),
]


# ---- Backend and client, each with its own loop


def listen():
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    listener.setblocking(False)
    return listener


def serve(case, listener, stop):
    """The backend, until `stop` is set."""
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ, None)
    while not stop.is_set():
        for key, _ in selector.select(0.1):
            if key.data is None:
                stream, _ = listener.accept()
                stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                peer = case.server()
                if case.protocol == "http2":
                    stream.sendall(peer.begin(0))
                selector.register(stream, selectors.EVENT_READ, peer)
                continue
            try:
                data = key.fileobj.recv(1 << 18)
                if data:
                    _, out = key.data.take(data)
                    key.fileobj.sendall(out)
            except OSError:
                data = b""
            if not data:
                selector.unregister(key.fileobj)
                key.fileobj.close()
    selector.close()


def load(case, port, requests):
    """Sends a number of requests, and returns when all responses have been received."""
    selector, left = selectors.DefaultSelector(), requests
    # The same number on each connection, so that all are busy until the end.
    each = requests // case.connections
    assert each * case.connections == requests
    for _ in range(case.connections):
        stream = socket.create_connection(("127.0.0.1", port), timeout=60)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer = case.client()
        peer.unsent = each - case.at_once
        selector.register(stream, selectors.EVENT_READ, peer)
        stream.sendall(peer.begin(case.at_once))
    while left > 0:
        events = selector.select(60)
        if not events:
            raise RuntimeError(f"{left} of {requests} requests without an answer for a minute")
        for key, _ in events:
            data = key.fileobj.recv(1 << 18)
            if not data:
                raise RuntimeError(f"a connection was closed, {left} of {requests} requests are left")
            complete, out = key.data.take(data)
            left -= complete
            again = min(complete, key.data.unsent)
            key.data.unsent -= again
            key.fileobj.sendall(out + key.data.more(again))
    for key in list(selector.get_map().values()):
        key.fileobj.close()
    selector.close()


def run(case, binary, requests, tool):
    """Runs the proxy under a tool; returns what was written to standard error."""
    listener, stop = listen(), threading.Event()
    backend = threading.Thread(target=serve, args=(case, listener, stop), daemon=True)
    backend.start()
    port = proxies.free_port()
    with tempfile.TemporaryDirectory(prefix="cost-") as directory:
        path = os.path.join(directory, "config")
        with open(path, "w") as file:
            file.write(
                CONFIG.format(listen=port, backend=listener.getsockname()[1], protocol=case.protocol)
            )
        errors = os.path.join(directory, "errors")
        with open(errors, "w") as log:
            environment = {**os.environ, "TOKIO_WORKER_THREADS": "1", "RUST_LOG": "warn"}
            process = subprocess.Popen(
                [*tool, binary, "run", "--config", path], stdout=log, stderr=log, env=environment
            )
            try:
                wait_until_it_answers(case, port, process)
                load(case, port, requests)
                terminate(process)
                process.wait(60)
            finally:
                process.kill()
                process.wait()
                stop.set()
                backend.join()
                listener.close()
        with open(errors) as log:
            text = log.read()
    if process.returncode != 0:
        raise RuntimeError(f"{tool[0]} {binary}: exit code {process.returncode}\n{text[-2000:]}")
    return text


def wait_until_it_answers(case, port, process):
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            return load(case, port, case.connections * case.at_once)
        except (OSError, RuntimeError):
            time.sleep(0.1)
    raise RuntimeError(f"the proxy does not answer, exit code {process.returncode}")


def terminate(process):
    """strace does not forward signals; its child is the proxy."""
    children = f"/proc/{process.pid}/task/{process.pid}/children"
    with open(children) as file:
        child = file.read().split()
    os.kill(int(child[0]) if child else process.pid, signal.SIGTERM)


def slope(counted, few, many):
    return (counted(many) - counted(few)) / (many - few)


def instructions(case, binary, profile=None):
    def counted(requests):
        out = profile if profile and requests == MANY else "/dev/null"
        tool = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"]
        return int(re.search(r"Collected : (\d+)", run(case, binary, requests, tool))[1])

    return slope(counted, FEW, MANY)


def system_calls(case, binary):
    def counted(requests):
        with tempfile.NamedTemporaryFile("r", prefix="cost-") as table:
            run(case, binary, requests, ["strace", "-c", "-f", "-o", table.name])
            return int(re.search(r"^100\.00 .*?(\d+) +(?:\d+ +)?total$", table.read(), re.MULTILINE)[1])

    return slope(counted, 4 * FEW, 4 * MANY)


FEW, MANY = 640, 3200


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", choices=[case.name for case in CASES])
    parser.add_argument("--instructions", action="store_true", help="no system calls")
    parser.add_argument("--profile", metavar="FILE", help="where callgrind's output goes")
    parser.add_argument("--tower", metavar="BINARY", help="the proxy; by default it is built")
    parser.add_argument("--update", action="store_true", help="write cost.txt")
    options = parser.parse_args()

    binary = options.tower
    if not binary:
        build = ["cargo", "build", "--release", "--quiet", "-p", "tower-proxy", "--bin", "tower-proxy"]
        subprocess.run(build, cwd=proxies.ROOT, check=True)
        binary = os.path.join(proxies.ROOT, "target", "release", "tower-proxy")
    found = {}
    for case in CASES:
        if options.only in (None, case.name):
            found[case.name, "instructions"] = instructions(case, binary, options.profile)
            if not options.instructions:
                found[case.name, "system-calls"] = system_calls(case, binary)
    known = read_reference()
    if options.update:
        write_reference({**known, **found})
    abouts = {case.name: case.about for case in CASES}
    over = 0
    for (name, what), count in found.items():
        expected = known.get((name, what))
        if expected is None:
            verdict = "not in cost.txt"
        elif count > expected * (1 + TOLERANCE):
            verdict = "more than 5 % over"
        else:
            verdict = "5 % under: --update" if count < expected * (1 - TOLERANCE) else ""
        over += expected is None or "over" in verdict
        expected = "-" if expected is None else written(expected)
        print(f"{written(count):>8} of {expected:>8} {what:12} {abouts[name]}  {verdict}".rstrip())
    return 1 if over and not options.update else 0


def written(count):
    return f"{count:.0f}" if count >= 100 else f"{count:.2f}"


def read_reference():
    if not os.path.exists(REFERENCE):
        return {}
    with open(REFERENCE) as file:
        lines = [line.split() for line in file]
    return {(name, what): float(count) for count, what, name in lines}


def write_reference(found):
    with open(REFERENCE, "w") as file:
        for (name, what), count in found.items():
            file.write(f"{written(count):>8} {what:12} {name}\n")


if __name__ == "__main__":
    sys.exit(main())
