//! The window of a connection has room for the windows of all of its streams, so that one that is not read does not
//! block another; and it is limited by HTTP/2 (RFC 9113, 6.9.1).

use super::super::Config;
use super::super::invalid::Invalid;
use super::super::key::Key;

pub(super) fn all(config: &Config) -> Result<(), Invalid> {
    let clients = &config.clients;
    check(
        &Key::from("clients"),
        clients.max_concurrent_streams,
        clients.initial_stream_window_size,
    )?;
    let clusters = Key::from("clusters");
    config.clusters.iter().try_for_each(|(name, cluster)| {
        let connections = &cluster.connections;
        check(
            &clusters.name(name).name("connections"),
            connections.max_concurrent_streams,
            connections.initial_stream_window_size,
        )
    })
}

fn check(connections: &Key, streams: u32, window: u32) -> Result<(), Invalid> {
    match streams.checked_mul(window) {
        Some(all) if all <= LARGEST_WINDOW => Ok(()),
        _ => {
            let most = LARGEST_WINDOW / streams;
            let expected = format!("at most {most} for {streams} streams");
            Err(Invalid::found(window, expected)
                .under(connections.name("initial_stream_window_size")))
        }
    }
}

const LARGEST_WINDOW: u32 = i32::MAX as u32;
