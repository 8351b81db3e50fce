//! Ends the ejection of endpoints that went down and are up again.
//!
//! Requests to a process that crashes fail and eject its endpoint, as do those to one that is overloaded. But a restart
//! can be observed: connections are refused while the process is down, and then accepted. An endpoint that accepts
//! connections all the time stays ejected until its ejection time is over.

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

/// Probes the ejected endpoints of a cluster, each in a task that ends when the endpoint is unejected or this is
/// dropped.
#[derive(Debug)]
pub struct RecoveryProbes {
    endpoints: BTreeMap<String, Mutex<Recovery>>,
    connect_timeout: Duration,
    uneject: Uneject<String>,
}

#[derive(Debug)]
struct Recovery {
    endpoint: Endpoint,
    limit: UnejectLimit,
    probe: Option<Probe>,
}

/// Limits how often an endpoint is unejected early: for at most one ejection in each `pause`. So an endpoint that
/// crashes on its requests and is restarted each time is ejected like others.
#[derive(Debug)]
struct UnejectLimit {
    pause: Duration,
    last: Option<Instant>,
}

#[derive(Debug)]
struct Probe(AbortHandle);

impl RecoveryProbes {
    /// Probes the endpoints of `cluster`, and ends their ejection by `uneject`.
    pub fn new(cluster: &Cluster, uneject: Uneject<String>) -> Self {
        let recovery = |endpoint: &Endpoint| {
            let recovery = Recovery {
                endpoint: endpoint.clone(),
                limit: UnejectLimit::new(cluster.outlier_detection.base_ejection_time),
                probe: None,
            };
            (endpoint.to_string(), Mutex::new(recovery))
        };
        Self {
            endpoints: cluster.endpoints.iter().map(recovery).collect(),
            connect_timeout: cluster.connect_timeout,
            uneject,
        }
    }

    /// Reports that an endpoint was ejected or unejected.
    pub fn changed(&self, address: &String, standing: Standing) {
        let Some(recovery) = self.endpoints.get(address) else {
            return;
        };
        let mut recovery = lock(recovery);
        // Ends the probe of an earlier ejection.
        recovery.probe = None;
        if matches!(standing, Standing::Ejected(_)) && recovery.limit.allows(Instant::now()) {
            let probe = probe(
                recovery.endpoint.clone(),
                self.connect_timeout,
                self.uneject.clone(),
            );
            recovery.probe = Some(Probe(tokio::spawn(probe).abort_handle()));
        }
    }
}

impl UnejectLimit {
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

/// Unejects the endpoint once it accepts connections after it did not.
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

/// Returns whether the endpoint accepts connections, or `None` if the failure is local to this machine.
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
    fn an_endpoint_is_unejected_early_once_per_pause() {
        let start = Instant::now();
        let mut limit = UnejectLimit::new(Duration::from_secs(30));
        let allowed = [0, 10, 29, 30, 31, 59, 60, 1000]
            .map(|second| limit.allows(start + Duration::from_secs(second)));
        assert_eq!(
            allowed,
            [true, false, false, true, false, false, true, true]
        );
    }
}
