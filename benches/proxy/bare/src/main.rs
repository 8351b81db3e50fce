//! Bare hyper proxies, and a backend. Each runs on one thread until it is killed.
//!
//! ```text
//! bare http1 LISTEN BACKEND      hyper's server, hyper-util's legacy client
//! bare in-place LISTEN BACKEND   HTTP/1.1, the upstream connection polled in the task of the client connection
//! bare http2 LISTEN BACKEND      HTTP/2 on both sides
//! bare backend HTTP1 HTTP2       a backend that listens on two addresses
//! ```

mod backend;
mod http1;
mod http2;
mod in_place;

use std::error::Error;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, first, second] = arguments.as_slice() else {
        return Err("usage: bare http1|in-place|http2|backend ADDRESS ADDRESS".into());
    };
    let (first, second): (SocketAddr, SocketAddr) = (first.parse()?, second.parse()?);
    let runtime = Builder::new_current_thread()
        .enable_io()
        .build_local(LocalOptions::default())?;
    runtime.block_on(async {
        let listener = TcpListener::bind(first).await?;
        match mode.as_str() {
            "http1" => http1::run(listener, second).await?,
            "in-place" => in_place::run(listener, second).await?,
            "http2" => http2::run(listener, second).await?,
            "backend" => backend::run(listener, TcpListener::bind(second).await?).await?,
            _ => return Err(format!("unknown mode {mode}").into()),
        }
        Ok(())
    })
}

async fn accept(listener: &TcpListener) -> std::io::Result<TcpStream> {
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
