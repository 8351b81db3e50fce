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
use crate::headers;

/// The HTTP/2 connection to one endpoint, shared by all its requests.
///
/// It is ready until the connection ends, and wakes the task that saw it ready when it does.
#[derive(Debug)]
pub struct Multiplexed {
    connection: SendRequest<RequestBody>,
    closed: Arc<Closed>,
    max_head_size: usize,
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
        let max_head_size = connect.max_head_size();
        let (connection, task) = Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .keep_alive_interval(KEEP_ALIVE)
            .max_header_list_size(HEAD_ROOM * max_head_size as u32)
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
        Ok(Self {
            connection,
            closed,
            max_head_size,
        })
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
        let max_head_size = self.max_head_size;
        async move {
            match connection.try_send_request(request).await {
                Ok(response) if headers::size(response.headers()) > max_head_size => {
                    Err(UpstreamError::HeadTooLarge)
                }
                Ok(response) => Ok(UpstreamBody::of(response, None, max_head_size)),
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

/// Of trailers over its limit h2 drops fields without a word, so it gets a higher one, and what is over the right one is
/// seen here.
const HEAD_ROOM: u32 = 4;
/// What a peer may send on one stream before it is read, 256 KiB: enough for 1 Gbit/s at 2 ms.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The same for all streams of a connection together.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// A ping after so long without a frame finds a peer that went away silently.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
