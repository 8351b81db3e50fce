use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, timeout};
use tower_service::Service;

use super::prequal::Probes;
use crate::policy::prequal::Report;

/// The response of a server to a probe.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProbeAnswer {
    /// The number of requests in flight.
    pub in_flight: u32,
    /// The median latency of recent requests that started with about this many in flight.
    pub latency: Duration,
    /// The share of recent requests that failed, from 0 to 1.
    pub failing: f64,
}

impl Probes {
    /// Sends the probes, in one task for all endpoints, until the picker is dropped.
    ///
    /// `probe` is called with the name of an endpoint, and returns the server's response; the protocol is up to you. At
    /// most 64 probes are in flight. A probe that fails, or takes longer than `probe_timeout` (3 ms in the paper), has
    /// no result. If `probe` fails to become ready, that probe has no result either, and the next one uses a new clone.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the probes in flight. No more are sent, so the picker picks at random once the results
    /// have expired.
    ///
    /// # Example
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use std::convert::Infallible;
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use tower_balance::p2c::Balance;
    /// use tower_balance::picker::{PrequalPicker, ProbeAnswer};
    /// use tower_discover::ServiceList;
    /// use tower_load::Constant;
    /// use tower_service::Service;
    /// use tower_util::{ServiceExt, service_fn};
    ///
    /// let (picker, probes) = PrequalPicker::new(Default::default()).unwrap();
    /// // The third server reports the lowest latency.
    /// let probe = service_fn(|name: Arc<str>| async move {
    ///     let latency = Duration::from_millis(if &*name == "2" { 1 } else { 20 });
    ///     Ok::<_, Infallible>(ProbeAnswer { in_flight: 1, latency, failing: 0.0 })
    /// });
    /// tokio::spawn(probes.run(probe, Duration::from_millis(3)));
    ///
    /// let endpoints = (0..5).map(|n| {
    ///     Constant::new(service_fn(move |()| std::future::ready(Ok::<_, Infallible>(n))), 0_u32)
    /// });
    /// let list = ServiceList::new::<()>(endpoints.collect::<Vec<_>>());
    /// let mut balance = Balance::builder(list).pick(picker).build();
    /// let mut third = 0;
    /// for _ in 0..100 {
    ///     third += u32::from(balance.ready().await.unwrap().call(()).await.unwrap() == 2);
    ///     tokio::task::yield_now().await;
    /// }
    /// assert!(third > 50);
    /// # }
    /// ```
    pub async fn run<S>(self, mut probe: S, probe_timeout: Duration)
    where
        S: Service<Arc<str>, Response = ProbeAnswer> + Clone,
    {
        let original = probe.clone();
        // Whether `probe` failed to become ready, so that it must not be polled again.
        let mut failed = false;
        let mut in_flight = FuturesUnordered::new();
        loop {
            let due = poll_fn(|cx| {
                while let Poll::Ready(Some(completed)) = in_flight.poll_next_unpin(cx) {
                    let (endpoint, answer): (usize, Option<ProbeAnswer>) = completed;
                    if let Some(answer) = answer {
                        let report = Report {
                            endpoint,
                            rif: answer.in_flight,
                            latency: answer.latency,
                            failing: answer.failing,
                        };
                        self.report(report, Instant::now());
                    }
                }
                if in_flight.len() >= MAX_IN_FLIGHT {
                    return self.poll_closed(cx).map(|()| None);
                }
                // A probe is taken only when it can be sent.
                if !failed {
                    match probe.poll_ready(cx) {
                        Poll::Ready(ready) => failed = ready.is_err(),
                        Poll::Pending => return self.poll_closed(cx).map(|()| None),
                    }
                }
                self.poll_due(cx)
            });
            let Some((endpoint, name)) = due.await else {
                return;
            };
            if std::mem::take(&mut failed) {
                probe = original.clone();
                continue;
            }
            let answer = timeout(probe_timeout, probe.call(name));
            in_flight.push(async move {
                let answer = answer.await;
                (endpoint, answer.ok().and_then(Result::ok))
            });
        }
    }
}

const MAX_IN_FLIGHT: usize = 64;
