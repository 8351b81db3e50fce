"""The proxies that are measured, each pinned to cores, and their backend."""

import copy
import os
import re
import signal
import subprocess

import proxies

BARE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bare")

# Changes to the configurations of `proxies.py`: the number of workers, and persistent connections in nginx.
TUNED = {
    "tower-proxy": [("[[listeners]]", "worker_threads = {workers}\n[[listeners]]")],
    "nginx": [
        ("worker_processes 2;", "worker_processes {workers};"),
        ("worker_connections 1024;", "worker_connections 8192;"),
        ("access_log off;", "access_log off; keepalive_requests 1000000000; client_body_buffer_size 32k;"),
        ("keepalive 16;", "keepalive 256; keepalive_requests 1000000000;"),
        ("127.0.0.1:{grpc};", "127.0.0.1:{grpc}; keepalive 512; keepalive_requests 1000000000;"),
    ],
    "HAProxy": [("\ndefaults\n", "\nglobal\n    nbthread {workers}\ndefaults\n")],
    "Envoy": [],
}


class Bare(proxies.Kind):
    """A proxy from `bare/`, which has no configuration and supports one protocol."""

    def __init__(self, name, mode, binary):
        backend = "127.0.0.1:{grpc}" if mode == "http2" else "127.0.0.1:{web}"
        command = [mode, "127.0.0.1:{http1}", backend]
        super().__init__(name, binary, "", command, signal.SIGTERM, None)
        self.protocols = ["http2"] if mode == "http2" else ["http1"]

    def endpoints(self, ports):
        return str(ports[0])


def kinds(tower=None):
    """Returns the installed proxies, tower-proxy first, and the bare ones, which are built."""
    found = proxies.installed(tower)
    for kind in found:
        kind.protocols = ["http1", "http2"]
    binary = build_bare()
    return [
        *found,
        Bare("bare hyper, legacy client", "http1", binary),
        Bare("bare hyper, in one task", "in-place", binary),
        Bare("bare hyper, HTTP/2", "http2", binary),
    ]


def build_bare():
    target = os.path.join(proxies.ROOT, "benches", "target")
    command = ["cargo", "build", "--release", "--quiet", "--locked", "--target-dir", target]
    subprocess.run(command, cwd=BARE, check=True)
    return os.path.join(target, "release", "bare")


def version(kind):
    """Returns the version of the proxy, or of hyper for a bare one."""
    if not isinstance(kind, Bare):
        return kind.version()
    with open(os.path.join(BARE, "Cargo.lock")) as lock:
        return re.search(r'name = "hyper"\nversion = "(.*)"', lock.read())[1]


def tuned(kind, workers=1):
    """Returns the proxy with this number of workers."""
    kind = copy.copy(kind)
    for old, new in TUNED.get(kind.name, []):
        assert old in kind.config, old
        kind.config = kind.config.replace(old, new.replace("{workers}", str(workers)))
    if kind.name == "Envoy":
        kind.command = [str(workers) if part == "2" else part for part in kind.command]
    return under(kind, ["env", "RUST_LOG=warn"])


def on(kind, cores, workers=1):
    """Returns the proxy with this number of workers, pinned to `cores`."""
    return tuned(under(kind, pinned(cores)), workers)


def under(kind, tool):
    """Returns the proxy, started by the command `tool`."""
    kind = copy.copy(kind)
    kind.binary, kind.command = tool[0], [*tool[1:], kind.binary, *kind.command]
    return kind


def pinned(cores):
    """Returns a command prefix that pins to `cores`, and sends SIGTERM when this program exits, even if it is killed."""
    return ["setpriv", "--pdeathsig", "TERM", "taskset", "--cpu-list", cores]


class Backend:
    """The backend from `bare/`, which is killed at the end of the `with`."""

    def __init__(self, cores, host="127.0.0.1"):
        self.web, self.grpc = proxies.free_port(), proxies.free_port()
        command = [*pinned(cores), build_bare(), "backend", f"{host}:{self.web}", f"{host}:{self.grpc}"]
        self.process = subprocess.Popen(command)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
