//! The framing of bodies: `Content-Length`, `Transfer-Encoding`, and how they are forwarded (RFC 9112, 6).

use super::row::{H1, H2, Row, http, row, run};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const OK2: &[&str] = &["HEADERS! :status: 200"];
const CHUNKED: &str = "5\r\nhello\r\n0\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_of_requests_keep_their_framing() {
    run(&[
        row("9112 6.2: a length", H1(&[http!("POST / HTTP/1.1", "Host: a", "Content-Length: 5"; "hello")]))
            .sees(&["POST / HTTP/1.1", "content-length: 5", "!transfer-encoding", "= hello"])
            .gets(&["HTTP/1.1 200"]),
        row("9112 7.1: chunks", H1(&[http!("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"), CHUNKED]))
            .sees(&["POST / HTTP/1.1", "transfer-encoding: chunked", "!content-length", "= hello"])
            .gets(&["HTTP/1.1 200"]),
        row("9112 7: the coding in uppercase", H1(&[http!("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: CHUNKED"), CHUNKED]))
            .sees(&["POST / HTTP/1.1", "transfer-encoding: chunked", "= hello"])
            .gets(&["HTTP/1.1 200"]),
        row("9112 7.1.1: chunk extensions are not forwarded", H1(&[http!("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"; "5;x=y\r\nhello\r\n0;z\r\n\r\n")]))
            .sees(&["POST / HTTP/1.1", "= hello"])
            .gets(&["HTTP/1.1 200"]),
        row("9110 9.3.1: GET in chunks", H1(&[http!("GET / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"), CHUNKED]))
            .sees(&["GET / HTTP/1.1", "transfer-encoding: chunked", "= hello"])
            .gets(&["HTTP/1.1 200"]),
        row("9110 9.3.2: HEAD in chunks", H1(&[http!("HEAD / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"), CHUNKED]))
            .sees(&["HEAD / HTTP/1.1", "transfer-encoding: chunked", "= hello"])
            .gets(&["HTTP/1.1 200"]),
        row("9110 9.3.5: DELETE in chunks", H1(&[http!("DELETE / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"), CHUNKED]))
            .sees(&["DELETE / HTTP/1.1", "transfer-encoding: chunked", "= hello"])
            .gets(&["HTTP/1.1 200"]),
        row("9110 9.3.7: OPTIONS in chunks", H1(&[http!("OPTIONS / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"), CHUNKED]))
            .sees(&["OPTIONS / HTTP/1.1", "transfer-encoding: chunked", "= hello"])
            .gets(&["HTTP/1.1 200"]),
        row("9110 16.1: an unknown method in chunks", H1(&[http!("QUERY / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"), CHUNKED]))
            .sees(&["QUERY / HTTP/1.1", "transfer-encoding: chunked", "= hello"])
            .gets(&["HTTP/1.1 200"]),
        row("9110 9.3.1: GET with a length", H1(&[http!("GET / HTTP/1.1", "Host: a", "Content-Length: 5"; "hello")]))
            .sees(&["GET / HTTP/1.1", "content-length: 5", "= hello"])
            .gets(&["HTTP/1.1 200"]),
        row("9110 9.3.2: HEAD with a length", H1(&[http!("HEAD / HTTP/1.1", "Host: a", "Content-Length: 5"; "hello")]))
            .sees(&["HEAD / HTTP/1.1", "content-length: 5", "= hello"])
            .gets(&["HTTP/1.1 200"]),
        row("9112 7.1: chunks without a byte", H1(&[http!("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"; "0\r\n\r\n")]))
            .sees(&["POST / HTTP/1.1", "transfer-encoding: chunked", "= "])
            .gets(&["HTTP/1.1 200"]),
        row("9110 8.6: POST without a body has the length 0", H1(&[http!("POST / HTTP/1.1", "Host: a")]))
            .sees(&["POST / HTTP/1.1", "content-length: 0", "!transfer-encoding"])
            .gets(&["HTTP/1.1 200"]),
        row("9110 8.6: PUT without a body has the length 0", H1(&[http!("PUT / HTTP/1.1", "Host: a")]))
            .sees(&["PUT / HTTP/1.1", "content-length: 0"])
            .gets(&["HTTP/1.1 200"]),
        row("9110 8.6: GET without a body has no length", H1(&[http!("GET / HTTP/1.1", "Host: a")]))
            .sees(&["GET / HTTP/1.1", "!content-length", "!transfer-encoding"])
            .gets(&["HTTP/1.1 200"]),
        row("9110 8.6: DELETE without a body has no length", H1(&[http!("DELETE / HTTP/1.1", "Host: a")]))
            .sees(&["DELETE / HTTP/1.1", "!content-length", "!transfer-encoding"])
            .gets(&["HTTP/1.1 200"]),
        row("9113 8.1: GET over HTTP/2 with a body", H2(&[&["HEADERS GET a /", "DATA! hello"]]))
            .sees(&["GET / HTTP/1.1", "transfer-encoding: chunked", "= hello"])
            .gets(&["HTTP/2 200"]),
        row("9113 8.1: HEAD over HTTP/2 with a body", H2(&[&["HEADERS HEAD a /", "DATA! hello"]]))
            .sees(&["HEAD / HTTP/1.1", "transfer-encoding: chunked", "= hello"])
            .gets(&["HTTP/2 200"]),
        row("9113 8.1: POST over HTTP/2", H2(&[&["HEADERS POST a /", "DATA hel", "DATA! lo"]]))
            .sees(&["POST / HTTP/1.1", "transfer-encoding: chunked", "!content-length", "= hello"])
            .gets(&["HTTP/2 200"]),
        row("9113 8.1.1: POST over HTTP/2 with a length", H2(&[&["HEADERS POST a / | content-length: 5", "DATA hel", "DATA! lo"]]))
            .sees(&["POST / HTTP/1.1", "content-length: 5", "!transfer-encoding", "= hello"])
            .gets(&["HTTP/2 200"]),
        row("9110 8.6: POST over HTTP/2 without a body has the length 0", H2(&[&["HEADERS! POST a /"]]))
            .sees(&["POST / HTTP/1.1", "content-length: 0", "!transfer-encoding"])
            .gets(&["HTTP/2 200"]),
        row("9113 8.2.2: chunks to HTTP/2", H1(&[http!("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"), CHUNKED]))
            .upstream(H2(&[OK2]))
            .sees(&["POST / HTTP/2", "!transfer-encoding", "!content-length", "= hello"])
            .gets(&["HTTP/1.1 200"]),
        row("9113 8.2.2: GET in chunks to HTTP/2", H1(&[http!("GET / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"), CHUNKED]))
            .upstream(H2(&[OK2]))
            .sees(&["GET / HTTP/2", "!transfer-encoding", "= hello"])
            .gets(&["HTTP/1.1 200"]),
        row("9113 8.1.1: a length to HTTP/2", H1(&[http!("POST / HTTP/1.1", "Host: a", "Content-Length: 5"; "hello")]))
            .upstream(H2(&[OK2]))
            .sees(&["POST / HTTP/2", "content-length: 5", "= hello"])
            .gets(&["HTTP/1.1 200"]),
        row("9113 8.1: HTTP/2 to HTTP/2", H2(&[&["HEADERS GET a /x", "DATA! hello"]]))
            .upstream(H2(&[&["HEADERS :status: 200", "DATA! hi"]]))
            .sees(&["GET /x HTTP/2", ":authority: a", "!content-length", "= hello"])
            .gets(&["HTTP/2 200", "= hi"]),
        row("9113 5.1.2: an upstream that allows one stream at a time", H2(&[&["HEADERS! GET a /", "HEADERS! GET a /"]]))
            .upstream(H2(&[OK2, OK2]))
            .settings(&[(3, 1)])
            .sees(&["GET / HTTP/2", "GET / HTTP/2"])
            .gets(&["HTTP/2 200", "HTTP/2 200"]),
        row("9113 5.1.2: an upstream that allows no stream", H1(&[http!("GET / HTTP/1.1", "Host: a")])).upstream(H2(&[OK2])).settings(&[(3, 0)]).gets(&["HTTP/1.1 503"]),
        row("9113 5.1.2: an upstream that allows no stream, for HTTP/2", H2(&[&["HEADERS! GET a /", "HEADERS! GET a /"]])).upstream(H2(&[OK2])).settings(&[(3, 0)]).gets(&["HTTP/2 503", "HTTP/2 503"]),
        row("7541 4.2: an upstream without a table for fields", H2(&[&["HEADERS! GET a / | x: y", "WAIT", "HEADERS! GET a / | x: y"]]))
            .upstream(H2(&[OK2, OK2]))
            .settings(&[(1, 0)])
            .sees(&["GET / HTTP/2", "x: y", "GET / HTTP/2", "x: y"])
            .gets(&["HTTP/2 200", "HTTP/2 200"]),
    ] as &[Row])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_with_bad_framing_are_rejected() {
    run(&[
        row("9112 6.1: gzip, chunked", H1(&[http!("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: gzip, chunked"), CHUNKED]))
            .gets(&["HTTP/1.1 501", "closes"]),
        row("9112 6.1: gzip and chunked on lines of their own", H1(&[http!("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: gzip", "Transfer-Encoding: chunked"), CHUNKED]))
            .gets(&["HTTP/1.1 501", "closes"]),
        row("9112 6.1: chunked twice", H1(&[http!("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked, chunked"), CHUNKED]))
            .gets(&["HTTP/1.1 400", "closes"]),
        row("9112 6.1: chunked twice, on two lines", H1(&[http!("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), CHUNKED]))
            .gets(&["HTTP/1.1 400", "closes"]),
        row("9112 6.3: xchunked", H1(&[http!("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: xchunked"), CHUNKED]))
            .gets(&["HTTP/1.1 400", "closes"]),
        row("9112 6.3: chunked, gzip", H1(&[http!("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked, gzip"), CHUNKED]))
            .gets(&["HTTP/1.1 400", "closes"]),
        row("9112 6.3: identity", H1(&[http!("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: identity", "Content-Length: 5"; "hello")]))
            .gets(&["HTTP/1.1 400", "closes"]),
        row("9112 6.1: a coding with a parameter", H1(&[http!("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked;q=1"), CHUNKED]))
            .gets(&["HTTP/1.1 400", "closes"]),
        row("9112 5.1: a space before the colon", H1(&[http!("POST / HTTP/1.1", "Host: a", "Transfer-Encoding : chunked"), CHUNKED]))
            .gets(&["HTTP/1.1 400", "closes"]),
        row("9112 5.2: a folded coding", H1(&[http!("POST / HTTP/1.1", "Host: a", "Transfer-Encoding:", " chunked"), CHUNKED]))
            .gets(&["HTTP/1.1 400", "closes"]),
        row("9112 6.1: a coding in HTTP/1.0", H1(&[http!("POST / HTTP/1.0", "Transfer-Encoding: chunked"), CHUNKED]))
            .gets(&["HTTP/1.1 400", "closes"]),
        row("9112 6.3: a coding and a length: the length is removed, and the connection closed", H1(&[http!("POST / HTTP/1.1", "Host: a", "Content-Length: 3", "Transfer-Encoding: chunked"), CHUNKED]))
            .sees(&["POST / HTTP/1.1", "transfer-encoding: chunked", "!content-length", "= hello"])
            .gets(&["HTTP/1.1 200", "closes"]),
        row("9112 6.3: the same in the other order", H1(&[http!("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", "Content-Length: 3"), CHUNKED]))
            .sees(&["POST / HTTP/1.1", "transfer-encoding: chunked", "!content-length", "= hello"])
            .gets(&["HTTP/1.1 200", "closes"]),
        row("9110 8.6: one length twice is one length", H1(&[http!("POST / HTTP/1.1", "Host: a", "Content-Length: 5", "Content-Length: 5"; "hello")]))
            .sees(&["POST / HTTP/1.1", "content-length: 5", "= hello"])
            .gets(&["HTTP/1.1 200"]),
        row("9110 8.6: a list of lengths", H1(&[http!("POST / HTTP/1.1", "Host: a", "Content-Length: 5, 5"; "hello")]))
            .gets(&["HTTP/1.1 400", "closes"]),
        row("9112 6.3: two lengths", H1(&[http!("POST / HTTP/1.1", "Host: a", "Content-Length: 5", "Content-Length: 6"; "hello")]))
            .gets(&["HTTP/1.1 400", "closes"]),
        row("9110 8.6: a length with a sign", H1(&[http!("POST / HTTP/1.1", "Host: a", "Content-Length: +5"; "hello")]))
            .gets(&["HTTP/1.1 400", "closes"]),
        row("9110 8.6: a length below 0", H1(&[http!("POST / HTTP/1.1", "Host: a", "Content-Length: -5"; "hello")]))
            .gets(&["HTTP/1.1 400", "closes"]),
        row("9110 8.6: a length without a digit", H1(&[http!("POST / HTTP/1.1", "Host: a", "Content-Length:"; "hello")]))
            .gets(&["HTTP/1.1 400", "closes"]),
        row("9110 8.6: a length of more than 64 bits", H1(&[http!("POST / HTTP/1.1", "Host: a", "Content-Length: 99999999999999999999"; "hello")]))
            .gets(&["HTTP/1.1 400", "closes"]),
        row("9113 8.1.1: HTTP/2, one length twice", H2(&[&["HEADERS POST a / | content-length: 5 | content-length: 5", "DATA! hello"]]))
            .sees(&["POST / HTTP/1.1", "content-length: 5", "= hello"])
            .gets(&["HTTP/2 200"]),
        row("9113 8.1.1: HTTP/2 to HTTP/2, one length twice", H2(&[&["HEADERS POST a / | content-length: 5 | content-length: 5", "DATA! hello"]]))
            .upstream(H2(&[OK2]))
            .sees(&["POST / HTTP/2", "content-length: 5", "= hello"])
            .gets(&["HTTP/2 200"]),
        row("9113 8.1.1: HTTP/2, two lengths", H2(&[&["HEADERS POST a / | content-length: 5 | content-length: 6", "DATA! hello"]]))
            .gets(&["", "cut: reset 1"]),
        row("9113 8.1.1: HTTP/2, a list of lengths", H2(&[&["HEADERS POST a / | content-length: 5, 5", "DATA! hello"]]))
            .gets(&["", "cut: reset 1"]),
        row("9113 8.1.1: HTTP/2, a length without a body", H2(&[&["HEADERS! POST a / | content-length: 5"]]))
            .gets(&["", "cut: reset 1"]),
        row("9113 8.2.2: HTTP/2, a transfer coding", H2(&[&["HEADERS POST a / | transfer-encoding: chunked", "DATA! hello"]]))
            .gets(&["", "cut: reset 1"]),
    ] as &[Row])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_may_speak_http_1_0() {
    const OLD: &str = http!("HTTP/1.0 200 OK", "Connection: keep-alive", "Content-Length: 2"; "hi");
    const GET: &str = http!("GET / HTTP/1.1", "Host: a");
    run(&[
        row("9112 6.1: after an HTTP/1.0 response, a body in chunks keeps its framing", H1(&[GET, http!("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"), CHUNKED]))
            .upstream(H1(&[OLD, OLD]))
            .sees(&["GET / HTTP/1.1", "POST / HTTP/1.1", "transfer-encoding: chunked", "= hello"])
            .gets(&["HTTP/1.1 200", "= hi", "HTTP/1.1 200", "= hi"]),
        row("9112 6.1: and so does one from HTTP/2", H2(&[&["HEADERS! GET a /", "WAIT", "HEADERS POST a /", "DATA! hello"]]))
            .upstream(H1(&[OLD, OLD]))
            .sees(&["GET / HTTP/1.1", "POST / HTTP/1.1", "transfer-encoding: chunked", "= hello"])
            .gets(&["HTTP/2 200", "= hi", "HTTP/2 200", "= hi"]),
        row("9112 6.1: and one with a length", H1(&[GET, http!("POST / HTTP/1.1", "Host: a", "Content-Length: 5"; "hello")]))
            .upstream(H1(&[OLD, OLD]))
            .sees(&["GET / HTTP/1.1", "POST / HTTP/1.1", "content-length: 5", "= hello"])
            .gets(&["HTTP/1.1 200", "HTTP/1.1 200"]),
        row("9110 6.2: the status line has the version of the proxy", H1(&[GET]))
            .upstream(H1(&[OLD]))
            .sees(&["GET / HTTP/1.1"])
            .gets(&["HTTP/1.1 200", "content-length: 2", "= hi"]),
        row("9112 6.3: an HTTP/1.0 response up to the end of the connection", H1(&[GET, GET]))
            .upstream(H1(&["HTTP/1.0 200 OK\r\n\r\nhi\u{4}", OLD]))
            .sees(&["GET / HTTP/1.1", "GET / HTTP/1.1"])
            .gets(&["HTTP/1.1 200", "transfer-encoding: chunked", "= hi", "HTTP/1.1 200"]),
        row("9112 6.1: a transfer coding in an HTTP/1.0 response", H1(&[GET]))
            .upstream(H1(&[http!("HTTP/1.0 200 OK", "Transfer-Encoding: chunked"; "2\r\nhi\r\n0\r\n\r\n")]))
            .sees(&["GET / HTTP/1.1"])
            .gets(&["HTTP/1.1 502"]),
        row("9112 3.2: an HTTP/1.0 client without Host", H1(&[http!("GET / HTTP/1.0")]))
            .sees(&["GET / HTTP/1.1", "host: "])
            .gets(&["HTTP/1.", "closes"]),
        row("9113 8.3.1: the same to HTTP/2", H1(&[http!("GET / HTTP/1.0")]))
            .upstream(H2(&[OK2]))
            .sees(&["GET / HTTP/2", "!:authority", "!host", ":scheme: http"])
            .gets(&["HTTP/1.", "closes"]),
        row("9112 3.2: an HTTP/1.0 client with Host", H1(&[http!("GET / HTTP/1.0", "Host: a")]))
            .sees(&["GET / HTTP/1.1", "host: a"])
            .gets(&["HTTP/1.", "closes"]),
        row("9112 7.1: it gets no chunks", H1(&[http!("GET / HTTP/1.0")]))
            .upstream(H1(&[http!("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"; "2\r\nhi\r\n0\r\n\r\n")]))
            .sees(&["GET / HTTP/1.1"])
            .gets(&["HTTP/1.", "!transfer-encoding", "= hi", "closes"]),
        row("9112 9.3: it may keep its connection", H1(&[http!("GET / HTTP/1.0", "Connection: keep-alive"), http!("GET /2 HTTP/1.0")]))
            .upstream(H1(&[OK, OK]))
            .sees(&["GET / HTTP/1.1", "GET /2 HTTP/1.1"])
            .gets(&["HTTP/1.", "connection: keep-alive", "HTTP/1.", "closes"]),
        row("9112 6.3: it sends a body with a length", H1(&[http!("POST / HTTP/1.0", "Content-Length: 5"; "hello")]))
            .sees(&["POST / HTTP/1.1", "content-length: 5", "= hello"])
            .gets(&["HTTP/1.", "closes"]),
        row("9112 6.3: without a length it has no body", H1(&[http!("POST / HTTP/1.0")]))
            .sees(&["POST / HTTP/1.1", "content-length: 0"])
            .gets(&["HTTP/1.", "closes"]),
        row("9112 2.3: an unknown version", H1(&[http!("GET / HTTP/1.2", "Host: a")]))
            .gets(&["HTTP/1.1 400", "closes"]),
    ] as &[Row])
    .await;
}
