"""The rows about signals: which requests receive a response, and how long it takes to exit."""

import signal
import threading
import time

import raw


def own(run):
    """The proxy does not survive it."""
    run.needs_own = True
    return run


def in_flight(number):
    """A request that takes 2 s is in flight when the signal is sent."""

    @own
    def run(proxy, web, _cap):
        token = raw.token()
        with raw.connect(proxy.http1) as stream:
            stream.sendall(f"GET /wait/2?{token} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            web.wait(token)
            proxy.kill(number)
            status = raw.read(stream, 10, until=raw.whole).status
        took = proxy.ends_within(5)
        answered = "answered" if status == "200" else f"lost ({status})"
        return f"{answered}, {'goes on' if took is None else 'ends'}"

    return run


def queued(graceful):
    """60 clients whose requests are in the kernel when the signal is sent; 20 of their connections are accepted before."""

    @own
    def run(proxy, _web, _cap):
        number = proxy.kind.graceful if graceful else signal.SIGTERM
        kept = [raw.connect(proxy.http1) for _ in range(20)]
        for stream in kept:
            request(stream)
            raw.read(stream, 10, until=raw.whole)
        proxy.kill_all(signal.SIGSTOP)
        fresh = [raw.connect(proxy.http1) for _ in range(40)]
        for stream in kept + fresh:
            request(stream)
        proxy.kill(number)
        proxy.kill_all(signal.SIGCONT)
        statuses = []
        for stream in kept + fresh:
            with stream:
                statuses.append(raw.read(stream, 10, until=raw.whole).status)
        return f"{sum(status != '200' for status in statuses)} of 60"

    return run


def around(graceful):
    """Clients that connect, send a request and disconnect repeatedly, before and after the signal; refused ones do not count."""

    @own
    def run(proxy, _web, _cap):
        number = proxy.kind.graceful if graceful else signal.SIGTERM
        dropped, answered, stop = [], [], threading.Event()

        def client():
            while not stop.is_set():
                try:
                    stream = raw.connect(proxy.http1)
                except OSError:
                    return
                with stream:
                    try:
                        request(stream)
                        status = raw.read(stream, 10, until=raw.whole).status
                    except OSError:
                        status = "reset"
                (answered if status == "200" else dropped).append(status)

        clients = [threading.Thread(target=client) for _ in range(16)]
        for thread in clients:
            thread.start()
        time.sleep(1)
        proxy.kill(number)
        for thread in clients:
            thread.join(20)
        stop.set()
        return f"{len(dropped)} of {len(answered) + len(dropped)}"

    return run


def request(stream):
    stream.sendall(f"GET /ok?{raw.token()} HTTP/1.1\r\nHost: a\r\n\r\n".encode())


def held_by(data, http2=False):
    """Returns how long a graceful shutdown takes while a client has sent only this."""

    @own
    def run(proxy, _web, cap):
        with raw.connect(proxy.http2 if http2 else proxy.http1) as stream:
            stream.sendall(data)
            raw.exchange(proxy.http1, f"GET /ok?{raw.token()} HTTP/1.1\r\nHost: a\r\n\r\n".encode(), until=raw.whole)
            proxy.kill(proxy.kind.graceful)
            took = proxy.ends_within(cap)
        return f"more than {cap:g} s" if took is None else f"{took:.1f} s"

    return run


@own
def second_signal(proxy, web, cap):
    """A request that does not complete is in flight."""
    token = raw.token()
    with raw.connect(proxy.http1) as stream:
        stream.sendall(f"GET /wait/600?{token} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        web.wait(token)
        proxy.kill(proxy.kind.graceful)
        if proxy.ends_within(1) is not None:
            return "ends at the first"
        proxy.kill(signal.SIGTERM)
        took = proxy.ends_within(min(cap, 30))
    return "goes on" if took is None else f"ends after {took:.1f} s"


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])

ROWS = [
    *((f"SIG{name} with a request in flight", in_flight(getattr(signal, f"SIG{name}"))) for name in ("HUP", "USR1", "QUIT", "TERM", "INT")),
    ("dropped of 60 queued at SIGTERM", queued(False)),
    ("dropped of 60 queued at its graceful signal", queued(True)),
    ("dropped while it ends by SIGTERM", around(False)),
    ("dropped while it ends by its graceful signal", around(True)),
    ("a graceful end with a silent client", held_by(b"")),
    ("a graceful end with half a head", held_by(b"GET / HTTP/1.1\r\nHost: a")),
    ("a graceful end with a silent HTTP/2 client", held_by(PREFACE, http2=True)),
    ("SIGTERM after its graceful signal, a request in flight", second_signal),
]
