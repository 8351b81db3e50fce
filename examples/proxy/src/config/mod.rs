//! The configuration: what the file says, checked so far that whatever is built from it works.
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
mod connections;
mod error;
mod network;
mod shape;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use http::{HeaderName, StatusCode};
use serde::Deserialize;
use tower::retry::http::Code;

pub use self::connections::{Clients, Connections};
pub use self::error::ConfigError;
pub use self::network::Network;
pub use self::value::Endpoint;

/// All of the proxy.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How long running requests may take after Ctrl-C or SIGTERM. By default 30 seconds.
    #[serde(
        default = "default::drain",
        deserialize_with = "value::duration_or_zero"
    )]
    pub drain: Duration,
    /// How long the head of a message may be, and its trailers, in bytes: from clients and from upstreams, over HTTP/1 and
    /// HTTP/2. By default 64 KiB.
    #[serde(
        default = "default::max_head_size",
        deserialize_with = "value::head_size"
    )]
    pub max_head_size: usize,
    /// How many fields the head of a message of HTTP/1 may have, and its trailers, from 1 to 10,000. By default 100.
    ///
    /// For any other number hyper allocates memory for as many fields with each message.
    #[serde(default, deserialize_with = "value::head_fields")]
    pub max_head_fields: Option<usize>,
    /// How paths are matched and forwarded. By default in their normal form.
    #[serde(default)]
    pub paths: Paths,
    /// The name that requests carry in `via`, by which one that comes round again is known. By default one of its own for
    /// each process.
    #[serde(default, deserialize_with = "value::via")]
    pub via: Via,
    /// Clients that are proxies, and may say for whom they ask: `forwarded`, `x-forwarded-host` and so on. By default none.
    #[serde(default, deserialize_with = "value::networks")]
    pub trusted_proxies: Vec<Network>,
    /// The admin page, if there is to be one.
    pub admin: Option<Admin>,
    /// Connections from clients.
    #[serde(default)]
    pub clients: Clients,
    /// Where clients connect. At least one.
    pub listeners: Vec<Listener>,
    /// Which requests go where. At least one.
    pub routes: Vec<Route>,
    /// Whom requests go to, by name.
    pub clusters: BTreeMap<String, Cluster>,
}

/// How large the head of a message may be, and its trailers.
#[derive(Debug, Clone, Copy)]
pub struct Heads {
    /// In bytes.
    pub size: usize,
    /// How many fields over HTTP/1. `None` for as many as hyper takes by itself, 100.
    pub fields: Option<usize>,
}

impl Default for Heads {
    fn default() -> Self {
        Self {
            size: default::max_head_size(),
            fields: None,
        }
    }
}

/// The admin page.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Its address.
    #[serde(deserialize_with = "value::address")]
    pub listen: SocketAddr,
    /// The names that it may be asked for by, besides addresses and `localhost`: those by which probes and Prometheus reach it.
    /// Requests for others are refused, since they come from a browser that a foreign site has led here. By default none.
    #[serde(default, deserialize_with = "value::names")]
    pub hosts: Vec<String>,
    /// The clusters that must each have a ready endpoint for `/ready` to say yes. By default any one of all will do.
    #[serde(default, deserialize_with = "value::clusters")]
    pub ready_clusters: Option<Vec<String>>,
}

impl Admin {
    /// An admin page at this address, with the defaults.
    pub fn at(listen: SocketAddr) -> Self {
        Self {
            listen,
            hosts: Vec::new(),
            ready_clusters: None,
        }
    }
}

/// A socket that clients connect to, speaking HTTP/1.1 or HTTP/2 with prior knowledge.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// Its address.
    #[serde(deserialize_with = "value::address")]
    pub listen: SocketAddr,
}

/// Requests for a host and below a path, and how they are treated.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// `example.com`, `*.example.com`, or any host if there is none.
    #[serde(default, deserialize_with = "value::host")]
    pub host: Option<String>,
    /// What the path begins with, by whole segments. By default `/`.
    #[serde(default = "default::path", deserialize_with = "value::path")]
    pub path: String,
    /// The cluster that answers.
    pub cluster: String,
    /// How long all attempts together may take, whatever the client says: until the response begins, for gRPC until it has
    /// ended. By default a minute, and for gRPC as long as the client says.
    #[serde(default)]
    pub timeout: Timeout,
    /// The header by which a client, other than one of gRPC, says in milliseconds how long it waits; and by which the upstream
    /// is told. By default `x-request-timeout-ms`.
    #[serde(
        default = "default::timeout_header",
        deserialize_with = "value::own_header"
    )]
    pub timeout_header: HeaderName,
    /// How long the next piece of a body may be waited for, either way. By default 5 minutes.
    #[serde(
        default = "default::idle_timeout",
        deserialize_with = "value::duration_or_off"
    )]
    pub idle_timeout: Option<Duration>,
    /// How long the next piece of a request's body may be waited for, if that is less than `idle_timeout`; gRPC calls excepted,
    /// in which a client may be silent for long. By default 60 seconds.
    #[serde(
        default = "default::upload_idle_timeout",
        deserialize_with = "value::duration_or_off"
    )]
    pub upload_idle_timeout: Option<Duration>,
    /// How long a whole body may take, either way. By default as long as it likes.
    #[serde(default, deserialize_with = "value::duration_or_off")]
    pub body_timeout: Option<Duration>,
    /// What is sent again.
    #[serde(default)]
    pub retry: Retry,
    /// What is sent a second time before the first has an answer. By default nothing.
    pub hedge: Option<Hedge>,
    /// What is refused.
    #[serde(default)]
    pub limits: Limits,
}

/// How long a request may take on a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeout {
    /// Until the response begins. `None` for as long as the client says.
    pub http: Option<Duration>,
    /// Until the response to a gRPC call has ended. `None` for as long as the client says.
    ///
    /// There is none unless the route sets one: gRPC's deadlines are for whole calls, and a stream has no usual duration.
    pub grpc: Option<Duration>,
}

/// How often a request is sent.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// At most so often, from 1 to 10. By default 3.
    #[serde(deserialize_with = "value::attempts")]
    pub attempts: u32,
    /// Retries as a share of the requests of the last ten seconds, from 0 to 10. By default 0.2.
    #[serde(deserialize_with = "value::share")]
    pub budget: f32,
    /// So many retries per second besides, from 0 to 1,000,000. By default 10.
    #[serde(deserialize_with = "value::count_or_zero")]
    pub min_per_second: u32,
    /// The wait before the first retry, which doubles with each. By default 25 ms.
    #[serde(deserialize_with = "value::duration")]
    pub backoff: Duration,
    /// The longest wait. By default 250 ms.
    #[serde(deserialize_with = "value::duration")]
    pub max_backoff: Duration,
    /// How long an attempt may take until its response begins. By default as long as the route's timeout allows.
    #[serde(deserialize_with = "value::duration_or_off")]
    pub attempt_timeout: Option<Duration>,
    /// The statuses after which a request that may be repeated is sent again. By default 502, 503 and 504.
    #[serde(deserialize_with = "value::statuses")]
    pub statuses: Vec<StatusCode>,
    /// The codes after which a gRPC call is sent again. By default UNAVAILABLE.
    #[serde(deserialize_with = "value::grpc_codes")]
    pub grpc_codes: Vec<Code>,
    /// The longest `retry-after` that is waited for. By default 30 seconds.
    #[serde(deserialize_with = "value::duration_or_zero")]
    pub max_retry_after: Duration,
    /// So many bytes of a request's body are kept to be sent again, from 0 to 16 MiB. By default 64 KiB.
    #[serde(deserialize_with = "value::bytes")]
    pub replay_bytes: usize,
}

/// Which requests are slow, and how many of them are sent a second time.
///
/// Those with a safe method, or an `idempotency-key`, when all of their body has come and is kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hedge {
    /// Those that take longer than such a share of the recent requests, from 0.5 to 1. By default 0.99.
    #[serde(deserialize_with = "value::percentile")]
    pub percentile: f64,
    /// How long requests are recent, at least 100 ms. There are no hedges in the first fifth of it. By default 30 seconds.
    #[serde(deserialize_with = "value::window")]
    pub window: Duration,
    /// And not before. By default 1 ms.
    #[serde(deserialize_with = "value::duration_or_zero")]
    pub floor: Duration,
    /// At most so many for each request that succeeds, from 0 to 1. By default 0.01.
    #[serde(deserialize_with = "value::part")]
    pub budget: f64,
    /// Whether the budget of the retries counts in its place. By default not.
    pub share_retry_budget: bool,
    /// Whether calls of gRPC are hedged as well. By default they are not, since they may not be safe to do twice.
    pub grpc: bool,
}

/// What a route takes in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// How many requests at a time, until their responses begin; what is more gets a 503. By default 1024.
    #[serde(deserialize_with = "value::count")]
    pub concurrency: usize,
    /// How many bytes of a request's body, or all of a shorter one, must have come before the request takes its place
    /// and its upstream connection, from 0 to 16 MiB. By default 1: the body must have begun. Calls of gRPC do not wait,
    /// since there the server may be the first to speak.
    #[serde(deserialize_with = "value::bytes")]
    pub request_buffer: usize,
}

/// Endpoints that answer alike.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// What they speak. By default HTTP/1.1.
    #[serde(default)]
    pub protocol: Protocol,
    /// Their addresses. At least one.
    pub endpoints: Vec<Endpoint>,
    /// How strong each of them is beside the others, in their order, from 0 to 1000. By default all are alike.
    #[serde(default, deserialize_with = "value::weights")]
    pub weights: Vec<u32>,
    /// Which of them gets a request. By default the one of two, drawn at random, with fewer requests in flight.
    #[serde(default)]
    pub balancer: Balancer,
    /// What the balancers `ring_hash` and `maglev` go by. By default the path.
    #[serde(default)]
    pub hash: HashKey,
    /// Which of them are ejected for a while because they fail.
    #[serde(default)]
    pub outliers: Outliers,
    /// How long connecting to one may take. By default 1 second.
    #[serde(
        default = "default::connect_timeout",
        deserialize_with = "value::duration"
    )]
    pub connect_timeout: Duration,
    /// How long requests wait while no endpoint is ready, until all get a 503 at once. By default 3 seconds.
    #[serde(
        default = "default::unavailable_timeout",
        deserialize_with = "value::duration"
    )]
    pub unavailable_timeout: Duration,
    /// How many requests may wait for an endpoint. By default 1024.
    #[serde(default = "default::buffer", deserialize_with = "value::count")]
    pub buffer: usize,
    /// The connections to each endpoint.
    #[serde(default)]
    pub connections: Connections,
}

/// When an endpoint is left out: a 5xx, a gRPC status that says the same, and no answer are failures. Over HTTP/1.1, requests
/// count as failures as well while the endpoint has answered none for an interval, until it does.
///
/// An endpoint that is ejected and goes down returns when it is up again, at most once in each `ejection_time`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Outliers {
    /// Whether any endpoint is ejected. By default yes.
    pub enabled: bool,
    /// After so many failures in a row. By default 5.
    #[serde(deserialize_with = "value::count")]
    pub consecutive: usize,
    /// How long a request waited for the endpoint that is cancelled by a timeout, or because a hedge was faster, and then
    /// counts as a failure. By default 250 milliseconds, or three quarters of the shortest timeout of the cluster's routes if
    /// that is less. A client that goes away is never a failure of the endpoint.
    #[serde(deserialize_with = "value::duration")]
    pub cancelled_after: Duration,
    /// For so long the first time, and longer each time. By default 30 seconds.
    #[serde(deserialize_with = "value::duration")]
    pub ejection_time: Duration,
    /// But no longer. By default 5 minutes.
    #[serde(deserialize_with = "value::duration")]
    pub max_ejection_time: Duration,
    /// So many of them at a time, in percent; one in any case. By default 10.
    #[serde(deserialize_with = "value::percent")]
    pub max_ejection_percent: u32,
    /// How often it is looked whether one may return, or answers nothing. By default 10 seconds.
    #[serde(deserialize_with = "value::duration")]
    pub interval: Duration,
}

/// Which endpoint gets a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Balancer {
    /// Of two that are drawn at random, the one with fewer requests in flight for its weight.
    #[default]
    P2c,
    /// One after the other, by weight.
    RoundRobin,
    /// By chance, by weight.
    Random,
    /// The same for the same key, by a ring.
    RingHash,
    /// The same for the same key, by a table.
    Maglev,
}

/// The key of a request, for the balancers that go by it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HashKey {
    /// The path, without the query.
    #[default]
    Path,
    /// The value of a header; any endpoint without it.
    #[serde(deserialize_with = "value::header")]
    Header(HeaderName),
    /// The value of a cookie; any endpoint without it.
    Cookie(String),
}

/// How the path of a request is matched with routes, and forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Paths {
    /// In the one normal form that [`normalize`](crate::path::normalize) makes.
    #[default]
    Normalized,
    /// As the client sent it, so that one with `//`, `..` or `%61` may walk round a route.
    AsSent,
}

/// What a proxy is called in `via`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Via {
    /// A name of its own for each process.
    #[default]
    Unique,
    /// This one. Two proxies in a row must not have the same.
    Name(String),
    /// The field is not written, and loops are not seen.
    Off,
}

/// What an upstream speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1, one request at a time on each connection.
    #[default]
    Http1,
    /// HTTP/2 with prior knowledge, all requests on one connection.
    Http2,
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or as [`Config::parse`] says.
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
    /// Tells the file, the line, the key, what was found there and what is accepted.
    pub fn parse(name: &str, text: &str) -> Result<Self, ConfigError> {
        let deserializer = toml::Deserializer::parse(text)
            .map_err(|error| ConfigError::syntax(name, text, &error))?;
        if let Some(misshapen) = shape::misshapen(text) {
            return Err(ConfigError::misshapen(name, text, misshapen));
        }
        let config: Self = serde_path_to_error::deserialize(deserializer).map_err(|error| {
            ConfigError::at_path(name, text, &error.path().to_string(), error.inner())
        })?;
        match config.check() {
            Ok(()) => Ok(config),
            Err((key, message)) => Err(ConfigError::at_key(name, text, &key, message)),
        }
    }

    /// What it takes to proxy one port to some endpoints, without a file.
    pub fn single(
        listen: SocketAddr,
        admin: Option<SocketAddr>,
        protocol: Protocol,
        endpoints: Vec<Endpoint>,
        drain: Duration,
    ) -> Self {
        let cluster = Cluster {
            protocol,
            endpoints,
            weights: Vec::new(),
            balancer: Balancer::default(),
            hash: HashKey::default(),
            outliers: Outliers::default(),
            connect_timeout: default::connect_timeout(),
            unavailable_timeout: default::unavailable_timeout(),
            buffer: default::buffer(),
            connections: Connections::default(),
        };
        Self {
            drain,
            max_head_size: default::max_head_size(),
            max_head_fields: None,
            paths: Paths::default(),
            via: Via::default(),
            trusted_proxies: Vec::new(),
            admin: admin.map(Admin::at),
            clients: Clients::default(),
            listeners: vec![Listener { listen }],
            routes: vec![Route::to("upstream")],
            clusters: BTreeMap::from([("upstream".to_owned(), cluster)]),
        }
    }

    /// Checks it again, after `changed` has changed it.
    ///
    /// # Errors
    ///
    /// Tells `changed`, the key, what was found there and what is accepted.
    pub fn recheck(&self, changed: &str) -> Result<(), ConfigError> {
        self.check()
            .map_err(|(key, message)| ConfigError::without_place(changed, key, message))
    }

    /// How large the heads of messages may be.
    pub const fn heads(&self) -> Heads {
        Heads {
            size: self.max_head_size,
            fields: self.max_head_fields,
        }
    }

    /// The longest time that any route gives a request or a body.
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

    /// How long a request to the cluster must have waited to count as a failure when a timeout cancels it: no longer than the
    /// timeouts let it wait.
    pub fn cancelled_after(&self, name: &str, cluster: &Cluster) -> Duration {
        let to_it = self.routes.iter().filter(|route| route.cluster == name);
        let timeouts = to_it.flat_map(|route| {
            let Timeout { http, grpc } = route.timeout;
            [http, grpc, route.retry.attempt_timeout]
        });
        let most = timeouts.flatten().min().map(|timeout| timeout * 3 / 4);
        let configured = cluster.outliers.cancelled_after;
        most.map_or(configured, |most| most.min(configured))
    }

    /// What no part can see by itself: the key at fault, and what is wrong with it.
    fn check(&self) -> Result<(), (String, String)> {
        let wrong = |key: &str, message: String| Err((key.to_owned(), message));
        if self.listeners.is_empty() {
            return wrong(
                "listeners",
                "found none; expected at least one [[listeners]] with an address".into(),
            );
        }
        if self.routes.is_empty() {
            return wrong(
                "routes",
                "found none; expected at least one [[routes]] with a cluster".into(),
            );
        }
        for (index, route) in self.routes.iter().enumerate() {
            if !self.clusters.contains_key(&route.cluster) {
                let known = self
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
        for (name, cluster) in &self.clusters {
            if cluster.endpoints.is_empty() {
                return wrong(
                    &format!("clusters.{name}.endpoints"),
                    "found none; expected at least one".into(),
                );
            }
            if !cluster.weights.is_empty() && cluster.weights.len() != cluster.endpoints.len() {
                let (found, expected) = (cluster.weights.len(), cluster.endpoints.len());
                let message =
                    format!("found {found}; expected one for each of {expected} endpoints");
                return wrong(&format!("clusters.{name}.weights"), message);
            }
        }
        check::relations(self)
    }
}

impl Route {
    /// All requests to this cluster, with the defaults.
    pub fn to(cluster: &str) -> Self {
        Self {
            host: None,
            path: default::path(),
            cluster: cluster.to_owned(),
            timeout: Timeout::default(),
            timeout_header: default::timeout_header(),
            idle_timeout: default::idle_timeout(),
            upload_idle_timeout: default::upload_idle_timeout(),
            body_timeout: None,
            retry: Retry::default(),
            hedge: None,
            limits: Limits::default(),
        }
    }

    /// Its name in metrics: the host, if there is one, and the path.
    pub fn label(&self) -> String {
        format!("{}{}", self.host.as_deref().unwrap_or(""), self.path)
    }
}

impl Default for Timeout {
    fn default() -> Self {
        Self {
            http: Some(Duration::from_secs(60)),
            grpc: None,
        }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 3,
            budget: 0.2,
            min_per_second: 10,
            backoff: Duration::from_millis(25),
            max_backoff: Duration::from_millis(250),
            attempt_timeout: None,
            statuses: vec![
                StatusCode::BAD_GATEWAY,
                StatusCode::SERVICE_UNAVAILABLE,
                StatusCode::GATEWAY_TIMEOUT,
            ],
            grpc_codes: vec![Code::Unavailable],
            max_retry_after: Duration::from_secs(30),
            replay_bytes: 64 * 1024,
        }
    }
}

impl Default for Hedge {
    fn default() -> Self {
        Self {
            percentile: 0.99,
            window: Duration::from_secs(30),
            floor: Duration::from_millis(1),
            budget: 0.01,
            share_retry_budget: false,
            grpc: false,
        }
    }
}

impl Default for Outliers {
    fn default() -> Self {
        Self {
            enabled: true,
            consecutive: 5,
            cancelled_after: Duration::from_millis(250),
            ejection_time: Duration::from_secs(30),
            max_ejection_time: Duration::from_secs(300),
            max_ejection_percent: 10,
            interval: Duration::from_secs(10),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            concurrency: 1024,
            request_buffer: 1,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http1 => "http1",
            Self::Http2 => "http2",
        })
    }
}

mod default {
    use std::time::Duration;

    use http::HeaderName;

    pub(super) fn drain() -> Duration {
        Duration::from_secs(30)
    }

    pub(super) fn max_head_size() -> usize {
        64 * 1024
    }

    pub(super) fn path() -> String {
        "/".to_owned()
    }

    pub(super) fn timeout_header() -> HeaderName {
        HeaderName::from_static("x-request-timeout-ms")
    }

    pub(super) fn idle_timeout() -> Option<Duration> {
        Some(Duration::from_secs(5 * 60))
    }

    pub(super) fn upload_idle_timeout() -> Option<Duration> {
        Some(Duration::from_secs(60))
    }

    pub(super) fn connect_timeout() -> Duration {
        Duration::from_secs(1)
    }

    pub(super) fn unavailable_timeout() -> Duration {
        Duration::from_secs(3)
    }

    pub(super) fn buffer() -> usize {
        1024
    }
}
