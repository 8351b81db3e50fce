use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::rt::Executor;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::error::ConnectError;
use super::maintain::{Maintain, Maintainer, Slot, State};
use super::settings::{Allowed, Settings};
use super::{Connector, Payload, SentBody, UpstreamError};
use crate::config::Endpoint;
use crate::lock::lock;
use crate::threads;
use crate::transport::blocks;
use crate::transport::poll_clock::PollTimer;
use crate::transport::streams::{NewStreams, Streams};
use crate::transport::upload::Upload;

/// The HTTP/2 connections to one endpoint, each shared by many requests.
///
/// A request takes the oldest connection that has room for it, by the endpoint's and the configured maximum: of those
/// that its thread has opened, or else of those of other threads that have few requests. If there is none, another one
/// is opened. If none may be opened, a busy one of another thread is taken; if that has no room either, the request is
/// rejected immediately. The flow-control window of a connection has room for all of its streams, so a response that is
/// not read blocks no other.
#[derive(Debug)]
pub struct Multiplexed<B> {
    pub(super) shared: Arc<Inner<B>>,
    _maintainer: Maintainer,
}

#[derive(Debug)]
pub(super) struct Inner<B> {
    pub(super) connect: Connector,
    endpoint: Endpoint,
    pub(super) state: Arc<State>,
    set: Mutex<Set<B>>,
    /// Notified when an attempt to open another connection has ended in any way.
    opened: Notify,
}

#[derive(Debug)]
struct Set<B> {
    /// The oldest first.
    connections: Vec<Arc<Connection<B>>>,
    opening: bool,
    /// The number of failed attempts to open another one.
    failures: usize,
}

#[derive(Debug)]
pub(super) struct Connection<B> {
    pub(super) sender: SendRequest<SentBody<B>>,
    allowed: Arc<Allowed>,
    active: AtomicU32,
    /// The thread that serves it.
    home: usize,
    born: u32,
    idle_since: AtomicU32,
    _slot: Slot,
}

/// Holds the stream of a request on its connection until the response ends.
#[derive(Debug)]
pub(super) struct Lease<B> {
    pub(super) connection: Arc<Connection<B>>,
    state: Arc<State>,
    pub(super) upload: Option<Arc<Upload>>,
    /// The number of possibly shortened trailers on the connection when the request began.
    long_before: u32,
}

impl<B: Payload> Multiplexed<B> {
    /// Connects to `endpoint` by HTTP/2 with prior knowledge.
    ///
    /// # Errors
    ///
    /// If connecting to the endpoint fails.
    pub async fn open(connect: Connector, endpoint: Endpoint) -> Result<Self, UpstreamError> {
        let shared = Arc::new(Inner {
            state: State::new(&connect.connections),
            connect,
            endpoint,
            set: Mutex::new(Set::new()),
            opened: Notify::new(),
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

impl<B: Payload> Inner<B> {
    async fn open(&self, slot: Slot) -> Result<Arc<Connection<B>>, UpstreamError> {
        let config = &self.connect.connections;
        let allowed = Allowed::new();
        let state = Arc::clone(&self.state);
        let endpoint = self.endpoint.clone();
        let max_head_size = self.connect.heads.size;
        let observer = Settings::new(Arc::clone(&allowed), max_head_size);
        let begin = |io| async move {
            let mut streams = Streams::default();
            let mut builder = Builder::new(ConnectionExecutor(streams.new_streams()));
            builder
                .timer(PollTimer)
                .initial_stream_window_size(config.initial_stream_window_size)
                .initial_connection_window_size(
                    config
                        .max_concurrent_streams
                        .saturating_mul(config.initial_stream_window_size),
                )
                .max_send_buf_size(MAX_UNSENT)
                .max_header_list_size(blocks::ROOM * max_head_size as u32);
            if let Some(interval) = config.keep_alive_interval {
                builder
                    .keep_alive_interval(interval)
                    .keep_alive_timeout(interval)
                    .keep_alive_while_idle(true);
            }
            let (sender, connection) = builder
                .handshake(io)
                .await
                .map_err(ConnectError::Handshake)?;
            let born = state.ticks().now();
            tokio::spawn(async move {
                if let Err(error) = streams.drive(connection).await {
                    tracing::debug!(%endpoint, %error, "upstream connection failed");
                }
                state.lost_one();
                // The connection takes no more requests; those in flight continue.
                streams.finish().await;
            });
            allowed.some().await;
            Ok(Connection {
                sender,
                allowed,
                active: AtomicU32::new(0),
                home: threads::index(),
                born,
                idle_since: AtomicU32::new(born),
                _slot: slot,
            })
        };
        let connection = self.connect.open(&self.endpoint, observer, begin).await?;
        let connection = Arc::new(connection);
        self.set().connections.push(Arc::clone(&connection));
        Ok(connection)
    }

    /// Takes a stream when no connection near has room: on one that this request opens or waits for.
    pub(super) async fn obtain(self: &Arc<Self>) -> Result<Lease<B>, UpstreamError> {
        let deadline = Instant::now() + self.connect.timeout;
        let failures = self.set().failures;
        let failure = loop {
            let mut opened = std::pin::pin!(self.opened.notified());
            opened.as_mut().enable();
            if let Some(lease) = self.take_near() {
                return Ok(lease);
            }
            let may_open = self.may_open(failures);
            if !matches!(may_open, MayOpen::Granted(..))
                && let Some(lease) = self.take_any()
            {
                return Ok(lease);
            }
            match may_open {
                MayOpen::Granted(opening, slot) => {
                    let answers = self.state.answers();
                    match self.open(slot).await {
                        Ok(_) => drop(opening),
                        Err(error) => {
                            opening.failed();
                            match self.state.failed(&error, answers) {
                                true => break error,
                                false => return Err(error),
                            }
                        }
                    }
                }
                MayOpen::Later => opened.await,
                MayOpen::Failed => break UpstreamError::Exhausted,
                MayOpen::Full => return Err(UpstreamError::Exhausted),
            }
        };
        // The endpoint is healthy with the connections that it has.
        let freed = self.state.wait_for(deadline, || self.take_any());
        freed.await.ok_or(failure)
    }

    /// Returns whether to open another connection now; `failures` is the number of failed attempts when the request
    /// arrived.
    fn may_open(self: &Arc<Self>, failures: usize) -> MayOpen<B> {
        let mut set = self.set();
        if set.failures != failures {
            return MayOpen::Failed;
        }
        if set.opening {
            return MayOpen::Later;
        }
        let Some(slot) = self.state.slot(self.connect.max) else {
            return MayOpen::Full;
        };
        set.opening = true;
        MayOpen::Granted(Opening(Arc::clone(self)), slot)
    }

    /// Takes a stream on a connection of this thread, or on one of another thread with few requests.
    pub(super) fn take_near(&self) -> Option<Lease<B>> {
        let here = threads::index();
        self.take(|connection| connection.home == here).or_else(|| {
            self.take(|connection| connection.active.load(Ordering::Relaxed) < BORROWED)
        })
    }

    /// Takes a stream on any connection.
    fn take_any(&self) -> Option<Lease<B>> {
        self.take(|_| true)
    }

    /// Takes a stream on the oldest connection that has room, of those that `fits`.
    fn take(&self, fits: impl Fn(&Connection<B>) -> bool) -> Option<Lease<B>> {
        let set = self.set();
        let ticks = self.state.ticks();
        let most = self.connect.connections.max_concurrent_streams;
        let has_room = |connection: &&Arc<Connection<B>>| {
            fits(connection)
                && !connection.sender.is_closed()
                && !ticks.is_old(connection.born)
                && connection.active.load(Ordering::Relaxed)
                    < connection.allowed.streams().min(most)
        };
        let connection = set.connections.iter().find(has_room)?;
        connection.active.fetch_add(1, Ordering::Relaxed);
        Some(Lease {
            connection: Arc::clone(connection),
            state: Arc::clone(&self.state),
            upload: None,
            long_before: connection.allowed.long().count(),
        })
    }
}

impl<B> Inner<B> {
    fn set(&self) -> MutexGuard<'_, Set<B>> {
        lock(&self.set)
    }
}

impl<B> Set<B> {
    const fn new() -> Self {
        Self {
            connections: Vec::new(),
            opening: false,
            failures: 0,
        }
    }
}

impl<B> Connection<B> {
    fn is_over(&self, state: &State) -> bool {
        let ticks = state.ticks();
        let idle = self.active.load(Ordering::Relaxed) == 0
            && ticks.is_idle(self.idle_since.load(Ordering::Relaxed));
        self.sender.is_closed() || idle || ticks.is_old(self.born)
    }
}

impl<B: Payload> Maintain for Inner<B> {
    fn state(&self) -> &Arc<State> {
        &self.state
    }

    async fn sweep(&self) {
        let is_over = |connection: &mut Arc<Connection<B>>| connection.is_over(&self.state);
        let over: Vec<_> = self.set().connections.extract_if(.., is_over).collect();
        drop(over);
    }

    async fn renew(&self) -> Result<(), UpstreamError> {
        let slot = self.state.slot(self.connect.max);
        self.open(slot.ok_or(UpstreamError::Exhausted)?).await?;
        Ok(())
    }
}

/// Whether a request opens a connection.
enum MayOpen<B> {
    Granted(Opening<B>, Slot),
    /// Another one is being opened: wait for it.
    Later,
    /// An attempt has failed since the request arrived.
    Failed,
    /// The maximum number of connections is reached.
    Full,
}

/// Marks that a connection is being opened; other requests wait for its end.
struct Opening<B>(Arc<Inner<B>>);

impl<B> Opening<B> {
    fn failed(self) {
        self.0.set().failures += 1;
    }
}

impl<B> Drop for Opening<B> {
    fn drop(&mut self) {
        self.0.set().opening = false;
        self.0.opened.notify_waiters();
    }
}

impl<B> Lease<B> {
    /// Returns the upload of the request's body.
    pub(super) fn upload(&self) -> Option<&Upload> {
        self.upload.as_deref()
    }

    /// Returns whether trailers that arrive now may be shortened.
    pub(super) fn is_shortened(&self) -> bool {
        self.connection.allowed.long().count() != self.long_before
    }

    /// Ready once the endpoint was given up because it does not read the request.
    pub(super) fn poll_stalled(&self, cx: &Context<'_>) -> Poll<UpstreamError> {
        match &self.upload {
            Some(upload) => upload.poll_stalled(cx).map(|()| UpstreamError::Stalled),
            None => Poll::Pending,
        }
    }
}

impl<B> Drop for Lease<B> {
    fn drop(&mut self) {
        // The response has ended or was cancelled. The stream is reset once nothing holds it any more.
        if let Some(upload) = &self.upload {
            upload.give_up();
        }
        let connection = &self.connection;
        let now = self.state.ticks().now();
        connection.idle_since.store(now, Ordering::Relaxed);
        connection.active.fetch_sub(1, Ordering::SeqCst);
        self.state.freed_one();
    }
}

/// Runs the futures of hyper's client in the task of the connection. Those that send bodies end if the endpoint does not read.
#[derive(Debug, Clone)]
struct ConnectionExecutor(NewStreams);

impl<F> Executor<F> for ConnectionExecutor
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: F) {
        // hyper has polled the body already, and continues inside of `stream`.
        self.0.push_begun(stream);
    }
}

/// The number of requests from which on another thread's connection is not taken if this thread may open one. Waking
/// the other thread for each request costs more than a connection; but an endpoint with few requests gets one only.
const BORROWED: u32 = 8;
/// The size in bytes of the write buffer of a stream.
const MAX_UNSENT: usize = 64 * 1024;
