//! The framing of responses, and which responses are invalid (RFC 9112, 6; RFC 9110, 15).

use super::row::{H1, H2, Row, Side, http, row, run};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const GET: Side = H1(&[http!("GET / HTTP/1.1", "Host: a")]);
const GETS: Side = H1(&[http!("GET / HTTP/1.1", "Host: a"), http!("GET / HTTP/1.1", "Host: a")]);
const HEAD: Side = H1(&[http!("HEAD / HTTP/1.1", "Host: a")]);
const GET2: Side = H2(&[&["HEADERS! GET a /"]]);
const HEAD2: Side = H2(&[&["HEADERS! HEAD a /"]]);
const SEES: &[&str] = &["GET / HTTP/1.1"];
const SEES2: &[&str] = &["GET / HTTP/2"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_of_responses_keep_their_framing() {
    const LENGTH: Side = H1(&[http!("HTTP/1.1 200 OK", "Content-Length: 2"; "hi")]);
    const CHUNKS: Side = H1(&[http!("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"; "2;x\r\nhi\r\n0\r\n\r\n")]);
    const CLOSES: Side = H1(&["HTTP/1.1 200 OK\r\n\r\nhi\u{4}"]);
    const FRAMES: Side = H2(&[&["HEADERS :status: 200", "DATA h", "DATA! i"]]);
    run(&[
        row("9112 6.2: a length", GET)
            .upstream(LENGTH)
            .sees(SEES)
            .gets(&["HTTP/1.1 200 OK", "content-length: 2", "!transfer-encoding", "= hi"]),
        row("9112 7.1: chunks", GET)
            .upstream(CHUNKS)
            .sees(SEES)
            .gets(&["HTTP/1.1 200 OK", "transfer-encoding: chunked", "!content-length", "= hi"]),
        row("9112 6.3: up to the end of the connection", GET)
            .upstream(CLOSES)
            .sees(SEES)
            .gets(&["HTTP/1.1 200 OK", "transfer-encoding: chunked", "= hi"]),
        row("9113 8.1: frames", GET)
            .upstream(FRAMES)
            .sees(SEES2)
            .gets(&["HTTP/1.1 200 OK", "transfer-encoding: chunked", "= hi"]),
        row("9113 8.1.1: a length to HTTP/2", GET2)
            .upstream(LENGTH)
            .sees(SEES)
            .gets(&["HTTP/2 200", "content-length: 2", "= hi"]),
        row("9113 8.2.2: chunks to HTTP/2", GET2)
            .upstream(CHUNKS)
            .sees(SEES)
            .gets(&["HTTP/2 200", "!transfer-encoding", "!content-length", "= hi"]),
        row("9113 8.1: up to the end of the connection, to HTTP/2", GET2)
            .upstream(CLOSES)
            .sees(SEES)
            .gets(&["HTTP/2 200", "!connection", "= hi"]),
        row("9113 8.1.1: a length from HTTP/2", GET)
            .upstream(H2(&[&["HEADERS :status: 200 | content-length: 2", "DATA! hi"]]))
            .sees(SEES2)
            .gets(&["HTTP/1.1 200 OK", "content-length: 2", "= hi"]),
        row("9110 9.3.2: HEAD keeps the length", HEAD)
            .upstream(H1(&[http!("HTTP/1.1 200 OK", "Content-Length: 5")]))
            .sees(&["HEAD / HTTP/1.1"])
            .gets(&["HTTP/1.1 200", "content-length: 5", "= "]),
        row("9110 9.3.2: HEAD over HTTP/2 keeps the length", HEAD2)
            .upstream(H1(&[http!("HTTP/1.1 200 OK", "Content-Length: 5")]))
            .sees(&["HEAD / HTTP/1.1"])
            .gets(&["HTTP/2 200", "content-length: 5", "= "]),
        row("9110 9.3.2: HEAD from HTTP/2 keeps the length", HEAD)
            .upstream(H2(&[&["HEADERS! :status: 200 | content-length: 5"]]))
            .sees(&["HEAD / HTTP/2"])
            .gets(&["HTTP/1.1 200", "content-length: 5", "= "]),
        row("9110 9.3.2: HEAD, where a GET would have chunks", HEAD)
            .upstream(H1(&[http!("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")]))
            .sees(&["HEAD / HTTP/1.1"])
            .gets(&["HTTP/1.1 200", "!content-length", "= "]),
        row("9112 6.3: HEAD, and the connection goes on", H1(&[http!("HEAD / HTTP/1.1", "Host: a"), http!("GET / HTTP/1.1", "Host: a")]))
            .upstream(H1(&[http!("HTTP/1.1 200 OK", "Content-Length: 5"), OK]))
            .sees(&["HEAD / HTTP/1.1", "GET / HTTP/1.1"])
            .gets(&["HTTP/1.1 200", "HTTP/1.1 200"]),
        row("9110 15.3.5: 204 has no length", GET)
            .upstream(H1(&[http!("HTTP/1.1 204 No Content", "Content-Length: 0")]))
            .sees(SEES)
            .gets(&["HTTP/1.1 204", "!content-length", "!transfer-encoding"]),
        row("9110 15.3.5: 204 has no length over HTTP/2", GET2)
            .upstream(H1(&[http!("HTTP/1.1 204 No Content", "Content-Length: 0")]))
            .sees(SEES)
            .gets(&["HTTP/2 204", "!content-length"]),
        row("9112 6.1: 204 has no transfer coding", GET)
            .upstream(H1(&[http!("HTTP/1.1 204 No Content", "Transfer-Encoding: chunked")]))
            .sees(SEES)
            .gets(&["HTTP/1.1 204", "!transfer-encoding"]),
        row("9110 15.4.5: 304 has no body, whatever its length", GETS)
            .upstream(H1(&[http!("HTTP/1.1 304 Not Modified", "Content-Length: 5", "ETag: \"x\""), OK]))
            .sees(&["GET / HTTP/1.1", "GET / HTTP/1.1"])
            .gets(&["HTTP/1.1 304", "etag: \"x\"", "= ", "HTTP/1.1 200"]),
        row("9112 4: a reason of its own", GET)
            .upstream(H1(&[http!("HTTP/1.1 299 Fine", "Content-Length: 0")]))
            .sees(SEES)
            .gets(&["HTTP/1.1 299 Fine"]),
        row("9112 4: no reason", GET)
            .upstream(H1(&[http!("HTTP/1.1 200", "Content-Length: 0")]))
            .sees(SEES)
            .gets(&["HTTP/1.1 200"]),
        row("9112 9.3: the client's connection outlives the upstream's", GETS)
            .upstream(H1(&["HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\na\u{4}", OK]))
            .sees(&["GET / HTTP/1.1", "GET / HTTP/1.1"])
            .gets(&["HTTP/1.1 200", "!connection", "= a", "HTTP/1.1 200"]),
        row("9112 9.2: what follows a response is not the next one", GETS)
            .upstream(H1(&[
                http!("HTTP/1.1 200 OK", "Content-Length: 1"; "aHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx"),
                http!("HTTP/1.1 200 OK", "Content-Length: 1"; "b"),
            ]))
            .sees(&["GET / HTTP/1.1", "GET / HTTP/1.1"])
            .gets(&["HTTP/1.1 200", "= a", "HTTP/1.1 200", "= b"]),
    ] as &[Row])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responses_with_a_length_and_a_coding_lose_the_length() {
    const SHORT: Side = H1(&[http!("HTTP/1.1 200 OK", "Content-Length: 1", "Transfer-Encoding: chunked"; "2\r\nhi\r\n0\r\n\r\n")]);
    const LONG: Side = H1(&[http!("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "Content-Length: 9"; "2\r\nhi\r\n0\r\n\r\n")]);
    run(&[
        row("9112 6.3: too short", GET)
            .upstream(SHORT)
            .sees(SEES)
            .gets(&["HTTP/1.1 200", "transfer-encoding: chunked", "!content-length", "= hi"]),
        row("9112 6.3: too long", GET)
            .upstream(LONG)
            .sees(SEES)
            .gets(&["HTTP/1.1 200", "transfer-encoding: chunked", "!content-length", "= hi"]),
        row("9112 6.3: too short, to HTTP/2", GET2)
            .upstream(SHORT)
            .sees(SEES)
            .gets(&["HTTP/2 200", "!content-length", "= hi"]),
        row("9112 6.3: too long, to HTTP/2", GET2)
            .upstream(LONG)
            .sees(SEES)
            .gets(&["HTTP/2 200", "!content-length", "= hi"]),
        row("9112 6.3: too short, to HTTP/1.0", H1(&[http!("GET / HTTP/1.0", "Host: a")]))
            .upstream(SHORT)
            .sees(SEES)
            .gets(&["HTTP/1.", "!content-length", "= hi", "closes"]),
        row("9110 8.6: a list of one length is one length", GET)
            .upstream(H1(&[http!("HTTP/1.1 200 OK", "Content-Length: 2, 2"; "hi")]))
            .sees(SEES)
            .gets(&["HTTP/1.1 200", "content-length: 2", "= hi"]),
        row("9110 8.6: a list of one length, to HTTP/2", GET2)
            .upstream(H1(&[http!("HTTP/1.1 200 OK", "Content-Length: 2, 2"; "hi")]))
            .sees(SEES)
            .gets(&["HTTP/2 200", "content-length: 2", "= hi"]),
        row("9110 8.6: one length on two lines", GET)
            .upstream(H1(&[http!("HTTP/1.1 200 OK", "Content-Length: 2", "Content-Length: 2"; "hi")]))
            .sees(SEES)
            .gets(&["HTTP/1.1 200", "content-length: 2", "= hi"]),
        row("9110 8.6: one length on two lines, to HTTP/2", GET2)
            .upstream(H1(&[http!("HTTP/1.1 200 OK", "Content-Length: 2", "Content-Length: 2"; "hi")]))
            .sees(SEES)
            .gets(&["HTTP/2 200", "content-length: 2", "= hi"]),
        row("9110 8.6: one length twice from HTTP/2", GET2)
            .upstream(H2(&[&["HEADERS :status: 200 | content-length: 2 | content-length: 2", "DATA! hi"]]))
            .sees(SEES2)
            .gets(&["HTTP/2 200", "content-length: 2", "= hi"]),
        row("9110 8.6: a list of one length for HEAD", HEAD)
            .upstream(H1(&[http!("HTTP/1.1 200 OK", "Content-Length: 5, 5")]))
            .sees(&["HEAD / HTTP/1.1"])
            .gets(&["HTTP/1.1 200", "content-length: 5"]),
        row("9110 8.6: a length with zeros in front", GET)
            .upstream(H1(&[http!("HTTP/1.1 200 OK", "Content-Length: 002"; "hi")]))
            .sees(SEES)
            .gets(&["HTTP/1.1 200", "content-length: 2", "= hi"]),
    ] as &[Row])
    .await;
}

/// A response that another reader could take for something else is invalid.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responses_with_bad_framing_are_a_502() {
    const GZIP: Side = H1(&[http!("HTTP/1.1 200 OK", "Transfer-Encoding: gzip, chunked"; "2\r\nhi\r\n0\r\n\r\n")]);
    const XCHUNKED: Side = H1(&["HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\nhi\u{4}"]);
    let bad = |name, client, upstream| row(name, client).upstream(upstream).sees(SEES).gets(&["HTTP/1.1 502"]);
    let bad2 = |name, upstream| row(name, GET2).upstream(upstream).sees(SEES).gets(&["HTTP/2 502"]);
    run(&[
        bad("9112 6.1: gzip, chunked", GET, GZIP),
        bad2("9112 6.1: gzip, chunked, to HTTP/2", GZIP),
        bad("9112 6.1: gzip, chunked on two lines", GET, H1(&[http!("HTTP/1.1 200 OK", "Transfer-Encoding: gzip", "Transfer-Encoding: chunked"; "2\r\nhi\r\n0\r\n\r\n")])),
        bad("9112 6.1: xchunked", GET, XCHUNKED),
        bad2("9112 6.1: xchunked, to HTTP/2", XCHUNKED),
        bad("9112 6.1: gzip", GET, H1(&["HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhi\u{4}"])),
        bad("9112 6.1: identity", GET, H1(&["HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nhi\u{4}"])),
        bad("9112 6.1: chunked twice", GET, H1(&[http!("HTTP/1.1 200 OK", "Transfer-Encoding: chunked, chunked"; "2\r\nhi\r\n0\r\n\r\n")])),
        bad("9112 6.1: chunked twice on two lines", GET, H1(&[http!("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"; "2\r\nhi\r\n0\r\n\r\n")])),
        bad("9112 6.1: chunked, gzip", GET, H1(&["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\nhi\u{4}"])),
        bad("9112 6.3: two lengths", GET, H1(&[http!("HTTP/1.1 200 OK", "Content-Length: 2", "Content-Length: 3"; "hi")])),
        bad("9112 6.3: a list of two lengths", GET, H1(&[http!("HTTP/1.1 200 OK", "Content-Length: 2, 3"; "hi")])),
        bad2("9112 6.3: two lengths, to HTTP/2", H1(&[http!("HTTP/1.1 200 OK", "Content-Length: 2", "Content-Length: 3"; "hi")])),
        bad("9110 8.6: no number", GET, H1(&[http!("HTTP/1.1 200 OK", "Content-Length: abc"; "hi")])),
        bad("9110 8.6: a sign", GET, H1(&[http!("HTTP/1.1 200 OK", "Content-Length: +2"; "hi")])),
        bad("9110 8.6: below 0", GET, H1(&[http!("HTTP/1.1 200 OK", "Content-Length: -1"; "hi")])),
        bad("9110 8.6: more than 64 bits", GET, H1(&[http!("HTTP/1.1 200 OK", "Content-Length: 99999999999999999999"; "hi")])),
        bad("9110 8.6: no number in a 304", GET, H1(&[http!("HTTP/1.1 304 Not Modified", "Content-Length: abc")])),
        row("9110 8.6: no number in the response to HEAD", HEAD)
            .upstream(H1(&[http!("HTTP/1.1 200 OK", "Content-Length: abc")]))
            .sees(&["HEAD / HTTP/1.1"])
            .gets(&["HTTP/1.1 502"]),
        bad("9112 4: no HTTP", GET, H1(&["hello\r\n\r\n\u{4}"])),
        bad("9112 4: a status of two digits", GET, H1(&[http!("HTTP/1.1 20 OK", "Content-Length: 0")])),
        bad("9112 4: an unknown version", GET, H1(&[http!("HTTP/2.0 200 OK", "Content-Length: 0")])),
        bad("9112 5: a field without a colon", GET, H1(&[http!("HTTP/1.1 200 OK", "Content-Length 0", "x: y")])),
        bad("9112 5.1: a space in a name", GET, H1(&[http!("HTTP/1.1 200 OK", "Content-Length: 0", "x y: z")])),
        bad("9112 5.2: a folded line", GET, H1(&[http!("HTTP/1.1 200 OK", "Content-Length: 0", "x: y", " z")])),
        row("9113 8.1.1: two lengths from HTTP/2", GET)
            .upstream(H2(&[&["HEADERS :status: 200 | content-length: 2 | content-length: 3", "DATA! hi"]]))
            .sees(SEES2)
            .gets(&["HTTP/1.1 502"]),
        row("9113 8.2.2: a transfer coding from HTTP/2", GET)
            .upstream(H2(&[&["HEADERS :status: 200 | transfer-encoding: chunked", "DATA! hi"]]))
            .sees(SEES2)
            .gets(&["HTTP/1.1 502"]),
        row("9113 8.2.2: Connection from HTTP/2", GET)
            .upstream(H2(&[&["HEADERS :status: 200 | connection: close", "DATA! hi"]]))
            .sees(SEES2)
            .gets(&["HTTP/1.1 502"]),
        row("9113 8.3.2: no status from HTTP/2", GET)
            .upstream(H2(&[&["HEADERS x: y", "DATA! hi"]]))
            .sees(SEES2)
            .gets(&["HTTP/1.1 502"]),
    ] as &[Row])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn truncated_responses_are_truncated_for_the_client() {
    const CUT: &[&str] = &["HTTP/1.1 200", "cut"];
    const CUT2: &[&str] = &["HTTP/2 200", "cut"];
    run(&[
        row("9112 8: shorter than its length", GET)
            .upstream(H1(&["HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhi\u{4}"]))
            .sees(SEES)
            .gets(&["HTTP/1.1 200", "content-length: 10", "= hi", "cut", "closes"]),
        row("9112 8: shorter than its length, to HTTP/2", GET2)
            .upstream(H1(&["HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhi\u{4}"]))
            .sees(SEES)
            .gets(CUT2),
        row("9112 8: no byte of its length", GET)
            .upstream(H1(&["HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n\u{4}"]))
            .sees(SEES)
            .gets(CUT)
            .or(&["HTTP/1.1 502"]),
        row("9112 8: no byte of its length, to HTTP/2", GET2)
            .upstream(H1(&["HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n\u{4}"]))
            .sees(SEES)
            .gets(CUT2)
            .or(&["HTTP/2 502"]),
        row("9112 8: without its last chunk", GET)
            .upstream(H1(&["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n\u{4}"]))
            .sees(SEES)
            .gets(&["HTTP/1.1 200", "= hi", "cut", "closes"]),
        row("9112 8: without its last chunk, to HTTP/2", GET2)
            .upstream(H1(&["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n\u{4}"]))
            .sees(SEES)
            .gets(CUT2),
        row("9112 7.1: a chunk without a size", GET)
            .upstream(H1(&[http!("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"; "xyz\r\nhi\r\n0\r\n\r\n")]))
            .sees(SEES)
            .gets(CUT)
            .or(&["HTTP/1.1 502"]),
        row("9112 8: no response", GET).upstream(H1(&["\u{4}"])).sees(SEES).gets(&["HTTP/1.1 502"]),
        row("9112 8: half of a head", GET).upstream(H1(&["HTTP/1.1 200 O\u{4}"])).sees(SEES).gets(&["HTTP/1.1 502"]),
        row("9113 5.4: HTTP/2 closes before the head", GET).upstream(H2(&[&["CLOSE"]])).sees(SEES2).gets(&["HTTP/1.1 502"]),
        row("9113 5.4: HTTP/2 closes before the head, to HTTP/2", GET2).upstream(H2(&[&["CLOSE"]])).sees(SEES2).gets(&["HTTP/2 502"]),
        row("9113 5.4.2: HTTP/2 resets before the head", GET).upstream(H2(&[&["RST 2"]])).sees(SEES2).gets(&["HTTP/1.1 502"]),
        row("9113 8.7: HTTP/2 refuses", GET).upstream(H2(&[&["RST 7"]])).sees(SEES2).gets(&["HTTP/1.1 503"]),
        row("9113 5.4: HTTP/2 closes before the first byte", GET)
            .upstream(H2(&[&["HEADERS :status: 200", "CLOSE"]]))
            .sees(SEES2)
            .gets(CUT)
            .or(&["HTTP/1.1 502"]),
        row("9113 5.4: HTTP/2 closes before the first byte, to HTTP/2", GET2)
            .upstream(H2(&[&["HEADERS :status: 200", "CLOSE"]]))
            .sees(SEES2)
            .gets(CUT2)
            .or(&["HTTP/2 502"]),
        row("9113 5.4.2: HTTP/2 resets before the first byte", GET)
            .upstream(H2(&[&["HEADERS :status: 200 | content-length: 3", "RST 2"]]))
            .sees(SEES2)
            .gets(CUT)
            .or(&["HTTP/1.1 502"]),
        row("9113 5.4.2: HTTP/2 resets before the first byte, to HTTP/2", GET2)
            .upstream(H2(&[&["HEADERS :status: 200 | content-length: 3", "RST 2"]]))
            .sees(SEES2)
            .gets(CUT2)
            .or(&["HTTP/2 502"]),
        row("9113 5.4.2: HTTP/2 resets after a byte", GET)
            .upstream(H2(&[&["HEADERS :status: 200", "DATA hi", "RST 2"]]))
            .sees(SEES2)
            .gets(CUT)
            .or(&["HTTP/1.1 502"]),
        row("9113 8.1.1: HTTP/2 ends before its length", GET)
            .upstream(H2(&[&["HEADERS :status: 200 | content-length: 3", "DATA! hi"]]))
            .sees(SEES2)
            .gets(CUT)
            .or(&["HTTP/1.1 502"]),
    ] as &[Row])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responses_of_the_proxy_to_head_have_no_body() {
    run(&[
        row("9110 9.3.2: refused", H1(&[http!("HEAD / HTTP/1.1", "Host: a/b"), http!("GET / HTTP/1.1", "Host: a")]))
            .sees(SEES)
            .gets(&["HTTP/1.1 400", "= ", "HTTP/1.1 200"]),
        row("9110 9.3.2: refused over HTTP/2", H2(&[&["HEADERS! HEAD u@a /"]])).gets(&["HTTP/2 400", "= "]),
        row("9110 9.3.2: without an upstream", H2(&[&["HEADERS! HEAD a /admin"]])).gets(&["HTTP/2 503", "= "]),
        row("9110 9.3.2: without an upstream, GET", H2(&[&["HEADERS! GET a /admin"]])).gets(&["HTTP/2 503", "= no upstream is available\n"]),
    ] as &[Row])
    .await;
}
