//! Where the proxy listens.

use std::net::SocketAddr;

use serde::Deserialize;

use super::value::{ClusterName, Host, list, read, some_list};

/// A socket that clients connect to, speaking HTTP/1.1 or HTTP/2 with prior knowledge.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table: [[listeners]]")]
pub struct Listener {
    /// Its address.
    #[serde(deserialize_with = "read::<SocketAddr, _>")]
    pub listen: SocketAddr,
}

/// The admin page.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table: [admin]")]
pub struct Admin {
    /// Its address.
    #[serde(deserialize_with = "read::<SocketAddr, _>")]
    pub listen: SocketAddr,
    /// The names that it may be asked for by, besides addresses and `localhost`: those by which probes and Prometheus reach it.
    /// Requests for others are refused, since they come from a browser that a foreign site has led here. By default none.
    #[serde(default, deserialize_with = "list::<Host, _>")]
    pub allowed_hosts: Vec<String>,
    /// The clusters that must each have a ready endpoint for `/ready` to say yes. By default any one of all will do.
    #[serde(default, deserialize_with = "some_list::<ClusterName, _>")]
    pub ready_clusters: Option<Vec<String>>,
}

impl Admin {
    /// An admin page at this address, with the defaults.
    pub fn at(listen: SocketAddr) -> Self {
        Self {
            listen,
            allowed_hosts: Vec::new(),
            ready_clusters: None,
        }
    }
}
