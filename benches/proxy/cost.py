#!/usr/bin/env python3
"""Counts what a request costs tower-proxy: user instructions (valgrind's callgrind) and system calls (strace).

    python3 benches/proxy/cost.py                  builds, counts, compares with cost.txt; exit code 1 if anything is over
    python3 benches/proxy/cost.py --update         writes cost.txt
    python3 benches/proxy/cost.py --only get       one case: get, post or http2
    python3 benches/proxy/cost.py --peers          with nginx, HAProxy and bare hyper, as Markdown; --update writes README.md
    python3 benches/proxy/cost.py --profile FILE --only get --instructions    keeps callgrind's output of the longer run

Each count is the slope of two runs of different length, with one worker thread, so that start and end do not count. The
instructions do not depend on what else the machine does; system calls do a little, since a slow peer spoils batches.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

import ends
import peers
import proxies
import readme
import wire

HERE = os.path.dirname(os.path.abspath(__file__))
REFERENCE = os.path.join(HERE, "cost.txt")
TOLERANCE = 0.05
# The excess that is also accepted: a system call over HTTP/2 serves many requests, and how many depends on the machine's load.
SLACK = {"instructions": 0, "system-calls": 0.1}

FEW, MANY = 640, 3200

CONFIG = """
[[listeners]]
listen = "127.0.0.1:{http1}"
[[routes]]
cluster = "backend"
[clusters.backend]
protocol = "PROTOCOL"
endpoints = [{web}]
"""

CASES = [
    wire.Http1("get", "HTTP/1.1 GET, 2 bytes, 8 connections"),
    wire.Http1("post", "HTTP/1.1 POST, 16 KiB, 8 connections", b"POST", b"x" * 16384),
    wire.Http2("http2", "HTTP/2 to HTTP/2, gRPC-like, 4 x 16 streams"),
]


def run(case, kind, requests, tool, host="127.0.0.1"):
    """Runs the proxy under a tool, with a backend on `host`; returns what was written to standard error."""
    kind = peers.tuned(peers.under(kind, tool))
    kind.config = kind.config.replace("PROTOCOL", case.protocol)
    listener, stop = ends.listen(host), threading.Event()
    backend = threading.Thread(target=ends.serve, args=(case, listener, stop), daemon=True)
    backend.start()
    try:
        port = listener.getsockname()[1]
        with kind.start(port, port) as proxy:
            listens = proxy.http2 if case.protocol == "http2" else proxy.http1
            wait_until_it_answers(case, listens, proxy.process)
            ends.load(case, listens, requests)
            terminate(proxy.process)
            proxy.process.wait(60)
            with open(proxy.log.name) as log:
                text = log.read()
    finally:
        stop.set()
        backend.join()
        listener.close()
    # SIGTERM kills the bare proxies; the tools report their counts nevertheless.
    if proxy.process.returncode not in (0, -signal.SIGTERM, 128 + signal.SIGTERM):
        raise RuntimeError(f"{kind.name}, {tool[0]}: exit code {proxy.process.returncode}\n{text[-2000:]}")
    return text


def wait_until_it_answers(case, port, process):
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            return ends.load(case, port, case.connections * case.at_once)
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


def instructions(case, kind, profile=None, few=FEW, many=MANY, host="127.0.0.1"):
    def counted(requests):
        out = profile if profile and requests == many else "/dev/null"
        tool = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"]
        return int(re.search(r"Collected : (\d+)", run(case, kind, requests, tool, host))[1])

    return slope(counted, few, many)


def system_calls(case, kind):
    def counted(requests):
        with tempfile.NamedTemporaryFile("r", prefix="cost-") as table:
            run(case, kind, requests, ["strace", "-c", "-f", "-o", table.name])
            return int(re.search(r"^100\.00 .*?(\d+) +(?:\d+ +)?total$", table.read(), re.MULTILINE)[1])

    return slope(counted, 4 * FEW, 4 * MANY)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", choices=[case.name for case in CASES])
    parser.add_argument("--peers", action="store_true", help="also count nginx, HAProxy and the bare hyper proxies")
    parser.add_argument("--instructions", action="store_true", help="no system calls")
    parser.add_argument("--profile", metavar="FILE", help="where callgrind's output goes")
    parser.add_argument("--tower", metavar="BINARY", help="the proxy; by default it is built")
    parser.add_argument("--update", action="store_true", help="write cost.txt, or README.md")
    options = parser.parse_args()

    binary = options.tower
    if not binary:
        build = ["cargo", "build", "--release", "--quiet", "-p", "tower-proxy", "--bin", "tower-proxy"]
        subprocess.run(build, cwd=proxies.ROOT, check=True)
        target = os.environ.get("CARGO_TARGET_DIR") or os.path.join(proxies.ROOT, "target")
        binary = os.path.join(target, "release", "tower-proxy")
    if options.peers:
        text = table(binary, options)
        print(text)
        return readme.update("counts", text) if options.update else 0
    found = counts(tower(binary), options)
    known = read_reference()
    if options.update:
        write_reference({**known, **found})
    abouts = {case.name: case.about for case in CASES}
    over = 0
    for (name, what), count in found.items():
        expected = known.get((name, what))
        if expected is None:
            verdict = "not in cost.txt"
        elif count > expected + max(expected * TOLERANCE, SLACK[what]):
            verdict = "more than 5 % over"
        else:
            verdict = "5 % under: --update" if count < expected * (1 - TOLERANCE) else ""
        over += expected is None or "over" in verdict
        expected = "-" if expected is None else written(expected)
        print(f"{written(count):>8} of {expected:>8} {what:12} {abouts[name]}  {verdict}".rstrip())
    return 1 if over and not options.update else 0


def counts(kind, options):
    """Returns the counts, by the name of the case and `instructions` or `system-calls`."""
    found = {}
    for case in CASES:
        if options.only in (None, case.name) and case.protocol in kind.protocols:
            found[case.name, "instructions"] = instructions(case, kind, options.profile)
            if not options.instructions:
                found[case.name, "system-calls"] = system_calls(case, kind)
    return found


def tower(binary):
    command = ["run", "--config", "{path}"]
    kind = proxies.Kind("tower-proxy", binary, CONFIG, command, signal.SIGTERM, "--version")
    kind.protocols = ["http1", "http2"]
    return kind


def others(binary):
    """Returns the other proxies, each as a single process. Not Envoy, which takes minutes under callgrind."""
    for kind in peers.kinds(binary):
        if kind.name == "nginx":
            kind.command = [part.replace("daemon off;", "daemon off; master_process off;") for part in kind.command]
        if kind.name not in ("tower-proxy", "Envoy"):
            yield kind


def table(binary, options):
    """Counts all proxies; returns a Markdown table."""
    kinds = [tower(binary), *others(binary)]
    columns = [(case, what) for case in CASES for what in ("instructions", "system-calls")]
    heads = [f"{case.about}: {what.replace('-', ' ')}" for case, what in columns]
    lines = ["| per request | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for kind in kinds:
        found = counts(kind, options)
        keys = ((case.name, what) for case, what in columns)
        texts = [written(found[key], ",") if key in found else "-" for key in keys]
        lines.append("| " + " | ".join([kind.name, *texts]) + " |")
        print(lines[-1], file=sys.stderr)
    return "\n".join([readme.machine(kinds), "", *lines])


def written(count, thousands=""):
    return f"{count:{thousands}.0f}" if count >= 100 else f"{count:.2f}"


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
