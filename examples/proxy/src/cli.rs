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

/// An HTTP and gRPC proxy that is composed of Tower's layers.
///
/// Exit codes: 0 after Ctrl-C, SIGTERM or SIGQUIT, when all requests have finished, their time is over, or a second such
/// signal has come; 1 if it cannot run, for instance because an address is taken; 2 if the command line or the configuration
/// is wrong.
#[derive(Debug, Parser)]
#[command(name = "tower-proxy", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts three backends and a proxy before them, to see what it does
    Demo(Demo),
    /// Runs the proxy, by a file or by addresses
    Run(Run),
    /// Checks a file and starts nothing
    Check {
        /// The file to check
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

#[derive(Debug, Args)]
struct Demo {
    /// Where the proxy listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where the admin page is
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9090")]
    admin: SocketAddr,
    /// How many seconds running requests may take after Ctrl-C
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    drain: u64,
}

#[derive(Debug, Args)]
struct Run {
    /// The configuration, in TOML
    #[arg(long, value_name = "FILE", required_unless_present_all = ["listen", "upstream"], conflicts_with_all = ["listen", "upstream", "upstream_protocol"])]
    config: Option<PathBuf>,
    /// Where the proxy listens
    #[arg(long, value_name = "ADDR", requires = "upstream")]
    listen: Option<SocketAddr>,
    /// Whom requests go to: a host or IP address and a port; may be given several times
    #[arg(long, value_name = "ADDR", requires = "listen")]
    upstream: Vec<Endpoint>,
    /// What the upstreams speak
    #[arg(long, value_name = "PROTOCOL", value_enum, default_value_t = Protocol::Http1)]
    upstream_protocol: Protocol,
    /// Where the admin page is; by default there is none but that of the file
    #[arg(long, value_name = "ADDR")]
    admin: Option<SocketAddr>,
    /// How many seconds running requests may take after Ctrl-C or SIGTERM; by default 30, or what the file says
    #[arg(long, value_name = "SECONDS")]
    drain: Option<u64>,
}

impl Cli {
    /// Does what the command says, until it is done.
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
    proxy.serve(shutdown).await
}

/// Runs the service until a signal comes and it has drained, or a second signal comes.
fn until_signal(service: impl AsyncFnOnce(Shutdown) -> io::Result<()>) -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
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

/// Drains at the first signal that asks for the end, and returns at the second.
async fn obey(mut signals: Signals, trigger: ShutdownTrigger) {
    let mut draining = false;
    loop {
        match signals.next().await {
            Signal::Ignored(signal, why) => tracing::warn!("{signal}: {why}"),
            Signal::Stop(signal) if draining => {
                tracing::warn!("{signal} while draining: ending at once");
                return;
            }
            Signal::Stop(signal) => {
                draining = true;
                tracing::info!("{signal}: draining; a second signal ends at once");
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
