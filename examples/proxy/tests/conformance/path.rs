//! Paths: the matched path is the forwarded one (RFC 3986, 6.2.2). Below `/admin` there is no upstream, and the
//! response is a 503.

use super::row::{H1, H2, Row, http, row, run};

macro_rules! get {
    ($path:expr) => {
        H1(&[http!(concat!("GET ", $path, " HTTP/1.1"), "Host: a")])
    };
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_spelling_bypasses_a_route() {
    let admin = |name, client| row(name, client).gets(&["HTTP/1.1 503"]);
    run(&[
        admin("unchanged", get!("/admin")),
        admin("below it", get!("/admin/x?y")),
        admin("two slashes", get!("//admin")),
        admin("three slashes", get!("///admin//x")),
        admin("3986 5.2.4: up again", get!("/x/../admin")),
        admin("3986 5.2.4: up twice", get!("/x/y/../../admin")),
        admin("3986 5.2.4: higher than the root", get!("/../admin")),
        admin("3986 5.2.4: here", get!("/./admin")),
        admin("3986 5.2.4: here, at the end", get!("/admin/.")),
        admin("3986 6.2.2.2: a letter in percent", get!("/%61dmin")),
        admin("3986 6.2.2.2: all letters in percent", get!("/%61%64%6D%69%6e")),
        admin("3986 6.2.2.3: dots in percent", get!("/x/%2e%2E/admin")),
        admin("3986 6.2.2.3: one dot in percent", get!("/x/.%2e/admin")),
        admin("3986 6.2.2.3: all at once", get!("//x/.//%2e./%61dmin/?q")),
        admin("9112 3.2.2: in the absolute form", get!("http://a//x/../admin")),
        row("9113 8.3.1: over HTTP/2", H2(&[&["HEADERS! GET a //%61dmin"]])).gets(&["HTTP/2 503"]),
        row("9113 8.3.1: to HTTP/2", get!("/x/../admin")).upstream(H2(&[&["HEADERS! :status: 200"]])).gets(&["HTTP/1.1 503"]),
    ] as &[Row])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_matched_path_is_forwarded() {
    let seen = |name, client, sees| row(name, client).sees(sees).gets(&["HTTP/1.1 200"]);
    run(&[
        seen("3986 5.2.4: out of a route", get!("/admin/../y"), &["GET /y HTTP/1.1"]),
        seen("3986 5.2.4: up to the root", get!("/x/.."), &["GET / HTTP/1.1"]),
        seen("3986 5.2.4: a dot at the end leaves its slash", get!("/x/y/."), &["GET /x/y/ HTTP/1.1"]),
        seen("3986 5.2.4: two dots at the end leave their slash", get!("/x/y/.."), &["GET /x/ HTTP/1.1"]),
        seen("3986 5.2.4: three dots are a name", get!("/.../x"), &["GET /.../x HTTP/1.1"]),
        seen("3986 5.2.4: dots in a name", get!("/x..y/.z"), &["GET /x..y/.z HTTP/1.1"]),
        seen("two slashes", get!("//x//y//"), &["GET /x/y/ HTTP/1.1"]),
        seen("3986 6.2.2.2: a tilde in percent", get!("/%7Ex"), &["GET /~x HTTP/1.1"]),
        seen("3986 6.2.2.1: small digits in percent", get!("/x%2fy%c3%a9"), &["GET /x%2Fy%C3%A9 HTTP/1.1"]),
        seen("3986 2.2: a slash in percent is no slash", get!("/x%2F..%2Fadmin"), &["GET /x%2F..%2Fadmin HTTP/1.1"]),
        seen("3986 3.3: a semicolon is a part of its segment", get!("/admin;x=y"), &["GET /admin;x=y HTTP/1.1"]),
        seen("3986 2.4: percent is decoded once", get!("/%2561dmin"), &["GET /%2561dmin HTTP/1.1"]),
        seen("3986 6.2.2.1: the case of a path matters", get!("/ADMIN"), &["GET /ADMIN HTTP/1.1"]),
        seen("3986 3.3: a longer name is another name", get!("/administrator"), &["GET /administrator HTTP/1.1"]),
        seen("3986 3.4: the query stays as it is", get!("/x?//../%61;%2f"), &["GET /x?//../%61;%2f HTTP/1.1"]),
        seen("3986 3.4: also behind a path that does not", get!("//x?//../%61"), &["GET /x?//../%61 HTTP/1.1"]),
        seen("9112 3.2.2: in the absolute form", get!("http://a//x"), &["GET /x HTTP/1.1", "host: a"]),
        row("9113 8.3.1: over HTTP/2", H2(&[&["HEADERS! GET a /x/./%79?z"]])).sees(&["GET /x/y?z HTTP/1.1"]).gets(&["HTTP/2 200"]),
        row("9113 8.3.1: to HTTP/2", get!("/x//y")).upstream(H2(&[&["HEADERS! :status: 200"]])).sees(&["GET /x/y HTTP/2"]).gets(&["HTTP/1.1 200"]),
        row("3986 2.1: percent without digits", get!("/%")).gets(&["HTTP/1.1 400"]),
        row("3986 2.1: percent with one digit", get!("/%6")).gets(&["HTTP/1.1 400"]),
        row("3986 2.1: percent with letters", get!("/%zz")).gets(&["HTTP/1.1 400"]),
        row("3986 2.4: percent that would become percent", get!("/%%36%31dmin")).gets(&["HTTP/1.1 400"]),
        row("as it was sent, if so configured", get!("//x/../%61dmin%")).config("paths = \"as_sent\"").sees(&["GET //x/../%61dmin% HTTP/1.1"]).gets(&["HTTP/1.1 200"]),
    ] as &[Row])
    .await;
}
