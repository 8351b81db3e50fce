//! The values of a cluster are consistent.

use super::super::Cluster;
use super::super::invalid::Invalid;
use super::super::key::Key;

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
