//! [`ServiceBuilder`], which stacks layers.
//!
//! ```
//! # #[cfg(all(feature = "timeout", feature = "util"))]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tower::BoxError> {
//! use std::time::Duration;
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! let service = ServiceBuilder::new()
//!     .map_request(|text: &str| text.len()) // sees the request first
//!     .timeout(Duration::from_secs(1))
//!     .service_fn(async |n: usize| Ok::<_, std::io::Error>(n + 1));
//! assert_eq!(service.oneshot("four").await?, 5);
//! # Ok(())
//! # }
//! # #[cfg(not(all(feature = "timeout", feature = "util")))]
//! # fn main() {}
//! ```
//!
//! A single service or layer needs no builder: use its `new`.

use std::fmt;

use tower_layer::{Identity, Layer, Stack};
use tower_service::Service;

/// Stacks layers around a service, outermost first.
///
/// A request passes through the layers in the order in which they are added; its response passes through them in reverse.
///
/// # Example
///
/// ```
/// # #[cfg(all(feature = "buffer", feature = "limit", feature = "timeout", feature = "util"))]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower::BoxError> {
/// use std::time::Duration;
/// use tower::{Service, ServiceBuilder, ServiceExt};
///
/// // Up to 64 requests wait in the queue while 8 are in flight, each of which has a timeout of a second.
/// let mut service = ServiceBuilder::new()
///     .buffer(64)
///     .concurrency_limit(8)
///     .timeout(Duration::from_secs(1))
///     .service_fn(|n: u64| async move { Ok::<_, std::io::Error>(n * 2) });
///
/// assert_eq!(service.ready().await?.call(21).await?, 42);
/// # Ok(())
/// # }
/// # #[cfg(not(all(feature = "buffer", feature = "limit", feature = "timeout", feature = "util")))]
/// # fn main() {}
/// ```
///
/// # Reading a compile error
///
/// A long type error means that the type of one layer does not fit the layer above it. Insert [`check_service`],
/// [`check_clone`] or [`check_service_clone`] between two layers to locate it.
///
/// "Implementation of `From` is not general enough", or "higher-ranked lifetime error", at a `tokio::spawn` is a
/// [limitation of the compiler](https://github.com/rust-lang/rust/issues/64552): in an `async` block that must be `Send`, it
/// erases the lifetimes in the types of values that are held across an await, including the `'static` of a
/// [`BoxError`](crate::BoxError), and then cannot prove that the error can be boxed. The types of the layers do not contain
/// such an error, but the type of a closure contains the types of its result, and a
/// [`BoxService`](crate::util::BoxService) that of its error. Build the stack in a function that declares its return type, or
/// outside the block, and pass it to a generic function:
///
/// ```
/// # #[cfg(all(feature = "timeout", feature = "util"))]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use std::time::Duration;
/// use tower::{BoxError, Service, ServiceBuilder, ServiceExt};
///
/// fn client() -> impl Service<u32, Response = u32, Error = BoxError, Future: Send> + Send {
///     ServiceBuilder::new()
///         .timeout(Duration::from_secs(1))
///         .service_fn(|n: u32| async move { Ok::<_, BoxError>(n + 1) })
/// }
///
/// // With the stack itself in the block, this would not compile.
/// let answer = tokio::spawn(async { client().oneshot(1).await });
/// assert_eq!(answer.await.unwrap().unwrap(), 2);
/// # }
/// # #[cfg(not(all(feature = "timeout", feature = "util")))]
/// # fn main() {}
/// ```
///
/// [`check_service`]: ServiceBuilder::check_service
/// [`check_clone`]: ServiceBuilder::check_clone
/// [`check_service_clone`]: ServiceBuilder::check_service_clone
#[derive(Clone)]
pub struct ServiceBuilder<L> {
    layer: L,
}

impl Default for ServiceBuilder<Identity> {
    fn default() -> Self {
        Self::new()
    }
}

impl ServiceBuilder<Identity> {
    /// Creates an empty stack, which does not change a service.
    pub const fn new() -> Self {
        Self {
            layer: Identity::new(),
        }
    }
}

impl<L> ServiceBuilder<L> {
    /// Adds a layer below the existing ones.
    pub fn layer<T>(self, layer: T) -> ServiceBuilder<Stack<T, L>> {
        ServiceBuilder {
            layer: Stack::new(layer, self.layer),
        }
    }

    /// Adds a layer if it is `Some`; see [`option_layer`](crate::util::option_layer).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tower::{ServiceBuilder, service_fn};
    /// # #[cfg(feature = "timeout")] {
    /// use tower::timeout::TimeoutLayer;
    ///
    /// let configured: Option<Duration> = None;
    /// let service = ServiceBuilder::new()
    ///     .option_layer(configured.map(TimeoutLayer::new))
    ///     .service(service_fn(|n: u32| async move { Ok::<_, std::io::Error>(n) }));
    /// # let _ = service;
    /// # }
    /// ```
    #[cfg(feature = "util")]
    pub fn option_layer<T>(
        self,
        layer: Option<T>,
    ) -> ServiceBuilder<Stack<crate::util::Either<T, Identity>, L>> {
        self.layer(crate::util::option_layer(layer))
    }

    /// Adds a layer made from a function; see [`layer_fn`](crate::layer::layer_fn).
    pub fn layer_fn<F>(self, f: F) -> ServiceBuilder<Stack<crate::layer::LayerFn<F>, L>> {
        self.layer(crate::layer::layer_fn(f))
    }

    /// Shares the service below among clones of the stack, with a queue of `bound` requests; see
    /// [`buffer`](crate::buffer).
    #[cfg(feature = "buffer")]
    pub fn buffer<Request>(
        self,
        bound: usize,
    ) -> ServiceBuilder<Stack<crate::buffer::BufferLayer<Request>, L>> {
        self.layer(crate::buffer::BufferLayer::new(bound))
    }

    /// Sends no requests to the service below for some time after too many have failed; see [`breaker`](crate::breaker).
    ///
    /// For more than the policy, such as a classification or a fallback, add a
    /// [`CircuitBreakerLayer`](crate::breaker::CircuitBreakerLayer).
    ///
    /// # Panics
    ///
    /// If a setting of the policy is out of range.
    #[cfg(feature = "breaker")]
    pub fn circuit_breaker(
        self,
        policy: crate::breaker::policy::BreakerPolicy,
    ) -> ServiceBuilder<Stack<crate::breaker::CircuitBreakerLayer, L>> {
        self.layer(crate::breaker::CircuitBreakerLayer::new(policy))
    }

    /// Rejects a share of the requests while the service below rejects too many; see
    /// [`breaker::admission`](crate::breaker::admission).
    ///
    /// ```
    /// # #[cfg(feature = "util")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), tower::BoxError> {
    /// use tower::{BoxError, ServiceBuilder, ServiceExt};
    /// use tower::breaker::policy::Throttle;
    ///
    /// let service = ServiceBuilder::new()
    ///     .admission(Throttle::new())
    ///     .service_fn(|n: u32| async move { Ok::<_, BoxError>(n + 1) });
    /// assert_eq!(service.oneshot(1).await?, 2);
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "util"))]
    /// # fn main() {}
    /// ```
    ///
    /// # Panics
    ///
    /// If a setting of the policy is out of range.
    #[cfg(feature = "breaker")]
    pub fn admission<P: crate::breaker::policy::AdmissionPolicy>(
        self,
        policy: P,
    ) -> ServiceBuilder<Stack<crate::breaker::admission::AdmissionLayer<P>, L>> {
        self.layer(crate::breaker::admission::AdmissionLayer::new(policy))
    }

    /// Stores the responses to requests for which `key` returns a key; see [`cache`](crate::cache).
    #[cfg(feature = "cache")]
    pub fn cache<Request, F, K, V>(
        self,
        store: crate::cache::Store<K, V>,
        key: F,
    ) -> ServiceBuilder<Stack<crate::cache::CacheLayer<F, K, V>, L>>
    where
        F: Fn(&Request) -> Option<K>,
    {
        self.layer(crate::cache::CacheLayer::new(store, key))
    }

    /// Sends one of the concurrent requests for which `key` returns the same key, with at most `max_keys` of them in flight; see
    /// [`cache::coalesce`](crate::cache::coalesce).
    ///
    /// # Panics
    ///
    /// If `max_keys` is zero.
    #[cfg(feature = "cache")]
    pub fn coalesce<Request, F, K, V>(
        self,
        max_keys: usize,
        key: F,
    ) -> ServiceBuilder<Stack<crate::cache::coalesce::CoalesceLayer<F, K, V>, L>>
    where
        F: Fn(&Request) -> Option<K>,
        K: std::hash::Hash + Eq,
    {
        self.layer(crate::cache::coalesce::CoalesceLayer::new(max_keys, key))
    }

    /// Limits the number of requests in flight to `max`; see [`limit::concurrency`](crate::limit::concurrency).
    ///
    /// Each service that the stack wraps has its own limit, which its clones share. A framework that applies layers once per
    /// connection, as axum does with those of a `Router`, gets a limit per connection. For one limit for
    /// all connections use [`global_concurrency_limit`](Self::global_concurrency_limit).
    ///
    /// Further requests wait. To refuse them, at once or after a maximum wait, add the layer itself:
    /// `.layer(ConcurrencyLimitLayer::new(max).shed())`; see [`limit::refuse`](crate::limit::refuse). With the feature `http`,
    /// `.hold_until_body_end()` counts requests until the bodies of their responses have ended.
    #[cfg(feature = "limit")]
    pub fn concurrency_limit(
        self,
        max: usize,
    ) -> ServiceBuilder<Stack<crate::limit::ConcurrencyLimitLayer, L>> {
        self.layer(crate::limit::ConcurrencyLimitLayer::new(max))
    }

    /// Limits the number of requests in flight to `max`, for all services together that the stack wraps; see
    /// [`GlobalConcurrencyLimitLayer`](crate::limit::GlobalConcurrencyLimitLayer).
    ///
    /// Use it for the routes of a server, whose layers may be applied once per connection.
    ///
    /// ```
    /// # #[cfg(all(feature = "load-shed", feature = "util"))]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use tower::{Service, ServiceBuilder, ServiceExt, load_shed::error::Overloaded, service_fn};
    ///
    /// let layers = ServiceBuilder::new().load_shed().global_concurrency_limit(1);
    /// let stuck = service_fn(|()| std::future::pending::<Result<(), std::io::Error>>());
    /// let (mut first, second) = (layers.service(stuck), layers.service(stuck));
    /// let _in_flight = first.ready().await.unwrap().call(());
    /// assert!(second.oneshot(()).await.unwrap_err().is::<Overloaded>());
    /// # }
    /// # #[cfg(not(all(feature = "load-shed", feature = "util")))]
    /// # fn main() {}
    /// ```
    #[cfg(feature = "limit")]
    pub fn global_concurrency_limit(
        self,
        max: usize,
    ) -> ServiceBuilder<Stack<crate::limit::GlobalConcurrencyLimitLayer, L>> {
        self.layer(crate::limit::GlobalConcurrencyLimitLayer::new(max))
    }

    /// Fails a request immediately if the service below is not ready; see [`load_shed`](crate::load_shed).
    #[cfg(feature = "load-shed")]
    pub fn load_shed(self) -> ServiceBuilder<Stack<crate::load_shed::LoadShedLayer, L>> {
        self.layer(crate::load_shed::LoadShedLayer::new())
    }

    /// Limits the rate to `num` requests per period of `per`; see [`limit::rate`](crate::limit::rate).
    ///
    /// Each service that the stack wraps has its own limit, which its clones share. A framework that applies layers once per
    /// connection, as axum does with those of a `Router`, gets a limit per connection: a client with two
    /// connections has twice the rate. For one limit for all connections use
    /// [`global_rate_limit`](Self::global_rate_limit).
    ///
    /// Further requests wait. To refuse them, at once or after a maximum wait, add the layer itself:
    /// `.layer(RateLimitLayer::new(num, per).shed())`; see [`limit::refuse`](crate::limit::refuse). The same for a
    /// [`TokenBucket`](crate::limit::rate::TokenBucket), a rate with a burst of its own:
    /// `.layer(RateLimitLayer::token_bucket(bucket))`.
    ///
    /// # Panics
    ///
    /// If `num` or `per` is zero, as [`Rate::new`](crate::limit::rate::Rate::new) does.
    #[cfg(feature = "limit")]
    pub fn rate_limit(
        self,
        num: u64,
        per: std::time::Duration,
    ) -> ServiceBuilder<Stack<crate::limit::RateLimitLayer, L>> {
        self.layer(crate::limit::RateLimitLayer::new(num, per))
    }

    /// Limits the rate to `num` requests per period of `per`, for all services together that the stack wraps; see
    /// [`GlobalRateLimitLayer`](crate::limit::GlobalRateLimitLayer).
    ///
    /// Use it for the routes of a server, whose layers may be applied once per connection.
    ///
    /// ```
    /// # #[cfg(all(feature = "load-shed", feature = "util"))]
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use std::time::Duration;
    /// use tower::{ServiceBuilder, ServiceExt, load_shed::error::Overloaded, service_fn};
    ///
    /// let layers = ServiceBuilder::new().load_shed().global_rate_limit(2, Duration::from_secs(1));
    /// let echo = service_fn(|n: u32| async move { Ok::<_, std::io::Error>(n) });
    /// let connections = [layers.service(echo), layers.service(echo), layers.service(echo)];
    /// let [first, second, third] = connections.map(|connection| connection.oneshot(7));
    /// assert_eq!((first.await.unwrap(), second.await.unwrap()), (7, 7));
    /// assert!(third.await.unwrap_err().is::<Overloaded>());
    /// # }
    /// # #[cfg(not(all(feature = "load-shed", feature = "util")))]
    /// # fn main() {}
    /// ```
    ///
    /// # Panics
    ///
    /// If `num` or `per` is zero, as [`Rate::new`](crate::limit::rate::Rate::new) does.
    #[cfg(feature = "limit")]
    pub fn global_rate_limit(
        self,
        num: u64,
        per: std::time::Duration,
    ) -> ServiceBuilder<Stack<crate::limit::GlobalRateLimitLayer, L>> {
        self.layer(crate::limit::GlobalRateLimitLayer::new(num, per))
    }

    /// Refuses the requests of each key beyond `limit`; see [`limit::keyed`](crate::limit::keyed). All services that the stack
    /// wraps share the keys.
    ///
    /// ```
    /// # #[cfg(feature = "util")]
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use std::time::Duration;
    /// use tower::limit::error::LimitExceeded;
    /// use tower::limit::keyed::KeyRates;
    /// use tower::limit::rate::{Rate, TokenBucket};
    /// use tower::{ServiceBuilder, ServiceExt};
    ///
    /// let bucket = TokenBucket::new(Rate::new(10, Duration::from_secs(1)), 1);
    /// let service = ServiceBuilder::new()
    ///     .keyed_limit(KeyRates::new(bucket, 100_000), |tenant: &u32| *tenant)
    ///     .service_fn(|tenant: u32| async move { Ok::<_, std::io::Error>(tenant) });
    /// assert_eq!(service.clone().oneshot(1).await.unwrap(), 1);
    /// assert!(service.clone().oneshot(1).await.unwrap_err().is::<LimitExceeded>());
    /// assert_eq!(service.oneshot(2).await.unwrap(), 2);
    /// # }
    /// # #[cfg(not(feature = "util"))]
    /// # fn main() {}
    /// ```
    #[cfg(feature = "limit")]
    pub fn keyed_limit<Request, F, M>(
        self,
        limit: M,
        key: F,
    ) -> ServiceBuilder<Stack<crate::limit::keyed::KeyedLimitLayer<F, M>, L>>
    where
        F: Fn(&Request) -> M::Key,
        M: crate::limit::keyed::KeyLimit,
    {
        self.layer(crate::limit::keyed::KeyedLimitLayer::new(limit, key))
    }

    /// Limits the number of requests in flight to what `policy` says, which learns from their latencies; see
    /// [`limit::adaptive`](crate::limit::adaptive). All services that the stack wraps share the limit.
    ///
    /// Requests wait. To refuse them instead, to set a classification, or to look at the limit, use
    /// [`AdaptiveConcurrencyLimitLayer`](crate::limit::adaptive::AdaptiveConcurrencyLimitLayer) with [`layer`](Self::layer).
    ///
    /// ```
    /// # #[cfg(all(feature = "timeout", feature = "util"))]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use std::time::Duration;
    /// use tower::limit::adaptive::Gradient;
    /// use tower::{BoxError, ServiceBuilder, ServiceExt};
    ///
    /// let service = ServiceBuilder::new()
    ///     .timeout(Duration::from_secs(1)) // cancels, which counts as a drop
    ///     .adaptive_concurrency_limit(Gradient::default())
    ///     .service_fn(|n: u32| async move { Ok::<_, BoxError>(2 * n) });
    /// assert_eq!(service.oneshot(21).await.unwrap(), 42);
    /// # }
    /// # #[cfg(not(all(feature = "timeout", feature = "util")))]
    /// # fn main() {}
    /// ```
    #[cfg(feature = "adaptive")]
    pub fn adaptive_concurrency_limit<P>(
        self,
        policy: P,
    ) -> ServiceBuilder<Stack<crate::limit::adaptive::AdaptiveConcurrencyLimitLayer<P>, L>>
    where
        P: crate::limit::adaptive::Limit,
    {
        self.layer(crate::limit::adaptive::AdaptiveConcurrencyLimitLayer::new(
            policy,
        ))
    }

    /// Limits the sum of the weights of the requests in flight to `max`; see [`limit::weighted`](crate::limit::weighted). All
    /// services that the stack wraps share the limit.
    ///
    /// # Panics
    ///
    /// If `max` is zero.
    #[cfg(feature = "limit")]
    pub fn weighted_concurrency_limit<Request, W>(
        self,
        max: u32,
        weight: W,
    ) -> ServiceBuilder<Stack<crate::limit::weighted::WeightedConcurrencyLimitLayer<W>, L>>
    where
        W: Fn(&Request) -> u32,
    {
        self.layer(crate::limit::weighted::WeightedConcurrencyLimitLayer::new(
            max, weight,
        ))
    }

    /// Responds with a clone of `value` if the service below fails; see [`fallback`](crate::fallback).
    ///
    /// For other sources, or only some errors, add a [`FallbackLayer`](crate::fallback::FallbackLayer).
    ///
    /// ```
    /// # #[cfg(feature = "util")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use tower::{ServiceBuilder, ServiceExt};
    ///
    /// let service = ServiceBuilder::new()
    ///     .fallback("nothing new")
    ///     .service_fn(|()| async { Err(std::fmt::Error) });
    /// assert_eq!(service.oneshot(()).await, Ok("nothing new"));
    /// # }
    /// # #[cfg(not(feature = "util"))]
    /// # fn main() {}
    /// ```
    #[cfg(feature = "fallback")]
    pub fn fallback<V>(
        self,
        value: V,
    ) -> ServiceBuilder<Stack<crate::fallback::FallbackLayer<crate::fallback::FromValue<V>>, L>>
    {
        self.layer(crate::fallback::FallbackLayer::value(value))
    }

    /// Sends a request that fails to a clone of `service`; see [`fallback`](crate::fallback).
    #[cfg(feature = "fallback")]
    pub fn fallback_service<B>(
        self,
        service: B,
    ) -> ServiceBuilder<Stack<crate::fallback::FallbackLayer<crate::fallback::FromService<B>>, L>>
    {
        self.layer(crate::fallback::FallbackLayer::service(service))
    }

    /// Delays or fails a share of the requests; see [`fault`](crate::fault).
    ///
    /// To switch the faults off and on, for a seed, or for errors of your own, add a
    /// [`FaultLayer`](crate::fault::FaultLayer).
    #[cfg(feature = "fault")]
    pub fn inject_faults(
        self,
        plan: crate::fault::Plan,
    ) -> ServiceBuilder<Stack<crate::fault::FaultLayer, L>> {
        self.layer(crate::fault::FaultLayer::new(plan))
    }

    /// Runs each request in a task on `runtime`; see [`executor`](crate::executor).
    ///
    /// For a bound on the requests that run at a time, add an [`ExecutorLayer`](crate::executor::ExecutorLayer).
    #[cfg(feature = "executor")]
    pub fn run_on(
        self,
        runtime: tokio::runtime::Handle,
    ) -> ServiceBuilder<Stack<crate::executor::ExecutorLayer, L>> {
        self.layer(crate::executor::ExecutorLayer::new(runtime))
    }

    /// Retries failed requests as `policy` decides; see [`retry`](crate::retry).
    #[cfg(feature = "retry")]
    pub fn retry<P>(self, policy: P) -> ServiceBuilder<Stack<crate::retry::RetryLayer<P>, L>> {
        self.layer(crate::retry::RetryLayer::new(policy))
    }

    /// Fails a request that takes longer than `timeout`; see [`timeout`](crate::timeout).
    #[cfg(feature = "timeout")]
    pub fn timeout(
        self,
        timeout: std::time::Duration,
    ) -> ServiceBuilder<Stack<crate::timeout::TimeoutLayer, L>> {
        self.layer(crate::timeout::TimeoutLayer::new(timeout))
    }

    /// Passes each request and the service below to an async function; see [`middleware`](crate::middleware).
    #[cfg(feature = "middleware")]
    pub fn middleware_fn<F>(
        self,
        f: F,
    ) -> ServiceBuilder<Stack<crate::middleware::FromFnLayer<F>, L>> {
        self.layer(crate::middleware::from_fn(f))
    }

    /// Rejects or transforms requests by a predicate; see [`filter`](crate::filter).
    #[cfg(feature = "filter")]
    pub fn filter<P>(
        self,
        predicate: P,
    ) -> ServiceBuilder<Stack<crate::filter::FilterLayer<P>, L>> {
        self.layer(crate::filter::FilterLayer::new(predicate))
    }

    /// Rejects or transforms requests by an asynchronous predicate; see [`filter`](crate::filter).
    #[cfg(feature = "filter")]
    pub fn filter_async<P>(
        self,
        predicate: P,
    ) -> ServiceBuilder<Stack<crate::filter::AsyncFilterLayer<P>, L>> {
        self.layer(crate::filter::AsyncFilterLayer::new(predicate))
    }

    /// Transforms each request; see [`map_request`](crate::util::ServiceExt::map_request).
    #[cfg(feature = "util")]
    pub fn map_request<F, R1, R2>(
        self,
        f: F,
    ) -> ServiceBuilder<Stack<crate::util::MapRequestLayer<F>, L>>
    where
        F: FnMut(R1) -> R2 + Clone,
    {
        self.layer(crate::util::MapRequestLayer::new(f))
    }

    /// Transforms each response; see [`map_response`](crate::util::ServiceExt::map_response).
    #[cfg(feature = "util")]
    pub fn map_response<F>(
        self,
        f: F,
    ) -> ServiceBuilder<Stack<crate::util::MapResponseLayer<F>, L>> {
        self.layer(crate::util::MapResponseLayer::new(f))
    }

    /// Transforms each error; see [`map_err`](crate::util::ServiceExt::map_err).
    #[cfg(feature = "util")]
    pub fn map_err<F>(self, f: F) -> ServiceBuilder<Stack<crate::util::MapErrLayer<F>, L>> {
        self.layer(crate::util::MapErrLayer::new(f))
    }

    /// Transforms each response future; see [`map_future`](crate::util::ServiceExt::map_future).
    #[cfg(feature = "util")]
    pub fn map_future<F>(self, f: F) -> ServiceBuilder<Stack<crate::util::MapFutureLayer<F>, L>> {
        self.layer(crate::util::MapFutureLayer::new(f))
    }

    /// Runs an asynchronous function on each result; see [`then`](crate::util::ServiceExt::then).
    #[cfg(feature = "util")]
    pub fn then<F>(self, f: F) -> ServiceBuilder<Stack<crate::util::ThenLayer<F>, L>> {
        self.layer(crate::util::ThenLayer::new(f))
    }

    /// Runs an asynchronous function on each response; see [`and_then`](crate::util::ServiceExt::and_then).
    #[cfg(feature = "util")]
    pub fn and_then<F>(self, f: F) -> ServiceBuilder<Stack<crate::util::AndThenLayer<F>, L>> {
        self.layer(crate::util::AndThenLayer::new(f))
    }

    /// Transforms each result; see [`map_result`](crate::util::ServiceExt::map_result).
    #[cfg(feature = "util")]
    pub fn map_result<F>(self, f: F) -> ServiceBuilder<Stack<crate::util::MapResultLayer<F>, L>> {
        self.layer(crate::util::MapResultLayer::new(f))
    }

    /// Returns the stack, which is a [`Layer`].
    pub fn into_inner(self) -> L {
        self.layer
    }

    /// Wraps `service` in the layers.
    pub fn service<S>(&self, service: S) -> L::Service
    where
        L: Layer<S>,
    {
        self.layer.layer(service)
    }

    /// Wraps an asynchronous function in the layers.
    ///
    /// ```
    /// # use tower::{ServiceBuilder, ServiceExt};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let service = ServiceBuilder::new()
    ///     .map_request(|text: &str| text.len())
    ///     .service_fn(|length: usize| async move { Ok::<_, std::io::Error>(length) });
    /// assert_eq!(service.oneshot("four").await.unwrap(), 4);
    /// # }
    /// ```
    #[cfg(feature = "util")]
    pub fn service_fn<F>(self, f: F) -> L::Service
    where
        L: Layer<crate::util::ServiceFn<F>>,
    {
        self.service(crate::util::service_fn(f))
    }

    /// Compiles only if the builder is `Clone`.
    #[inline]
    pub fn check_clone(self) -> Self
    where
        Self: Clone,
    {
        self
    }

    /// Compiles only if the stack turns an `S` into a `Clone` service.
    #[inline]
    pub fn check_service_clone<S>(self) -> Self
    where
        L: Layer<S>,
        L::Service: Clone,
    {
        self
    }

    /// Compiles only if the stack turns an `S` into a service of request `T`, response `U` and error `E`.
    ///
    /// ```
    /// use tower::{BoxError, Layer, Service, ServiceBuilder};
    ///
    /// fn stack<S, L>(builder: ServiceBuilder<L>, inner: S) -> L::Service
    /// where
    ///     L: Layer<S, Service: Service<u32, Response = u32, Error = BoxError>>,
    /// {
    ///     builder.check_service::<S, u32, u32, BoxError>().service(inner)
    /// }
    /// ```
    #[inline]
    pub fn check_service<S, T, U, E>(self) -> Self
    where
        L: Layer<S>,
        L::Service: Service<T, Response = U, Error = E>,
    {
        self
    }

    /// Hides the type of the layers below; see [`BoxService`](crate::util::BoxService).
    #[cfg(feature = "util")]
    pub fn boxed<S, R>(
        self,
    ) -> ServiceBuilder<
        Stack<BoxWith<L::Service, crate::util::BoxService<R, Out<L, S, R>, Err<L, S, R>>>, L>,
    >
    where
        L: Layer<S>,
        L::Service: Service<R> + Send + 'static,
        <L::Service as Service<R>>::Future: Send + 'static,
    {
        self.layer(crate::util::BoxService::layer())
    }

    /// Hides the type of the layers below, and keeps them `Clone`; see
    /// [`BoxCloneService`](crate::util::BoxCloneService).
    #[cfg(feature = "util")]
    pub fn boxed_clone<S, R>(
        self,
    ) -> ServiceBuilder<
        Stack<BoxWith<L::Service, crate::util::BoxCloneService<R, Out<L, S, R>, Err<L, S, R>>>, L>,
    >
    where
        L: Layer<S>,
        L::Service: Service<R> + Clone + Send + 'static,
        <L::Service as Service<R>>::Future: Send + 'static,
    {
        self.layer(crate::util::BoxCloneService::layer())
    }

    /// Hides the type of the layers that have been added, and makes a service that is `Clone`, `Send` and `Sync`; see
    /// [`BoxCloneSyncServiceLayer`](crate::util::BoxCloneSyncServiceLayer).
    #[cfg(feature = "util")]
    pub fn boxed_clone_sync<S, R>(
        self,
    ) -> ServiceBuilder<
        Stack<crate::util::BoxCloneSyncServiceLayer<S, R, Out<L, S, R>, Err<L, S, R>>, Identity>,
    >
    where
        L: Layer<S> + Send + Sync + 'static,
        L::Service: Service<R> + Clone + Send + Sync + 'static,
        <L::Service as Service<R>>::Future: Send + 'static,
    {
        ServiceBuilder::new().layer(crate::util::BoxCloneSyncServiceLayer::new(
            self.into_inner(),
        ))
    }
}

/// A layer that boxes services of type `S` as `B`.
#[cfg(feature = "util")]
type BoxWith<S, B> = tower_layer::LayerFn<fn(S) -> B>;

/// The response of the service that `L` turns an `S` into.
#[cfg(feature = "util")]
type Out<L, S, R> = <<L as Layer<S>>::Service as Service<R>>::Response;

/// The error of the service that `L` turns an `S` into.
#[cfg(feature = "util")]
type Err<L, S, R> = <<L as Layer<S>>::Service as Service<R>>::Error;

impl<L: fmt::Debug> fmt::Debug for ServiceBuilder<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServiceBuilder").field(&self.layer).finish()
    }
}

impl<S, L> Layer<S> for ServiceBuilder<L>
where
    L: Layer<S>,
{
    type Service = L::Service;

    fn layer(&self, inner: S) -> Self::Service {
        self.layer.layer(inner)
    }
}
