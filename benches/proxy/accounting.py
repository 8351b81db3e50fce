"""The resources that a proxy has used, as counted by the kernel; sums over all its processes."""

import os

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(proxy):
    """Returns user and system time, including that of threads that have exited."""
    return sum(_seconds(f"/proc/{pid}/stat") for pid in proxy.pids())


def cpu_seconds_by_thread(proxy):
    """Returns user and system time, by thread."""
    found = {}
    for pid in proxy.pids():
        for thread in os.listdir(f"/proc/{pid}/task"):
            found[thread] = _seconds(f"/proc/{pid}/task/{thread}/stat")
    return found


def _seconds(path):
    with open(path) as file:
        # Field 2, the name in parentheses, may contain spaces. Fields 14 and 15 are utime and stime.
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_kib(proxy):
    """Returns resident memory in KiB. Pages that processes share are counted for each."""
    total = 0
    for pid in proxy.pids():
        with open(f"/proc/{pid}/status") as file:
            total += sum(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))
    return total
