use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use hyper::client::conn::http1::{Builder, SendRequest};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

use super::error::ConnectError;
use super::idle::Idle;
use super::maintain::{Maintain, Maintainer, Slot, State};
use super::{Connector, Payload, SentBody, UpstreamError};
use crate::config::Endpoint;
use crate::transport::socket::Observe;
use crate::transport::stall::StallTimeout;
use crate::transport::task_waker::TaskWaker;
use crate::transport::upload::Upload;

/// The HTTP/1.1 connections to one endpoint.
///
/// A request takes the connection of its thread that was idle for the shortest time, or else that of another thread, or
/// opens another one; the connection returns to the pool when the response ends. Cancelling a request closes its connection. If the maximum is reached, or opening
/// another connection fails while the endpoint is healthy, the request waits for a connection to be returned, for at
/// most the connect timeout.
#[derive(Debug)]
pub struct Pool<B> {
    pub(super) shared: Arc<Inner<B>>,
    _maintainer: Maintainer,
}

#[derive(Debug)]
pub(super) struct Inner<B> {
    pub(super) connect: Connector,
    endpoint: Endpoint,
    pub(super) state: Arc<State>,
    /// Some may have been closed by the peer, or not have finished their last response.
    idle: Idle<Connection<B>>,
}

enum Next<B> {
    Use(Connection<B>),
    Open(Slot),
}

/// Dropping it closes the connection, whatever the peer does.
#[derive(Debug)]
pub(super) struct Connection<B> {
    pub(super) sender: SendRequest<SentBody<B>>,
    task: AbortHandle,
    /// Wakes the task.
    pub(super) waker: Arc<TaskWaker>,
    given_up: GivenUp,
    /// The stack of the thread that serves it.
    home: usize,
    born: u32,
    idle_since: u32,
    _slot: Slot,
}

/// Holds the connection of a response body until the body ends.
#[derive(Debug)]
pub(super) struct Lease<B> {
    pub(super) shared: Arc<Inner<B>>,
    pub(super) connection: Connection<B>,
    /// Whether the connection takes another request once the response has ended.
    pub(super) reusable: bool,
    pub(super) upload: Option<Arc<Upload>>,
}

impl<B: Payload> Pool<B> {
    /// Opens the first connection to `endpoint`.
    ///
    /// # Errors
    ///
    /// If connecting to the endpoint fails.
    pub async fn open(connect: Connector, endpoint: Endpoint) -> Result<Self, UpstreamError> {
        let shared = Arc::new(Inner {
            state: State::new(&connect.connections),
            connect,
            endpoint,
            idle: Idle::new(),
        });
        shared.renew().await?;
        let _maintainer = Maintainer::of(&shared);
        Ok(Self {
            shared,
            _maintainer,
        })
    }

    pub(super) fn poll_ready(&self, cx: &Context<'_>) -> Poll<Result<(), UpstreamError>> {
        self.shared.state.poll_ready(cx)
    }
}

impl<B> Drop for Pool<B> {
    fn drop(&mut self) {
        self.shared.idle.close();
    }
}

impl<B: Payload> Inner<B> {
    async fn open(&self, slot: Slot) -> Result<Connection<B>, UpstreamError> {
        let state = Arc::clone(&self.state);
        let endpoint = self.endpoint.clone();
        let born = state.ticks().now();
        let home = self.idle.own();
        let given_up = GivenUp::default();
        let observer = given_up.clone();
        let heads = self.connect.heads;
        let begin = |io| async move {
            let mut builder = Builder::new();
            builder
                .max_header_size(heads.size)
                // This is also the size of the write buffer.
                .max_buf_size(heads.size);
            if let Some(fields) = heads.fields {
                builder.max_headers(fields);
            }
            let (mut sender, connection) = builder
                .handshake(io)
                .await
                .map_err(ConnectError::Handshake)?;
            let waker = Arc::new(TaskWaker::default());
            let driven = Arc::clone(&waker).drive(StallTimeout::new(connection));
            let task = tokio::spawn(async move {
                match driven.await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        tracing::debug!(%endpoint, %error, "upstream connection failed");
                    }
                    Err(_) => tracing::debug!(%endpoint, "the upstream does not read"),
                }
                state.lost_one();
            });
            // Before its task has first run, the connection is not ready, and `take` would skip it.
            let task = task.abort_handle();
            sender.ready().await.map_err(ConnectError::Handshake)?;
            Ok(Connection {
                sender,
                task,
                waker,
                given_up,
                home,
                born,
                idle_since: born,
                _slot: slot,
            })
        };
        self.connect.open(&self.endpoint, observer, begin).await
    }

    /// Returns a connection when none is idle, and whether it was used before.
    pub(super) async fn obtain(&self) -> Result<(Connection<B>, bool), UpstreamError> {
        let deadline = Instant::now() + self.connect.timeout;
        let mut failure = None;
        loop {
            let next = || self.next(failure.is_none());
            match self.state.wait_for(deadline, next).await {
                Some(Next::Open(slot)) => {
                    let answers = self.state.answers();
                    match self.open(slot).await {
                        Ok(connection) => return Ok((connection, false)),
                        Err(error) if !self.state.failed(&error, answers) => return Err(error),
                        // The endpoint is healthy with the connections that it has.
                        Err(error) => failure = Some(error),
                    }
                }
                Some(Next::Use(mut connection)) => {
                    match timeout_at(deadline, connection.sender.ready()).await {
                        Ok(Ok(())) => return Ok((connection, true)),
                        Ok(Err(_)) => {}
                        Err(_) => return Err(failure.unwrap_or(UpstreamError::Exhausted)),
                    }
                }
                None => return Err(failure.unwrap_or(UpstreamError::Exhausted)),
            }
        }
    }

    /// Returns what a request that needs a connection can use now.
    fn next(&self, may_open: bool) -> Option<Next<B>> {
        if let Some(connection) = self.take() {
            return Some(Next::Use(connection));
        }
        if may_open && let Some(slot) = self.state.slot(self.connect.max) {
            return Some(Next::Open(slot));
        }
        // A connection that has not quite finished its last request.
        self.idle.take(|_| true).map(Next::Use)
    }

    /// Takes a connection that can take a request now.
    pub(super) fn take(&self) -> Option<Connection<B>> {
        self.idle.take(|connection| connection.sender.is_ready())
    }

    fn give_back(&self, mut connection: Connection<B>) {
        let ticks = self.state.ticks();
        if connection.sender.is_closed() || ticks.is_old(connection.born) {
            return;
        }
        connection.idle_since = ticks.now();
        if self.idle.put(connection.home, connection) {
            self.state.freed_one();
        }
    }
}

impl<B: Payload> Maintain for Inner<B> {
    fn state(&self) -> &Arc<State> {
        &self.state
    }

    async fn sweep(&self) {
        let ticks = self.state.ticks();
        let is_over = |connection: &mut Connection<B>| {
            connection.sender.is_closed()
                || ticks.is_idle(connection.idle_since)
                || ticks.is_old(connection.born)
        };
        self.idle.sweep(is_over);
    }

    async fn renew(&self) -> Result<(), UpstreamError> {
        let slot = self.state.slot(self.connect.max);
        let connection = self.open(slot.ok_or(UpstreamError::Exhausted)?).await?;
        self.give_back(connection);
        Ok(())
    }
}

impl<B: Payload> Lease<B> {
    /// Returns the upload of the request's body.
    pub(super) fn upload(&self) -> Option<&Upload> {
        self.upload.as_deref()
    }

    /// Reports that the response has ended. If the request has not, its upload is aborted and the connection closed.
    pub(super) fn finish(self) {
        if self.reusable && self.upload.as_ref().is_none_or(|upload| upload.is_sent()) {
            self.shared.give_back(self.connection);
        }
    }
}

/// Whether a request on a connection was cancelled.
#[derive(Debug, Clone, Default)]
struct GivenUp(Arc<AtomicBool>);

impl Observe for GivenUp {
    fn is_given_up(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl<B> Drop for Connection<B> {
    fn drop(&mut self) {
        self.given_up
            .0
            .store(!self.sender.is_ready(), Ordering::Relaxed);
        self.task.abort();
    }
}
