"""The clients: `wrk` for HTTP/1.1, `h2load` for HTTP/2, and idle connections."""

import collections
import json
import os
import re
import socket
import subprocess
import tempfile

import peers

# Latencies are in microseconds.
Result = collections.namedtuple("Result", "requests seconds errors p50 p99")

WRK = """
wrk.method, wrk.body = "{method}", {body}
done = function(summary, latency)
    local e = summary.errors
    io.write(string.format('\\n{{"requests": %d, "seconds": %f, "bytes": %d, "errors": %d, "p50": %f, "p99": %f}}',
        summary.requests, summary.duration / 1e6, summary.bytes, e.connect + e.read + e.write + e.status + e.timeout,
        latency:percentile(50), latency:percentile(99)))
end
"""


class Http1:
    """Requests over HTTP/1.1; `answer` is the length of the response's body, `post` that of the request's."""

    protocol = "http1"

    def __init__(self, name, about, connections, path="/", answer=2, post=0):
        self.name, self.about, self.connections, self.path = name, about, connections, path
        self.answer, self.post = answer, post

    def run(self, port, seconds, cores):
        with tempfile.NamedTemporaryFile("w", prefix="price-", suffix=".lua") as script:
            method = "POST" if self.post else "GET"
            body = f'string.rep("x", {self.post})' if self.post else "nil"
            script.write(WRK.format(method=method, body=body))
            script.flush()
            out = _run(
                [
                    *[*peers.pinned(cores), "wrk", "--threads", "1", "--connections", str(self.connections)],
                    *["--duration", f"{seconds}s", "--script", script.name, f"http://127.0.0.1:{port}{self.path}"],
                ]
            )
        found = json.loads(out.splitlines()[-1])
        # wrk does not check the length of responses.
        if found.pop("bytes") < found["requests"] * self.answer:
            found["errors"] += found["requests"]
        return Result(**found)


class Http2:
    """gRPC-like calls over HTTP/2."""

    protocol = "http2"

    def __init__(self, name, about, connections, streams):
        self.name, self.about, self.connections, self.streams = name, about, connections, streams

    def run(self, port, seconds, cores):
        with tempfile.TemporaryDirectory(prefix="price-") as directory:
            body, log = os.path.join(directory, "body"), os.path.join(directory, "log")
            with open(body, "wb") as file:
                file.write(b"\0\0\0\0\x0bhello world")
            out = _run(
                [
                    *[*peers.pinned(cores), "h2load", "--threads", "1", "--clients", str(self.connections)],
                    *["--max-concurrent-streams", str(self.streams), "--duration", str(seconds)],
                    *["--data", body, "--header", "content-type: application/grpc", "--header", "te: trailers"],
                    *["--log-file", log, f"http://127.0.0.1:{port}/g.S/call"],
                ]
            )
            # One line per request: start time, status, duration.
            with open(log) as file:
                lines = [line.split() for line in file]
        times = sorted(int(time) for _, status, time in lines if status == "200")
        failed, errored = re.search(r"(\d+) failed, (\d+) errored", out).groups()
        errors = max(int(failed), int(errored), len(lines) - len(times))
        if not times:
            return Result(0, seconds, max(errors, 1), 0, 0)
        p50, p99 = (times[int(share * (len(times) - 1))] for share in (0.5, 0.99))
        return Result(len(times), seconds, errors, p50, p99)


def _run(command):
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {run.stdout[-1000:]}{run.stderr[-1000:]}")
    return run.stdout


def idle(port, count):
    """Opens `count` connections and sends one request on each."""
    connections = []
    for _ in range(count):
        stream = socket.create_connection(("127.0.0.1", port), timeout=10)
        stream.sendall(b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
        answer = b""
        while not answer.endswith(b"xx"):
            data = stream.recv(4096)
            if not data:
                raise RuntimeError(f"closed after {answer!r}")
            answer += data
        connections.append(stream)
    return connections
