//! Middleware that sends no requests, or fewer, to a service that fails.
//!
//! | | what it does | for |
//! |---|---|---|
//! | [`CircuitBreaker`] | rejects all requests for some time after too many have failed, then probes the service | one service |
//! | [`BreakEndpoints`], behind the feature `discover` | the same for each endpoint of a balancer, which sends to the others meanwhile | a set of endpoints |
//! | [`keyed`] | the same for each key that a function returns, such as the host of a request | many services behind one |
//! | [`admission`] | rejects a share of the requests while the service rejects too many: client-side throttling, and admission control by rejections | a service that is overloaded rather than down |
//!
//! A request to a service that is down costs its caller a timeout, and the service a part of the capacity that it needs to
//! recover. A breaker turns the first into an error that is immediate and says when to come back, and the second into a
//! single probe.
//!
//! Do not break a circuit around a service with many endpoints of which one may be down: its failures would open the
//! breaker for all of them. Put the breakers below the balancer then, or use the health of `tower-health`.
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), tower_breaker::BoxError> {
//! use std::time::Duration;
//! use tower_breaker::error::Open;
//! use tower_breaker::policy::{BreakerPolicy, State};
//! use tower_breaker::{BoxError, CircuitBreakerLayer};
//! use tower_layer::Layer;
//! use tower_util::{ServiceExt, service_fn};
//!
//! let policy = BreakerPolicy::never()
//!     .consecutive_failures(3)
//!     .failure_ratio(0.5)
//!     .slow_calls(0.5, Duration::from_secs(2));
//! let (layer, breaker) = CircuitBreakerLayer::new(policy)
//!     .on_event(|event| println!("{event:?}"))
//!     .shared();
//! let service = layer.layer(service_fn(async |works: bool| match works {
//!     true => Ok("works"),
//!     false => Err(BoxError::from("down")),
//! }));
//!
//! for _ in 0..3 {
//!     let error = service.clone().oneshot(false).await.unwrap_err();
//!     assert_eq!(error.to_string(), "down");
//! }
//! // The next request is not sent.
//! let error = service.clone().oneshot(true).await.unwrap_err();
//! let open = error.downcast_ref::<Open>().expect("rejected by the breaker");
//!
//! // When its time is over, one request is, and its success closes the breaker.
//! tokio::time::sleep(open.retry_after().expect("was not forced open")).await;
//! assert_eq!(breaker.state(), State::HalfOpen);
//! assert_eq!(service.clone().oneshot(true).await?, "works");
//! assert_eq!(breaker.state(), State::Closed);
//! # Ok(())
//! # }
//! ```
//!
//! # States
//!
//! | state | requests | ends |
//! |---|---|---|
//! | closed | are sent | when a rule of the [policy](policy::BreakerPolicy) says so: consecutive failures, the share of failures or of slow calls in a sliding window |
//! | open | are rejected | after a time that doubles with each failed probe, with jitter; or after the time that the failure which opened it [asks for](policy::BreakerPolicy::max_pushback) (`retry-after`, `grpc-retry-pushback-ms`) |
//! | half-open | a bounded number is sent, as probes | closes after enough successes, and opens after one failure; a probe that [hangs](policy::BreakerPolicy::max_probe_time) gives up its place |
//! | forced open, forced closed | none or all are sent | by [`BreakerHandle::reset`] |
//!
//! A [`BreakerHandle`] shows and controls the state; [`on_event`](CircuitBreakerLayer::on_event) reports its changes.
//! [`fallback`](CircuitBreakerLayer::fallback) responds in place of the service.
//!
//! # Which results are failures
//!
//! A [`Classify`](tower_classify::Classify) decides: by default each error is a failure, and each response a success.
//! `Failure` and `Unsent` count as failures, also those of the kind `Overloaded`; `Ignored` does not count.
//!
//! # Readiness
//!
//! A [`CircuitBreaker`] that is closed is ready if the inner service is. By default it is always ready while it is open,
//! and the inner service is not polled; what it had reserved is released. Callers that wait for the inner service are
//! woken when the breaker opens, so that their requests are rejected at once. A request is also rejected if the breaker
//! has opened since it was ready, or if other requests have taken the last place for a probe.
//!
//! With [`wait_while_open`](CircuitBreakerLayer::wait_while_open) it is not ready while it is open, and wakes the callers
//! when it may be probed. While it is half-open, `poll_ready` reserves the place of a probe, which is released when the
//! service is called or dropped, or is polled without a request (`tower-readiness`). A service that is ready and is not
//! called keeps the place from the others, as long as a [probe](policy::BreakerPolicy::max_probe_time) may. A request is
//! rejected only if the breaker has opened since it was ready.
//!
//! Without a request, the inner service is driven in any state, so that it may connect while the breaker is open.
//!
//! # Cancellation
//!
//! Dropping the response future drops the inner one. A probe frees its place. The request counts as slow if it has taken
//! long enough and there is a [rule](policy::BreakerPolicy::slow_calls) for that; otherwise it does not count. So put the
//! timeout below the breaker, where it is a failure, or use the rule.
//!
//! # Errors
//!
//! A [`BoxError`] with either the inner service's error or [`Open`](error::Open), which says when to come back. If the
//! inner service's `poll_ready` fails, so does that of the breaker; that does not count as a failure.
//!
//! # Clone
//!
//! Clones share the breaker. A clone has no reservation.
//!
//! # Cost
//!
//! A request to a closed breaker reads a few atomics, increments and decrements a reference count that the service does
//! not share with its clones, and takes no lock if it succeeds. With a rule for consecutive failures alone, that is all.
//! A rule about a window takes a clock reading and an addition to a shared counter when the request ends, and a lock once
//! per tenth of the window; the rule for slow calls another clock reading when it begins. A failure takes a lock. Nothing
//! is allocated, except that an error is boxed.
//!
//! While it is open, a rejected request takes the lock and reads the clock. With
//! [`wait_while_open`](CircuitBreakerLayer::wait_while_open) a service takes the lock when it is polled for the first time
//! after a change, and when it is dropped: use it for services that live long.
//!
//! # Implementation notes
//!
//! The state machine is that of M. Nygard, *Release It!*, 2007. Open times and jitter are those of Finagle's failure
//! accrual. [`policy`] has the algorithms without the services around them.

pub mod admission;
mod call;
mod circuit;
#[cfg(feature = "discover")]
mod endpoints;
pub mod error;
mod event;
mod fallback;
pub mod future;
#[cfg(feature = "keyed")]
pub mod keyed;
pub mod policy;
mod sync;

pub use self::circuit::{BreakerHandle, CircuitBreaker, CircuitBreakerLayer};
#[cfg(feature = "discover")]
pub use self::endpoints::{BreakEndpoints, EndpointBreakers};
pub use self::event::{Cause, Event, KeyEvent};
pub use self::fallback::{Fallback, Reject};

/// A boxed error of any type: the inner service's, or one of [`error`].
#[doc(inline)]
pub use tower_readiness::BoxError;
