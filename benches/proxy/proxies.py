"""The proxies, each as installed: with its defaults, and only the configuration that is necessary to proxy."""

import copy
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

NGINX = """
user root;
worker_processes 2;
pid {dir}/pid;
error_log {dir}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    upstream web {{ {web} keepalive 16; }}
    upstream grpc {{ server 127.0.0.1:{grpc}; }}
    server {{
        listen 127.0.0.1:{http1};
        listen 127.0.0.1:{http2} http2;
        location / {{
            proxy_pass http://web;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
        }}
        location /g. {{ grpc_pass grpc://grpc; }}
    }}
}}
"""

# The timeouts are those of Debian's configuration; without them HAProxy warns and sets none.
HAPROXY = """
defaults
    mode http
    timeout connect 5000
    timeout client 50000
    timeout server 50000
frontend in
    bind 127.0.0.1:{http1}
    bind 127.0.0.1:{http2} proto h2
    use_backend grpc if {{ path_beg /g. }}
    default_backend web
backend web
{web}
backend grpc
    server a 127.0.0.1:{grpc} proto h2
"""

ENVOY = """
static_resources:
  listeners:
  - address: {{ socket_address: {{ address: 127.0.0.1, port_value: {http1} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          codec_type: AUTO
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{ "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }}
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - {{ match: {{ prefix: "/g." }}, route: {{ cluster: grpc }} }}
              - {{ match: {{ prefix: "/" }}, route: {{ cluster: web }} }}
  clusters:
  - name: web
    connect_timeout: 1s
    load_assignment:
      cluster_name: web
      endpoints: [{{ lb_endpoints: [{web}] }}]
  - name: grpc
    connect_timeout: 1s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{ http2_protocol_options: {{}} }}
    load_assignment:
      cluster_name: grpc
      endpoints: [{{ lb_endpoints: [{{ endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {grpc} }} }} }} }}] }}]
"""

TOWER = """
[[listeners]]
listen = "127.0.0.1:{http1}"
[[routes]]
path = "/g.S"
cluster = "grpc"
[[routes]]
cluster = "web"
[clusters.web]
endpoints = [{web}]
[clusters.grpc]
protocol = "http2"
endpoints = ["127.0.0.1:{grpc}"]
"""

# The syntax of each for the endpoints of `web`.
ENDPOINTS = {
    "tower-proxy": ('"127.0.0.1:{port}"', ", "),
    "nginx": ("server 127.0.0.1:{port};", " "),
    "HAProxy": ("    server s{port} 127.0.0.1:{port}", "\n"),
    "Envoy": (
        "{{ endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }} }} }}",
        ", ",
    ),
}

# The settings of each against broken backends, as replacements in the configuration above.
ROBUST = {
    "nginx": [
        ("upstream web {{", "upstream web {{ least_conn;"),
        ("proxy_pass http://web;", "proxy_pass http://web; proxy_next_upstream error timeout http_502 http_503 http_504;"),
    ],
    "HAProxy": [
        (
            "\nbackend web\n",
            """
backend web
    balance leastconn
    option redispatch 1
    retry-on all-retryable-errors
    option httpchk
    default-server check inter 1s fall 2 observe layer7 error-limit 5 on-error mark-down
""",
        )
    ],
    "Envoy": [
        (
            "cluster: web }}",
            """cluster: web, retry_policy: {{ retry_on: "5xx,reset,connect-failure", num_retries: 2,
                retry_host_predicate: [{{ name: envoy.retry_host_predicates.previous_hosts, typed_config: {{
                "@type": type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate }} }}],
                host_selection_retry_max_attempts: 3 }} }}""",
        ),
        (
            "  - name: web\n",
            """  - name: web
    lb_policy: LEAST_REQUEST
    outlier_detection: {{ max_ejection_percent: 50 }}
    circuit_breakers:
      thresholds: [{{ retry_budget: {{ budget_percent: {{ value: 20 }}, min_retry_concurrency: 10 }} }}]
""",
        ),
    ],
}


class Kind:
    """A proxy that may be installed here."""

    def __init__(self, name, binary, config, command, graceful, version, separate_http2=False):
        self.name, self.binary, self.config, self.command = name, binary, config, command
        self.graceful, self.separate_http2 = graceful, separate_http2
        self.version_command = version

    def version(self):
        run = subprocess.run([self.binary, self.version_command], capture_output=True, text=True)
        found = re.search(r"\d+\.\d+\.\d+[\w.+-]*", (run.stdout + run.stderr).split(" version")[-1])
        return found[0] if found else "unknown"

    def robust(self):
        """Returns the same proxy with its settings against broken backends."""
        kind = copy.copy(self)
        for old, new in ROBUST.get(self.name, []):
            assert old in kind.config, old
            kind.config = kind.config.replace(old, new)
        return kind

    def start(self, web, grpc):
        """Starts it in front of the port `web`, or of several ports."""
        return Running(self, [web] if isinstance(web, int) else web, grpc)

    def endpoints(self, ports):
        one, between = ENDPOINTS[self.name]
        return between.join(one.format(port=port) for port in ports)


class Running:
    """A running proxy, which is killed at the end of the `with`."""

    def __init__(self, kind, web, grpc):
        self.kind = kind
        self.dir = tempfile.mkdtemp(prefix="side-by-side-")
        self.http1 = free_port()
        self.http2 = free_port() if kind.separate_http2 else self.http1
        path = os.path.join(self.dir, "config" + (".yaml" if kind.name == "Envoy" else ""))
        values = {
            "path": path,
            "dir": self.dir,
            "web": kind.endpoints(web),
            "port": web[0],
            "grpc": grpc,
            "http1": self.http1,
            "http2": self.http2,
        }
        with open(path, "w") as file:
            file.write(kind.config.format(**values))
        command = [part.format(**values) for part in kind.command]
        self.log = open(os.path.join(self.dir, "log"), "w")
        self.process = subprocess.Popen([kind.binary, *command], stdout=self.log, stderr=self.log)
        self._wait_until_it_listens()

    def _wait_until_it_listens(self):
        for _ in range(1500):
            try:
                socket.create_connection(("127.0.0.1", self.http1)).close()
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.02)
        with open(os.path.join(self.dir, "log")) as log:
            raise RuntimeError(f"{self.kind.name} does not start: {log.read()[-2000:]}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for pid in self.pids():
            try:
                os.kill(pid, signal.SIGCONT)
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def pids(self):
        """The process and its children."""
        found, new = [], [self.process.pid]
        while new:
            pid = new.pop()
            found.append(pid)
            try:
                with open(f"/proc/{pid}/task/{pid}/children") as children:
                    new += [int(child) for child in children.read().split()]
            except OSError:
                pass
        return found

    def kill(self, number):
        os.kill(self.process.pid, number)

    def kill_all(self, number):
        for pid in self.pids():
            os.kill(pid, number)

    def ends_within(self, seconds):
        """Returns how long it takes to exit, or `None`."""
        since = time.monotonic()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        return time.monotonic() - since


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def installed(tower=None):
    """Returns the installed proxies, tower-proxy first."""
    tower = tower or os.environ.get("TOWER_PROXY") or _built()
    envoy = os.environ.get("ENVOY") or shutil.which("envoy") or ""
    kinds = [
        Kind("tower-proxy", tower, TOWER, ["run", "--config", "{path}"], signal.SIGTERM, "--version"),
        Kind(
            "nginx",
            shutil.which("nginx") or "/usr/sbin/nginx",
            NGINX,
            ["-p", "{dir}", "-c", "{path}", "-g", "daemon off;"],
            signal.SIGQUIT,
            "-v",
            separate_http2=True,
        ),
        Kind(
            "HAProxy",
            shutil.which("haproxy") or "/usr/sbin/haproxy",
            HAPROXY,
            ["-db", "-f", "{path}"],
            signal.SIGUSR1,
            "-v",
            separate_http2=True,
        ),
        Kind(
            "Envoy",
            envoy,
            ENVOY,
            ["-c", "{path}", "--concurrency", "2", "--use-dynamic-base-id", "--log-level", "error"],
            signal.SIGTERM,
            "--version",
        ),
    ]
    return [kind for kind in kinds if kind.binary and os.path.exists(kind.binary)]


def _built():
    for profile in ("release", "debug"):
        path = os.path.join(ROOT, "target", profile, "tower-proxy")
        if os.path.exists(path):
            return path
    subprocess.run(["cargo", "build", "-q", "-p", "tower-proxy"], cwd=ROOT, check=True)
    return os.path.join(ROOT, "target", "debug", "tower-proxy")
