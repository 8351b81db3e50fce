//! A cluster that is named exists, and its values are consistent.

use super::super::invalid::Invalid;
use super::super::key::Key;
use super::super::{Cluster, Config};

pub(super) fn check(key: &Key, cluster: &Cluster) -> Result<(), Invalid> {
    if cluster.endpoints.is_empty() {
        return Err(Invalid::found("none", "at least one").under(key.name("endpoints")));
    }
    weights(cluster).map_err(|error| error.under(key.name("weights")))?;
    base_ejection_time(cluster)
        .map_err(|error| error.under(key.name("outlier_detection").name("base_ejection_time")))
}

fn weights(cluster: &Cluster) -> Result<(), Invalid> {
    let (weights, endpoints) = (&cluster.weights, cluster.endpoints.len());
    if weights.is_empty() {
        return Ok(());
    }
    if weights.len() != endpoints {
        let expected = format!("one for each of {endpoints} endpoints");
        return Err(Invalid::found(weights.len(), expected));
    }
    if weights.iter().all(|weight| *weight == 0) {
        let found = "0 for all endpoints, so that none would get a request";
        return Err(Invalid::found(found, "one that is more"));
    }
    Ok(())
}

fn base_ejection_time(cluster: &Cluster) -> Result<(), Invalid> {
    let detection = &cluster.outlier_detection;
    let (first, longest) = (detection.base_ejection_time, detection.max_ejection_time);
    if first <= longest {
        return Ok(());
    }
    let expected = format!("at most the max_ejection_time of {longest:?}");
    Err(Invalid::found(format_args!("{first:?}"), expected))
}

/// Checks that there is a cluster of this name.
pub(super) fn exists(
    config: &Config,
    name: &str,
    key: impl FnOnce() -> Key,
) -> Result<(), Invalid> {
    if config.clusters.contains_key(name) {
        return Ok(());
    }
    let known = config.clusters.keys().map(|name| format!("{name:?}"));
    let known = known.collect::<Vec<_>>().join(", ");
    let expected = format!("the name of a cluster: {known}");
    Err(Invalid::found(format_args!("{name:?}"), expected).under(key()))
}
