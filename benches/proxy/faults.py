#!/usr/bin/env python3
"""Breaks one of three backends behind each proxy under a steady load, and counts what the clients see.

    python3 benches/proxy/faults.py               a table, as Markdown, in under three minutes
    python3 benches/proxy/faults.py --robust      with the retries, checks and balancing that the others have
    python3 benches/proxy/faults.py --update      writes the table into docs/reliability.md, and the first into README.md
    python3 benches/proxy/faults.py --only Envoy  one proxy

Everything runs on 127.0.0.1, each proxy as `proxies.py` configures it: retries and health as by default, or with `--robust`
what each has. tower-proxy is the same in both. A proxy that is not installed has no column. The load is an open loop:
requests are sent at their time, whether or not others are answered.
"""

import argparse
import asyncio
import multiprocessing
import os
import re
import signal
import socket
import sys
import time

import proxies
from backend import OK

DOCS = [os.path.join(proxies.ROOT, "docs", "reliability.md"), os.path.join(proxies.ROOT, "README.md")]

# Each is a signal to one of the three backends.
FAULTS = [
    ("is killed", signal.SIGKILL),
    ("answers 503", signal.SIGUSR2),
    ("answers a second late", signal.SIGUSR1),
    ("hangs", signal.SIGSTOP),
]
REQUEST = b"GET / HTTP/1.1\r\nhost: faults\r\n\r\n"
UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\nno"
BACKLOG = 4096  # So that the kernel takes all connections to a backend that hangs.
SLOW = 0.5  # seconds
PATIENCE = 2.0  # seconds that a client waits


class Backend:
    """A process that responds, and misbehaves after a signal. The kernel accepts connections for it while it is stopped."""

    def __init__(self):
        listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        self.port = listener.getsockname()[1]
        self.process = multiprocessing.get_context("fork").Process(target=serve, args=(listener,), daemon=True)
        self.process.start()
        listener.close()  # So that nothing listens once the process is killed.

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.join()

    def suffer(self, fault):
        os.kill(self.process.pid, fault)


def serve(listener):
    async def run():
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, lambda: setattr(Answering, "delay", 1.0))
        loop.add_signal_handler(signal.SIGUSR2, lambda: setattr(Answering, "answer", UNAVAILABLE))
        server = await loop.create_server(Answering, sock=listener, backlog=BACKLOG)
        await server.serve_forever()

    asyncio.run(run())


class Answering(asyncio.Protocol):
    """A connection to a backend. The requests have no bodies."""

    answer, delay = OK, 0.0

    def connection_made(self, transport):
        self.transport, self.data = transport, b""

    def data_received(self, data):
        *heads, self.data = (self.data + data).split(b"\r\n\r\n")
        for _ in heads:
            if self.delay:
                asyncio.get_running_loop().call_later(self.delay, self.transport.write, self.answer)
            else:
                self.transport.write(self.answer)


class Client(asyncio.Protocol):
    """A connection to the proxy, with one request at a time."""

    def __init__(self, load):
        self.load, self.data, self.due = load, b"", None

    def connection_made(self, transport):
        self.transport = transport

    def send(self, due):
        self.due, self.data = due, b""
        self.timer = asyncio.get_running_loop().call_later(PATIENCE, self.finish, "unanswered")
        self.transport.write(REQUEST)

    def data_received(self, data):
        self.data += data
        head, end, body = self.data.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        if end and (not length or len(body) >= int(length[1])):
            self.finish(head[9:12].decode())

    def connection_lost(self, _):
        self.finish("broken off")

    def finish(self, result):
        """Counts the request in flight. Only a connection that has answered with a 200 is used again."""
        if self.due is None:
            if self in self.load.idle:
                self.load.idle.remove(self)
            return
        self.timer.cancel()
        self.load.count(self.due, result)
        self.due = None
        if result == "200" and not self.transport.is_closing():
            self.load.idle.append(self)
        else:
            self.transport.abort()


class Load:
    """Sends `rate` requests per second, and after `before` seconds injects the fault."""

    def __init__(self, port, rate, before, after):
        self.port, self.rate, self.before, self.after = port, rate, before, after
        self.idle, self.tasks = [], set()
        self.sent, self.slow, self.errors, self.fault_at = 0, 0, {}, None
        self.bad_before = 0  # More than none means that the machine is too busy to measure anything.

    async def run(self, happen):
        began, number = time.monotonic(), 0
        while number < self.rate * (self.before + self.after):
            now = time.monotonic()
            if self.fault_at is None and now >= began + self.before:
                self.fault_at = now
                happen()
            while began + number / self.rate <= now:
                self.request(began + number / self.rate)
                number += 1
            await asyncio.sleep(0.002)
        await asyncio.sleep(PATIENCE + 0.2)

    def request(self, due):
        if self.idle:
            self.idle.pop().send(due)
        else:
            task = asyncio.ensure_future(self.connect(due))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def connect(self, due):
        loop = asyncio.get_running_loop()
        try:
            connecting = loop.create_connection(lambda: Client(self), "127.0.0.1", self.port)
            _, client = await asyncio.wait_for(connecting, PATIENCE)
        except (OSError, asyncio.TimeoutError):
            self.count(due, "not connected")
        else:
            client.send(due)

    def count(self, due, result):
        late = time.monotonic() - due > SLOW
        if self.fault_at is None:
            self.bad_before += late or result != "200"
            return
        self.sent += 1
        if result != "200":
            self.errors[result] = self.errors.get(result, 0) + 1
        elif late:
            self.slow += 1


def measure(kind, fault, options):
    with Backend() as first, Backend() as second, Backend() as third:
        ports = [first.port, second.port, third.port]
        with kind.start(ports, proxies.free_port()) as proxy:
            load = Load(proxy.http1, options.rate, options.before, options.after)
            asyncio.run(load.run(lambda: second.suffer(fault)))
            return load


def table(kinds, options):
    lines = ["| one of three backends | " + " | ".join(kind.name for kind in kinds) + " |"]
    lines.append("|---" * (len(kinds) + 1) + "|")
    sent = 0
    for what, fault in FAULTS:
        cells = []
        for kind in kinds:
            load = measure(kind, fault, options)
            sent = max(sent, load.sent)
            counts = [(sum(load.errors.values()), "errors"), (load.slow, "slow")]
            cells.append(", ".join(f"{count:,} {name}" for count, name in counts if count) or "none")
            print(
                f"{what}, {kind.name}: of {load.sent} {load.errors}, {load.slow} slow;"
                f" before the fault {load.bad_before} slow or failed",
                file=sys.stderr,
            )
        lines.append("| " + " | ".join([what, *cells]) + " |")
    note = (
        f"Of some {sent:,} requests in the {options.after:g} seconds from the fault on, {options.rate:,} per second. An error is any"
        f" status but 200, a connection\nthat breaks, or no answer within {PATIENCE:g} seconds; slow is a 200 after more"
        f" than {SLOW * 1000:g} ms."
    )
    return "\n".join([*lines, "", note])


def update(text, robust):
    """Replaces the text between the markers of the table, in the documents that contain them."""
    name = "faults.py --robust" if robust else "faults.py"
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    for path in DOCS:
        with open(path) as file:
            doc = file.read()
        pattern = re.escape(begin) + ".*" + re.escape(end)
        with open(path, "w") as file:
            file.write(re.sub(pattern, lambda _: f"{begin}\n{text}\n{end}", doc, flags=re.DOTALL))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tower", help="the binary of tower-proxy")
    parser.add_argument("--only", help="the name of one proxy")
    parser.add_argument("--robust", action="store_true", help="with what each has against broken backends")
    parser.add_argument("--rate", type=int, default=1200, help="requests per second")
    parser.add_argument("--before", type=float, default=2, help="seconds before the fault")
    parser.add_argument("--after", type=float, default=6, help="seconds of requests after it")
    parser.add_argument("--update", action="store_true", help="write into the documents")
    options = parser.parse_args()
    if options.update and options.only:
        parser.error("--update needs all proxies")

    kinds = [kind for kind in proxies.installed(options.tower) if options.only in (None, kind.name)]
    if options.robust:
        kinds = [kind.robust() for kind in kinds]
    text = table(kinds, options)
    print(text)
    if options.update:
        update(text, options.robust)


if __name__ == "__main__":
    main()
