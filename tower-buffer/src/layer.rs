use std::fmt;
use std::marker::PhantomData;

use tower_layer::Layer;
use tower_service::Service;

use crate::{BoxError, Buffer};

/// Puts services behind a [`Buffer`], and spawns their workers on the current tokio runtime.
pub struct BufferLayer<Request> {
    bound: usize,
    _marker: PhantomData<fn(Request)>,
}

impl<Request> BufferLayer<Request> {
    /// Creates a layer with a queue of at most `bound` requests for each service; see [`Buffer::new`].
    pub const fn new(bound: usize) -> Self {
        Self {
            bound,
            _marker: PhantomData,
        }
    }
}

impl<S, Request> Layer<S> for BufferLayer<Request>
where
    S: Service<Request> + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError> + Send + Sync,
    Request: Send + 'static,
{
    type Service = Buffer<Request, S::Future>;

    fn layer(&self, service: S) -> Self::Service {
        Buffer::new(service, self.bound)
    }
}

impl<Request> Clone for BufferLayer<Request> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Request> Copy for BufferLayer<Request> {}

impl<Request> fmt::Debug for BufferLayer<Request> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferLayer")
            .field("bound", &self.bound)
            .finish()
    }
}
