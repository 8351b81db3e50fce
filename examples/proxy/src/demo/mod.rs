//! The demo: three backends, one of them slow and one failing now and then, behind a proxy, all in this process.

mod backend;
mod grpc;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

pub use self::backend::{Backend, Mood};
pub use self::grpc::pb;

use crate::config::{Config, ConfigError};
use crate::front::server::{Shutdown, bind, serve};
use crate::run::Bound;

/// Runs the demo until `shutdown`.
///
/// # Errors
///
/// If an address is taken.
pub async fn run(
    listen: SocketAddr,
    admin: SocketAddr,
    drain: Duration,
    shutdown: Shutdown,
) -> io::Result<()> {
    let mut backends = Vec::new();
    for (name, mood) in BACKENDS {
        let listener = bind((Ipv4Addr::LOCALHOST, 0).into()).await?;
        backends.push((name, mood, listener.local_addr()?, listener));
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
                .map(|(name, mood, address, _)| (*name, *mood, *address))
        )
    );
    for (name, mood, _, listener) in backends {
        let backend = Backend::new(name, mood);
        let handler = move |request, _client| backend.clone().handle(request);
        tokio::spawn(serve(listener, handler, shutdown.clone(), drain));
    }
    proxy.serve(shutdown).await
}

/// HTTP requests go to the backends over HTTP/1.1, those to the gRPC service over HTTP/2.
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
    backends: impl Iterator<Item = (&'static str, Mood, SocketAddr)>,
) -> String {
    let backends: String = backends
        .map(|(name, mood, address)| format!("  {name:<8} http://{address}  {}\n", mood.describe()))
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

const BACKENDS: [(&str, Mood); 3] = [
    ("steady", Mood::Steady),
    ("slow", Mood::Slow(Duration::from_millis(200))),
    ("flaky", Mood::Flaky { one_in: 5 }),
];
