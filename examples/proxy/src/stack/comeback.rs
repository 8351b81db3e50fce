//! Endpoints that were ejected, went down, and have come up again.
//!
//! Requests to a process that dies fail, and eject its endpoint as those to one that is ill do. But that it was started again
//! can be seen: nothing listens while it is down, and then something does. An endpoint that listens all the time has to wait
//! until its ejection is over.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};
use tower::health::{Standing, Uneject};

use crate::config::{Cluster, Endpoint};
use crate::lock::lock;
use crate::upstream::ConnectError;

/// Looks after the ejected endpoints of a cluster, each in a task that ends when the endpoint returns, or this is dropped.
#[derive(Debug)]
pub struct Comebacks {
    endpoints: BTreeMap<String, Mutex<Comeback>>,
    connect_timeout: Duration,
    uneject: Uneject<String>,
}

#[derive(Debug)]
struct Comeback {
    endpoint: Endpoint,
    pace: Pace,
    probe: Option<Probe>,
}

/// How often an endpoint may return before its time: by one ejection in each `pause`, so that one that dies of its requests and
/// is started again each time is out like others.
#[derive(Debug)]
struct Pace {
    pause: Duration,
    last: Option<Instant>,
}

#[derive(Debug)]
struct Probe(AbortHandle);

impl Comebacks {
    /// Of the endpoints of `cluster`, which return by `uneject`.
    pub fn new(cluster: &Cluster, uneject: Uneject<String>) -> Self {
        let comeback = |endpoint: &Endpoint| {
            let comeback = Comeback {
                endpoint: endpoint.clone(),
                pace: Pace::new(cluster.outlier_detection.base_ejection_time),
                probe: None,
            };
            (endpoint.to_string(), Mutex::new(comeback))
        };
        Self {
            endpoints: cluster.endpoints.iter().map(comeback).collect(),
            connect_timeout: cluster.connect_timeout,
            uneject,
        }
    }

    /// An endpoint does better or worse.
    pub fn changed(&self, address: &String, standing: Standing) {
        let Some(comeback) = self.endpoints.get(address) else {
            return;
        };
        let mut comeback = lock(comeback);
        // What was begun for the ejection before is over.
        comeback.probe = None;
        if matches!(standing, Standing::Ejected(_)) && comeback.pace.allows(Instant::now()) {
            let probe = probe(
                comeback.endpoint.clone(),
                self.connect_timeout,
                self.uneject.clone(),
            );
            comeback.probe = Some(Probe(tokio::spawn(probe).abort_handle()));
        }
    }
}

impl Pace {
    const fn new(pause: Duration) -> Self {
        Self { pause, last: None }
    }

    fn allows(&mut self, now: Instant) -> bool {
        let is_early = |last| now.saturating_duration_since(last) < self.pause;
        if self.last.is_some_and(is_early) {
            return false;
        }
        self.last = Some(now);
        true
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Lets the endpoint return when it listens after it did not.
async fn probe(endpoint: Endpoint, connect_timeout: Duration, uneject: Uneject<String>) {
    let mut was_down = false;
    let mut pause = SHORTEST_PAUSE;
    loop {
        match listens(&endpoint, connect_timeout).await {
            Some(true) if was_down => {
                tracing::info!(%endpoint, "up again after it was down");
                uneject.uneject(&endpoint.to_string());
                return;
            }
            Some(false) if !was_down => {
                was_down = true;
                pause = SHORTEST_PAUSE;
            }
            _ => {}
        }
        sleep(pause).await;
        pause = (2 * pause).min(LONGEST_PAUSE);
    }
}

/// Whether the endpoint can be connected to; `None` if it is this machine that cannot.
async fn listens(endpoint: &Endpoint, connect_timeout: Duration) -> Option<bool> {
    let connecting = TcpStream::connect((endpoint.host(), endpoint.port()));
    match timeout(connect_timeout, connecting).await {
        Ok(Ok(_)) => Some(true),
        Ok(Err(error)) => (!ConnectError::Tcp(error).is_local()).then_some(false),
        Err(_) => Some(false),
    }
}

const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_returns_early_by_one_ejection_in_each_pause() {
        let start = Instant::now();
        let mut pace = Pace::new(Duration::from_secs(30));
        let allowed = [0, 10, 29, 30, 31, 59, 60, 1000]
            .map(|second| pace.allows(start + Duration::from_secs(second)));
        assert_eq!(
            allowed,
            [true, false, false, true, false, false, true, true]
        );
    }
}
