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
    /// `probe` is called with the name of an endpoint, and returns the server's response, by any protocol. At most 64
    /// probes are in flight; one that fails, or takes longer than `patience` (3 ms in the paper), has no result.
    /// Neither has one for which the readiness of `probe` fails; the next probe then uses a new clone.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the probes in flight; no more are sent, and the picker picks at random.
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
    pub async fn run<S>(self, mut probe: S, patience: Duration)
    where
        S: Service<Arc<str>, Response = ProbeAnswer> + Clone,
    {
        let pristine = probe.clone();
        // Whether the readiness of `probe` has failed, so that it must not be polled again.
        let mut failed = false;
        let mut under_way = FuturesUnordered::new();
        loop {
            let due = poll_fn(|cx| {
                while let Poll::Ready(Some(answered)) = under_way.poll_next_unpin(cx) {
                    let (endpoint, answer): (usize, Option<ProbeAnswer>) = answered;
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
                if under_way.len() >= MOST_UNDER_WAY {
                    return self.poll_closed(cx).map(|()| None);
                }
                // No probe is taken that could not be sent.
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
                probe = pristine.clone();
                continue;
            }
            let answer = timeout(patience, probe.call(name));
            under_way.push(async move {
                let answer = answer.await;
                (endpoint, answer.ok().and_then(Result::ok))
            });
        }
    }
}

const MOST_UNDER_WAY: usize = 64;
