"""A backend and clients that speak `wire`, each a loop on one thread."""

import selectors
import socket


def listen(host):
    listener = socket.create_server((host, 0), backlog=4096)
    listener.setblocking(False)
    return listener


def serve(case, listener, stop):
    """The backend, until `stop` is set."""
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ, None)
    while not stop.is_set():
        for key, _ in selector.select(0.1):
            if key.data is None:
                stream, _ = listener.accept()
                stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                peer = case.server()
                if case.protocol == "http2":
                    stream.sendall(peer.begin(0))
                selector.register(stream, selectors.EVENT_READ, peer)
                continue
            try:
                data = key.fileobj.recv(1 << 18)
                if data:
                    _, out = key.data.take(data)
                    key.fileobj.sendall(out)
            except OSError:
                data = b""
            if not data:
                selector.unregister(key.fileobj)
                key.fileobj.close()
    selector.close()


def load(case, port, requests):
    """Sends a number of requests, and returns when all responses have been received."""
    selector, left = selectors.DefaultSelector(), requests
    # The same number on each connection, so that all are busy until the end.
    each = requests // case.connections
    assert each * case.connections == requests
    for _ in range(case.connections):
        stream = socket.create_connection(("127.0.0.1", port), timeout=60)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer = case.client()
        peer.unsent = each - case.at_once
        selector.register(stream, selectors.EVENT_READ, peer)
        stream.sendall(peer.begin(case.at_once))
    while left > 0:
        events = selector.select(60)
        if not events:
            raise RuntimeError(f"{left} of {requests} requests without an answer for a minute")
        for key, _ in events:
            data = key.fileobj.recv(1 << 18)
            if not data:
                raise RuntimeError(f"a connection was closed, {left} of {requests} requests are left")
            complete, out = key.data.take(data)
            left -= complete
            again = min(complete, key.data.unsent)
            key.data.unsent -= again
            key.fileobj.sendall(out + key.data.more(again))
    for key in list(selector.get_map().values()):
        key.fileobj.close()
    selector.close()
