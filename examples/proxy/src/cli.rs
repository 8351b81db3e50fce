//! The command line.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::config::{Admin, Config, ConfigError, Endpoint, Protocol};
use crate::demo;
use crate::front::server::{Shutdown, ShutdownTrigger, shutdown_channel};
use crate::run::Bound;
use crate::signal::{Signal, Signals};

/// An HTTP and gRPC proxy built from Tower's layers.
///
/// Exit codes: 0 after Ctrl-C, SIGTERM or SIGQUIT, once all requests have completed, the drain timeout is over, or a
/// second such signal is received; 1 if the proxy cannot run, for instance because an address is in use; 2 if the
/// command line or the configuration is invalid.
#[derive(Debug, Parser)]
#[command(name = "tower-proxy", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts three backends and a proxy in front of them, to try it out
    Demo(Demo),
    /// Runs the proxy with a configuration file or with addresses
    Run(Run),
    /// Validates a configuration file without starting the proxy
    Check {
        /// The file to check
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

#[derive(Debug, Args)]
struct Demo {
    /// The address on which the proxy listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The address of the admin page
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9090")]
    admin: SocketAddr,
    /// The time for requests in flight after Ctrl-C, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    drain: u64,
}

#[derive(Debug, Args)]
struct Run {
    /// The configuration file, in TOML
    #[arg(long, value_name = "FILE", required_unless_present_all = ["listen", "upstream"], conflicts_with_all = ["listen", "upstream", "upstream_protocol"])]
    config: Option<PathBuf>,
    /// The address on which the proxy listens
    #[arg(long, value_name = "ADDR", requires = "upstream")]
    listen: Option<SocketAddr>,
    /// The upstreams: a host or IP address and a port; may be repeated
    #[arg(long, value_name = "ADDR", requires = "listen")]
    upstream: Vec<Endpoint>,
    /// The protocol of the upstreams
    #[arg(long, value_name = "PROTOCOL", value_enum, default_value_t = Protocol::Http1)]
    upstream_protocol: Protocol,
    /// The address of the admin page; by default that of the file, if any
    #[arg(long, value_name = "ADDR")]
    admin: Option<SocketAddr>,
    /// The time for requests in flight after Ctrl-C or SIGTERM, in seconds; by default that of the file, or 30
    #[arg(long, value_name = "SECONDS")]
    drain: Option<u64>,
}

impl Cli {
    /// Runs the command to its end.
    pub fn execute(self) -> ExitCode {
        match self.command {
            Command::Demo(Demo {
                listen,
                admin,
                drain,
            }) => until_signal(async |shutdown| {
                demo::run(listen, admin, Duration::from_secs(drain), shutdown).await
            }),
            Command::Run(run) => match run.config() {
                Ok(config) => until_signal(async |shutdown| serve(config, shutdown).await),
                Err(error) => wrong(&error),
            },
            Command::Check { config } => match Config::from_path(&config) {
                Ok(config) => {
                    println!("{}", describe(&config));
                    ExitCode::SUCCESS
                }
                Err(error) => wrong(&error),
            },
        }
    }
}

impl Run {
    fn config(self) -> Result<Config, ConfigError> {
        let drain = self.drain.map(Duration::from_secs);
        let mut config = match (&self.config, self.listen) {
            (Some(path), _) => Config::from_path(path)?,
            (None, Some(listen)) => Config::single(
                listen,
                None,
                self.upstream_protocol,
                self.upstream,
                Duration::from_secs(30),
            ),
            (None, None) => unreachable!("clap asks for one of them"),
        };
        if let Some(listen) = self.admin {
            let admin = config.admin.get_or_insert_with(|| Admin::at(listen));
            admin.listen = listen;
        }
        if let Some(drain) = drain {
            config.drain_timeout = drain;
        }
        config.recheck("the command line")?;
        Ok(config)
    }
}

async fn serve(config: Config, shutdown: Shutdown) -> io::Result<()> {
    let proxy = Bound::bind(config).await?;
    for address in proxy.addresses()? {
        println!("proxy      http://{address}");
    }
    if let Some(address) = proxy.admin_address()? {
        println!("admin page http://{address}/");
    }
    let workers = proxy.workers()?;
    proxy.serve_on(workers, shutdown).await
}

/// Runs the service until it has drained after a signal, or a second signal is received.
fn until_signal(service: impl AsyncFnOnce(Shutdown) -> io::Result<()>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let result = runtime.block_on(async {
        let (trigger, shutdown) = shutdown_channel();
        let signals = Signals::listen()?;
        tokio::select! {
            result = service(shutdown) => result,
            () = obey(signals, trigger) => Ok(()),
        }
    });
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

/// Drains at the first signal to stop, and returns at the second.
async fn obey(mut signals: Signals, trigger: ShutdownTrigger) {
    let mut draining = false;
    loop {
        match signals.next().await {
            Signal::Ignored(signal, why) => tracing::warn!("{signal}: {why}"),
            Signal::Stop(signal) if draining => {
                tracing::warn!("{signal} while draining: ending immediately");
                return;
            }
            Signal::Stop(signal) => {
                draining = true;
                tracing::info!("{signal}: draining; a second signal ends immediately");
                trigger.trigger();
            }
        }
    }
}

fn describe(config: &Config) -> String {
    let mut text = String::new();
    for listener in &config.listeners {
        let _ = writeln!(text, "listener {}", listener.listen);
    }
    for route in &config.routes {
        let _ = writeln!(text, "route    {} -> {}", route.label(), route.cluster);
    }
    for (name, cluster) in &config.clusters {
        let endpoints = cluster
            .endpoints
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ");
        let _ = writeln!(text, "cluster  {name}: {} {endpoints}", cluster.protocol);
    }
    text + "The configuration is good."
}

fn wrong(error: &ConfigError) -> ExitCode {
    eprintln!("error: {error}");
    if let Some(excerpt) = error.excerpt() {
        eprintln!("{excerpt}");
    }
    ExitCode::from(2)
}

fn failed(error: &io::Error) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}
