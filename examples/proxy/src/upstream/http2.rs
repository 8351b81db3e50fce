use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use http::{Request, Response};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::error::ConnectError;
use super::{Connect, UpstreamBody, UpstreamError};
use crate::body::RequestBody;
use crate::config::Endpoint;

/// The HTTP/2 connection to one endpoint, shared by all its requests.
///
/// It is ready until the connection ends, and wakes the task that saw it ready when it does.
#[derive(Debug)]
pub struct Multiplexed {
    connection: SendRequest<RequestBody>,
    closed: Arc<Closed>,
}

#[derive(Debug, Default)]
struct Closed {
    closed: AtomicBool,
    waker: AtomicWaker,
}

impl Multiplexed {
    /// Connects to `endpoint` with prior knowledge that it speaks HTTP/2.
    pub async fn open(connect: Connect, endpoint: Endpoint) -> Result<Self, UpstreamError> {
        let io = connect.tcp(&endpoint).await?;
        let (connection, task) = Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .keep_alive_interval(KEEP_ALIVE)
            .handshake(io)
            .await
            .map_err(|error| UpstreamError::Connect {
                endpoint: endpoint.clone(),
                source: ConnectError::Handshake(error),
            })?;
        let closed = Arc::new(Closed::default());
        let notify = CloseOnDrop(Arc::clone(&closed));
        tokio::spawn(async move {
            let _notify = notify;
            if let Err(error) = task.await {
                tracing::debug!(%endpoint, %error, "upstream connection failed");
            }
        });
        Ok(Self { connection, closed })
    }

    pub(super) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        // Registered before the look, so that an end in between is not missed.
        self.closed.waker.register(cx.waker());
        Poll::Ready(
            match self.closed.closed.load(Ordering::Acquire) || self.connection.is_closed() {
                true => Err(UpstreamError::Closed),
                false => Ok(()),
            },
        )
    }

    pub(super) fn send(
        &self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<UpstreamBody>, UpstreamError>> + Send + use<> {
        let mut connection = self.connection.clone();
        async move {
            match connection.try_send_request(request).await {
                Ok(response) => Ok(response.map(|body| UpstreamBody::new(body, None))),
                Err(mut failure) => Err(match failure.take_message() {
                    Some(_) => UpstreamError::Unsent(failure.into_error()),
                    None => UpstreamError::sent(failure.into_error()),
                }),
            }
        }
    }
}

/// Marks the connection closed when its task ends, in whatever way.
struct CloseOnDrop(Arc<Closed>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.closed.store(true, Ordering::Release);
        self.0.waker.wake();
    }
}

/// What a peer may send on one stream before it is read, 256 KiB: enough for 1 Gbit/s at 2 ms.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The same for all streams of a connection together.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// A ping after so long without a frame finds a peer that went away silently.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
