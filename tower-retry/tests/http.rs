//! Retries of HTTP requests and gRPC calls: which are retried, when, and with which headers and bodies.
#![cfg(feature = "http")]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use tokio::time::{Instant, sleep};
use tower_classify::http::Code;
use tower_classify::{Class, FailureKind, Unsent};
use tower_layer::Layer;
use tower_retry::http::{HttpRetryLayer, HttpRules, ReplayBody};
use tower_retry::{Builder, Next, RetryPolicy};
use tower_service::Service;
use tower_timeout::Deadline;
use tower_util::{BoxError, ServiceExt, Tried, service_fn};

type Answer = Result<Response<UnsyncBoxBody<Bytes, Infallible>>, BoxError>;
type Text = Full<Bytes>;

const MS: Duration = Duration::from_millis(1);

/// A server that responds with `answers` in order, and records the requests.
#[derive(Clone, Default)]
struct Server {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

#[derive(Debug)]
struct Seen {
    at: Instant,
    body: Bytes,
    headers: HeaderMap,
}

impl Server {
    fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self {
            answers: Arc::new(Mutex::new(answers.into_iter().collect())),
            ..Self::default()
        }
    }

    async fn answer<B>(self, request: Request<ReplayBody<B>>) -> Answer
    where
        B: Body<Error: Into<BoxError>> + Unpin,
    {
        let at = Instant::now();
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        self.seen.lock().unwrap().push(Seen {
            at,
            body,
            headers: head.headers,
        });
        self.answers
            .lock()
            .unwrap()
            .pop_front()
            .unwrap_or_else(|| status(200))
    }

    /// Returns when each attempt arrived, relative to the first.
    fn waits(&self) -> Vec<Duration> {
        let seen = self.seen.lock().unwrap();
        seen.iter().map(|request| request.at - seen[0].at).collect()
    }

    fn attempts(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

fn empty() -> UnsyncBoxBody<Bytes, Infallible> {
    Empty::new().boxed_unsync()
}

fn status(status: u16) -> Answer {
    with_header(status, "x", "y")
}

fn with_header(status: u16, name: &'static str, value: &str) -> Answer {
    let response = Response::builder().status(status).header(name, value);
    Ok(response.body(empty()).unwrap())
}

fn trailers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pairs = pairs
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    pairs.collect()
}

/// Sends headers, and then only trailers.
fn failing_late(pairs: &[(&'static str, &str)]) -> Answer {
    let frames = futures::stream::iter([Ok(Frame::trailers(trailers(pairs)))]);
    Ok(Response::new(StreamBody::new(frames).boxed_unsync()))
}

fn failing_early(pairs: &[(&'static str, &str)]) -> Answer {
    let mut response = Response::new(empty());
    *response.headers_mut() = trailers(pairs);
    Ok(response)
}

async fn send<B>(
    policy: Builder<HttpRules>,
    server: &Server,
    request: Request<B>,
) -> Result<StatusCode, BoxError>
where
    B: Body<Error: Into<BoxError>> + Unpin,
{
    let server = server.clone();
    let client = service_fn(move |request| server.clone().answer(request));
    let client = HttpRetryLayer::new(policy.build()).layer(client);
    client
        .oneshot(request)
        .await
        .map(|response| response.status())
}

fn request(method: Method, body: &'static str) -> Request<Text> {
    Request::builder()
        .method(method)
        .body(Text::from(body))
        .unwrap()
}

fn grpc(body: &'static str) -> Request<Text> {
    let request = Request::post("/a.B/C").header("content-type", "application/grpc+proto");
    request.body(Text::from(body)).unwrap()
}

fn refused() -> Answer {
    Err(Unsent::new(io::Error::from(io::ErrorKind::ConnectionRefused)).into())
}

fn reset() -> Answer {
    Err(Box::new(io::Error::from(io::ErrorKind::ConnectionReset)))
}

#[tokio::test(start_paused = true)]
async fn idempotent_requests_are_retried_with_their_bodies() {
    for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"] {
        let server = Server::new([status(503), reset()]);
        let request = request(method.parse().unwrap(), "hello");
        assert_eq!(
            send(RetryPolicy::http(), &server, request).await.unwrap(),
            200
        );
        let seen = server.seen.lock().unwrap();
        let bodies: Vec<_> = seen.iter().map(|seen| &seen.body[..]).collect();
        assert_eq!(bodies, [b"hello"; 3], "{method}");
        assert!(
            seen.iter()
                .all(|seen| !seen.headers.contains_key("grpc-previous-rpc-attempts"))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn other_requests_are_retried_only_with_an_idempotency_key_or_if_configured() {
    for answer in [|| status(503), reset as fn() -> _] {
        let server = Server::new([answer()]);
        let _ = send(RetryPolicy::http(), &server, request(Method::POST, "hello")).await;
        assert_eq!(server.attempts(), 1);

        let mut keyed = request(Method::POST, "hello");
        keyed
            .headers_mut()
            .insert("idempotency-key", "1".parse().unwrap());
        let server = Server::new([answer()]);
        assert_eq!(
            send(RetryPolicy::http(), &server, keyed.clone())
                .await
                .unwrap(),
            200
        );
        assert_eq!(server.attempts(), 2);

        let server = Server::new([answer()]);
        let _ = send(RetryPolicy::http().idempotency_key(false), &server, keyed).await;
        assert_eq!(server.attempts(), 1);

        let server = Server::new([answer()]);
        let policy = RetryPolicy::http().methods([Method::POST]);
        assert_eq!(
            send(policy, &server, request(Method::POST, "hello"))
                .await
                .unwrap(),
            200
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_unsent_request_is_retried_whatever_its_method() {
    for request in [
        request(Method::POST, "hello"),
        request(Method::PATCH, ""),
        grpc("hello"),
    ] {
        let server = Server::new([refused(), refused()]);
        assert_eq!(
            send(RetryPolicy::http(), &server, request).await.unwrap(),
            200
        );
        assert_eq!(server.attempts(), 3);
    }
}

#[cfg(feature = "h2")]
#[tokio::test(start_paused = true)]
async fn a_refused_stream_counts_as_unsent() {
    #[derive(Debug)]
    struct Wrapped(h2::Error);

    impl std::fmt::Display for Wrapped {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("broken")
        }
    }

    impl std::error::Error for Wrapped {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }

    for (reason, attempts) in [
        (h2::Reason::REFUSED_STREAM, 2),
        (h2::Reason::INTERNAL_ERROR, 1),
    ] {
        let server = Server::new([Err(Wrapped(reason.into()).into())]);
        let _ = send(RetryPolicy::http(), &server, request(Method::POST, "hello")).await;
        assert_eq!(server.attempts(), attempts, "{reason:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_retried_statuses_can_be_configured() {
    for code in [408, 425, 429, 502, 503, 504, 500, 404] {
        let server = Server::new([status(code)]);
        let answer = send(RetryPolicy::http(), &server, request(Method::GET, ""))
            .await
            .unwrap();
        let default = [502, 503, 504].contains(&code);
        assert_eq!(
            (server.attempts() == 2, answer == 200),
            (default, default),
            "{code}"
        );

        let server = Server::new([status(code)]);
        let policy = RetryPolicy::http().statuses([StatusCode::from_u16(code).unwrap()]);
        assert_eq!(
            send(policy, &server, request(Method::GET, ""))
                .await
                .unwrap(),
            200
        );
    }
}

#[tokio::test(start_paused = true)]
async fn waits_for_a_retry_after_up_to_the_maximum() {
    let server = Server::new([with_header(503, "retry-after", "7")]);
    send(RetryPolicy::http(), &server, request(Method::GET, ""))
        .await
        .unwrap();
    assert_eq!(server.waits(), [Duration::ZERO, 7000 * MS]);

    // A date has whole seconds, and the test may start at any time within one.
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(20));
    let server = Server::new([with_header(503, "retry-after", &date)]);
    send(RetryPolicy::http(), &server, request(Method::GET, ""))
        .await
        .unwrap();
    let wait = server.waits()[1];
    assert!(wait > 10_000 * MS && wait <= 20_000 * MS, "{wait:?}");

    let policy = RetryPolicy::http().retry_after_max(5000 * MS);
    let server = Server::new([with_header(503, "retry-after", "6")]);
    assert_eq!(
        send(policy, &server, request(Method::GET, ""))
            .await
            .unwrap(),
        503
    );
    assert_eq!(server.attempts(), 1);
}

/// As clients of public APIs do: 429 means that it is too early, and `retry-after` says when it is not.
#[tokio::test(start_paused = true)]
async fn a_429_is_retried_if_it_has_a_retry_after() {
    let server = || Server::new([with_header(429, "retry-after", "7")]);
    for (method, expected) in [(Method::GET, 200), (Method::PUT, 200), (Method::POST, 429)] {
        let server = server();
        let answer = send(RetryPolicy::http(), &server, request(method, "")).await;
        assert_eq!(answer.unwrap(), expected);
        if expected == 200 {
            assert_eq!(server.waits(), [Duration::ZERO, 7000 * MS]);
        }
    }
    let get = || request(Method::GET, "");
    // An invalid time, and one that is too long.
    for (value, attempts) in [("soon", 1), ("31", 1), ("30", 2), ("0", 2)] {
        let server = Server::new([with_header(429, "retry-after", value)]);
        send(RetryPolicy::http(), &server, get()).await.unwrap();
        assert_eq!(server.attempts(), attempts, "{value}");
    }
    // `statuses` replaces the defaults, and `add_statuses` adds to them.
    let only = RetryPolicy::http().statuses([StatusCode::BAD_GATEWAY]);
    assert_eq!(send(only, &server(), get()).await.unwrap(), 429);
    let too_early = || RetryPolicy::http().add_statuses([StatusCode::TOO_EARLY]);
    for server in [
        server(),
        Server::new([status(425)]),
        Server::new([status(503)]),
    ] {
        assert_eq!(send(too_early(), &server, get()).await.unwrap(), 200);
        assert_eq!(server.attempts(), 2);
    }
    // If 429 is in the list, it is retried without a `retry-after` as well.
    let server = Server::new([status(429)]);
    let policy = RetryPolicy::http().add_statuses([StatusCode::TOO_MANY_REQUESTS]);
    assert_eq!(send(policy, &server, get()).await.unwrap(), 200);
}

#[tokio::test(start_paused = true)]
async fn methods_and_codes_can_be_added() {
    let server = Server::new([status(503), status(503)]);
    let policy = RetryPolicy::http().add_methods([Method::POST]);
    send(policy, &server, request(Method::POST, ""))
        .await
        .unwrap();
    assert_eq!(server.attempts(), 3);
    let server = Server::new([
        failing_early(&[("grpc-status", "14")]),
        failing_early(&[("grpc-status", "8")]),
    ]);
    let policy = RetryPolicy::http().add_grpc_codes([Code::ResourceExhausted]);
    send(policy, &server, grpc("")).await.unwrap();
    assert_eq!(server.attempts(), 3);
}

/// The body of such a response may have been peeked at, and be empty.
#[tokio::test(start_paused = true)]
async fn an_empty_body_does_not_hide_the_http_status_of_a_grpc_call() {
    let response = Response::builder().status(503).header("retry-after", "7");
    let none = futures::stream::iter(Vec::<Result<Frame<Bytes>, Infallible>>::new());
    let response = response.body(StreamBody::new(none).boxed_unsync());
    let server = Server::new([Ok(response.unwrap())]);
    send(RetryPolicy::http(), &server, grpc("hello"))
        .await
        .unwrap();
    assert_eq!(server.waits(), [Duration::ZERO, 7000 * MS]);
}

#[tokio::test(start_paused = true)]
async fn a_grpc_response_that_ends_without_a_status_is_no_success() {
    for (response, expected) in [
        (status(200), Next::Failure),
        (failing_early(&[("grpc-status", "0")]), Next::Success),
    ] {
        let server = Server::new([response]);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let observer = Arc::clone(&seen);
        let policy = RetryPolicy::http()
            .on_attempt(move |attempt| observer.lock().unwrap().push(attempt.next));
        send(policy, &server, grpc("hello")).await.unwrap();
        assert_eq!(*seen.lock().unwrap(), [expected]);
    }
}

/// For instance by a proxy that does not know gRPC.
#[tokio::test(start_paused = true)]
async fn a_grpc_call_with_a_plain_http_response_waits_for_its_retry_after() {
    for code in [429, 503] {
        let server = Server::new([with_header(code, "retry-after", "7")]);
        send(RetryPolicy::http(), &server, grpc("hello"))
            .await
            .unwrap();
        assert_eq!(server.waits(), [Duration::ZERO, 7000 * MS]);
        let server = Server::new([with_header(code, "retry-after", "31")]);
        send(RetryPolicy::http(), &server, grpc("hello"))
            .await
            .unwrap();
        assert_eq!(server.attempts(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_grpc_call_is_retried_by_its_status_in_headers_or_trailers() {
    for answer in [failing_early, failing_late] {
        let server = Server::new([
            answer(&[("grpc-status", "14")]),
            answer(&[("grpc-status", "14")]),
        ]);
        send(RetryPolicy::http(), &server, grpc("hello"))
            .await
            .unwrap();
        {
            let seen = server.seen.lock().unwrap();
            let attempts = seen
                .iter()
                .map(|seen| seen.headers.get("grpc-previous-rpc-attempts"));
            let attempts: Vec<_> = attempts
                .map(|value| value.map(|value| value.to_str().unwrap()))
                .collect();
            assert_eq!(attempts, [None, Some("1"), Some("2")]);
            assert!(seen.iter().all(|seen| seen.body == "hello"));
        }

        let server = Server::new([answer(&[("grpc-status", "5")])]);
        send(RetryPolicy::http(), &server, grpc("")).await.unwrap();
        assert_eq!(server.attempts(), 1);
        let server = Server::new([answer(&[("grpc-status", "5")])]);
        let policy = RetryPolicy::http().grpc_codes([Code::NotFound]);
        send(policy, &server, grpc("")).await.unwrap();
        assert_eq!(server.attempts(), 2);
    }
    let server = Server::new([status(503)]);
    send(RetryPolicy::http(), &server, grpc("")).await.unwrap();
    assert_eq!(
        server.attempts(),
        2,
        "a proxy before the server has answered"
    );
}

#[tokio::test(start_paused = true)]
async fn a_pushback_is_honored() {
    for answer in [failing_early, failing_late] {
        let server = Server::new([answer(&[
            ("grpc-status", "14"),
            ("grpc-retry-pushback-ms", "1234"),
        ])]);
        send(RetryPolicy::http(), &server, grpc("")).await.unwrap();
        assert_eq!(server.waits(), [Duration::ZERO, 1234 * MS]);
        for no in ["-1", "later"] {
            let server = Server::new([answer(&[
                ("grpc-status", "14"),
                ("grpc-retry-pushback-ms", no),
            ])]);
            send(RetryPolicy::http(), &server, grpc("")).await.unwrap();
            assert_eq!(server.attempts(), 1);
        }
    }
}

/// The body arrives frame by frame, although the first frame was peeked at.
#[tokio::test(start_paused = true)]
async fn a_response_that_was_peeked_at_arrives_complete() {
    let (sender, receiver) =
        futures::channel::mpsc::unbounded::<Result<Frame<Bytes>, Infallible>>();
    let body = Arc::new(Mutex::new(Some(StreamBody::new(receiver))));
    let client = service_fn(move |_request: Request<ReplayBody<Text>>| {
        let body = body.lock().unwrap().take().expect("one attempt");
        async move { Ok::<_, BoxError>(Response::new(body)) }
    });
    let mut client = HttpRetryLayer::new(RetryPolicy::http().build()).layer(client);
    let response = client.ready().await.unwrap().call(grpc(""));
    sender
        .unbounded_send(Ok(Frame::data(Bytes::from("one"))))
        .unwrap();
    let mut body = response.await.unwrap().into_body();
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        "one"
    );
    sender
        .unbounded_send(Ok(Frame::data(Bytes::from("two"))))
        .unwrap();
    let end = trailers(&[("grpc-status", "14")]);
    sender
        .unbounded_send(Ok(Frame::trailers(end.clone())))
        .unwrap();
    drop(sender);
    let rest = body.collect().await.unwrap();
    assert_eq!(rest.trailers(), Some(&end), "too late for a retry");
    assert_eq!(rest.to_bytes(), "two");
}

/// A caller may wait for the headers before it sends more; and a server may take long for its first message, even after the
/// request has ended.
#[tokio::test(start_paused = true)]
async fn headers_are_not_held_back_until_the_first_message() {
    let answer = |_request| async {
        let never = futures::stream::pending::<Result<Frame<Bytes>, Infallible>>();
        Ok::<_, BoxError>(Response::new(StreamBody::new(never)))
    };
    let client = HttpRetryLayer::new(RetryPolicy::http().build()).layer(service_fn(answer));
    let start = Instant::now();
    let open = StreamBody::new(futures::stream::pending::<Result<Frame<Bytes>, Infallible>>());
    client
        .clone()
        .oneshot(grpc("").map(|_| open.boxed_unsync()))
        .await
        .unwrap();
    client.oneshot(grpc("").map(|_| empty())).await.unwrap();
    // Paused time advances when all tasks are idle, so any wait would show.
    assert_eq!(start.elapsed(), Duration::ZERO);
}

/// Trailers that arrive with the headers are seen, even if the task that reads them has yet to run.
#[tokio::test(start_paused = true)]
async fn headers_are_held_back_for_trailers_that_arrive_with_them() {
    let server = |attempts: Arc<Mutex<u32>>| {
        service_fn(
            move |_request: Request<ReplayBody<UnsyncBoxBody<Bytes, Infallible>>>| {
                *attempts.lock().unwrap() += 1;
                let (sender, frames) = futures::channel::mpsc::unbounded();
                tokio::spawn(async move {
                    let end = trailers(&[("grpc-status", "14")]);
                    let _ =
                        sender.unbounded_send(Ok::<_, Infallible>(Frame::<Bytes>::trailers(end)));
                });
                async move { Ok::<_, BoxError>(Response::new(StreamBody::new(frames))) }
            },
        )
    };
    let attempts = Arc::default();
    let client =
        HttpRetryLayer::new(RetryPolicy::http().build()).layer(server(Arc::clone(&attempts)));
    let answer = client.oneshot(grpc("").map(|_| empty())).await.unwrap();
    let end = answer.into_body().collect().await.unwrap();
    assert_eq!(end.trailers().unwrap()["grpc-status"], "14");
    assert_eq!(
        *attempts.lock().unwrap(),
        3,
        "the attempts that there are by default"
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_over_the_limit_is_not_retried_once_its_body_was_read() {
    for (length, limit, attempts) in [(10, 10, 2), (11, 10, 1), (65_536, 65_536, 2)] {
        // With a known length, and without one.
        let data = Bytes::from(vec![7; length]);
        let chunk = Ok::<_, Infallible>(Frame::data(data.clone()));
        let unsized_body = StreamBody::new(futures::stream::iter([chunk])).boxed_unsync();
        for body in [Text::from(data).boxed_unsync(), unsized_body] {
            let server = Server::new([status(503)]);
            let request = Request::put("/").body(body).unwrap();
            let _ = send(RetryPolicy::http().replay_limit(limit), &server, request).await;
            assert_eq!(server.attempts(), attempts, "{length} of {limit}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_unread_body_is_not_too_long() {
    let attempts = Arc::new(Mutex::new(0));
    let client = service_fn(move |request: Request<ReplayBody<Text>>| {
        *attempts.lock().unwrap() += 1;
        let connected = *attempts.lock().unwrap() > 1;
        async move {
            if !connected {
                return Err(Unsent::new("connection refused").into());
            }
            let body = request.into_body().collect().await?.to_bytes();
            Ok(Response::new(Text::from(body)))
        }
    });
    let client = HttpRetryLayer::new(RetryPolicy::http().replay_limit(0).build()).layer(client);
    let response = client
        .oneshot(request(Method::POST, "hello"))
        .await
        .unwrap();
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "hello"
    );
}

/// A body that shows how many references to it are left.
struct Held {
    _alive: Arc<()>,
}

impl Body for Held {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }
}

#[tokio::test(start_paused = true)]
async fn the_request_is_freed_when_the_response_is_returned() {
    let alive = Arc::new(());
    let client = service_fn(|_request: Request<ReplayBody<Held>>| async {
        Ok::<_, BoxError>(Response::new(empty()))
    });
    let mut client = HttpRetryLayer::new(RetryPolicy::http().build()).layer(client);
    let request = Request::put("/")
        .body(Held {
            _alive: Arc::clone(&alive),
        })
        .unwrap();
    let mut response = std::pin::pin!(client.ready().await.unwrap().call(request));
    let _response = (&mut response).await.unwrap();
    // The response future itself has not been dropped.
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[tokio::test(start_paused = true)]
async fn upgrades_and_tunnels_are_not_touched() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let client = {
        let seen = Arc::clone(&seen);
        service_fn(move |request: Request<ReplayBody<Text>>| {
            let tried = request.extensions().get::<Tried>().is_some();
            seen.lock()
                .unwrap()
                .push((request.body().try_clone().is_some(), tried));
            async { Err::<Response<Text>, _>(BoxError::from("no")) }
        })
    };
    let layer = HttpRetryLayer::new(RetryPolicy::http().attempts(2).build());
    let upgrade = Request::get("/")
        .header("upgrade", "websocket")
        .body(Text::from("x"));
    for request in [
        request(Method::CONNECT, "x"),
        upgrade.unwrap(),
        request(Method::PUT, "x"),
    ] {
        let _ = layer.layer(client.clone()).oneshot(request).await;
    }
    let once = HttpRetryLayer::new(RetryPolicy::http().attempts(1).build());
    let _ = once.layer(client).oneshot(request(Method::PUT, "x")).await;
    assert_eq!(
        *seen.lock().unwrap(),
        [
            (false, false),
            (false, false),
            (true, true),
            (true, true),
            (false, false)
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn all_attempts_share_a_list_of_tried_endpoints() {
    let client = service_fn(|request: Request<ReplayBody<Text>>| {
        let tried = request.extensions().get::<Tried>().unwrap();
        tried.insert(tried.len() as u64);
        let status = if tried.len() < 3 { 503 } else { 200 };
        async move { Ok::<_, BoxError>(Response::builder().status(status).body(empty()).unwrap()) }
    });
    let client = HttpRetryLayer::new(RetryPolicy::http().build()).layer(client);
    assert_eq!(
        client
            .oneshot(request(Method::GET, ""))
            .await
            .unwrap()
            .status(),
        200
    );
}

#[tokio::test(start_paused = true)]
async fn no_attempt_begins_after_the_deadline_of_the_request() {
    let server = Server::new([with_header(503, "retry-after", "2")]);
    let mut request = request(Method::GET, "");
    let deadline = Deadline::after(Instant::now(), 2000 * MS);
    request.extensions_mut().insert(deadline);
    assert_eq!(
        send(RetryPolicy::http(), &server, request).await.unwrap(),
        503
    );
    assert_eq!(server.attempts(), 1);
    sleep(MS).await;
}

#[tokio::test(start_paused = true)]
async fn a_closure_classifies_errors() {
    #[derive(Debug, PartialEq)]
    struct Mine(Class);

    for (kind, get, post) in [
        (Class::Unsent, 2, 2),
        (Class::failure(FailureKind::Disconnected), 2, 1),
        (Class::failure(FailureKind::Internal), 1, 1),
        (Class::Ignored, 1, 1),
    ] {
        for (method, expected) in [(Method::GET, get), (Method::POST, post)] {
            let attempts = Arc::new(Mutex::new(0));
            let counter = Arc::clone(&attempts);
            let client = service_fn(move |_request: Request<ReplayBody<Text>>| {
                *counter.lock().unwrap() += 1;
                async move { Err::<Response<Text>, _>(Mine(kind)) }
            });
            let policy = RetryPolicy::http()
                .attempts(2)
                .errors(|error: &Mine| error.0)
                .build();
            let error = HttpRetryLayer::new(policy)
                .layer(client)
                .oneshot(request(method, ""))
                .await;
            assert_eq!(error.unwrap_err(), Mine(kind));
            assert_eq!(*attempts.lock().unwrap(), expected, "{kind:?}");
        }
    }
}
