"""Compares two worker threads with one, and varies the number of routes, endpoints and connections."""

import concurrent.futures
import contextlib
import copy
import operator
import statistics

import accounting
import cost
import load
import peers
import wire

# ---- Two workers compared with one


def cores(kinds, cases, rounds, seconds):
    """Returns a table of the requests per second of CPU time of the busiest thread, with one worker and with two.

    In both settings each core runs half of the clients, and the backend may run on both, so that each worker shares its core
    with the same load.
    """
    kinds = [kind for kind in kinds if not isinstance(kind, peers.Bare)]
    cases = [case for case in cases if case.name in ("get", "grpc")]
    found = {}
    with contextlib.ExitStack() as stack:
        backend = stack.enter_context(peers.Backend("0,1"))
        running = []
        for kind in kinds:
            for workers, on in ((1, "0"), (2, "0,1")):
                proxy = peers.on(kind, on, workers).start(backend.web, backend.grpc)
                running.append((workers, stack.enter_context(proxy)))
        for _ in range(rounds):
            for case in cases:
                for workers, proxy in running:
                    shares = found.setdefault((case.name, proxy.kind.name, workers), [])
                    shares.append(share(case, proxy, ("0", "1"), seconds))
    return cores_table(kinds, cases, found)


def share(case, proxy, load_cores, seconds):
    """Returns requests, CPU time of the busiest thread and of all, and errors; the clients are spread over `load_cores`."""
    port = proxy.http2 if case.protocol == "http2" else proxy.http1
    case = copy.copy(case)
    case.connections //= len(load_cores)
    before = accounting.cpu_seconds_by_thread(proxy)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda core: case.run(port, seconds, core), load_cores))
    after = accounting.cpu_seconds_by_thread(proxy)
    used = [cpu - before.get(thread, 0) for thread, cpu in after.items()]
    requests, errors = (sum(getattr(result, of) for result in results) for of in ("requests", "errors"))
    return requests, max(used), sum(used), errors


def cores_table(kinds, cases, found):
    lines = [
        "| | requests per CPU-bound second, one worker | two workers | ratio | CPU s per 100,000, one worker | two workers "
        "| share of the busier of two threads | errors |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for case in cases:
        for kind in kinds:
            one, two = (found[case.name, kind.name, workers] for workers in (1, 2))
            bound = [[n / busiest for n, busiest, _, _ in of] for of in (one, two)]
            ratio = statistics.median(map(operator.truediv, bound[1], bound[0]))
            bound = [statistics.median(rounds) for rounds in bound]
            cost = [statistics.median(all_ * 1e5 / n for n, _, all_, _ in of) for of in (one, two)]
            most = statistics.median(busiest / all_ for _, busiest, all_, _ in two)
            errors = sum(share_[3] for share_ in one + two)
            lines.append(
                f"| {kind.name}, {case.about} | {bound[0]:,.0f} | {bound[1]:,.0f} | **{ratio:.2f}** "
                f"| {cost[0]:.2f} | {cost[1]:.2f} | {most:.0%} | {errors} |"
            )
    return "\n".join(lines)


# ---- Many routes, endpoints, connections

ROUTES, ENDPOINTS, CONNECTIONS = (1, 8, 64), (1, 10, 100, 1000), (10, 100, 1000, 5000)


def config(routes, endpoints):
    """Returns a configuration with one cluster, whose endpoints are addresses of one backend, and limits above 5,000."""
    text = '[[listeners]]\nlisten = "127.0.0.1:{http1}"\n'
    for number in range(routes):
        text += f'[[routes]]\npath = "{path(number)}"\ncluster = "web"\n[routes.limits]\nmax_in_flight = 10000\n'
    listed = ", ".join(f'"{address}:{{port}}"' for address in addresses(endpoints))
    text += f"[clusters.web]\nqueue_capacity = 10000\nendpoints = [{listed}]\n"
    return text + "[clusters.web.connections]\nmax_connections = 8192\n"


# The only way to listen on all of `addresses` with one socket.
ALL_ADDRESSES = "0.0.0.0"


def addresses(count):
    return [f"127.0.{number // 250}.{number % 250 + 1}" for number in range(count)]


def path(number):
    """Returns the path of a route."""
    return f"/r{number}" if number else "/"


def with_many(kind, routes=1, endpoints=1):
    kind = copy.copy(kind)
    if kind.name == "HAProxy":
        servers = (f"    server s{number} {address}:{{port}}" for number, address in enumerate(addresses(endpoints)))
        kind.config = kind.config.replace("{web}", "\n".join(servers))
    else:
        kind.config = config(routes, endpoints)
    return kind


def flat(kinds, rounds, seconds):
    """Returns a table of CPU time as one of the three grows, for HAProxy as endpoints and connections grow."""
    with contextlib.ExitStack() as stack:
        backend = stack.enter_context(peers.Backend("1", ALL_ADDRESSES))

        def start(kind, **many):
            proxy = peers.on(with_many(kind, **many), "0").start(backend.web, backend.grpc)
            return stack.enter_context(proxy)

        rows = []
        for kind in (kind for kind in kinds if kind.name in ("tower-proxy", "HAProxy")):
            ours = kind.name == "tower-proxy"
            least = start(kind)
            for routes in ROUTES if ours else ():
                proxy = least if routes == 1 else start(kind, routes=routes)
                rows.append(("routes", routes, proxy, load.Http1("", "", 64, path=path(routes - 1))))
            for endpoints in ENDPOINTS if ours else (1, max(ENDPOINTS)):
                proxy = least if endpoints == 1 else start(kind, endpoints=endpoints)
                rows.append(("endpoints", endpoints, proxy, load.Http1("", "", 64)))
            for connections in CONNECTIONS:
                rows.append(("connections", connections, least, load.Http1("", "", connections)))
        found = [[] for _ in rows]
        for round_ in range(rounds + 1):
            for costs, (_, _, proxy, case) in zip(found, rows):
                # The first round opens the connections to the endpoints.
                if round_ == 0:
                    case.run(proxy.http1, 1, "1")
                else:
                    costs.append(slope(case, proxy, seconds))
    return flat_table(rows, found)


def slope(case, proxy, seconds):
    """Returns CPU time per 100,000 requests, and errors, from two runs, so that opening connections does not count."""
    few, _, less, errors = share(case, proxy, ("1",), 1)
    many, _, more, more_errors = share(case, proxy, ("1",), 1 + seconds)
    return (more - less) * 1e5 / max(many - few, 1), errors + more_errors


def flat_table(rows, found):
    lines = ["| | CPU s per 100,000 | least to most | relative to the first | errors |", "|---|---|---|---|---|"]
    first = {}
    for (what, count, proxy, _), slopes in zip(rows, found):
        costs = [cost for cost, _ in slopes]
        cost = statistics.median(costs)
        name = proxy.kind.name
        first.setdefault((what, name), cost)
        lines.append(
            f"| {name}, {count:,} {what if count > 1 else what[:-1]} | {cost:.2f} | {min(costs):.2f} to {max(costs):.2f} "
            f"| {cost / first[what, name]:.2f} | {sum(errors for _, errors in slopes)} |"
        )
    return "\n".join(lines)


# ---- Instructions

FEW, MANY = 10_000, 15_000  # The shorter run opens most connections to 1,000 endpoints.


def instructions(ours):
    """Returns a table of user instructions per request, which do not depend on the load of the machine."""
    lines = ["| | user instructions per request | relative to the first |", "|---|---|---|"]
    ours = cost.tower(ours.binary)
    for what, counts in ("routes", ROUTES), ("endpoints", ENDPOINTS), ("connections", (10, 100, 1000)):
        first = None
        for count in counts:
            case = wire.Http1("get", "", path=path(count - 1 if what == "routes" else 0).encode())
            if what == "connections":
                case.connections = count
            kind = with_many(ours, **({} if what == "connections" else {what: count}))
            found = cost.instructions(case, kind, few=FEW, many=MANY, host=ALL_ADDRESSES)
            first = first or found
            lines.append(f"| {count:,} {what if count > 1 else what[:-1]} | {found:,.0f} | {found / first:.2f} |")
    return "\n".join(lines)
