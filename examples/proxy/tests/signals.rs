//! Real signals to the real binary: what continues, what drains, and which requests get a response meanwhile.
#![cfg(unix)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use support::LIMIT;
use support::process::*;

/// Starts an upstream that reports each request, and responds when it is released.
fn held_upstream() -> (std::net::SocketAddr, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (arrived, arrivals) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let released = Arc::new(Mutex::new(released));
    let address = upstream(move || {
        let _ = arrived.send(());
        let _ = released.lock().unwrap().recv();
    });
    (address, arrivals, release)
}

#[test]
fn unsupported_signals_are_logged_and_have_no_effect() {
    let (upstream, arrivals, release) = held_upstream();
    let mut proxy = Process::start(upstream, &[]);
    for (signal, words) in [
        ("HUP", "reload"),
        ("USR1", "no log files"),
        ("USR2", "upgrade"),
    ] {
        let mut client = connect(proxy.address);
        client.write_all(GET).unwrap();
        arrivals.recv_timeout(LIMIT).unwrap();
        proxy.signal(signal);
        let line = proxy.logs(&format!("SIG{signal}"));
        assert!(line.contains(words), "{line}");
        release.send(()).unwrap();
        let answer = read_answer(&mut client).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{signal}: {answer}");
        // And it accepts new connections.
        let mut client = connect(proxy.address);
        client.write_all(GET).unwrap();
        arrivals.recv_timeout(LIMIT).unwrap();
        release.send(()).unwrap();
        assert!(read_answer(&mut client).unwrap().ends_with("upstream"));
    }
    assert!(proxy.is_running());
}

#[test]
fn each_signal_to_stop_drains() {
    for signal in ["INT", "TERM", "QUIT"] {
        let (upstream, arrivals, release) = held_upstream();
        let mut proxy = Process::start(upstream, &[]);
        let mut client = connect(proxy.address);
        client.write_all(GET).unwrap();
        arrivals.recv_timeout(LIMIT).unwrap();
        proxy.signal(signal);
        proxy.logs("draining");
        while TcpStream::connect(proxy.address).is_ok() {}
        release.send(()).unwrap();
        let answer = read_answer(&mut client).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{signal}: {answer}");
        assert_eq!(proxy.end_within(LIMIT).code(), Some(0), "{signal}");
    }
}

#[test]
fn a_second_signal_ends_the_drain() {
    for (first, second) in [("INT", "INT"), ("TERM", "TERM"), ("TERM", "QUIT")] {
        let (upstream, arrivals, _release) = held_upstream();
        let mut proxy = Process::start(upstream, &["--drain", "3600"]);
        let mut client = connect(proxy.address);
        client.write_all(GET).unwrap();
        arrivals.recv_timeout(LIMIT).unwrap();
        proxy.signal(first);
        proxy.logs("draining");
        // These do not stop it.
        proxy.signal("HUP");
        proxy.logs("SIGHUP");
        assert!(proxy.is_running());
        proxy.signal(second);
        assert_eq!(proxy.end_within(LIMIT).code(), Some(0), "{first}, {second}");
    }
}

/// The process is stopped while clients connect and send, so that everything is in the kernel when the signal arrives.
#[test]
fn connections_queued_at_sigterm_are_served() {
    let proxy_upstream = upstream(|| {});
    let mut proxy = Process::start(proxy_upstream, &[]);
    // Kept alive: each has had a response.
    let mut clients: Vec<_> = (0..20).map(|_| connect(proxy.address)).collect();
    for client in &mut clients {
        client.write_all(GET).unwrap();
        read_answer(client).unwrap();
    }
    // Accepted, since a later one has its response, but nothing was sent yet.
    clients.extend((0..20).map(|_| connect(proxy.address)));
    let mut last = connect(proxy.address);
    last.write_all(GET).unwrap();
    read_answer(&mut last).unwrap();

    proxy.signal("STOP");
    // In the accept queue.
    clients.extend((0..100).map(|_| connect(proxy.address)));
    for client in &mut clients {
        client.write_all(GET).unwrap();
    }
    proxy.signal("TERM");
    proxy.signal("CONT");
    let mut dropped = 0;
    for client in &mut clients {
        let answer = read_answer(client).unwrap_or_default();
        dropped += usize::from(!answer.starts_with("HTTP/1.1 200"));
    }
    assert_eq!(dropped, 0, "of {}", clients.len());
    assert_eq!(proxy.end_within(LIMIT).code(), Some(0));
}

/// Clients that connect and send at any moment around the signal get a response or are refused, and nothing in between.
#[test]
fn a_connection_is_refused_or_served_and_never_dropped() {
    let upstream = upstream(|| {});
    for _ in 0..5 {
        let mut proxy = Process::start(upstream, &[]);
        let address = proxy.address;
        let clients: Vec<_> = (0..16)
            .map(|_| {
                std::thread::spawn(move || {
                    let (mut answered, mut dropped) = (0, 0);
                    while let Ok(mut client) = TcpStream::connect(address) {
                        client.set_read_timeout(Some(LIMIT)).unwrap();
                        let sent = client.write_all(GET);
                        let answer = sent.and_then(|()| read_answer(&mut client));
                        match answer {
                            Ok(answer) if answer.starts_with("HTTP/1.1 200") => answered += 1,
                            _ => dropped += 1,
                        }
                    }
                    (answered, dropped)
                })
            })
            .collect();
        // In flight.
        for _ in 0..50 {
            let mut client = connect(address);
            client.write_all(GET).unwrap();
            read_answer(&mut client).unwrap();
        }
        proxy.signal("TERM");
        for client in clients {
            let (answered, dropped) = client.join().unwrap();
            assert!(answered > 0);
            assert_eq!(dropped, 0, "besides {answered}");
        }
        assert_eq!(proxy.end_within(LIMIT).code(), Some(0));
    }
}

/// Clients that have sent no complete request, or only an HTTP/2 preface, do not delay the drain.
#[test]
fn clients_without_a_request_do_not_delay_the_drain() {
    let preface = [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        &[0, 0, 0, 4, 0, 0, 0, 0, 0],
    ]
    .concat();
    // Then HEADERS of stream 1 with END_STREAM: GET, http, / and the authority `a`, all from HPACK's static table.
    let request = [
        &preface[..],
        &[0, 0, 6, 1, 5, 0, 0, 0, 1, 0x82, 0x86, 0x84, 0x41, 1, b'a'],
    ]
    .concat();
    let upstream = upstream(|| {});
    for (what, bytes) in [
        ("nothing", &b""[..]),
        ("a byte", b"G"),
        ("half a head", b"GET / HTTP/1.1\r\nhost: a.exa"),
        ("half a preface", b"PRI * HTTP/2.0\r\n"),
        ("a preface", &preface),
        ("an HTTP/2 client that answers no ping", &request),
        (
            "half a head after a request",
            b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HT",
        ),
    ] {
        let mut proxy = Process::start(upstream, &["--drain", "3600"]);
        let mut silent = connect(proxy.address);
        silent.write_all(bytes).unwrap();
        // It has been accepted, since a later one has its response.
        let mut later = connect(proxy.address);
        later.write_all(GET).unwrap();
        read_answer(&mut later).unwrap();
        proxy.signal("TERM");
        let end = proxy.end_within(LIMIT / 6);
        assert_eq!(end.code(), Some(0), "{what}");
        let _ = silent.read_to_end(&mut Vec::new());
    }
}

/// A client that reads its response slowly delays the drain until it has all of it.
#[test]
fn a_slow_reader_gets_its_whole_response() {
    const LENGTH: usize = 16 * 1024 * 1024;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut reader = std::io::BufReader::new(stream.try_clone().unwrap());
                if read_head(&mut reader).is_some() {
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n");
                    stream.write_all(head.as_bytes()).unwrap();
                    let _ = stream.write_all(&vec![b'x'; LENGTH]);
                }
            });
        }
    });
    let mut proxy = Process::start(upstream, &[]);
    let mut client = connect(proxy.address);
    client.write_all(GET).unwrap();
    let mut reader = std::io::BufReader::new(client.try_clone().unwrap());
    read_head(&mut reader).unwrap();
    proxy.signal("TERM");
    proxy.logs("draining");
    let mut body = Vec::new();
    let mut piece = vec![0; LENGTH / 8];
    for _ in 0..8 {
        // Longer in total than a connection without a request may stay.
        pause(Duration::from_millis(300));
        reader.read_exact(&mut piece).unwrap();
        body.extend_from_slice(&piece);
    }
    assert_eq!(body.len(), LENGTH);
    assert_eq!(proxy.end_within(LIMIT).code(), Some(0));
}
