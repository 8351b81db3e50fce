use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::Empty;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use super::Verdict;
use crate::BoxError;

/// A health check over HTTP/1.1: sends a `GET` request on a new connection.
///
/// An endpoint is healthy if it responds with an expected status, by default 200. With any other status it is unhealthy
/// immediately, as in Envoy. If it does not respond, the check fails, and the threshold decides.
///
/// The request of the service is the address; convert other keys with `map_request`. TLS is not supported.
///
/// ```
/// use tower_health::check::HttpCheck;
///
/// let check = HttpCheck::new("/healthz".parse().unwrap()).expect_status(200..=299);
/// ```
#[derive(Clone, Debug)]
pub struct HttpCheck {
    uri: Uri,
    host: Option<HeaderValue>,
    expected: RangeInclusive<u16>,
    failing: Option<RangeInclusive<u16>>,
}

impl HttpCheck {
    /// Creates a check that requests a path such as `/healthz`.
    pub fn new(path: Uri) -> Self {
        // Requests are in origin form, so only the path and the query of an absolute URI are used.
        let path_and_query = path.path_and_query().cloned();
        let uri = path_and_query.map_or_else(|| Uri::from_static("/"), Uri::from);
        Self {
            uri,
            host: None,
            expected: 200..=200,
            failing: None,
        }
    }

    /// Sets the `Host` header. By default the address.
    #[must_use]
    pub fn host(self, host: HeaderValue) -> Self {
        let host = Some(host);
        Self { host, ..self }
    }

    /// Sets the statuses of a healthy endpoint. By default 200 only.
    #[must_use]
    pub fn expect_status(self, expected: RangeInclusive<u16>) -> Self {
        Self { expected, ..self }
    }

    /// Sets the statuses that count as a failed check, for the threshold, as if there were no response. By default
    /// none.
    #[must_use]
    pub fn failing_status(self, failing: RangeInclusive<u16>) -> Self {
        let failing = Some(failing);
        Self { failing, ..self }
    }

    fn judge(&self, status: StatusCode) -> Verdict {
        let status = status.as_u16();
        let is_in = |range: &RangeInclusive<u16>| range.contains(&status);
        if is_in(&self.expected) {
            Verdict::Healthy
        } else if self.failing.as_ref().is_some_and(is_in) {
            Verdict::Failing
        } else {
            Verdict::Unhealthy
        }
    }
}

impl Service<SocketAddr> for HttpCheck {
    type Response = Verdict;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Verdict, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, address: SocketAddr) -> Self::Future {
        let check = self.clone();
        Box::pin(async move { Ok(check.judge(ask(&check, address).await?)) })
    }
}

async fn ask(check: &HttpCheck, address: SocketAddr) -> Result<StatusCode, BoxError> {
    let host = match &check.host {
        Some(host) => host.clone(),
        None => HeaderValue::try_from(address.to_string())?,
    };
    let request = Request::get(check.uri.clone())
        .header(header::HOST, host)
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    let response = match select(pin!(sender.send_request(request)), pin!(connection)).await {
        Either::Left((response, _)) => response?,
        // The connection has ended, possibly after the response.
        Either::Right((_, response)) => response.await?,
    };
    Ok(response.status())
}
