use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use futures_util::future::poll_fn;
use http::{Request, Response};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::rt::Executor;
use hyper_util::rt::TokioTimer;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::checked::check;
use super::error::ConnectError;
use super::keeper::{Keeper, Kept, Place, State};
use super::settings::{Allowed, Settings};
use super::track::Hold;
use super::{Connector, Payload, SentBody, UpstreamBody, UpstreamError};
use crate::config::Endpoint;
use crate::lock::lock;
use crate::transport::blocks;
use crate::transport::headers;
use crate::transport::stall::Patient;
use crate::transport::streams::{NewStreams, Streams};
use crate::transport::upload::Upload;

/// The HTTP/2 connections to one endpoint, each shared by many requests.
///
/// A request takes the oldest connection that has room for it, by what the endpoint allows and what is configured. If none
/// has, another one is opened; if there may be no more, the request is refused at once. The window of a connection has
/// room for all of its streams: a response that nothing reads holds up no other.
#[derive(Debug)]
pub struct Multiplexed<B> {
    shared: Arc<Shared<B>>,
    _keeper: Keeper,
}

#[derive(Debug)]
struct Shared<B> {
    connect: Connector,
    endpoint: Endpoint,
    state: Arc<State>,
    set: Mutex<Set<B>>,
    /// An attempt to open another connection has ended, in whatever way.
    opened: Notify,
}

#[derive(Debug)]
struct Set<B> {
    /// The oldest first.
    connections: Vec<Arc<Connection<B>>>,
    opening: bool,
    /// Attempts to open another one that failed.
    failures: usize,
}

#[derive(Debug)]
struct Connection<B> {
    sender: SendRequest<SentBody<B>>,
    allowed: Arc<Allowed>,
    active: AtomicU32,
    born: u32,
    idle_since: AtomicU32,
    _place: Place,
}

/// What a request holds of its connection until its response ends.
#[derive(Debug)]
pub(super) struct Lease<B> {
    connection: Arc<Connection<B>>,
    state: Arc<State>,
    upload: Option<Arc<Upload>>,
    /// How many blocks of trailers that may be shortened there were before.
    long_before: u32,
}

impl<B: Payload> Multiplexed<B> {
    /// Connects to `endpoint` with prior knowledge that it speaks HTTP/2.
    ///
    /// # Errors
    ///
    /// If the endpoint cannot be connected to.
    pub async fn open(connect: Connector, endpoint: Endpoint) -> Result<Self, UpstreamError> {
        let shared = Arc::new(Shared {
            state: State::new(&connect.connections),
            connect,
            endpoint,
            set: Mutex::new(Set::new()),
            opened: Notify::new(),
        });
        shared.renew().await?;
        let _keeper = Keeper::of(&shared);
        Ok(Self { shared, _keeper })
    }

    pub(super) fn poll_ready(&self, cx: &Context<'_>) -> Poll<Result<(), UpstreamError>> {
        self.shared.state.poll_ready(cx)
    }

    pub(super) fn send(
        &self,
        request: Request<B>,
    ) -> impl Future<Output = Result<Response<UpstreamBody<B>>, UpstreamError>> + Send + use<B>
    {
        let shared = Arc::clone(&self.shared);
        async move {
            let request = SentBody::of(request);
            // If this is dropped meanwhile, the request's body is given up.
            let mut lease = shared.obtain().await?;
            lease.upload = request.body().upload();
            let mut sender = lease.connection.sender.clone();
            let mut response = std::pin::pin!(sender.try_send_request(request));
            let response = poll_fn(|cx| match response.as_mut().poll(cx) {
                Poll::Pending => lease.poll_stalled(cx).map(Err),
                Poll::Ready(response) => Poll::Ready(Ok(response)),
            });
            match response.await {
                Ok(Ok(response)) => {
                    shared.state.answered();
                    let most = shared.connect.heads.size;
                    if headers::size(response.headers()) > most {
                        return Err(UpstreamError::HeadTooLarge);
                    }
                    let mut response = UpstreamBody::of(response, Hold::Http2(lease), most);
                    poll_fn(|cx| Poll::Ready(check(&mut response, cx))).await?;
                    Ok(response)
                }
                Ok(Err(mut failure)) => Err(match failure.take_message() {
                    Some(_) => UpstreamError::Unsent(failure.into_error()),
                    None => UpstreamError::sent(failure.into_error(), lease.upload.as_deref()),
                }),
                Err(stalled) => Err(stalled),
            }
        }
    }
}

impl<B: Payload> Shared<B> {
    async fn open(&self, place: Place) -> Result<Arc<Connection<B>>, UpstreamError> {
        let config = &self.connect.connections;
        let allowed = Allowed::new();
        let state = Arc::clone(&self.state);
        let endpoint = self.endpoint.clone();
        let max_head_size = self.connect.heads.size;
        let observer = Settings::new(Arc::clone(&allowed), max_head_size);
        let begin = |io| async move {
            let mut streams = Streams::default();
            let mut builder = Builder::new(OwnTask(streams.new_streams()));
            builder
                .timer(TokioTimer::new())
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
                // It takes no more requests; those that it has go on.
                streams.finish().await;
            });
            allowed.some().await;
            Ok(Connection {
                sender,
                allowed,
                active: AtomicU32::new(0),
                born,
                idle_since: AtomicU32::new(born),
                _place: place,
            })
        };
        let connection = self.connect.open(&self.endpoint, observer, begin).await?;
        let connection = Arc::new(connection);
        self.set().connections.push(Arc::clone(&connection));
        Ok(connection)
    }

    /// A place on a connection: one that has room, or another one that is opened by this request or before it.
    async fn obtain(self: &Arc<Self>) -> Result<Lease<B>, UpstreamError> {
        if let Some(lease) = self.take() {
            return Ok(lease);
        }
        let deadline = Instant::now() + self.connect.timeout;
        let failures = self.set().failures;
        let failure = loop {
            let mut opened = std::pin::pin!(self.opened.notified());
            opened.as_mut().enable();
            if let Some(lease) = self.take() {
                return Ok(lease);
            }
            match self.may_open(failures) {
                Leave::Granted(opening, place) => {
                    let answers = self.state.answers();
                    match self.open(place).await {
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
                Leave::Later => opened.await,
                Leave::Failed => break UpstreamError::Exhausted,
                Leave::Full => return Err(UpstreamError::Exhausted),
            }
        };
        // The endpoint is well, with the connections that there are.
        let freed = self.state.wait_for(deadline, || self.take());
        freed.await.ok_or(failure)
    }

    /// Whether another connection may be opened now, if so many attempts have failed when the request came.
    fn may_open(self: &Arc<Self>, failures: usize) -> Leave<B> {
        let mut set = self.set();
        if set.failures != failures {
            return Leave::Failed;
        }
        if set.opening {
            return Leave::Later;
        }
        let Some(place) = self.state.place(self.connect.max) else {
            return Leave::Full;
        };
        set.opening = true;
        Leave::Granted(Opening(Arc::clone(self)), place)
    }

    /// A place on the oldest connection that has room.
    fn take(&self) -> Option<Lease<B>> {
        let set = self.set();
        let ticks = self.state.ticks();
        let most = self.connect.connections.max_concurrent_streams;
        let has_room = |connection: &&Arc<Connection<B>>| {
            !connection.sender.is_closed()
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

impl<B> Shared<B> {
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

impl<B: Payload> Kept for Shared<B> {
    fn state(&self) -> &Arc<State> {
        &self.state
    }

    async fn sweep(&self) {
        let is_over = |connection: &mut Arc<Connection<B>>| connection.is_over(&self.state);
        let over: Vec<_> = self.set().connections.extract_if(.., is_over).collect();
        drop(over);
    }

    async fn renew(&self) -> Result<(), UpstreamError> {
        let place = self.state.place(self.connect.max);
        self.open(place.ok_or(UpstreamError::Exhausted)?).await?;
        Ok(())
    }
}

/// Whether a request may open a connection.
enum Leave<B> {
    Granted(Opening<B>, Place),
    /// Another one is being opened.
    Later,
    /// That has failed.
    Failed,
    /// There are as many as there may be.
    Full,
}

/// A connection is being opened; others wait for that.
struct Opening<B>(Arc<Shared<B>>);

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
    /// What becomes of the request's body.
    pub(super) fn upload(&self) -> Option<&Upload> {
        self.upload.as_deref()
    }

    /// Whether trailers that have come now may be shortened.
    pub(super) fn is_shortened(&self) -> bool {
        self.connection.allowed.long().count() != self.long_before
    }

    fn poll_stalled(&self, cx: &Context<'_>) -> Poll<UpstreamError> {
        match &self.upload {
            Some(upload) => upload.poll_stalled(cx).map(|()| UpstreamError::Stalled),
            None => Poll::Pending,
        }
    }
}

impl<B> Drop for Lease<B> {
    fn drop(&mut self) {
        // The response is over, or given up. The stream is reset when nothing holds it any more.
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

/// Runs what sends bodies in the task of the connection. It ends when the endpoint does not read.
#[derive(Debug, Clone)]
struct OwnTask(NewStreams);

impl<F> Executor<F> for OwnTask
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: F) {
        // hyper has polled the body already, and goes on with it in here.
        // In a box first, since it is large.
        let (patient, upload) = Patient::adopting(Box::pin(stream));
        match upload {
            Some(upload) => self.0.push(upload.sent_by(patient)),
            None => self.0.push(patient),
        }
    }
}

/// What waits to be written on a stream.
const MAX_UNSENT: usize = 64 * 1024;
