//! The memory that a client's connection keeps while it idles.
#![cfg(target_os = "linux")]

mod support;

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use support::process::*;

const CONNECTIONS: usize = 100;

/// Starts an upstream that responds to each request with a head as long as that of the request.
fn echoing_upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut reader = BufReader::new(&stream);
                while let Some(head) = read_head(&mut reader) {
                    let padding = "x".repeat(head.len());
                    let response = format!(
                        "HTTP/1.1 200 OK\r\npadding: {padding}\r\ncontent-length: 8\r\n\r\nupstream"
                    );
                    if (&stream).write_all(response.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// Opens connections, and sends on each of them a request with a field of `padding` bytes. Returns them with the memory
/// in bytes that the proxy holds for each of them while they idle.
fn idle(proxy: &Process, padding: usize) -> (Vec<TcpStream>, usize) {
    let request = format!(
        "GET / HTTP/1.1\r\nhost: a.example\r\npadding: {}\r\n\r\n",
        "x".repeat(padding)
    );
    let open = || {
        let mut stream = connect(proxy.address);
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"upstream") {
            let mut part = [0; 4096];
            let read = stream.read(&mut part).unwrap();
            assert!(read > 0, "closed after {} bytes", answer.len());
            answer.extend_from_slice(&part[..read]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200") && answer.len() >= padding);
        stream
    };
    // The first ones open the connections to the upstream.
    let mut streams: Vec<_> = (0..10).map(|_| open()).collect();
    let before = proxy.resident();
    streams.extend((0..CONNECTIONS).map(|_| open()));
    let held = proxy.resident().saturating_sub(before);
    (streams, held / CONNECTIONS)
}

/// A connection that has served a small request holds the buffers with which hyper begins; it must not be twice as much.
#[test]
fn an_idle_connection_is_small() {
    let proxy = Process::start(echoing_upstream(), &[]);
    let (_streams, each) = idle(&proxy, 0);
    assert!(0 < each && each <= 16 * 1024, "{each} bytes for each");
}

/// What a large head has made grow is kept, up to the limit of a head for each of both directions.
#[test]
fn an_idle_connection_keeps_no_more_than_two_large_heads() {
    let proxy = Process::start(echoing_upstream(), &[]);
    let (_streams, each) = idle(&proxy, 60 * 1024);
    assert!(0 < each && each <= 192 * 1024, "{each} bytes for each");
}
