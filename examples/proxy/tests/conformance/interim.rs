//! Interim responses (RFC 9110, 15.2).

use super::row::{H1, H2, Row, Side, http, row, run};

const GET: Side = H1(&[http!("GET / HTTP/1.1", "Host: a")]);
const GET2: Side = H2(&[&["HEADERS! GET a /"]]);
const SEES: &[&str] = &["GET / HTTP/1.1"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unrequested_101_is_a_502() {
    const SWITCHING: Side = H1(&[http!("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: x")]);
    run(&[
        row("9110 15.2.2: to HTTP/1.1", GET).upstream(SWITCHING).sees(SEES).gets(&["HTTP/1.1 502"]),
        row("9110 15.2.2: to HTTP/2", GET2).upstream(SWITCHING).sees(SEES).gets(&["HTTP/2 502"]),
        row("9113 8.6: to HTTP/2, where the other streams continue", H2(&[&["HEADERS! GET a /", "WAIT", "HEADERS! GET a /2"]]))
            .upstream(H1(&["HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"]))
            .sees(&["GET / HTTP/1.1", "GET /2 HTTP/1.1"])
            .gets(&["HTTP/2 502", "HTTP/2 200"]),
        row("9110 7.8: to a client that asked, which the proxy does not pass on", H1(&[http!("GET / HTTP/1.1", "Host: a", "Connection: Upgrade", "Upgrade: x")]))
            .upstream(SWITCHING)
            .sees(&["GET / HTTP/1.1", "!upgrade"])
            .gets(&["HTTP/1.1 502"]),
        row("9113 8.6: from HTTP/2", GET).upstream(H2(&[&["HEADERS! :status: 101"]])).sees(&["GET / HTTP/2"]).gets(&["HTTP/1.1 502"]),
        row("9113 8.6: from HTTP/2 to HTTP/2", GET2).upstream(H2(&[&["HEADERS! :status: 101"]])).sees(&["GET / HTTP/2"]).gets(&["HTTP/2 502"]),
    ] as &[Row])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interim_responses_are_sent_before_the_final_response() {
    const EARLY: &str = concat!("HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
    run(&[
        row("9110 15.2.1: 100 without Expect", GET)
            .upstream(H1(&["HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"]))
            .sees(SEES)
            .gets(&["HTTP/1.1 200", "= hi"]),
        row("8297 2: 103", GET).upstream(H1(&[EARLY])).sees(SEES).gets(&["HTTP/1.1 103 Early Hints", "link: </x>", "!connection", "HTTP/1.1 200", "!link", "= hi"]),
        row("9110 15.2: for each of two requests, in order", H1(&[http!("GET / HTTP/1.1", "Host: a"), http!("GET / HTTP/1.1", "Host: a")]))
            .upstream(H1(&[EARLY, EARLY]))
            .sees(&["GET / HTTP/1.1", "GET / HTTP/1.1"])
            .gets(&["HTTP/1.1 103", "HTTP/1.1 200", "= hi", "HTTP/1.1 103", "HTTP/1.1 200", "= hi"]),
        row("9110 15.2: not to HTTP/1.0", H1(&[http!("GET / HTTP/1.0")])).upstream(H1(&[EARLY])).sees(SEES).gets(&["HTTP/1.0 200", "= hi"]),
        row("9110 15.2: before an error", GET)
            .upstream(H1(&["HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n\u{4}"]))
            .sees(SEES)
            .gets(&["HTTP/1.1 103", "HTTP/1.1 502"]),
        row("9110 7.6.1: without hop-by-hop fields", GET)
            .upstream(H1(&["HTTP/1.1 103 Early Hints\r\nconnection: x-a\r\nx-a: 1\r\nx-b: 2\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"]))
            .sees(SEES)
            .gets(&["HTTP/1.1 103", "!connection", "!x-a", "x-b: 2", "HTTP/1.1 204"]),
        row("8297 2: 103 to HTTP/2", GET2).upstream(H1(&[EARLY])).sees(SEES).gets(&["HTTP/2 200", "!link", "= hi"]),
        row("8297 2: 103 from HTTP/2", GET)
            .upstream(H2(&[&["HEADERS :status: 103 | link: </x>", "HEADERS :status: 200", "DATA! hi"]]))
            .sees(&["GET / HTTP/2"])
            .gets(&["HTTP/1.1 200", "!link", "= hi"]),
        row("9110 15.2: any other, and several", GET)
            .upstream(H1(&["HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 199 x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"]))
            .sees(SEES)
            .gets(&["HTTP/1.1 102", "HTTP/1.1 199", "HTTP/1.1 200", "= hi"]),
        row("9112 6.3: an interim response has no body, whatever its length", GET)
            .upstream(H1(&["HTTP/1.1 103 Early Hints\r\ncontent-length: 2\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"]))
            .sees(SEES)
            .gets(&["HTTP/1.1 103", "!content-length", "HTTP/1.1 200", "= hi"]),
    ] as &[Row])
    .await;
}
