//! A proxy that runs out of file descriptors continues with the connections that it has, and opens others later.
#![cfg(unix)]

mod support;

use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use support::process::*;

const FILES: usize = 60;

/// Writes a configuration that allows more connections than there can be.
fn config(name: &str, upstream: std::net::SocketAddr) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let text = format!(
        "clients = {{ max_connections = {} }}\nadmin = {{ listen = \"127.0.0.1:0\" }}\n\
         [[listeners]]\nlisten = \"127.0.0.1:0\"\n[[routes]]\ncluster = \"c\"\n\
         [clusters.c]\nendpoints = [\"{upstream}\"]\nconnections = {{ max_connections = 1000 }}\n",
        FILES - 1
    );
    std::fs::write(&path, text).unwrap();
    path
}

fn asks(client: &mut TcpStream) -> String {
    client.write_all(GET).unwrap();
    read_answer(client).unwrap()
}

#[test]
fn without_file_descriptors_open_connections_continue_and_others_wait() {
    // Reports the requests that arrive at the upstream, and when each is to be answered.
    let (arrived, arrivals) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let upstream = upstream(move || {
        let _ = arrived.send(());
        let _ = released.lock().unwrap().recv();
    });
    let mut proxy = Process::with_files(FILES, &config("descriptors.toml", upstream));
    let mut kept = connect(proxy.address);
    let mut other = connect(proxy.address);
    release.send(()).unwrap();
    assert!(asks(&mut kept).starts_with("HTTP/1.1 200"));
    release.send(()).unwrap();
    assert!(asks(&mut other).starts_with("HTTP/1.1 200"));

    let hogs: Vec<_> = (0..2 * FILES).map(|_| connect(proxy.address)).collect();
    proxy.logs("cannot accept a connection");
    for _ in 0..20 {
        for client in [&mut kept, &mut other] {
            release.send(()).unwrap();
            assert!(asks(client).starts_with("HTTP/1.1 200"));
        }
    }
    while arrivals.try_recv().is_ok() {}
    // The only connection to the upstream is in use, and another cannot be opened: the second request waits for it.
    kept.write_all(GET).unwrap();
    arrivals.recv().unwrap();
    other.write_all(GET).unwrap();
    pause(Duration::from_millis(100));
    release.send(()).unwrap();
    release.send(()).unwrap();
    for client in [&mut kept, &mut other] {
        let answer = read_answer(client).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    // If that takes too long, the request is rejected, but the endpoint does not count as failed.
    while arrivals.try_recv().is_ok() {}
    kept.write_all(GET).unwrap();
    arrivals.recv().unwrap();
    other.write_all(GET).unwrap();
    let refused = read_head(&mut BufReader::new(&other)).unwrap();
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    release.send(()).unwrap();
    assert!(read_answer(&mut kept).unwrap().starts_with("HTTP/1.1 200"));
    release.send(()).unwrap();
    assert!(asks(&mut kept).starts_with("HTTP/1.1 200"));
    assert!(proxy.is_running());

    // Those that have waited in the queue are served once file descriptors are free.
    drop(hogs);
    let mut new = connect(proxy.address);
    release.send(()).unwrap();
    assert!(asks(&mut new).starts_with("HTTP/1.1 200"));
    let mut ready = connect(proxy.admin);
    ready
        .write_all(b"GET /ready HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .unwrap();
    let head = read_head(&mut BufReader::new(ready)).unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
}
