//! There are routes, each forwards to a cluster, and no two are the same.

use std::collections::BTreeSet;

use super::super::invalid::Invalid;
use super::super::key::Key;
use super::super::{Config, Limits, Retry};
use super::cluster;

pub(super) fn all(config: &Config) -> Result<(), Invalid> {
    if config.listeners.is_empty() {
        let expected = "at least one [[listeners]] with an address";
        return Err(Invalid::found("none", expected).under(Key::from("listeners")));
    }
    let routes = Key::from("routes");
    if config.routes.is_empty() {
        let expected = "at least one [[routes]] with a cluster";
        return Err(Invalid::found("none", expected).under(routes));
    }
    let mut seen = BTreeSet::new();
    for (index, route) in config.routes.iter().enumerate() {
        let key = routes.index(index);
        cluster::exists(config, &route.cluster, || key.name("cluster"))?;
        backoff(&key, &route.retry)?;
        bursts(&key.name("limits"), &route.limits)?;
        // Host names are case-insensitive.
        let host = route.host.as_deref().map(str::to_ascii_lowercase);
        if !seen.insert((host, route.path.as_str())) {
            let found = format!("{:?} a second time", route.label());
            return Err(Invalid::found(found, "a host and path of its own").under(key));
        }
    }
    Ok(())
}

fn backoff(route: &Key, retry: &Retry) -> Result<(), Invalid> {
    let (first, longest) = (retry.initial_backoff, retry.max_backoff);
    if first <= longest {
        return Ok(());
    }
    let expected = format!("at least the initial_backoff of {first:?}");
    let found = Invalid::found(format_args!("{longest:?}"), expected);
    Err(found.under(route.name("retry").name("max_backoff")))
}

fn bursts(limits: &Key, config: &Limits) -> Result<(), Invalid> {
    let client = &config.per_client;
    for (key, rate, burst) in [
        (limits.clone(), config.requests_per_second, config.burst),
        (
            limits.name("per_client"),
            client.requests_per_second,
            client.burst,
        ),
    ] {
        if let (None, Some(burst)) = (rate, burst) {
            let found = Invalid::found(burst, "a requests_per_second beside it");
            return Err(found.under(key.name("burst")));
        }
    }
    Ok(())
}
