"""Writes tables between markers of README.md, and describes the machine."""

import datetime
import os
import re

import peers

README = os.path.join(os.path.dirname(os.path.abspath(__file__)), "README.md")


def machine(kinds):
    """Returns the date, the machine, and the versions of the proxies."""
    with open("/proc/cpuinfo") as file:
        model = re.search(r"model name\s*: (.*)", file.read())
    model = model[1].strip() if model else os.uname().machine
    versions = dict.fromkeys(f"{kind.name.split(',')[0]} {peers.version(kind)}" for kind in kinds)
    return (
        f"{datetime.date.today()}, {os.cpu_count()} cores of {model}, Linux {os.uname().release}; "
        + ", ".join(versions) + "."
    )


def update(section, text):
    """Replaces the text between the markers of `section`."""
    begin, end = f"<!-- table: {section} -->", f"<!-- end of {section} -->"
    with open(README) as file:
        readme = file.read()
    if begin not in readme:
        raise SystemExit(f"{README} has no {begin}")
    pattern = re.escape(begin) + ".*" + re.escape(end)
    readme = re.sub(pattern, lambda _: f"{begin}\n{text}\n{end}", readme, flags=re.DOTALL)
    with open(README, "w") as file:
        file.write(readme)
