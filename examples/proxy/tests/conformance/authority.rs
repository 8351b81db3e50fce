//! The host that a request is for: `Host`, `:authority` and the absolute form (RFC 9112, 3.2; RFC 9113, 8.3.1).

use super::row::{H1, H2, Row, http, row, run};

const OK2: &[&str] = &["HEADERS! :status: 200"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_host_is_a_400() {
    let bad = |name, client| row(name, H1(client)).gets(&["HTTP/1.1 400"]);
    run(&[
        bad("9112 3.2: none", &[http!("GET / HTTP/1.1")]),
        bad("9112 3.2: two", &[http!("GET / HTTP/1.1", "Host: a", "Host: b")]),
        bad("9112 3.2: the same twice", &[http!("GET / HTTP/1.1", "Host: a", "Host: a")]),
        bad("9112 3.2: a bad one and a good one", &[http!("GET / HTTP/1.1", "Host: x/y", "Host: internal.example")]),
        bad("9112 3.2: two in HTTP/1.0", &[http!("GET / HTTP/1.0", "Host: a", "Host: b")]).gets(&["HTTP/1.0 400"]),
        bad("9112 3.2: a slash", &[http!("GET / HTTP/1.1", "Host: a/b")]),
        bad("9112 3.2: a space", &[http!("GET / HTTP/1.1", "Host: a b")]),
        bad("9110 4.2.4: user information", &[http!("GET / HTTP/1.1", "Host: u@a")]),
        bad("9110 4.2.4: user information and a password", &[http!("GET / HTTP/1.1", "Host: u:p@a")]),
        bad("9112 3.2: a list", &[http!("GET / HTTP/1.1", "Host: a, b")]),
        bad("9112 3.2: a list without a space", &[http!("GET / HTTP/1.1", "Host: a,b")]),
        bad("3986 3.2.3: a port of letters", &[http!("GET / HTTP/1.1", "Host: a:x")]),
        bad("3986 3.2.3: a port below 0", &[http!("GET / HTTP/1.1", "Host: a:-1")]),
        bad("3986 3.2.3: a port over 65535", &[http!("GET / HTTP/1.1", "Host: a:65536")]),
        bad("3986 3.2.3: two ports", &[http!("GET / HTTP/1.1", "Host: a:80:80")]),
        bad("3986 3.2.2: a port alone", &[http!("GET / HTTP/1.1", "Host: :80")]),
        bad("9112 3.2: 8 bits", &[http!("GET / HTTP/1.1", "Host: \u{e9}")]),
        bad("9112 3.2: a question mark", &[http!("GET / HTTP/1.1", "Host: a?b")]),
        bad("9112 3.2: a number sign", &[http!("GET / HTTP/1.1", "Host: a#b")]),
        bad("9112 3.2: a backslash", &[http!("GET / HTTP/1.1", "Host: a\\b")]),
        bad("9112 3.2: percent", &[http!("GET / HTTP/1.1", "Host: %61")]),
        bad("9112 3.2: a URL", &[http!("GET / HTTP/1.1", "Host: http://a")]),
        bad("3986 3.2.2: half of an IPv6 address", &[http!("GET / HTTP/1.1", "Host: [::1")]),
        bad("3986 3.2.2: IPv6 without brackets", &[http!("GET / HTTP/1.1", "Host: ::1")]),
        bad("3986 3.2.2: no IPv6 address", &[http!("GET / HTTP/1.1", "Host: [::g]")]),
        bad("3986 3.2.2: something after the brackets", &[http!("GET / HTTP/1.1", "Host: [::1]a")]),
        bad("9112 3.2.2: absolute form without Host", &[http!("GET http://a/ HTTP/1.1")]),
        bad("9112 3.2.2: absolute form with an invalid Host", &[http!("GET http://a/ HTTP/1.1", "Host: x/y")]),
        bad("9110 4.2.4: absolute form with user information", &[http!("GET http://u@a/ HTTP/1.1", "Host: a")]),
        bad("9110 4.2.4: the same in Host", &[http!("GET http://u:p@a/ HTTP/1.1", "Host: u:p@a")]),
        bad("9112 3.2.2: a scheme that is not HTTP", &[http!("GET ftp://a/ HTTP/1.1", "Host: a")]),
        bad("9112 3.2.3: authority form, but no CONNECT", &[http!("GET a:80 HTTP/1.1", "Host: a")]),
        bad("9112 3.2.4: asterisk form, but no OPTIONS", &[http!("GET * HTTP/1.1", "Host: a")]),
        bad("9112 3.2.1: no slash", &[http!("GET admin HTTP/1.1", "Host: a")]),
        row("9110 9.3.6: CONNECT", H1(&[http!("CONNECT a:80 HTTP/1.1", "Host: a:80")])).gets(&["HTTP/1.1 501"]),
    ] as &[Row])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_host_is_forwarded() {
    let good = |name, client, sees| row(name, H1(client)).sees(sees).gets(&["HTTP/1.1 200"]);
    run(&[
        good("9112 3.2: a name", &[http!("GET / HTTP/1.1", "Host: a")], &["GET / HTTP/1.1", "host: a"]),
        good("9112 3.2: a port", &[http!("GET / HTTP/1.1", "Host: a:81")], &["GET / HTTP/1.1", "host: a:81"]),
        good("3986 3.2.3: a port without a digit", &[http!("GET / HTTP/1.1", "Host: a:")], &["GET / HTTP/1.1", "host: a:"]),
        good("3986 3.2.2: IPv4", &[http!("GET / HTTP/1.1", "Host: 127.0.0.1:80")], &["GET / HTTP/1.1", "host: 127.0.0.1:80"]),
        good("3986 3.2.2: IPv6", &[http!("GET / HTTP/1.1", "Host: [::1]:80")], &["GET / HTTP/1.1", "host: [::1]:80"]),
        good("3986 3.2.2: an underscore", &[http!("GET / HTTP/1.1", "Host: a_b")], &["GET / HTTP/1.1", "host: a_b"]),
        good("9112 3.2: empty", &[http!("GET / HTTP/1.1", "Host:")], &["GET / HTTP/1.1", "host: "]),
        good("9112 3.2.2: absolute form", &[http!("GET http://a:81/x?y HTTP/1.1", "Host: a:81")], &["GET /x?y HTTP/1.1", "host: a:81"]),
        good("9112 3.2.2: absolute form wins", &[http!("GET http://a/ HTTP/1.1", "Host: internal.example")], &["GET / HTTP/1.1", "host: a"]),
        good("9112 3.2.2: absolute form without a path", &[http!("GET http://a HTTP/1.1", "Host: a")], &["GET / HTTP/1.1", "host: a"]),
        good("9112 3.2.2: absolute form with a query alone", &[http!("GET http://a?x HTTP/1.1", "Host: a")], &["GET /?x HTTP/1.1", "host: a"]),
        row("9113 8.3.1: Host becomes :authority", H1(&[http!("GET / HTTP/1.1", "Host: a:81")]))
            .upstream(H2(&[OK2]))
            .sees(&["GET / HTTP/2", ":authority: a:81", "!host"])
            .gets(&["HTTP/1.1 200"]),
        row("9113 8.3.1: an empty Host becomes nothing", H1(&[http!("GET / HTTP/1.1", "Host:")]))
            .upstream(H2(&[OK2]))
            .sees(&["GET / HTTP/2", "!:authority", "!host"])
            .gets(&["HTTP/1.1 200"]),
        row("9112 3.2.4: OPTIONS *", H1(&[http!("OPTIONS * HTTP/1.1", "Host: a")]))
            .sees(&["OPTIONS * HTTP/1.1", "host: a"])
            .gets(&["HTTP/1.1 200"]),
    ] as &[Row])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_host_decides_the_route() {
    let internal = |name, client| row(name, H1(client)).gets(&["HTTP/1.1 503"]);
    run(&[
        internal("9110 4.2.3: as it is", &[http!("GET / HTTP/1.1", "Host: internal.example")]),
        internal("9110 4.2.3: in capitals", &[http!("GET / HTTP/1.1", "Host: INTERNAL.Example")]),
        internal("1034 3.1: with a final dot", &[http!("GET / HTTP/1.1", "Host: internal.example.")]),
        internal("9110 4.2.3: with a port", &[http!("GET / HTTP/1.1", "Host: internal.example:8080")]),
        internal("1034 3.1: with a final dot and a port", &[http!("GET / HTTP/1.1", "Host: Internal.example.:8080")]),
        internal("9112 3.2.2: in the absolute form", &[http!("GET http://internal.example/ HTTP/1.1", "Host: a")]),
        internal("9112 3.2: in HTTP/1.0", &[http!("GET / HTTP/1.0", "Host: internal.example")]).or(&["HTTP/1.0 503"]),
        row("9113 8.3.1: in :authority", H2(&[&["HEADERS! GET internal.example. /"]])).gets(&["HTTP/2 503"]),
        row("9113 8.3.1: in host", H2(&[&["HEADERS! GET - / | host: internal.example"]])).gets(&["HTTP/2 503"]),
    ] as &[Row])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_names_its_authority_once() {
    let bad = |name, client| row(name, H2(client)).gets(&["HTTP/2 400"]);
    run(&[
        row("9113 8.3.1: :authority becomes Host", H2(&[&["HEADERS! GET a:81 /"]]))
            .sees(&["GET / HTTP/1.1", "host: a:81"])
            .gets(&["HTTP/2 200"]),
        row("9113 8.3.1: host alone", H2(&[&["HEADERS! GET - / | host: a"]]))
            .sees(&["GET / HTTP/1.1", "host: a"])
            .gets(&["HTTP/2 200"]),
        row("9113 8.3.1: host alone becomes :authority", H2(&[&["HEADERS! GET - / | host: a"]]))
            .upstream(H2(&[OK2]))
            .sees(&["GET / HTTP/2", ":authority: a", "!host"])
            .gets(&["HTTP/2 200"]),
        row("9113 8.3.1: both, and equal", H2(&[&["HEADERS! GET a / | host: a"]]))
            .sees(&["GET / HTTP/1.1", "host: a"])
            .gets(&["HTTP/2 200"]),
        row("9113 8.3.1: both, and equal except for case, dot and port", H2(&[&["HEADERS! GET a.example / | host: A.example.:80"]]))
            .sees(&["GET / HTTP/1.1", "host: a.example"])
            .gets(&["HTTP/2 200"]),
        row("9113 8.3.1: the scheme of a proxy that ends TLS", H2(&[&["HEADERS! :method: GET | :scheme: https | :authority: a | :path: /"]]))
            .sees(&["GET / HTTP/1.1", "host: a"])
            .gets(&["HTTP/2 200"]),
        bad("9113 8.3.1: both, and different", &[&["HEADERS! GET a / | host: internal.example"]]),
        bad("9113 8.3.1: both, with different ports", &[&["HEADERS! GET a:81 / | host: a:82"]]),
        bad("9113 8.3.1: neither", &[&["HEADERS! GET - /"]]),
        bad("9113 8.3.1: host twice", &[&["HEADERS! GET - / | host: a | host: a"]]),
        bad("9113 8.3.1: user information in :authority", &[&["HEADERS! GET u@a /"]]),
        bad("9113 8.3.1: user information in host", &[&["HEADERS! GET - / | host: u@a"]]),
        bad("9113 8.3.1: a bad port", &[&["HEADERS! GET a:65536 /"]]).or(&["", "cut: reset 1"]),
        bad("9113 8.3.1: a slash in :authority", &[&["HEADERS! GET a/b /"]]).or(&["", "cut: reset 1"]),
        bad("9113 8.3.1: a list in :authority", &[&["HEADERS! :method: GET | :scheme: http | :authority: a, b | :path: /"]]).or(&["", "cut: reset 1"]),
        bad("9113 8.3.1: an empty :authority", &[&["HEADERS! :method: GET | :scheme: http | :authority:  | :path: /"]]).or(&["", "cut: reset 1"]),
        bad("9113 8.3.1: an empty host", &[&["HEADERS! GET - / | host: "]]),
        bad("9113 8.3.1: a path without a slash", &[&["HEADERS! GET a admin"]]).or(&["", "cut: reset 1"]),
        bad("9113 8.3.1: an asterisk, but no OPTIONS", &[&["HEADERS! GET a *"]]),
        bad("9113 8.3.1: a scheme that is not HTTP", &[&["HEADERS! :method: GET | :scheme: ftp | :authority: a | :path: /"]]),
        row("9113 8.3.1: no path", H2(&[&["HEADERS! :method: GET | :scheme: http | :authority: a"]])).gets(&["", "cut: reset 1"]).or(&["HTTP/2 400"]),
        row("9113 8.3.1: no method", H2(&[&["HEADERS! :scheme: http | :authority: a | :path: /"]])).gets(&["", "cut: reset 1"]),
        row("9113 8.3: a pseudo-header twice", H2(&[&["HEADERS! GET a / | :path: /admin"]])).gets(&["", "cut: reset 1"]),
        row("9113 8.5: CONNECT", H2(&[&["HEADERS! :method: CONNECT | :authority: a:80"]])).gets(&["HTTP/2 501"]),
        row("9113 8.3.1: OPTIONS *", H2(&[&["HEADERS! OPTIONS a *"]])).sees(&["OPTIONS * HTTP/1.1"]).gets(&["HTTP/2 200"]),
    ] as &[Row])
    .await;
}
