//! The demo: three backends, of which one is slow and one fails some requests, behind a proxy, all in this process.

mod backend;
mod grpc;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

pub use self::backend::{Backend, Behavior};
pub use self::grpc::pb;

use crate::config::{Config, ConfigError};
use crate::front::server::{Shutdown, bind, serve};
use crate::run::Bound;

/// Runs the demo until `shutdown`.
///
/// # Errors
///
/// If an address is in use.
pub async fn run(
    listen: SocketAddr,
    admin: SocketAddr,
    drain: Duration,
    shutdown: Shutdown,
) -> io::Result<()> {
    let mut backends = Vec::new();
    for (name, behavior) in BACKENDS {
        let listener = bind((Ipv4Addr::LOCALHOST, 0).into()).await?;
        backends.push((name, behavior, listener.local_addr()?, listener));
    }
    let addresses: Vec<_> = backends.iter().map(|(_, _, address, _)| *address).collect();
    let config = config(listen, admin, drain, &addresses).map_err(io::Error::other)?;
    let proxy = Bound::bind(config).await?;

    let (listen, admin) = (
        proxy.addresses()?[0],
        proxy.admin_address()?.unwrap_or(admin),
    );
    print!(
        "{}",
        welcome(
            listen,
            admin,
            backends
                .iter()
                .map(|(name, behavior, address, _)| (*name, *behavior, *address))
        )
    );
    for (name, behavior, _, listener) in backends {
        let backend = Backend::new(name, behavior);
        let handler = move |request, _client| backend.clone().handle(request);
        tokio::spawn(serve(listener, handler, shutdown.clone(), drain));
    }
    let workers = proxy.workers()?;
    proxy.serve_on(workers, shutdown).await
}

/// Returns the configuration: HTTP requests go to the backends over HTTP/1.1, gRPC calls to the service over HTTP/2.
fn config(
    listen: SocketAddr,
    admin: SocketAddr,
    drain: Duration,
    backends: &[SocketAddr],
) -> Result<Config, ConfigError> {
    let text = format!(
        r#"
drain_timeout = "{drain}s"
[admin]
listen = "{admin}"
[[listeners]]
listen = "{listen}"
[[routes]]
path = "/demo.Echo/"
cluster = "grpc"
[[routes]]
cluster = "http"
[clusters.http]
endpoints = {backends:?}
[clusters.grpc]
protocol = "http2"
endpoints = {backends:?}
"#,
        drain = drain.as_secs(),
        backends = backends.iter().map(ToString::to_string).collect::<Vec<_>>(),
    );
    Config::parse("the demo's configuration", &text)
}

fn welcome(
    listen: SocketAddr,
    admin: SocketAddr,
    backends: impl Iterator<Item = (&'static str, Behavior, SocketAddr)>,
) -> String {
    let backends: String = backends
        .map(|(name, behavior, address)| {
            format!("  {name:<8} http://{address}  {}\n", behavior.describe())
        })
        .collect();
    format!(
        "tower-proxy demo\n\
         \n\
         proxy      http://{listen}  (HTTP/1.1, HTTP/2 and gRPC)\n\
         admin page http://{admin}/\n\
         backends:\n{backends}\
         \n\
         Try:\n  \
           curl http://{listen}/hello\n  \
           curl --http2-prior-knowledge --data 'a body' http://{listen}/echo\n  \
           curl http://{admin}/metrics\n\
         \n\
         Ctrl-C ends it.\n"
    )
}

const BACKENDS: [(&str, Behavior); 3] = [
    ("steady", Behavior::Steady),
    ("slow", Behavior::Slow(Duration::from_millis(200))),
    ("flaky", Behavior::Flaky { one_in: 5 }),
];
