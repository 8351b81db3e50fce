//! No address is bound twice, no endpoint is listed twice, and none is the proxy itself.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use super::super::invalid::Invalid;
use super::super::key::Key;
use super::super::{Cluster, Config, Endpoint};

/// Checks the addresses on which the proxy listens.
pub(super) fn all(config: &Config) -> Result<(), Invalid> {
    let listeners = config.listeners.iter().enumerate();
    let key = Key::from("listeners");
    let listeners = listeners.map(|(index, at)| (key.index(index), at.listen));
    let admin = config.admin.iter();
    let admin = admin.map(|at| (Key::from("admin"), at.listen));
    let mut before: Vec<(Key, SocketAddr)> = Vec::new();
    for (key, address) in listeners.chain(admin) {
        let key = key.name("listen");
        if let Some((other, taken)) = before.iter().find(|(_, taken)| overlap(address, *taken)) {
            let found = format!("{address}, which {other} has with {taken}");
            return Err(Invalid::found(found, "an address of its own").under(key));
        }
        before.push((key, address));
    }
    Ok(())
}

/// Checks the endpoints of a cluster, which have this key.
pub(super) fn endpoints(key: &Key, config: &Config, cluster: &Cluster) -> Result<(), Invalid> {
    let mut seen = BTreeSet::new();
    for (index, endpoint) in cluster.endpoints.iter().enumerate() {
        let key = || key.index(index);
        let host = endpoint.host().to_ascii_lowercase();
        let ip = host.parse::<IpAddr>().ok();
        if let Some(listener) = ip.and_then(|ip| listener_at(config, ip, endpoint)) {
            let found = format!(
                "{:?}, where the proxy itself listens ({listener})",
                endpoint.to_string()
            );
            return Err(Invalid::found(found, "an upstream").under(key()));
        }
        let host = ip.map_or(host, |ip| ip.to_canonical().to_string());
        if !seen.insert((host, endpoint.port())) {
            let found = format!("{:?} a second time", endpoint.to_string());
            return Err(Invalid::found(found, "each once").under(key()));
        }
    }
    Ok(())
}

/// Returns the listener that a connection to `endpoint` would reach.
fn listener_at(config: &Config, ip: IpAddr, endpoint: &Endpoint) -> Option<SocketAddr> {
    let at = SocketAddr::new(ip, endpoint.port());
    let mut listeners = config.listeners.iter().map(|at| at.listen);
    // A listener on all interfaces is reached by every address of this machine. Of these, only loopback is known here.
    listeners.find(|listener| {
        let any = listener.ip().is_unspecified();
        overlap(at, *listener) && (!any || ip.is_loopback() || ip.is_unspecified())
    })
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
