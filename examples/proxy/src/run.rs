//! Runs a whole proxy: binds, serves, drains.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tower::{BoxError, Service};

use crate::admin;
use crate::config::Config;
use crate::front::inbound::Inbound;
use crate::front::malformed;
use crate::front::server::{Server, Shutdown, bind, serve};
use crate::stack;
use crate::threads;
use crate::transport::descriptors;
use crate::workers::Workers;

/// A proxy whose sockets are bound, but which does not serve yet.
#[derive(Debug)]
pub struct Bound {
    config: Config,
    listeners: Vec<TcpListener>,
    admin: Option<TcpListener>,
}

impl Bound {
    /// Binds all addresses of the configuration. If one fails, the others are released.
    ///
    /// # Errors
    ///
    /// The error of the first address that could not be bound.
    pub async fn bind(config: Config) -> io::Result<Self> {
        let files = descriptors::raise_limit();
        if let Some(most) = config.clients.max_connections.filter(|most| *most >= files) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "clients.max_connections: found {most}; this process may have {files} open files"
                ),
            ));
        }
        let mut listeners = Vec::with_capacity(config.listeners.len());
        for listener in &config.listeners {
            listeners.push(bind(listener.listen).await?);
        }
        let admin = match &config.admin {
            Some(admin) => Some(bind(admin.listen).await?),
            None => None,
        };
        Ok(Self {
            config,
            listeners,
            admin,
        })
    }

    /// Returns the addresses of the listeners, with the ports that the system chose where the configuration has 0.
    ///
    /// # Errors
    ///
    /// If the operating system does not report them.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.listeners.iter().map(TcpListener::local_addr).collect()
    }

    /// Returns the address of the admin page.
    ///
    /// # Errors
    ///
    /// If the operating system does not report it.
    pub fn admin_address(&self) -> io::Result<Option<SocketAddr>> {
        self.admin.as_ref().map(TcpListener::local_addr).transpose()
    }

    /// Starts the threads that the configuration asks for, for [`serve_on`](Self::serve_on).
    ///
    /// # Errors
    ///
    /// If the operating system does not start a thread.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub fn workers(&self) -> io::Result<Workers> {
        Workers::start(self.config.worker_threads.unwrap_or_else(threads::cores))
    }

    /// Serves in the current runtime until `shutdown`, then drains, and returns once all is done.
    ///
    /// # Errors
    ///
    /// If the configuration is invalid in a way that its check did not detect.
    pub async fn serve(self, shutdown: Shutdown) -> io::Result<()> {
        self.serve_on(Workers::here(), shutdown).await
    }

    /// Serves as [`serve`](Self::serve) does, with the connections spread over `workers`.
    ///
    /// # Errors
    ///
    /// Those of [`serve`](Self::serve).
    pub async fn serve_on(self, workers: Workers, shutdown: Shutdown) -> io::Result<()> {
        let Self {
            config,
            listeners,
            admin,
        } = self;
        let (proxy, metrics) = stack::proxy(&config).map_err(io::Error::other)?;
        let max_head_size = config.max_header_bytes;

        let server = Server::new(&config.clients, config.heads(), workers);
        let mut servers = JoinSet::new();
        for listener in listeners {
            let (proxy, server) = (proxy.clone(), server.clone());
            let handler = move |request, client| {
                // The stack is always ready.
                let answer = proxy
                    .clone()
                    .call(Inbound::of(request, client, max_head_size));
                answer.map(|answer| match answer {
                    Ok(answer) => answer,
                })
            };
            let unrouted = Arc::clone(&metrics.unrouted);
            let failed = move |error: &BoxError| malformed::count(error, &unrouted);
            let (shutdown, drain) = (shutdown.clone(), config.drain_timeout);
            servers.spawn(async move {
                server
                    .serve(listener, handler, shutdown, drain, failed)
                    .await;
            });
        }
        // The admin page is served while the proxy drains, so that draining can be watched.
        let admin = admin.zip(config.admin.as_ref()).map(|(listener, config)| {
            let state = admin::Admin::new(config, Arc::clone(&metrics), shutdown.clone());
            let handler = move |request, _client| {
                let response = state.handle(&request);
                async move { response }
            };
            let (trigger, stop) = crate::front::server::shutdown_channel();
            (
                tokio::spawn(serve(listener, handler, stop, ADMIN_DRAIN)),
                trigger,
            )
        });
        while servers.join_next().await.is_some() {}
        if let Some((server, trigger)) = admin {
            trigger.trigger();
            // Joining fails only if the task panicked, and the panic was printed already.
            let _ = server.await;
        }
        Ok(())
    }
}

/// The drain timeout of the admin page, whose requests are short.
const ADMIN_DRAIN: Duration = Duration::from_millis(200);
