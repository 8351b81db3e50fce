//! All four kinds of gRPC calls through the proxy, from tonic's client to tonic's server.

mod support;

use std::time::Duration;

use futures_util::{StreamExt, stream};
use support::*;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Request};
use tower_proxy::demo::Behavior;
use tower_proxy::demo::pb::Message;
use tower_proxy::demo::pb::echo_client::EchoClient;

async fn echo() -> (Proxy, EchoClient<Channel>) {
    let proxy = proxy_to("http2", &[backend("b", Behavior::Steady).await]).await;
    let client = grpc_client(&proxy).await;
    (proxy, client)
}

fn message(text: &str, count: u32) -> Message {
    Message {
        text: text.to_owned(),
        count,
        backend: String::new(),
    }
}

#[tokio::test]
async fn a_unary_call_is_answered() {
    let (_proxy, mut client) = echo().await;
    let answer = client.say(message("hello", 1)).await.unwrap();
    assert_eq!(answer.metadata().get("x-backend").unwrap(), "b");
    assert_eq!(
        answer.into_inner(),
        Message {
            text: "hello".to_owned(),
            count: 1,
            backend: "b".to_owned()
        }
    );
}

#[tokio::test]
async fn a_server_stream_arrives_whole() {
    let (_proxy, mut client) = echo().await;
    let text = "x".repeat(100_000);
    let answers = client
        .repeat(message(&text, 50))
        .await
        .unwrap()
        .into_inner();
    let answers = answers.collect::<Vec<_>>().await;
    assert_eq!(answers.len(), 50);
    assert!(
        answers
            .into_iter()
            .all(|answer| answer.unwrap().text == text)
    );
}

#[tokio::test]
async fn a_client_stream_arrives_whole() {
    let (_proxy, mut client) = echo().await;
    let messages = stream::iter((0..500).map(|i| message(&format!("{i},"), 1)));
    let joined = client.join(messages).await.unwrap().into_inner();
    assert_eq!(joined.count, 500);
    assert_eq!(
        joined.text,
        (0..500).map(|i| format!("{i},")).collect::<String>()
    );
}

#[tokio::test]
async fn messages_of_a_bidirectional_stream_are_echoed_as_they_arrive() {
    let (_proxy, mut client) = echo().await;
    let (sender, messages) = mpsc::channel(1);
    sender.send(message("0", 0)).await.unwrap();
    let mut answers = client
        .chat(ReceiverStream::new(messages))
        .await
        .unwrap()
        .into_inner();
    for i in 1..=20 {
        assert_eq!(
            answers.message().await.unwrap().unwrap().text,
            (i - 1).to_string()
        );
        sender.send(message(&i.to_string(), 0)).await.unwrap();
    }
    drop(sender);
    assert_eq!(answers.message().await.unwrap().unwrap().text, "20");
    assert!(answers.message().await.unwrap().is_none());
}

#[tokio::test]
async fn the_status_of_a_failed_call_passes_from_headers_and_from_trailers() {
    let (_proxy, mut client) = echo().await;
    // In trailers after the response has begun, and in the headers alone: tonic decides.
    let too_much = stream::iter((0..3).map(|_| message(&"x".repeat(600_000), 1)));
    let status = client.join(too_much).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::ResourceExhausted, "more than 1048576 bytes of text")
    );

    let proxy = proxy_to(
        "http2",
        &[backend("flaky", Behavior::Flaky { one_in: 1 }).await],
    )
    .await;
    let status = grpc_client(&proxy)
        .await
        .say(message("", 0))
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "flaky has a bad moment")
    );
}

#[tokio::test]
async fn errors_of_the_proxy_itself_are_a_grpc_status() {
    let cluster_text = cluster("c", "http2", &[unused_address().await]);
    let config =
        format!("[[routes]]\ncluster = \"c\"\n{cluster_text}failfast_timeout = \"100ms\"\n");
    let proxy = proxy(&config).await;
    let status = grpc_client(&proxy)
        .await
        .say(message("", 0))
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "no upstream is available")
    );

    let slow = backend("slow", Behavior::Slow(LIMIT)).await;
    let config = format!(
        "[[routes]]\ncluster = \"c\"\ntimeout = \"100ms\"\n{}",
        cluster("c", "http2", &[slow])
    );
    let proxy = support::proxy(&config).await;
    let status = grpc_client(&proxy)
        .await
        .say(message("", 0))
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (
            Code::DeadlineExceeded,
            "the upstream did not answer in time"
        )
    );

    let config = format!(
        "[[routes]]\npath = \"/elsewhere\"\ncluster = \"c\"\n{}",
        cluster("c", "http2", &[slow])
    );
    let proxy = support::proxy(&config).await;
    let status = grpc_client(&proxy)
        .await
        .say(message("", 0))
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unimplemented, "no route for this host and path")
    );
}

#[tokio::test]
async fn calls_spread_over_the_endpoints_although_the_client_has_one_connection() {
    let backends = [
        backend("a", Behavior::Steady).await,
        backend("b", Behavior::Steady).await,
    ];
    let proxy = proxy_to("http2", &backends).await;
    let client = grpc_client(&proxy).await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..100 {
        seen.insert(
            client
                .clone()
                .say(message("", 0))
                .await
                .unwrap()
                .into_inner()
                .backend,
        );
    }
    assert_eq!(Vec::from_iter(seen), ["a", "b"]);
}

#[tokio::test]
async fn a_call_that_the_client_cancels_is_cancelled_upstream() {
    let (proxy, mut client) = echo().await;
    let mut answers = client
        .repeat(message(&"x".repeat(10_000), u32::MAX))
        .await
        .unwrap()
        .into_inner();
    assert!(answers.message().await.unwrap().is_some());
    assert_eq!(
        metric(&proxy, "tower_proxy_requests_in_flight", &[]).await,
        1.0
    );
    drop(answers);
    eventually("the request is over", || async {
        metric(&proxy, "tower_proxy_requests_in_flight", &[]).await == 0.0
    })
    .await;
}

#[tokio::test]
async fn a_deadline_of_the_client_ends_the_call() {
    let proxy = proxy_to("http2", &[backend("slow", Behavior::Slow(LIMIT)).await]).await;
    let mut request = Request::new(message("", 0));
    request.set_timeout(Duration::from_millis(100));
    let status = grpc_client(&proxy).await.say(request).await.unwrap_err();
    assert!(
        matches!(status.code(), Code::Cancelled | Code::DeadlineExceeded),
        "{status:?}"
    );
}
