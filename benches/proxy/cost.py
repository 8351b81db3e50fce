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
import signal
import subprocess
import sys
import tempfile
import threading
import time

import ends
import proxies
import wire

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

CASES = [
    wire.Http1("get", "HTTP/1.1 GET, 2 bytes, 8 connections"),
    wire.Http1("post", "HTTP/1.1 POST, 16 KiB, 8 connections", b"POST", b"x" * 16384),
    wire.Http2("http2", "HTTP/2 to HTTP/2, gRPC-like, 4 x 16 streams"),
]


def run(case, binary, requests, tool):
    """Runs the proxy under a tool; returns what was written to standard error."""
    listener, stop = ends.listen(), threading.Event()
    backend = threading.Thread(target=ends.serve, args=(case, listener, stop), daemon=True)
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
                ends.load(case, port, requests)
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
