//! Middleware from one async function.
//!
//! [`from_fn`] makes a layer from a function of a request and [`Next`], which is the service below: the function changes the
//! request, runs the rest of the stack, and looks at the result; or it responds itself. Write a [`Layer`] and a [`Service`]
//! instead if the middleware must act in `poll_ready`, as a limit does, or if others need to name its future.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use tokio::time::Instant;
//! use tower_layer::Layer;
//! use tower_service::Service;
//! use tower_util::middleware::{Next, from_fn};
//! use tower_util::{BoxError, ServiceExt, service_fn};
//!
//! /// Adds the time that the service below takes.
//! async fn timed<S>(name: String, next: Next<S, String>) -> Result<(S::Response, Duration), S::Error>
//! where
//!     S: Service<String>,
//! {
//!     let start = Instant::now();
//!     let response = next.run(name).await?;
//!     Ok((response, start.elapsed()))
//! }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! let service = from_fn(timed).layer(service_fn(async |name: String| {
//!     tokio::time::sleep(Duration::from_millis(20)).await;
//!     Ok::<_, BoxError>(format!("Hello, {name}!"))
//! }));
//! let (greeting, time) = service.oneshot("Ferris".to_owned()).await?;
//! assert_eq!(greeting, "Hello, Ferris!");
//! assert!(time >= Duration::from_millis(20));
//! # Ok(())
//! # }
//! ```
//!
//! A closure does not know the types of the service below, so it says what the result is:
//!
//! ```
//! use tower_layer::Layer;
//! use tower_util::middleware::{Next, from_fn};
//! use tower_util::{BoxError, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let non_zero = from_fn(async |n: u32, next: Next<_, u32>| {
//!     if n == 0 {
//!         return Err(BoxError::from("zero"));
//!     }
//!     let result: Result<u32, BoxError> = next.run(n).await;
//!     result
//! });
//! let service = non_zero.layer(service_fn(async |n: u32| Ok::<_, BoxError>(100 / n)));
//! assert_eq!(service.clone().oneshot(20).await?, 5);
//! assert_eq!(service.oneshot(0).await.unwrap_err().to_string(), "zero");
//! # Ok(())
//! # }
//! ```
//!
//! # Readiness
//!
//! That of the inner service. [`Next`] owns the service that became ready. A function that does not run it drops it, which
//! releases what was reserved.
//!
//! # Cancellation
//!
//! Dropping the response future drops the function's future, with the inner service and its future.
//!
//! # Errors
//!
//! Those that the function returns. Its error type must implement `From` for the error of the inner service, which may fail
//! before it is called.
//!
//! # Cost
//!
//! One clone of the inner service per request. Nothing is allocated.

use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

/// Creates a layer from a function of a request and [`Next`]; see the [module](self).
///
/// The function must not borrow from a closure's captured values, since several of its futures may exist at the same time:
/// use [`from_fn_with_state`] for values that all requests share.
pub const fn from_fn<F>(f: F) -> FromFnLayer<F> {
    FromFnLayer { f }
}

/// Creates a layer from a function of a state, a request and [`Next`]. Each request gets a clone of the state.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use tower_layer::Layer;
/// use tower_service::Service;
/// use tower_util::middleware::{Next, from_fn_with_state};
/// use tower_util::{BoxError, ServiceExt, service_fn};
///
/// async fn count<S, R>(total: Arc<AtomicU64>, request: R, next: Next<S, R>) -> Result<S::Response, S::Error>
/// where
///     S: Service<R>,
/// {
///     total.fetch_add(1, Ordering::Relaxed);
///     next.run(request).await
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let total = Arc::new(AtomicU64::new(0));
/// let service = from_fn_with_state(Arc::clone(&total), count)
///     .layer(service_fn(async |n: u32| Ok::<_, BoxError>(n + 1)));
/// assert_eq!(service.oneshot(1).await?, 2);
/// assert_eq!(total.load(Ordering::Relaxed), 1);
/// # Ok(())
/// # }
/// ```
pub fn from_fn_with_state<T, F, S, Request, Fut>(
    state: T,
    mut f: F,
) -> FromFnLayer<impl FnMut(Request, Next<S, Request>) -> Fut + Clone>
where
    T: Clone,
    F: FnMut(T, Request, Next<S, Request>) -> Fut + Clone,
{
    from_fn(move |request, next| f(state.clone(), request, next))
}

/// Wraps services in [`FromFn`]; created by [`from_fn`].
#[derive(Clone, Copy)]
pub struct FromFnLayer<F> {
    f: F,
}

/// Middleware that passes each request and the inner service to a function; see the [module](self).
#[derive(Clone, Copy)]
pub struct FromFn<F, S> {
    f: F,
    inner: S,
}

/// The rest of the stack, ready for one request.
pub struct Next<S, Request> {
    inner: S,
    _marker: PhantomData<fn(Request)>,
}

impl<S: Service<Request>, Request> Next<S, Request> {
    /// Sends the request to the inner service.
    pub fn run(mut self, request: Request) -> S::Future {
        self.inner.call(request)
    }
}

impl<F: Clone, S> Layer<S> for FromFnLayer<F> {
    type Service = FromFn<F, S>;

    fn layer(&self, inner: S) -> Self::Service {
        let f = self.f.clone();
        FromFn { f, inner }
    }
}

impl<F, S> FromFn<F, S> {
    /// Returns a reference to the inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns a mutable reference to the inner service.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Consumes `self`, returning the inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<F, S, Request, Fut, T, E> Service<Request> for FromFn<F, S>
where
    F: FnMut(Request, Next<S, Request>) -> Fut,
    S: Service<Request> + Clone,
    Fut: Future<Output = Result<T, E>>,
    E: From<S::Error>,
{
    type Response = T;
    type Error = E;
    type Future = Fut;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        self.inner.poll_ready(cx).map_err(From::from)
    }

    #[inline]
    fn call(&mut self, request: Request) -> Fut {
        // A clone is not ready, so the function gets the service that is.
        let clone = self.inner.clone();
        let next = Next {
            inner: mem::replace(&mut self.inner, clone),
            _marker: PhantomData,
        };
        (self.f)(request, next)
    }
}

impl<S: fmt::Debug, Request> fmt::Debug for Next<S, Request> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next").field("inner", &self.inner).finish()
    }
}

impl<F> fmt::Debug for FromFnLayer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = std::any::type_name::<F>();
        f.debug_struct("FromFnLayer")
            .field("f", &format_args!("{name}"))
            .finish()
    }
}

impl<F, S: fmt::Debug> fmt::Debug for FromFn<F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = std::any::type_name::<F>();
        f.debug_struct("FromFn")
            .field("f", &format_args!("{name}"))
            .field("inner", &self.inner)
            .finish()
    }
}
