//! The configuration file: its types, its parser and its checks.
//!
//! ```
//! use tower_proxy::config::Config;
//!
//! let text = r#"
//! [[listeners]]
//! listen = "127.0.0.1:8080"
//!
//! [[routes]]
//! path = "/"
//! cluster = "web"
//! timeout = "5 parsecs"
//!
//! [clusters.web]
//! endpoints = ["127.0.0.1:3000"]
//! "#;
//! let error = Config::parse("proxy.toml", text).unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     r#"proxy.toml:8:11: routes[0].timeout: found "5 parsecs"; expected a duration such as "250ms", "5s" or "1m", or "off""#
//! );
//! ```

mod check;
mod cluster;
mod connections;
mod default;
mod error;
mod excerpt;
mod hash;
mod hedge;
mod invalid;
mod key;
mod limits;
mod listen;
mod message;
mod network;
mod node;
mod outlier_detection;
mod renamed;
mod retry;
mod route;
mod value;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub use self::cluster::{Balancer, Cluster, Protocol};
pub use self::connections::{Clients, Connections};
pub use self::error::ConfigError;
pub use self::excerpt::Excerpt;
pub use self::hash::HashKey;
pub use self::hedge::Hedge;
pub use self::limits::{Limits, PerClient};
pub use self::listen::{Admin, Listener};
pub use self::message::{Heads, Paths, Via};
pub use self::network::Network;
use self::node::Node;
pub use self::outlier_detection::OutlierDetection;
pub use self::retry::Retry;
pub use self::route::{Route, Timeout};
pub use self::value::Endpoint;
use self::value::{ByteSize, Count, DurationText, list, read, some};

/// The configuration of a proxy.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The time for requests in flight after SIGINT, SIGTERM or SIGQUIT. By default 30 seconds.
    #[serde(
        default = "default::drain_timeout",
        deserialize_with = "read::<DurationText, _>"
    )]
    pub drain_timeout: Duration,
    /// The maximum size of the headers of a message and of its trailers, in bytes: from clients and from upstreams,
    /// over HTTP/1 and HTTP/2. By default 64 KiB.
    #[serde(
        default = "default::max_header_bytes",
        deserialize_with = "read::<ByteSize<8192, 1_048_576>, _>"
    )]
    pub max_header_bytes: usize,
    /// The maximum number of fields in the headers of an HTTP/1 message, and in its trailers, from 1 to 10,000. By
    /// default 100.
    ///
    /// If it is set, hyper allocates memory for that many fields with each message.
    #[serde(default, deserialize_with = "some::<Count<1, 10_000>, _>")]
    pub max_headers_count: Option<usize>,
    /// How paths are matched and forwarded. By default in their normal form.
    #[serde(default)]
    pub paths: Paths,
    /// The name that the proxy adds to `via`, by which it detects loops. By default unique to the process.
    #[serde(default, deserialize_with = "read::<Via, _>")]
    pub via: Via,
    /// Clients whose `forwarded`, `x-forwarded-host` and so on are kept. By default none.
    #[serde(default, deserialize_with = "list::<Network, _>")]
    pub trusted_proxies: Vec<Network>,
    /// The number of threads that serve connections, from 1 to 1,024. By default one per core.
    #[serde(default, deserialize_with = "some::<Count<1, 1024>, _>")]
    pub worker_threads: Option<usize>,
    /// The admin page. By default there is none.
    pub admin: Option<Admin>,
    /// Connections from clients.
    #[serde(default)]
    pub clients: Clients,
    /// The sockets on which clients connect, at least one.
    pub listeners: Vec<Listener>,
    /// Which requests are forwarded where, at least one.
    pub routes: Vec<Route>,
    /// The clusters by name.
    pub clusters: BTreeMap<String, Cluster>,
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    ///
    /// Returns an error if it cannot be read, and those of [`Config::parse`].
    pub fn from_path(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::unreadable(&name, &error))?;
        Self::parse(&name, &text)
    }

    /// Checks the text of a file.
    ///
    /// # Errors
    ///
    /// The error names the file, the line, the key, what was found and what is accepted.
    pub fn parse(name: &str, text: &str) -> Result<Self, ConfigError> {
        let root = DeTable::parse(text).map_err(|error| ConfigError::syntax(name, text, &error))?;
        let root = Spanned::new(root.span(), DeValue::Table(root.into_inner()));
        Self::deserialize(Node::root(text, &root))
            .and_then(|config| check::all(&config).map(|()| config))
            .map_err(|error| ConfigError::of(name, text, &root, error))
    }

    /// Creates a configuration that forwards one port to some endpoints, with the defaults.
    pub fn single(
        listen: SocketAddr,
        admin: Option<SocketAddr>,
        protocol: Protocol,
        endpoints: Vec<Endpoint>,
        drain_timeout: Duration,
    ) -> Self {
        let cluster = Cluster {
            protocol,
            endpoints,
            weights: Vec::new(),
            lb_policy: Balancer::default(),
            hash_policy: HashKey::default(),
            outlier_detection: OutlierDetection::default(),
            connect_timeout: default::connect_timeout(),
            failfast_timeout: default::failfast_timeout(),
            queue_capacity: default::queue_capacity(),
            connections: Connections::default(),
        };
        Self {
            drain_timeout,
            max_header_bytes: default::max_header_bytes(),
            max_headers_count: None,
            paths: Paths::default(),
            via: Via::default(),
            trusted_proxies: Vec::new(),
            worker_threads: None,
            admin: admin.map(Admin::at),
            clients: Clients::default(),
            listeners: vec![Listener { listen }],
            routes: vec![Route::to("upstream")],
            clusters: BTreeMap::from([("upstream".to_owned(), cluster)]),
        }
    }

    /// Checks the configuration again after `source` has changed it.
    ///
    /// # Errors
    ///
    /// The error names `source`, the key, what was found and what is accepted.
    pub fn recheck(&self, source: &str) -> Result<(), ConfigError> {
        check::all(self).map_err(|error| ConfigError::without_position(source, error))
    }

    /// Returns the limits for the headers of messages.
    pub const fn heads(&self) -> Heads {
        Heads {
            size: self.max_header_bytes,
            fields: self.max_headers_count,
        }
    }

    /// Returns the longest timeout of any route.
    pub fn longest_timeout(&self) -> Duration {
        let of_route = |route: &Route| {
            let Route { timeout, .. } = route;
            [
                timeout.http,
                timeout.grpc,
                route.idle_timeout,
                route.body_timeout,
            ]
        };
        let all = self.routes.iter().flat_map(of_route).flatten();
        all.max().unwrap_or_default()
    }

    /// Returns [`OutlierDetection::cancelled_after`], reduced to three quarters of the shortest timeout of the
    /// cluster's routes: no request would wait longer.
    pub fn cancelled_after(&self, name: &str, cluster: &Cluster) -> Duration {
        let to_it = self.routes.iter().filter(|route| route.cluster == name);
        let timeouts = to_it.flat_map(|route| {
            let Timeout { http, grpc } = route.timeout;
            [http, grpc, route.retry.per_try_timeout]
        });
        let most = timeouts.flatten().min().map(|timeout| timeout * 3 / 4);
        let configured = cluster.outlier_detection.cancelled_after;
        most.map_or(configured, |most| most.min(configured))
    }
}
