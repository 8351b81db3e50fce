//! The maximum size of heads and trailers: `max_header_bytes`, 64 KiB by default, in either version and direction (RFC
//! 6585, 5).

use super::row::{H1, H2, Row, Side, http, row, run};

const OK2: &[&str] = &["HEADERS! :status: 200"];
const GET: Side = H1(&[http!("GET / HTTP/1.1", "Host: a")]);
const GET2: Side = H2(&[&["HEADERS! GET a /"]]);
const SEES: &[&str] = &["GET / HTTP/1.1"];
/// Repeats a field, as a literal.
macro_rules! fields {
    (9) => { "x: y\r\nx: y\r\nx: y\r\nx: y\r\nx: y\r\nx: y\r\nx: y\r\nx: y\r\nx: y\r\n" };
    (10) => { "x: y\r\nx: y\r\nx: y\r\nx: y\r\nx: y\r\nx: y\r\nx: y\r\nx: y\r\nx: y\r\nx: y\r\n" };
    (99) => { concat!(fields!(10), fields!(10), fields!(10), fields!(10), fields!(10), fields!(10), fields!(10), fields!(10), fields!(10), fields!(9)) };
    (100) => { concat!(fields!(10), fields!(10), fields!(10), fields!(10), fields!(10), fields!(10), fields!(10), fields!(10), fields!(10), fields!(10)) };
}
const NINE: &str = fields!(9);
const TEN: &str = fields!(10);
const SEES2: &[&str] = &["GET / HTTP/2"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_of_requests() {
    const SMALL: &str = "max_header_bytes = 8192";
    run(&[
        row("HTTP/1.1, below", H1(&[http!("GET / HTTP/1.1", "Host: a", "X: {60000}")])).sees(&["GET / HTTP/1.1", "x: {60000}"]).gets(&["HTTP/1.1 200"]),
        row("HTTP/1.1, below, to HTTP/2", H1(&[http!("GET / HTTP/1.1", "Host: a", "X: {60000}")])).upstream(H2(&[OK2])).sees(&["GET / HTTP/2", "x: {60000}"]).gets(&["HTTP/1.1 200"]),
        row("HTTP/2, below", H2(&[&["HEADERS! GET a / | x: {60000}"]])).sees(&["GET / HTTP/1.1", "x: {60000}"]).gets(&["HTTP/2 200"]),
        row("HTTP/2, below, to HTTP/2", H2(&[&["HEADERS! GET a / | x: {60000}"]])).upstream(H2(&[OK2])).sees(&["GET / HTTP/2", "x: {60000}"]).gets(&["HTTP/2 200"]),
        row("HTTP/1.1, a long path", H1(&[http!("GET /{60000} HTTP/1.1", "Host: a")])).sees(&["GET /{60000} HTTP/1.1"]).gets(&["HTTP/1.1 200"]),
        row("HTTP/1.1, above", H1(&[http!("GET / HTTP/1.1", "Host: a", "X: {66000}")])).gets(&["HTTP/1.1 431", "closes"]),
        row("HTTP/1.1, far above", H1(&[http!("GET / HTTP/1.1", "Host: a", "X: {400000}")])).gets(&["HTTP/1.1 431"]).or(&[]),
        row("HTTP/1.1, without an end", H1(&["GET / HTTP/1.1\r\nHost: a\r\nX: {66000}"])).gets(&["HTTP/1.1 431", "closes"]),
        row("HTTP/2, above", H2(&[&["HEADERS! GET a / | x: {66000}"]])).gets(&["HTTP/2 431"]),
        row("HTTP/2, far above", H2(&[&["HEADERS! GET a / | x: {100000} | y: {100000}", "HEADERS! GET a /2"]])).sees(&["GET /2 HTTP/1.1"]).gets(&["HTTP/2 431", "HTTP/2 200"]),
        row("HTTP/1.1, 100 fields", H1(&["GET / HTTP/1.1\r\n", TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN, NINE, "Host: a\r\n\r\n"])).sees(SEES).gets(&["HTTP/1.1 200"]),
        row("HTTP/1.1, 101 fields", H1(&["GET / HTTP/1.1\r\n", TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN, "Host: a\r\n\r\n"])).gets(&["HTTP/1.1 431", "closes"]),
        row("HTTP/1.1, another number of fields", H1(&["GET / HTTP/1.1\r\n", TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN, NINE, "Host: a\r\n\r\n"])).config("max_headers_count = 120").sees(SEES).gets(&["HTTP/1.1 200"]),
        row("HTTP/1.1, more than another number of fields", H1(&["GET / HTTP/1.1\r\n", TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN, "Host: a\r\n\r\n"])).config("max_headers_count = 120").gets(&["HTTP/1.1 431", "closes"]),
        row("HTTP/1.1, more than a lower number of fields", H1(&["GET / HTTP/1.1\r\n", TEN, "Host: a\r\n\r\n"])).config("max_headers_count = 10").gets(&["HTTP/1.1 431", "closes"]),
        row("HTTP/1.1, below another limit", H1(&[http!("GET / HTTP/1.1", "Host: a", "X: {8000}")])).config(SMALL).sees(SEES).gets(&["HTTP/1.1 200"]),
        row("HTTP/1.1, above another limit", H1(&[http!("GET / HTTP/1.1", "Host: a", "X: {8200}")])).config(SMALL).gets(&["HTTP/1.1 431", "closes"]),
        row("HTTP/2, above another limit", H2(&[&["HEADERS! GET a / | x: {8200}"]])).config(SMALL).gets(&["HTTP/2 431"]),
        row("trailers over HTTP/2, below", H2(&[&["HEADERS POST a /", "DATA hi", "TRAILERS! x: {60000}"]])).upstream(H2(&[OK2])).sees(&["POST / HTTP/2", "= hi", "+ x: {60000}"]).gets(&["HTTP/2 200"]),
        row("trailers over HTTP/2, above", H2(&[&["HEADERS POST a /", "DATA hi", "TRAILERS! x: {66000}"]])).upstream(H2(&[OK2])).sees(&["cut"]).gets(&["HTTP/2 431"]),
        row("trailers over HTTP/2, with a field far above", H2(&[&["HEADERS POST a /", "DATA hi", "TRAILERS! a: b | x: {300000}"]])).upstream(H2(&[OK2])).sees(&["cut"]).gets(&["HTTP/2 431"]),
        row("trailers over HTTP/2, with a field far above another limit", H2(&[&["HEADERS POST a /", "DATA hi", "TRAILERS! a: b | x: {40000}"]])).config(SMALL).upstream(H2(&[OK2])).sees(&["cut"]).gets(&["HTTP/2 431"]),
        row("trailers over HTTP/1.1, above", H1(&[http!("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"), "2\r\nhi\r\n0\r\nx: {66000}\r\n\r\n"])).upstream(H2(&[OK2])).sees(&["cut"]).gets(&["HTTP/1.1 431", "closes"]),
        row("trailers over HTTP/1.1, below", H1(&[http!("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"), "2\r\nhi\r\n0\r\nx: {10000}\r\n\r\n"])).upstream(H2(&[OK2])).sees(&["POST / HTTP/2", "= hi", "+ x: {10000}"]).gets(&["HTTP/1.1 200"]),
    ] as &[Row])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_of_answers() {
    const LONG: Side = H1(&[http!("HTTP/1.1 200 OK", "X: {60000}", "Content-Length: 0")]);
    const TOO_LONG: Side = H1(&[http!("HTTP/1.1 200 OK", "X: {66000}", "Content-Length: 0")]);
    const LONG2: Side = H2(&[&["HEADERS! :status: 200 | x: {60000}"]]);
    const TOO_LONG2: Side = H2(&[&["HEADERS! :status: 200 | x: {66000}"]]);
    run(&[
        row("HTTP/1.1, below", GET).upstream(LONG).sees(SEES).gets(&["HTTP/1.1 200", "x: {60000}"]),
        row("HTTP/1.1, below, to HTTP/2", GET2).upstream(LONG).sees(SEES).gets(&["HTTP/2 200", "x: {60000}"]),
        row("HTTP/2, below", GET).upstream(LONG2).sees(SEES2).gets(&["HTTP/1.1 200", "x: {60000}"]),
        row("HTTP/2, below, to HTTP/2", GET2).upstream(LONG2).sees(SEES2).gets(&["HTTP/2 200", "x: {60000}"]),
        row("HTTP/1.1, above", GET).upstream(TOO_LONG).sees(SEES).gets(&["HTTP/1.1 502"]),
        row("HTTP/1.1, above, to HTTP/2", GET2).upstream(TOO_LONG).sees(SEES).gets(&["HTTP/2 502"]),
        row("HTTP/2, above", GET).upstream(TOO_LONG2).sees(SEES2).gets(&["HTTP/1.1 502"]),
        row("HTTP/2, above, to HTTP/2", GET2).upstream(TOO_LONG2).sees(SEES2).gets(&["HTTP/2 502"]),
        row("HTTP/2, far above", GET).upstream(H2(&[&["HEADERS! :status: 200 | x: {100000} | y: {100000} | z: {100000}"]])).sees(SEES2).gets(&["HTTP/1.1 502"]),
        row("100 fields", GET).upstream(H1(&[concat!("HTTP/1.1 200 OK\r\n", fields!(99), "Content-Length: 0\r\n\r\n")])).sees(SEES).gets(&["HTTP/1.1 200"]),
        row("101 fields", GET).upstream(H1(&[concat!("HTTP/1.1 200 OK\r\n", fields!(100), "Content-Length: 0\r\n\r\n")])).sees(SEES).gets(&["HTTP/1.1 502"]),
        row("another number of fields", GET).config("max_headers_count = 120").upstream(H1(&[concat!("HTTP/1.1 200 OK\r\n", fields!(100), fields!(10), fields!(9), "Content-Length: 0\r\n\r\n")])).sees(SEES).gets(&["HTTP/1.1 200"]),
        row("another limit", GET).config("max_header_bytes = 8192").upstream(H1(&[http!("HTTP/1.1 200 OK", "X: {8200}", "Content-Length: 0")])).sees(SEES).gets(&["HTTP/1.1 502"]),
        row("another limit, HTTP/2", GET).config("max_header_bytes = 8192").upstream(H2(&[&["HEADERS! :status: 200 | x: {8200}"]])).sees(SEES2).gets(&["HTTP/1.1 502"]),
    ] as &[Row])
    .await;
}

/// The result of a gRPC call is in its trailers, so it must not succeed without them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_of_answers() {
    const CALL: Side = H2(&[&["HEADERS POST a /x.Y/Z | content-type: application/grpc | te: trailers", "DATA! hi"]]);
    const SEES: &[&str] = &["POST /x.Y/Z HTTP/2", "content-type: application/grpc", "te: trailers", "= hi"];
    let call = |name, upstream| row(name, CALL).sees(SEES).upstream(upstream);
    run(&[
        call("trailers of 20 KB", H2(&[&["HEADERS :status: 200 | content-type: application/grpc", "DATA hi", "TRAILERS! grpc-message: {20000} | grpc-status: 9 | x: y"]]))
            .gets(&["HTTP/2 200", "= hi", "+ grpc-message: {20000}", "+ grpc-status: 9", "+ x: y"]),
        call("trailers, below", H2(&[&["HEADERS :status: 200 | content-type: application/grpc", "DATA hi", "TRAILERS! x: {60000} | grpc-status: 0"]]))
            .gets(&["HTTP/2 200", "= hi", "+ x: {60000}", "+ grpc-status: 0"]),
        call("trailers, above", H2(&[&["HEADERS :status: 200 | content-type: application/grpc", "DATA hi", "TRAILERS! grpc-status: 0 | x: {66000}"]]))
            .gets(&["HTTP/2 200", "= hi", "+ grpc-status: 13", "+ grpc-message: the head of the upstream's answer is too large"]),
        call("trailers, far above, which h2 cuts", H2(&[&["HEADERS :status: 200 | content-type: application/grpc", "DATA hi", "TRAILERS! x: {100000} | y: {100000} | z: {100000} | grpc-status: 0"]]))
            .gets(&["HTTP/2 200", "= hi", "!+ x", "+ grpc-status: 13"]),
        call("trailers with a field far above, which h2 drops", H2(&[&["HEADERS :status: 200 | content-type: application/grpc", "DATA hi", "TRAILERS! grpc-status: 0 | x: {300000}"]]))
            .gets(&["HTTP/2 200", "= hi", "+ grpc-status: 13", "+ grpc-message: the head of the upstream's answer is too large"]),
        row("trailers over HTTP/2 with a field far above", GET2)
            .upstream(H2(&[&["HEADERS :status: 200", "DATA hi", "TRAILERS! a: b | x: {300000}"]]))
            .sees(SEES2)
            .gets(&["HTTP/2 200", "= hi", "cut"]),
        row("trailers over HTTP/2 with a field far above another limit", GET2)
            .config("max_header_bytes = 8192")
            .upstream(H2(&[&["HEADERS :status: 200", "DATA hi", "TRAILERS! a: b | x: {40000}"]]))
            .sees(SEES2)
            .gets(&["HTTP/2 200", "= hi", "cut"]),
        row("a long head without a body, and trailers within the limit", H2(&[&["HEADERS! GET a /1", "HEADERS! GET a /2"]]))
            .upstream(H2(&[&["HEADERS! :status: 200 | x: {60000}"], &["HEADERS :status: 200", "DATA hi", "TRAILERS! x: {60000}"]]))
            .sees(&["GET /1 HTTP/2", "GET /2 HTTP/2"])
            .gets(&["HTTP/2 200", "HTTP/2 200", "= hi", "+ x: {60000}"]),
        call("a head alone, of 20 KB", H2(&[&["HEADERS! :status: 200 | content-type: application/grpc | grpc-message: {20000} | grpc-status: 9"]]))
            .gets(&["HTTP/2 200", "grpc-message: {20000}", "grpc-status: 9"]),
        call("a head alone, below", H2(&[&["HEADERS! :status: 200 | content-type: application/grpc | x: {60000} | grpc-status: 9"]]))
            .gets(&["HTTP/2 200", "x: {60000}", "grpc-status: 9"]),
        call("a head alone, above", H2(&[&["HEADERS! :status: 200 | content-type: application/grpc | x: {66000} | grpc-status: 9"]]))
            .gets(&["HTTP/2 200", "content-type: application/grpc", "grpc-status: 13", "grpc-message: the head of the upstream's answer is too large"]),
        row("trailers from HTTP/2 to HTTP/1.1, below", H1(&[http!("GET / HTTP/1.1", "Host: a", "TE: trailers")]))
            .upstream(H2(&[&["HEADERS :status: 200 | trailer: x", "DATA hi", "TRAILERS! x: {60000}"]]))
            .sees(SEES2)
            .gets(&["HTTP/1.1 200", "= hi", "+ x: {60000}"]),
        row("trailers from HTTP/2 to HTTP/1.1, above", H1(&[http!("GET / HTTP/1.1", "Host: a", "TE: trailers")]))
            .upstream(H2(&[&["HEADERS :status: 200 | trailer: x", "DATA hi", "TRAILERS! x: {66000}"]]))
            .sees(SEES2)
            .gets(&["HTTP/1.1 200", "= hi", "cut", "closes"]),
        row("trailers over HTTP/1.1, below", GET2)
            .upstream(H1(&[http!("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"; "2\r\nhi\r\n0\r\nx: {60000}\r\n\r\n")]))
            .sees(&["GET / HTTP/1.1"])
            .gets(&["HTTP/2 200", "= hi", "+ x: {60000}"]),
        row("trailers over HTTP/1.1, above", GET2)
            .upstream(H1(&[http!("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"; "2\r\nhi\r\n0\r\nx: {66000}\r\n\r\n")]))
            .sees(&["GET / HTTP/1.1"])
            .gets(&["HTTP/2 200", "= hi", "cut"]),
    ] as &[Row])
    .await;
}
