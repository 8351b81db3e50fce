"""The rows about messages: which are forwarded, which are rejected, and what the other side receives."""

import raw


def shown(answer, seen):
    """Returns the client's status, and whether an upstream received a request."""
    return f"{answer.status}, forwarded" if seen else answer.status


def client(template, *names, path="/ok", count=False):
    """Sends `template`, and returns the client's status and these fields as the upstream received them."""

    def run(proxy, web, _cap):
        token = raw.token()
        data = template.replace("PATH", f"{path}?{token}").replace("TOKEN", token)
        answer = raw.exchange(proxy.http1, data.encode("latin-1"))
        seen = web.take(token)
        text = shown(answer, seen)
        if not seen:
            return text
        if count:
            text += f" {len(seen)} times, {len(answer.statuses)} answers"
        fields = []
        for name in names:
            if name == "target":
                fields.append(f"`{seen[0].target.replace('?' + token, '')}`")
            elif name == "body":
                fields.append(f"body of {len(seen[0].body)} bytes" if seen[0].whole else "body not whole")
            else:
                values = seen[0].fields(name)
                fields += [f"`{name}: {value}`" for value in values] or [f"no `{name}`"]
        return ", ".join([text, *fields])

    return run


def get(*lines, path="PATH", version="1.1"):
    return "\r\n".join([f"GET {path} HTTP/{version}", *lines, "", ""])


def post(*lines, body=""):
    return "\r\n".join(["POST PATH HTTP/1.1", "Host: a", *lines, "", body])


LENGTHS = ("content-length", "transfer-encoding", "body")

CLIENT = [
    (
        "`Content-Length` and `Transfer-Encoding: chunked`",
        client(post("Content-Length: 4", "Transfer-Encoding: chunked", body="2\r\nhi\r\n0\r\n\r\n"), *LENGTHS),
    ),
    ("`Content-Length: 2` and `Content-Length: 3`", client(post("Content-Length: 2", "Content-Length: 3", body="hi!"), *LENGTHS)),
    ("`Content-Length: 2, 2`", client(post("Content-Length: 2, 2", body="hi"), *LENGTHS)),
    ("`Content-Length: +2`", client(post("Content-Length: +2", body="hi"), *LENGTHS)),
    (
        "`Transfer-Encoding: gzip, chunked`",
        client(post("Transfer-Encoding: gzip, chunked", body="2\r\nhi\r\n0\r\n\r\n"), *LENGTHS),
    ),
    ("`Transfer-Encoding: xchunked`", client(post("Transfer-Encoding: xchunked", body="2\r\nhi\r\n0\r\n\r\n"), *LENGTHS)),
    (
        "HTTP/1.0 with `Transfer-Encoding: chunked`",
        client("POST PATH HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", *LENGTHS),
    ),
    ("GET with a chunked body", client("GET PATH HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", *LENGTHS)),
    ("a chunk whose size is `xyz`", client(post("Transfer-Encoding: chunked", body="xyz\r\nhi\r\n0\r\n\r\n"), path="/early/ok")),
    ("a space before the colon", client(get("Host: a", "X-A : b"), "x-a")),
    ("a folded field", client(get("Host: a", "X-A: b", " c"), "x-a")),
    ("no `Host`", client(get(), "host")),
    ("two `Host`", client(get("Host: a", "Host: b"), "host")),
    ("`Host: a/b`", client(get("Host: a/b"), "host")),
    ("`Host: u@a`", client(get("Host: u@a"), "host")),
    ("`Host: a b`", client(get("Host: a b"), "host")),
    ("absolute form for `c`, `Host: d`", client(get("Host: d", path="http://cPATH"), "host")),
    ("HTTP/1.0 without `Host`", client(get(version="1.0"), "host")),
    ("`/x/../admin`", client(get("Host: a"), "target", path="/x/../admin")),
    ("`//admin`", client(get("Host: a"), "target", path="//admin")),
    ("`/%61dmin`", client(get("Host: a"), "target", path="/%61dmin")),
    (
        "`Connection: x-a` and `Connection: x-b`, with both fields",
        client(get("Host: a", "Connection: x-a", "Connection: x-b", "X-A: 1", "X-B: 2"), "x-a", "x-b"),
    ),
    ("`X-Forwarded-For: 1.2.3.4` of a client", client(get("Host: a", "X-Forwarded-For: 1.2.3.4"), "x-forwarded-for")),
    ("`X-Forwarded-Proto: https` of a client", client(get("Host: a", "X-Forwarded-Proto: https"), "x-forwarded-proto")),
    ("`Proxy-Authorization` of a client", client(get("Host: a", "Proxy-Authorization: x"), "proxy-authorization")),
    ("a second request behind the first", client(get("Host: a") + get("Host: a"), count=True)),
    ("a head of 40 kB", client(get("Host: a", "X-A: " + "y" * 40_000))),
    ("a head of 200 kB", client(get("Host: a", "X-A: " + "y" * 200_000))),
    ("`HTTP/1.2`", client(get("Host: a", version="1.2"))),
    ("a request line that makes no sense", client("GET PATH x HTTP/1.1\r\nHost: a\r\n\r\n")),
]


def upstream(name, *, method="GET", body=True):
    """Lets the upstream send this response, and returns what the client receives."""

    def run(proxy, _web, _cap):
        request = f"{method} /raw/{name}?{raw.token()} HTTP/1.1\r\nHost: a\r\n\r\n"
        answer = raw.exchange(proxy.http1, request.encode(), seconds=6, until=raw.whole)
        if answer.status != "200":
            return answer.status
        text = answer.status
        if len(answer.statuses) > 1:
            text += " after " + ", ".join(map(str, answer.statuses[:-1]))
        head = answer.data.lower().rpartition(b"http/1.")[2].partition(b"\r\n\r\n")[0]
        chunked, length = b"transfer-encoding: chunked" in head, b"content-length:" in head
        framed = "chunked and a length" if chunked and length else "chunked" if chunked else "a length" if length else "until the end"
        if not body:
            return text
        rest = answer.data.rpartition(b"\r\n\r\n")[2] if not chunked else answer.body
        is_whole = rest.endswith(b"0\r\n\r\n") or b"\r\n0\r\n" in answer.body if chunked else rest in (b"hi", b"hi!")
        end = "whole" if is_whole else "cut off" if answer.ended else "left open"
        return f"{text}, {framed}, {end}"

    return run


def reuse_after_http10(proxy, web, _cap):
    """An HTTP/1.0 upstream with a persistent connection; then a chunked POST."""
    first = f"GET /raw/http10?{raw.token()} HTTP/1.1\r\nHost: a\r\n\r\n"
    raw.exchange(proxy.http1, first.encode(), until=raw.whole)
    token = raw.token()
    second = f"POST /ok?{token} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    answer = raw.exchange(proxy.http1, second.encode(), until=raw.whole)
    seen = web.take(token)
    if not seen:
        return answer.status
    kind = "body lost" if b"hi" not in seen[-1].body else "body whole"
    return f"{answer.status}, {seen[-1].version}, {kind}"


UPSTREAM = [
    ("`Content-Length` and chunked", upstream("cl-te")),
    ("`Content-Length: 2` and `3`", upstream("two-lengths")),
    ("`Content-Length: 2, 2`", upstream("same-lengths")),
    ("4 of 10 bytes, then the end", upstream("short")),
    ("chunks without their end", upstream("short-chunks")),
    ("a chunk whose size is `xyz`", upstream("bad-chunks")),
    ("`Transfer-Encoding: gzip, chunked`", upstream("gzip-chunked")),
    ("101 that was not asked for", upstream("unasked-101")),
    ("what is not HTTP", upstream("garbage")),
    ("the end without an answer", upstream("nothing")),
    ("the same to a POST", upstream("nothing", method="POST")),
    ("103, then 200", upstream("early-hints", body=False)),
    ("a head of 40 kB", upstream("big-head", body=False)),
    ("HTTP/1.0 with keep-alive, then a chunked POST", reuse_after_http10),
]
