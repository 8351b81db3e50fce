//! Where the proxy listens.

use std::net::SocketAddr;

use serde::Deserialize;

use super::value::{ClusterName, Host, list, read, some_list};

/// A socket that accepts HTTP/1.1 and HTTP/2 with prior knowledge.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table: [[listeners]]")]
pub struct Listener {
    /// The address to bind.
    #[serde(deserialize_with = "read::<SocketAddr, _>")]
    pub listen: SocketAddr,
}

/// The admin page.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table: [admin]")]
pub struct Admin {
    /// The address to bind.
    #[serde(deserialize_with = "read::<SocketAddr, _>")]
    pub listen: SocketAddr,
    /// The host names under which the page may be requested, in addition to IP addresses and `localhost`. Requests for
    /// other hosts are rejected, which protects against DNS rebinding. By default none.
    #[serde(default, deserialize_with = "list::<Host, _>")]
    pub allowed_hosts: Vec<String>,
    /// The clusters that must each have a ready endpoint before `/ready` returns 200. By default, one ready endpoint in
    /// any cluster is enough.
    #[serde(default, deserialize_with = "some_list::<ClusterName, _>")]
    pub ready_clusters: Option<Vec<String>>,
}

impl Admin {
    /// Creates an admin page at this address, with the defaults.
    pub fn at(listen: SocketAddr) -> Self {
        Self {
            listen,
            allowed_hosts: Vec::new(),
            ready_clusters: None,
        }
    }
}
