//! Checks over sockets, and against the health service of tonic.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tower_health::check::Verdict;
use tower_service::Service;

/// Returns an address without a listener.
async fn unused_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

#[tokio::test]
async fn a_tcp_endpoint_that_accepts_is_healthy() {
    use tower_health::check::TcpCheck;

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    assert_eq!(TcpCheck.call(address).await.unwrap(), Verdict::Healthy);
    let error = TcpCheck.call(unused_address().await).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}

/// Answers one request, and returns it.
async fn answer(listener: TcpListener, answer: &'static [u8]) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut asked = Vec::new();
    while !asked.ends_with(b"\r\n\r\n") {
        asked.push(stream.read_u8().await.unwrap());
    }
    stream.write_all(answer).await.unwrap();
    String::from_utf8(asked).unwrap().to_ascii_lowercase()
}

#[tokio::test]
async fn the_http_status_decides() {
    use http::HeaderValue;
    use tower_health::check::HttpCheck;

    let check = HttpCheck::new("/healthz?full".parse().unwrap())
        .expect_status(200..=204)
        .failing_status(500..=503);
    let named = check.clone().host(HeaderValue::from_static("example.org"));
    for (check, response, verdict) in [
        (
            &check,
            &b"HTTP/1.1 204 No Content\r\n\r\n"[..],
            Some(Verdict::Healthy),
        ),
        (
            &named,
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
            Some(Verdict::Healthy),
        ),
        (
            &check,
            b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nendless",
            Some(Verdict::Healthy),
        ),
        (&check, b"HTTP/1.1 503 Busy\r\n\r\n", Some(Verdict::Failing)),
        (
            &check,
            b"HTTP/1.1 404 Not Found\r\n\r\n",
            Some(Verdict::Unhealthy),
        ),
        (&check, b"220 smtp ready\r\n\r\n", None),
        (&check, b"", None),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (found, asked) = tokio::join!(check.clone().call(address), answer(listener, response));
        assert_eq!(found.ok(), verdict, "{response:?}");
        assert!(
            asked.starts_with("get /healthz?full http/1.1\r\n"),
            "{asked}"
        );
        let host = if std::ptr::eq(check, &named) {
            "example.org".into()
        } else {
            address.to_string()
        };
        assert!(asked.contains(&format!("\r\nhost: {host}\r\n")), "{asked}");
    }
    assert!(check.clone().call(unused_address().await).await.is_err());
}

#[tokio::test]
async fn the_grpc_check_understands_tonic() {
    use std::convert::Infallible;

    use bytes::Bytes;
    use http::{Request, Response, Uri};
    use http_body_util::Full;
    use tonic_health::ServingStatus;
    use tower_health::check::{GrpcCheck, GrpcCheckError};
    use tower_util::{BoxError, service_fn};

    let (reporter, server) = tonic_health::server::health_reporter();
    let connect = service_fn(move |_: u32| std::future::ready(Ok::<_, Infallible>(server.clone())));
    let uri = Uri::from_static("http://localhost");
    let check = |service| GrpcCheck::new(connect.clone(), uri.clone(), service).unwrap();
    assert_eq!(check("").call(0).await.unwrap(), Verdict::Healthy);
    assert_eq!(
        check("not.There").call(0).await.unwrap(),
        Verdict::Unhealthy
    );
    for (status, verdict) in [
        (ServingStatus::Serving, Verdict::Healthy),
        (ServingStatus::NotServing, Verdict::Unhealthy),
        (ServingStatus::Unknown, Verdict::Unhealthy),
    ] {
        reporter.set_service_status("some.Service", status).await;
        assert_eq!(check("some.Service").call(0).await.unwrap(), verdict);
    }

    // Servers without health checks, servers that fail, and servers that are not gRPC.
    for (status, verdict) in [
        (Some("12"), Ok(Verdict::Healthy)),
        (
            Some("14"),
            Err("the health check failed with gRPC status UNAVAILABLE"),
        ),
        (Some("0"), Err("the health check response is malformed")),
        (None, Err("the health check response is not gRPC")),
    ] {
        let server = service_fn(move |request: Request<Full<Bytes>>| {
            assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
            let mut response = Response::new(Full::<Bytes>::default());
            if let Some(status) = status {
                response
                    .headers_mut()
                    .insert("grpc-status", status.parse().unwrap());
            }
            std::future::ready(Ok::<_, BoxError>(response))
        });
        let connect = service_fn(move |_: u32| std::future::ready(Ok::<_, BoxError>(server)));
        let found = GrpcCheck::new(connect, uri.clone(), "")
            .unwrap()
            .call(0)
            .await;
        let found = found.map_err(|error| {
            assert!(error.is::<GrpcCheckError>());
            error.to_string()
        });
        assert_eq!(found, verdict.map_err(String::from));
    }
}
