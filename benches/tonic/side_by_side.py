#!/usr/bin/env python3
"""Puts tonic's `Channel` on our tower beside the same on the registry's: CPU time per call, in turns. And beside the floor: the
same calls by tonic's client over hyper's connections, without a channel and without tower.

    python3 benches/tonic/side_by_side.py              builds both, and prints the table
    python3 benches/tonic/side_by_side.py --rounds 15  with more rounds (default: 9)
    python3 benches/tonic/side_by_side.py --only "128" the cases of 128 tasks

Client and servers are one process and everything runs on 127.0.0.1.
"""

import argparse
import os
import statistics
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
TARGET = os.path.join(HERE, "target")
KINDS = ("ours", "registry")
PROGRAMS = KINDS + ("floor",)
CASES = [
    ("`connect`, 1 task", ["connect", "1", "4000"]),
    ("`connect`, 16 tasks", ["connect", "16", "20000"]),
    ("`connect`, 128 tasks", ["connect", "128", "20000"]),
    ("`balance_list` of 4, 1 task", ["balance", "1", "4000"]),
    ("`balance_list` of 4, 16 tasks", ["balance", "16", "20000"]),
    ("`balance_list` of 4, 128 tasks", ["balance", "128", "20000"]),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", default="", help="the cases whose names have this in them")
    parser.add_argument("--no-build", action="store_true", help="the programs are there already")
    options = parser.parse_args()
    if not options.no_build:
        for kind in KINDS:
            manifest = os.path.join(HERE, kind, "Cargo.toml")
            # One target directory, so that crates that do not depend on tower are compiled once.
            command = ["cargo", "build", "-q", "--release", "--manifest-path", manifest, "--target-dir", TARGET]
            subprocess.run(command, check=True)

    print("| case | ours, µs of CPU | the registry's | ratio | least to most | the floor | its ratio | least to most |")
    print("|---|---|---|---|---|---|---|---|")
    for name, arguments in CASES:
        if options.only not in name:
            continue
        times = {kind: [] for kind in PROGRAMS}
        for round in range(options.rounds):
            # Alternating, and not always in the same order.
            for kind in PROGRAMS if round % 2 == 0 else reversed(PROGRAMS):
                times[kind].append(run(kind, arguments))
        ours, registry, floor = (statistics.median(times[kind]) for kind in PROGRAMS)
        print(
            f"| {name} | {ours:.1f} | {registry:.1f} | {ours / registry:.2f} | {spread(times, 'ours')} "
            f"| {floor:.1f} | {floor / registry:.2f} | {spread(times, 'floor')} |",
            flush=True,
        )


def spread(times, kind):
    """Returns the minimum and maximum of the rounds' ratios to the registry's."""
    ratios = sorted(a / b for a, b in zip(times[kind], times["registry"]))
    return f"{ratios[0]:.2f} to {ratios[-1]:.2f}"


def run(kind, arguments):
    """Microseconds of CPU per call."""
    if kind == "floor":
        mode, *rest = arguments
        kind, arguments = "ours", [f"{mode}-floor", *rest]
    program = os.path.join(TARGET, "release", f"channel-{kind}")
    output = subprocess.run([program, *arguments], check=True, capture_output=True, text=True, timeout=60)
    return float(output.stdout.split()[0])


if __name__ == "__main__":
    main()
