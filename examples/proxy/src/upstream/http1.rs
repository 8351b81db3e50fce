use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use http::{Request, Response};
use hyper::client::conn::http1::{self, SendRequest};

use super::error::ConnectError;
use super::{Connect, UpstreamBody, UpstreamError};
use crate::body::RequestBody;
use crate::config::Endpoint;
use crate::framing;

/// The HTTP/1.1 connections to one endpoint.
///
/// A request takes the connection that was idle for the shortest time, or opens another one; the end of its response
/// gives the connection back. Once a connection cannot be opened the pool is broken for good: it is not ready any
/// more, and whoever made it makes another.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    connect: Connect,
    endpoint: Endpoint,
    /// The newest last. Some may be closed by the peer, or not yet done with their last response.
    idle: Mutex<Vec<SendRequest<RequestBody>>>,
    broken: AtomicBool,
}

/// What a response body holds of its connection until it ends.
#[derive(Debug)]
pub(super) struct Lease {
    shared: Arc<Shared>,
    connection: Option<SendRequest<RequestBody>>,
}

impl Pool {
    /// Opens the first connection to `endpoint`.
    pub async fn open(connect: Connect, endpoint: Endpoint) -> Result<Self, UpstreamError> {
        let shared = Shared {
            connect,
            endpoint,
            idle: Mutex::default(),
            broken: AtomicBool::new(false),
        };
        let first = shared.open().await?;
        shared.give_back(first);
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    pub(super) fn poll_ready(&self) -> Poll<Result<(), UpstreamError>> {
        Poll::Ready(match self.shared.broken.load(Ordering::Relaxed) {
            true => Err(UpstreamError::Closed),
            false => Ok(()),
        })
    }

    pub(super) fn send(
        &self,
        mut request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<UpstreamBody>, UpstreamError>> + Send + use<> {
        let shared = Arc::clone(&self.shared);
        async move {
            loop {
                let (mut connection, reused) = match shared.take() {
                    Some(connection) => (connection, true),
                    None => (shared.open_or_break().await?, false),
                };
                match connection.try_send_request(request).await {
                    Ok(response) => {
                        let max_trailers = shared.connect.max_head_size();
                        let lease = framing::is_reusable(&response).then(|| Lease {
                            shared,
                            connection: Some(connection),
                        });
                        return Ok(UpstreamBody::of(response, lease, max_trailers));
                    }
                    Err(mut failure) => match failure.take_message() {
                        // The peer had closed the idle connection: the next one, or a new one in the end.
                        Some(unsent) if reused => request = unsent,
                        Some(_) => return Err(UpstreamError::Unsent(failure.into_error())),
                        None => return Err(UpstreamError::sent(failure.into_error())),
                    },
                }
            }
        }
    }
}

impl Shared {
    async fn open(&self) -> Result<SendRequest<RequestBody>, UpstreamError> {
        let io = self.connect.tcp(&self.endpoint).await?;
        let (mut connection, task) = http1::Builder::new()
            .max_header_size(self.connect.max_head_size())
            .handshake(io)
            .await
            .map_err(|error| UpstreamError::Connect {
                endpoint: self.endpoint.clone(),
                source: ConnectError::Handshake(error),
            })?;
        let endpoint = self.endpoint.clone();
        tokio::spawn(async move {
            if let Err(error) = task.await {
                tracing::debug!(%endpoint, %error, "upstream connection failed");
            }
        });
        // Before its task has run for the first time it is not ready, and `take` would pass it over.
        connection
            .ready()
            .await
            .map_err(|error| UpstreamError::Connect {
                endpoint: self.endpoint.clone(),
                source: ConnectError::Handshake(error),
            })?;
        Ok(connection)
    }

    async fn open_or_break(&self) -> Result<SendRequest<RequestBody>, UpstreamError> {
        let opened = self.open().await;
        if opened.is_err() {
            self.broken.store(true, Ordering::Relaxed);
        }
        opened
    }

    /// The newest connection that can take a request now.
    fn take(&self) -> Option<SendRequest<RequestBody>> {
        let mut idle = self.idle();
        let newest_ready = idle.iter().rposition(SendRequest::is_ready);
        if newest_ready.is_none() {
            idle.retain(|connection| !connection.is_closed());
        }
        newest_ready.map(|index| idle.remove(index))
    }

    fn give_back(&self, connection: SendRequest<RequestBody>) {
        if connection.is_closed() {
            return;
        }
        let mut idle = self.idle();
        if idle.len() >= MAX_IDLE {
            idle.remove(0);
        }
        idle.push(connection);
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<SendRequest<RequestBody>>> {
        // Nothing panics while it holds the lock, and the list is whole at any time.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // If the response was not read to its end, hyper closes the connection, and `take` passes it over.
        if let Some(connection) = self.connection.take() {
            self.shared.give_back(connection);
        }
    }
}

/// How many idle connections an endpoint keeps; the oldest goes first.
const MAX_IDLE: usize = 1024;
