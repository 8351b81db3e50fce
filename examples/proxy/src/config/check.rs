//! What no part of a configuration can see by itself, and what would not work or not do what it says.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use super::{Cluster, Config, Retry};

/// The key at fault, and what is wrong with it.
type Wrong = (String, String);

/// Checks what no part of `config` can see by itself.
pub(super) fn all(config: &Config) -> Result<(), Wrong> {
    let wrong = |key: &str, message: String| Err((key.to_owned(), message));
    if config.listeners.is_empty() {
        return wrong(
            "listeners",
            "found none; expected at least one [[listeners]] with an address".into(),
        );
    }
    if config.routes.is_empty() {
        return wrong(
            "routes",
            "found none; expected at least one [[routes]] with a cluster".into(),
        );
    }
    for (index, route) in config.routes.iter().enumerate() {
        if !config.clusters.contains_key(&route.cluster) {
            let known = config
                .clusters
                .keys()
                .map(|name| format!("{name:?}"))
                .collect::<Vec<_>>()
                .join(", ");
            let message = format!(
                "found {:?}; expected the name of a cluster: {known}",
                route.cluster
            );
            return wrong(&format!("routes[{index}].cluster"), message);
        }
        if route.retry.max_backoff < route.retry.backoff {
            let Retry {
                backoff,
                max_backoff,
                ..
            } = &route.retry;
            let message =
                format!("found {max_backoff:?}; expected at least the backoff of {backoff:?}");
            return wrong(&format!("routes[{index}].retry.max_backoff"), message);
        }
    }
    for (name, cluster) in &config.clusters {
        if cluster.endpoints.is_empty() {
            return wrong(
                &format!("clusters.{name}.endpoints"),
                "found none; expected at least one".into(),
            );
        }
        if !cluster.weights.is_empty() && cluster.weights.len() != cluster.endpoints.len() {
            let (found, expected) = (cluster.weights.len(), cluster.endpoints.len());
            let message = format!("found {found}; expected one for each of {expected} endpoints");
            return wrong(&format!("clusters.{name}.weights"), message);
        }
    }
    relations(config)
}

/// Checks how the parts of `config` go together.
fn relations(config: &Config) -> Result<(), Wrong> {
    routes(config)?;
    addresses(config)?;
    admin(config)?;
    windows(config)?;
    for (name, cluster) in &config.clusters {
        weights(cluster).map_err(|(key, message)| (format!("clusters.{name}.{key}"), message))?;
        outliers(cluster).map_err(|(key, message)| (format!("clusters.{name}.{key}"), message))?;
        endpoints(config, cluster)
            .map_err(|(key, message)| (format!("clusters.{name}.{key}"), message))?;
    }
    Ok(())
}

/// The window of a connection has room for all of its streams, so that none that is not read holds up another; and HTTP/2
/// has a limit for windows (RFC 9113, 6.9.1).
fn windows(config: &Config) -> Result<(), Wrong> {
    let check = |key: String, streams: u32, window: u32| match streams.checked_mul(window) {
        Some(all) if all <= LARGEST_WINDOW => Ok(()),
        _ => {
            let most = LARGEST_WINDOW / streams;
            let message = format!("found {window}; expected at most {most} for {streams} streams");
            Err((key, message))
        }
    };
    let clients = &config.clients;
    check(
        "clients.stream_window".to_owned(),
        clients.max_streams,
        clients.stream_window,
    )?;
    for (name, cluster) in &config.clusters {
        let connections = &cluster.connections;
        check(
            format!("clusters.{name}.connections.stream_window"),
            connections.max_streams,
            connections.stream_window,
        )?;
    }
    Ok(())
}

const LARGEST_WINDOW: u32 = i32::MAX as u32;

/// Hosts are the same in either case.
fn routes(config: &Config) -> Result<(), Wrong> {
    let mut seen = BTreeSet::new();
    for (index, route) in config.routes.iter().enumerate() {
        let host = route.host.as_deref().map(str::to_ascii_lowercase);
        if !seen.insert((host, route.path.as_str())) {
            let found = route.label();
            let message =
                format!("found {found:?} a second time; expected a host and path of its own");
            return Err((format!("routes[{index}]"), message));
        }
    }
    Ok(())
}

/// No two sockets can have one address, and that of all interfaces is one of each.
fn addresses(config: &Config) -> Result<(), Wrong> {
    let listeners = config.listeners.iter().enumerate();
    let listeners = listeners.map(|(index, at)| (format!("listeners[{index}].listen"), at.listen));
    let admin = config.admin.iter();
    let admin = admin.map(|at| ("admin.listen".to_owned(), at.listen));
    let mut before: Vec<(String, SocketAddr)> = Vec::new();
    for (key, address) in listeners.chain(admin) {
        if let Some((other, taken)) = before.iter().find(|(_, taken)| overlap(address, *taken)) {
            let message = format!(
                "found {address}, which {other} has with {taken}; expected an address of its own"
            );
            return Err((key, message));
        }
        before.push((key, address));
    }
    Ok(())
}

fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let (same_ip, same_family) = (canonical(a) == canonical(b), a.is_ipv4() == b.is_ipv4());
    // `[::]` takes IPv4 as well; `0.0.0.0` does not take IPv6.
    let any = |any: SocketAddr| any.ip().is_unspecified() && (same_family || any.is_ipv6());
    a.port() != 0 && a.port() == b.port() && (same_ip || any(a) || any(b))
}

fn canonical(address: SocketAddr) -> IpAddr {
    address.ip().to_canonical()
}

fn admin(config: &Config) -> Result<(), Wrong> {
    let clusters = config
        .admin
        .as_ref()
        .and_then(|admin| admin.ready_clusters.as_ref());
    for (index, name) in clusters.into_iter().flatten().enumerate() {
        if !config.clusters.contains_key(name) {
            let known = config.clusters.keys().map(|name| format!("{name:?}"));
            let known = known.collect::<Vec<_>>().join(", ");
            let message = format!("found {name:?}; expected the name of a cluster: {known}");
            return Err((format!("admin.ready_clusters[{index}]"), message));
        }
    }
    Ok(())
}

fn weights(cluster: &Cluster) -> Result<(), Wrong> {
    match !cluster.weights.is_empty() && cluster.weights.iter().all(|weight| *weight == 0) {
        true => Err((
            "weights".to_owned(),
            "found 0 for all endpoints, so that none would get a request; expected one that is more".to_owned(),
        )),
        false => Ok(()),
    }
}

fn outliers(cluster: &Cluster) -> Result<(), Wrong> {
    let outliers = &cluster.outliers;
    let (first, longest) = (outliers.ejection_time, outliers.max_ejection_time);
    match first > longest {
        true => Err((
            "outliers.ejection_time".to_owned(),
            format!("found {first:?}; expected at most the max_ejection_time of {longest:?}"),
        )),
        false => Ok(()),
    }
}

/// Each endpoint is one by itself, and not the proxy.
fn endpoints(config: &Config, cluster: &Cluster) -> Result<(), Wrong> {
    let mut seen = BTreeSet::new();
    for (index, endpoint) in cluster.endpoints.iter().enumerate() {
        let key = || format!("endpoints[{index}]");
        let host = endpoint.host().to_ascii_lowercase();
        let address = host.parse::<IpAddr>().ok();
        let host = address.map_or(host, |address| address.to_canonical().to_string());
        let found = endpoint.to_string();
        let of_the_proxy = address.and_then(|ip| {
            let at = SocketAddr::new(ip, endpoint.port());
            let mut listeners = config.listeners.iter().map(|at| at.listen);
            // To a listener on all interfaces each address of this machine leads; those of loopback are.
            listeners.find(|listener| {
                let any = listener.ip().is_unspecified();
                overlap(at, *listener) && (!any || ip.is_loopback() || ip.is_unspecified())
            })
        });
        if let Some(listener) = of_the_proxy {
            let message = format!(
                "found {found:?}, where the proxy itself listens ({listener}); expected an upstream"
            );
            return Err((key(), message));
        }
        if !seen.insert((host, endpoint.port())) {
            let message = format!("found {found:?} a second time; expected each once");
            return Err((key(), message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_overlap_if_one_socket_would_take_the_connections_of_the_other() {
        let overlap = |a: &str, b: &str| overlap(a.parse().unwrap(), b.parse().unwrap());
        for (a, b) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("127.0.0.1:80", "0.0.0.0:80"),
            ("[::]:80", "0.0.0.0:80"),
            ("[::]:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1:80"),
        ] {
            assert!(overlap(a, b) && overlap(b, a), "{a} {b}");
        }
        for (a, b) in [
            ("127.0.0.1:80", "127.0.0.1:81"),
            ("127.0.0.1:80", "127.0.0.2:80"),
            ("127.0.0.1:80", "[::1]:80"),
            ("0.0.0.0:80", "[::1]:80"),
            ("127.0.0.1:0", "127.0.0.1:0"),
        ] {
            assert!(!overlap(a, b) && !overlap(b, a), "{a} {b}");
        }
    }
}
