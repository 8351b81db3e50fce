//! Decides whether the proxy is ready, and if not, why.

use crate::metrics::{ClusterStats, Metrics};

/// The clusters that must have a ready endpoint.
#[derive(Debug, Clone, Default)]
pub enum Readiness {
    /// Any one cluster. A cluster that is down affects only its own routes; to report not ready would affect all of
    /// them.
    #[default]
    AnyCluster,
    /// All of these.
    Clusters(Vec<String>),
}

impl Readiness {
    /// Returns whether the proxy is ready, as a message in either case.
    pub fn judge(&self, metrics: &Metrics) -> Result<String, String> {
        let down = |counts: &dyn Fn(&ClusterStats) -> bool| {
            let down = metrics.clusters.iter();
            let down = down.filter(|cluster| counts(cluster) && !cluster.is_ready());
            down.map(|cluster| cluster.name.as_str())
                .collect::<Vec<_>>()
        };
        let all = down(&|_| true);
        let decisive = match self {
            Self::AnyCluster if all.len() < metrics.clusters.len() => Vec::new(),
            Self::AnyCluster => all.clone(),
            Self::Clusters(names) => down(&|cluster| names.contains(&cluster.name)),
        };
        if !decisive.is_empty() {
            return Err(format!("no endpoint is ready in: {}", decisive.join(", ")));
        }
        Ok(match all.as_slice() {
            [] => "ready".to_owned(),
            others => format!("ready, but no endpoint is ready in: {}", others.join(", ")),
        })
    }
}
