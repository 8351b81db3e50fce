//! Hop-by-hop fields, and fields that only a trusted proxy may set (RFC 9110, 7.6).

use super::row::{H1, H2, Row, Side, http, row, run};

const OK2: &[&str] = &["HEADERS! :status: 200"];
const GET: Side = H1(&[http!("GET / HTTP/1.1", "Host: a")]);
const GET2: Side = H2(&[&["HEADERS! GET a /"]]);
const SEES: &[&str] = &["GET / HTTP/1.1"];
const CHUNKED: &str = "5\r\nhello\r\n0\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connection_is_obeyed_in_requests() {
    let seen = |name, client, sees| row(name, H1(client)).sees(sees).gets(&["HTTP/1.1 200"]);
    run(&[
        seen("9110 7.6.1: a named field", &[http!("GET / HTTP/1.1", "Host: a", "Connection: X-A", "X-A: 1", "X-B: 2")], &["GET / HTTP/1.1", "!connection", "!x-a", "x-b: 2"]),
        seen("9110 7.6.1: all field lines of Connection", &[http!("GET / HTTP/1.1", "Host: a", "Connection: x-a", "Connection: x-b , x-c", "X-A: 1", "X-B: 2", "X-C: 3")], &["GET / HTTP/1.1", "!connection", "!x-a", "!x-b", "!x-c"]),
        seen("9110 7.6.1: all field lines of the named field", &[http!("GET / HTTP/1.1", "Host: a", "Connection: x-a", "X-A: 1", "X-A: 2")], &["GET / HTTP/1.1", "!x-a"]),
        seen("9110 7.6.1: next to an invalid name", &[http!("GET / HTTP/1.1", "Host: a", "Connection: \u{e9}, x-a", "X-A: 1")], &["GET / HTTP/1.1", "!x-a"]),
        seen("9110 7.6.1: fields that are always hop-by-hop", &[http!("GET / HTTP/1.1", "Host: a", "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive")], &["GET / HTTP/1.1", "!keep-alive", "!proxy-connection"]),
        seen("9110 7.6.1: close is for this connection", &[http!("GET / HTTP/1.1", "Host: a", "Connection: close")], &["GET / HTTP/1.1", "!connection"]),
        row("9112 9.6: and it closes", H1(&[http!("GET / HTTP/1.1", "Host: a", "Connection: x-a", "Connection: close")])).sees(SEES).gets(&["HTTP/1.1 200", "connection: close", "closes"]),
        seen("9110 7.6.1: a cookie, if it is named", &[http!("GET / HTTP/1.1", "Host: a", "Connection: cookie", "Cookie: a=1")], &["GET / HTTP/1.1", "!cookie"]),
        seen("9110 7.6.1: but not the host", &[http!("GET / HTTP/1.1", "Host: a", "Connection: host")], &["GET / HTTP/1.1", "host: a"]),
        seen("9110 7.6.1: nor where the body ends", &[http!("POST / HTTP/1.1", "Host: a", "Connection: content-length", "Content-Length: 2"; "hi")], &["POST / HTTP/1.1", "content-length: 2", "= hi"]),
        seen("9110 7.6.1: nor fields that the proxy writes", &[http!("GET / HTTP/1.1", "Host: a", "Connection: x-forwarded-for, via")], &["GET / HTTP/1.1", "x-forwarded-for: 127.0.0.1", "via: 1.1 tower-proxy-*"]),
        seen("9110 7.8: Upgrade", &[http!("GET / HTTP/1.1", "Host: a", "Connection: Upgrade", "Upgrade: websocket")], &["GET / HTTP/1.1", "!upgrade", "!connection"]),
        seen("7540 3.2: Upgrade to HTTP/2", &[http!("GET / HTTP/1.1", "Host: a", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")], &["GET / HTTP/1.1", "!upgrade", "!http2-settings"]),
        seen("9110 11.7.2: Proxy-Authorization is for this proxy", &[http!("GET / HTTP/1.1", "Host: a", "Proxy-Authorization: Basic eA==", "Authorization: Basic eQ==")], &["GET / HTTP/1.1", "!proxy-authorization", "authorization: Basic eQ=="]),
        row("9110 7.6.1: to HTTP/2", H1(&[http!("GET / HTTP/1.1", "Host: a", "Connection: x-a, keep-alive", "Connection: x-b", "X-A: 1", "X-B: 2", "Keep-Alive: timeout=5")]))
            .upstream(H2(&[OK2]))
            .sees(&["GET / HTTP/2", "!connection", "!keep-alive", "!x-a", "!x-b"])
            .gets(&["HTTP/1.1 200"]),
    ] as &[Row])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connection_is_obeyed_in_responses() {
    const ANSWER: Side = H1(&[http!("HTTP/1.1 200 OK", "Connection: x-a", "Connection: x-b, keep-alive", "X-A: 1", "X-B: 2", "X-C: 3", "Keep-Alive: timeout=5", "Upgrade: h2c", "Proxy-Connection: keep-alive", "Content-Length: 0")]);
    run(&[
        row("9110 7.6.1: every line, and fields that are always hop-by-hop", GET)
            .sees(SEES)
            .upstream(ANSWER)
            .gets(&["HTTP/1.1 200", "!connection", "!keep-alive", "!upgrade", "!proxy-connection", "!x-a", "!x-b", "x-c: 3"]),
        row("9110 7.6.1: the same to HTTP/2", GET2)
            .sees(SEES)
            .upstream(ANSWER)
            .gets(&["HTTP/2 200", "!connection", "!keep-alive", "!upgrade", "!proxy-connection", "!x-a", "!x-b", "x-c: 3"]),
        row("9110 11.7.1: Proxy-Authenticate is for this proxy", GET)
            .sees(SEES)
            .upstream(H1(&[http!("HTTP/1.1 200 OK", "Proxy-Authenticate: Basic", "Proxy-Authentication-Info: x", "WWW-Authenticate: Basic", "Content-Length: 0")]))
            .gets(&["HTTP/1.1 200", "!proxy-authenticate", "!proxy-authentication-info", "www-authenticate: Basic"]),
        row("9110 5.3: fields that come twice stay two, in order", GET)
            .sees(SEES)
            .upstream(H1(&[http!("HTTP/1.1 200 OK", "Set-Cookie: a=1", "X: y", "Set-Cookie: b=2", "Content-Length: 0")]))
            .gets(&["HTTP/1.1 200", "set-cookie: a=1 | b=2", "x: y"]),
        row("9110 5.5: 8 bits in a value pass", GET)
            .sees(SEES)
            .upstream(H1(&[http!("HTTP/1.1 200 OK", "X: \u{e9}", "Content-Length: 0")]))
            .gets(&["HTTP/1.1 200", "x: \u{e9}"]),
    ] as &[Row])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn te_is_forwarded_as_trailers_or_not_at_all() {
    let seen = |name, client, sees| row(name, H1(client)).sees(sees).gets(&["HTTP/1.1 200"]);
    run(&[
        seen("9110 10.1.4: trailers", &[http!("GET / HTTP/1.1", "Host: a", "Connection: TE", "TE: trailers")], &["GET / HTTP/1.1", "te: trailers", "connection: te"]),
        seen("9110 10.1.4: with other codings", &[http!("GET / HTTP/1.1", "Host: a", "Connection: TE", "TE: gzip;q=0.5, Trailers")], &["GET / HTTP/1.1", "te: trailers", "connection: te"]),
        seen("9110 10.1.4: on two lines", &[http!("GET / HTTP/1.1", "Host: a", "TE: gzip", "TE: trailers")], &["GET / HTTP/1.1", "te: trailers", "connection: te"]),
        seen("9110 10.1.4: other codings alone", &[http!("GET / HTTP/1.1", "Host: a", "Connection: TE", "TE: gzip")], &["GET / HTTP/1.1", "!te", "!connection"]),
        seen("9110 10.1.4: empty", &[http!("GET / HTTP/1.1", "Host: a", "TE:")], &["GET / HTTP/1.1", "!te", "!connection"]),
        row("9113 8.2.2: to HTTP/2", H1(&[http!("GET / HTTP/1.1", "Host: a", "Connection: TE", "TE: trailers, gzip")]))
            .upstream(H2(&[OK2]))
            .sees(&["GET / HTTP/2", "te: trailers", "!connection"])
            .gets(&["HTTP/1.1 200"]),
        row("9113 8.2.2: from HTTP/2", H2(&[&["HEADERS! GET a / | te: trailers"]]))
            .sees(&["GET / HTTP/1.1", "te: trailers", "connection: te"])
            .gets(&["HTTP/2 200"]),
        row("9113 8.2.2: other codings over HTTP/2", H2(&[&["HEADERS! GET a / | te: gzip"]])).gets(&["", "cut: reset 1"]),
    ] as &[Row])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_pass_where_they_can() {
    const ANSWER: Side = H1(&[http!("HTTP/1.1 200 OK", "Trailer: X-Sum", "Transfer-Encoding: chunked"; "2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n")]);
    const ANSWER2: Side = H2(&[&["HEADERS :status: 200 | trailer: x-sum", "DATA hi", "TRAILERS! x-sum: 1"]]);
    const TE: Side = H1(&[http!("GET / HTTP/1.1", "Host: a", "Connection: TE", "TE: trailers")]);
    run(&[
        row("9110 6.5: a request, as announced", H1(&[http!("POST / HTTP/1.1", "Host: a", "Trailer: X-Sum", "Transfer-Encoding: chunked"), CHUNKED, "X-Sum: 1\r\n\r\n"]))
            .sees(&["POST / HTTP/1.1", "trailer: X-Sum", "= hello", "+ x-sum: 1"])
            .gets(&["HTTP/1.1 200"]),
        row("9110 6.5: a request to HTTP/2, announced or not", H1(&[http!("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"), CHUNKED, "X-Sum: 1\r\n\r\n"]))
            .upstream(H2(&[OK2]))
            .sees(&["POST / HTTP/2", "= hello", "+ x-sum: 1"])
            .gets(&["HTTP/1.1 200"]),
        row("9110 6.5: a request from HTTP/2 to HTTP/2", H2(&[&["HEADERS POST a /", "DATA hello", "TRAILERS! x-sum: 1"]]))
            .upstream(H2(&[OK2]))
            .sees(&["POST / HTTP/2", "= hello", "+ x-sum: 1"])
            .gets(&["HTTP/2 200"]),
        row("9110 6.5.1: a request from HTTP/2 to HTTP/1.1, announced", H2(&[&["HEADERS POST a / | trailer: x-sum", "DATA hello", "TRAILERS! x-sum: 1"]]))
            .sees(&["POST / HTTP/1.1", "trailer: x-sum", "transfer-encoding: chunked", "= hello", "+ x-sum: 1"])
            .gets(&["HTTP/2 200"]),
        row("9110 6.5.1: not announced, they cannot be sent over HTTP/1.1", H2(&[&["HEADERS POST a /", "DATA hello", "TRAILERS! x-sum: 1"]]))
            .sees(&["POST / HTTP/1.1", "= hello", "!+ x-sum"])
            .gets(&["HTTP/2 200"]),
        row("9110 6.6.2: a body with a length has none", H1(&[http!("POST / HTTP/1.1", "Host: a", "Trailer: X-Sum", "Content-Length: 2"; "hi")]))
            .sees(&["POST / HTTP/1.1", "!trailer", "= hi"])
            .gets(&["HTTP/1.1 200"]),
        row("9110 6.5.1: forbidden trailers", H1(&[http!("POST / HTTP/1.1", "Host: a", "Trailer: host, content-length, x-sum, x-forwarded-for, x-real-ip", "Transfer-Encoding: chunked"), CHUNKED, "Host: b\r\nContent-Length: 3\r\nConnection: x-a\r\nX-A: 1\r\nTransfer-Encoding: gzip\r\nAuthorization: x\r\nX-Forwarded-For: 1.2.3.4\r\nX-Real-IP: 1.2.3.4\r\nX-Sum: 1\r\n\r\n"]))
            .sees(&["POST / HTTP/1.1", "host: a", "= hello", "+ x-sum: 1", "!+ host", "!+ content-length", "!+ x-forwarded-for", "!+ x-real-ip"])
            .gets(&["HTTP/1.1 200"]),
        row("9110 6.5.1: forbidden trailers, to HTTP/2", H1(&[http!("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"), CHUNKED, "Host: b\r\nContent-Length: 3\r\nConnection: x-a\r\nX-A: 1\r\nKeep-Alive: 1\r\nTransfer-Encoding: gzip\r\nAuthorization: x\r\nX-Forwarded-For: 1.2.3.4\r\nForwarded: for=x\r\nX-Sum: 1\r\n\r\n"]))
            .upstream(H2(&[OK2]))
            .sees(&["POST / HTTP/2", "= hello", "+ x-sum: 1", "!+ host", "!+ content-length", "!+ connection", "!+ x-a", "!+ keep-alive", "!+ transfer-encoding", "!+ authorization", "!+ x-forwarded-for", "!+ forwarded"])
            .gets(&["HTTP/1.1 200"]),
        row("9110 6.5: a response", TE)
            .upstream(ANSWER)
            .sees(SEES)
            .gets(&["HTTP/1.1 200", "trailer: X-Sum", "= hi", "+ x-sum: 1"]),
        row("9110 6.5: a response to HTTP/2", GET2).upstream(ANSWER).sees(SEES).gets(&["HTTP/2 200", "= hi", "+ x-sum: 1"]),
        row("9110 6.5: a response from HTTP/2", TE)
            .upstream(ANSWER2)
            .sees(&["GET / HTTP/2"])
            .gets(&["HTTP/1.1 200", "trailer: x-sum", "= hi", "+ x-sum: 1"]),
        row("9110 6.5: a response from HTTP/2 to HTTP/2", GET2)
            .upstream(ANSWER2)
            .sees(&["GET / HTTP/2"])
            .gets(&["HTTP/2 200", "= hi", "+ x-sum: 1"]),
        row("9110 6.5.1: to a client that does not accept them", GET)
            .upstream(ANSWER)
            .sees(SEES)
            .gets(&["HTTP/1.1 200", "!trailer", "= hi", "!+ x-sum"]),
        row("9110 6.5.1: forbidden trailers of a response", GET2)
            .upstream(H1(&[http!("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"; "2\r\nhi\r\n0\r\nConnection: close\r\nContent-Length: 1\r\nX-Sum: 1\r\n\r\n")]))
            .sees(SEES)
            .gets(&["HTTP/2 200", "= hi", "+ x-sum: 1", "!+ connection", "!+ content-length"]),
    ] as &[Row])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_trusted_proxy_sets_forwarding_fields() {
    const CLAIMS: Side = H1(&[http!("GET / HTTP/1.1", "Host: a", "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https", "X-Forwarded-Host: b", "X-Forwarded-Port: 1", "X-Forwarded-Prefix: /b", "Forwarded: for=1.2.3.4;host=b", "X-Real-IP: 1.2.3.4")]);
    run(&[
        row("7239 8.1: a client", CLAIMS)
            .sees(&["GET / HTTP/1.1", "x-forwarded-for: 1.2.3.4, 127.0.0.1", "x-forwarded-proto: http", "!x-forwarded-host", "!x-forwarded-port", "!x-forwarded-prefix", "!forwarded", "!x-real-ip"])
            .gets(&["HTTP/1.1 200"]),
        row("7239 8.1: a trusted proxy", CLAIMS)
            .config("trusted_proxies = [\"10.0.0.0/8\", \"127.0.0.0/8\"]")
            .sees(&["GET / HTTP/1.1", "x-forwarded-for: 1.2.3.4, 127.0.0.1", "x-forwarded-proto: https", "x-forwarded-host: b", "x-forwarded-port: 1", "x-forwarded-prefix: /b", "forwarded: for=1.2.3.4;host=b", "x-real-ip: 1.2.3.4"])
            .gets(&["HTTP/1.1 200"]),
        row("7239 8.1: a proxy, but not a trusted one", CLAIMS)
            .config("trusted_proxies = [\"10.0.0.0/8\"]")
            .sees(&["GET / HTTP/1.1", "x-forwarded-proto: http", "!x-forwarded-host"])
            .gets(&["HTTP/1.1 200"]),
        row("7239 8.1: an HTTP/2 client", H2(&[&["HEADERS! GET a / | x-forwarded-proto: https | x-forwarded-host: b | forwarded: host=b | x-real-ip: 1.2.3.4"]]))
            .upstream(H2(&[OK2]))
            .sees(&["GET / HTTP/2", "x-forwarded-for: 127.0.0.1", "x-forwarded-proto: http", "!x-forwarded-host", "!forwarded", "!x-real-ip"])
            .gets(&["HTTP/2 200"]),
    ] as &[Row])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn via_lists_the_proxies_and_stops_loops() {
    let me = |name, client, sees| row(name, client).config("via = \"me\"").sees(sees).gets(&["HTTP/1.1 200"]);
    run(&[
        row("9110 7.6.3: HTTP/1.1", GET).sees(&["GET / HTTP/1.1", "via: 1.1 tower-proxy-*"]).gets(&["HTTP/1.1 200"]),
        row("9110 7.6.3: HTTP/1.0", H1(&[http!("GET / HTTP/1.0")])).sees(&["GET / HTTP/1.1", "via: 1.0 tower-proxy-*"]).gets(&["HTTP/1.0 200"]),
        row("9110 7.6.3: HTTP/2", GET2).sees(&["GET / HTTP/1.1", "via: 2.0 tower-proxy-*"]).gets(&["HTTP/2 200"]),
        me("9110 7.6.3: a name of its own", GET, &["GET / HTTP/1.1", "via: 1.1 me"]),
        me("9110 7.6.3: behind another proxy", H1(&[http!("GET / HTTP/1.1", "Host: a", "Via: 1.0 x (y), 1.1 z")]), &["GET / HTTP/1.1", "via: 1.0 x (y), 1.1 z | 1.1 me"]),
        me("9110 7.6.3: behind one with a longer name", H1(&[http!("GET / HTTP/1.1", "Host: a", "Via: 1.1 me2, 1.1 not-me, 1.1 x (me), me 1.1")]), &["GET / HTTP/1.1", "via: 1.1 me2, 1.1 not-me, 1.1 x (me), me 1.1 | 1.1 me"]),
        row("9110 7.6.3: off", GET).config("via = \"off\"").sees(&["GET / HTTP/1.1", "!via"]).gets(&["HTTP/1.1 200"]),
        row("9110 7.6.3: a loop", H1(&[http!("GET / HTTP/1.1", "Host: a", "Via: 1.1 me")])).config("via = \"me\"").gets(&["HTTP/1.1 508"]),
        row("9110 7.6.3: a loop over other proxies", H1(&[http!("GET / HTTP/1.1", "Host: a", "Via: 1.0 x", "Via: 1.1 y,2.0 ME (z)")])).config("via = \"me\"").gets(&["HTTP/1.1 508"]),
        row("9110 7.6.3: a loop over HTTP/2", H2(&[&["HEADERS! GET a / | via: HTTP/2.0 me"]])).config("via = \"me\"").gets(&["HTTP/2 508"]),
    ] as &[Row])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fields_are_forwarded_unchanged_or_rejected() {
    let bad = |name, client| row(name, H1(client)).gets(&["HTTP/1.1 400", "closes"]);
    run(&[
        row("9113 8.2.3: cookie fields from HTTP/2 are joined", H2(&[&["HEADERS! GET a / | cookie: a=1 | x: y | cookie: b=2; c=3"]]))
            .sees(&["GET / HTTP/1.1", "cookie: a=1; b=2; c=3"])
            .gets(&["HTTP/2 200"]),
        row("9113 8.2.3: and to HTTP/2", H2(&[&["HEADERS! GET a / | cookie: a=1 | cookie: b=2 | cookie: c=3"]]))
            .upstream(H2(&[OK2]))
            .sees(&["GET / HTTP/2", "cookie: a=1; b=2; c=3"])
            .gets(&["HTTP/2 200"]),
        row("6265 5.4: and those of HTTP/1.1", H1(&[http!("GET / HTTP/1.1", "Host: a", "Cookie: a=1", "Cookie: b=2")]))
            .sees(&["GET / HTTP/1.1", "cookie: a=1; b=2"])
            .gets(&["HTTP/1.1 200"]),
        row("9110 5.3: a field that comes twice", H1(&[http!("GET / HTTP/1.1", "Host: a", "X: 1", "X: 2")]))
            .sees(&["GET / HTTP/1.1", "x: 1 | 2"])
            .gets(&["HTTP/1.1 200"]),
        row("9110 5.5: 8 bits in a value", H1(&[http!("GET / HTTP/1.1", "Host: a", "X: \u{e9}")]))
            .sees(&["GET / HTTP/1.1", "x: \u{e9}"])
            .gets(&["HTTP/1.1 200"]),
        row("9110 10.1.1: Expect", H1(&[http!("POST / HTTP/1.1", "Host: a", "Expect: 100-continue", "Content-Length: 2"; "hi")]))
            .sees(&["POST / HTTP/1.1", "= hi"])
            .gets(&["HTTP/1.1 100", "HTTP/1.1 200"]),
        row("9113 8.1.1: a malformed request fails only its stream", H2(&[&["HEADERS! GET a / | connection: close", "HEADERS! GET a /2"]]))
            .sees(&["GET /2 HTTP/1.1"])
            .gets(&["", "cut: reset 1", "HTTP/2 200"]),
        row("9113 8.1.1: and so does one that has no host", H2(&[&["HEADERS! GET - /", "HEADERS! GET a /2"]]))
            .sees(&["GET /2 HTTP/1.1"])
            .gets(&["HTTP/2 400", "HTTP/2 200"]),
        row("9113 8.2.1: a name in capitals, for which h2 ends the connection", H2(&[&["HEADERS! GET a / | X: y"]])).gets(&["", "cut: goaway 1"]),
        row("9113 8.2.1: an invalid value, for which h2 ends the connection", H2(&[&["HEADERS! GET a / | x: a\rb"]])).gets(&["", "cut: goaway 1"]),
        row("9113 8.2.1: 8 bits in a value over HTTP/2", H2(&[&["HEADERS! GET a / | x: \u{e9}"]]))
            .sees(&["GET / HTTP/1.1", "x: \u{e9}"])
            .gets(&["HTTP/2 200"]),
        row("9113 8.3: an unknown pseudo-header, for which h2 ends the connection", H2(&[&["HEADERS! GET a / | :x: y"]])).gets(&["", "cut: goaway 1"]).or(&["", "cut: reset 1"]),
        row("9110 7.6.2: Max-Forwards is counted down", H1(&[http!("OPTIONS / HTTP/1.1", "Host: a", "Max-Forwards: 2")]))
            .sees(&["OPTIONS / HTTP/1.1", "max-forwards: 1"])
            .gets(&["HTTP/1.1 200"]),
        row("9110 7.6.2: and goes no further at 0", H1(&[http!("OPTIONS / HTTP/1.1", "Host: a", "Max-Forwards: 0")])).gets(&["HTTP/1.1 200", "content-length: 0"]),
        row("9110 9.3.8: nor does TRACE, to which the proxy does not respond itself", H2(&[&["HEADERS! TRACE a / | max-forwards: 0"]])).gets(&["HTTP/2 501"]),
        row("9110 7.6.2: Max-Forwards is ignored for other methods", H1(&[http!("GET / HTTP/1.1", "Host: a", "Max-Forwards: 0")]))
            .sees(&["GET / HTTP/1.1", "max-forwards: 0"])
            .gets(&["HTTP/1.1 200"]),
        row("9110 7.6.2: and ignored if it is not a number", H1(&[http!("OPTIONS / HTTP/1.1", "Host: a", "Max-Forwards: x")]))
            .sees(&["OPTIONS / HTTP/1.1", "max-forwards: x"])
            .gets(&["HTTP/1.1 200"]),
        bad("9112 5: no colon", &[http!("GET / HTTP/1.1", "Host: a", "x")]),
        bad("9112 5.1: a space before the colon", &[http!("GET / HTTP/1.1", "Host: a", "X : y")]),
        bad("9112 5.1: a space in a name", &[http!("GET / HTTP/1.1", "Host: a", "X Y: z")]),
        bad("9112 5.2: a folded line", &[http!("GET / HTTP/1.1", "Host: a", "X: y", " z")]),
        bad("9110 5.1: no name", &[http!("GET / HTTP/1.1", "Host: a", ": y")]),
        bad("9110 5.5: NUL", &[http!("GET / HTTP/1.1", "Host: a", "X: \0")]),
        bad("9112 2.2: a CR alone", &[http!("GET / HTTP/1.1", "Host: a", "X: y\rz")]),
        bad("9112 3: two spaces", &[http!("GET  / HTTP/1.1", "Host: a")]),
        bad("9112 3: no version", &[http!("GET /", "Host: a")]),
        bad("9112 3.1: a bad method", &[http!("G(T / HTTP/1.1", "Host: a")]),
    ] as &[Row])
    .await;
}
