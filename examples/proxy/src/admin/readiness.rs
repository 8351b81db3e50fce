//! Whether the proxy is ready, and if not, why.

use crate::metrics::{ClusterStats, Metrics};

/// Which clusters must have an endpoint that is ready.
#[derive(Debug, Clone, Default)]
pub enum Readiness {
    /// Any one of them. One that is down concerns its own routes alone, and to take the proxy from its clients would make it
    /// concern all.
    #[default]
    AnyCluster,
    /// Each of these.
    Clusters(Vec<String>),
}

impl Readiness {
    /// `Ok` if the proxy is ready, and a sentence either way.
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
