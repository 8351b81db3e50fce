//! The binary itself: exit codes, output, signals.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};

fn tower_proxy(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tower-proxy"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn output(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = tower_proxy(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// A process that is killed when the test ends in any way.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn check_describes_a_valid_file() {
    let (code, stdout, stderr) = output(&[
        "check",
        "--config",
        concat!(env!("CARGO_MANIFEST_DIR"), "/proxy.toml"),
    ]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(
        stdout.contains("*.example.com/helloworld.Greeter/ -> greeter"),
        "{stdout}"
    );
}

#[test]
fn an_invalid_file_is_exit_code_2_for_every_command() {
    let file = std::env::temp_dir().join(format!("tower-proxy-wrong-{}.toml", std::process::id()));
    std::fs::write(&file, "drain_timeout = \"soon\"\n").unwrap();
    for command in ["check", "run"] {
        let (code, stdout, stderr) = output(&[command, "--config", file.to_str().unwrap()]);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "nothing is started");
        assert!(
            stderr.contains("toml:1:17: drain_timeout: found \"soon\"; expected a duration"),
            "{stderr}"
        );
        let excerpt = "\n  |\n1 | drain_timeout = \"soon\"\n  |                 ^^^^^^\n";
        assert!(stderr.ends_with(excerpt), "{stderr}");
    }
    std::fs::remove_file(file).unwrap();
}

#[test]
fn an_invalid_command_line_is_exit_code_2() {
    for arguments in [
        &["run"][..],
        &["run", "--listen", "127.0.0.1:0"],
        &["run", "--upstream", "127.0.0.1:1"],
        &["run", "--listen", "127.0.0.1:0", "--upstream", "nowhere"],
        &[
            "run",
            "--listen",
            "127.0.0.1:0",
            "--upstream",
            "127.0.0.1:1",
            "--config",
            "x.toml",
        ],
        &[
            "run",
            "--listen",
            "127.0.0.1:0",
            "--upstream",
            "127.0.0.1:1",
            "--upstream-protocol",
            "http3",
        ],
        // Two sockets on one address, and a proxy to itself.
        &[
            "run",
            "--listen",
            "127.0.0.1:1",
            "--upstream",
            "127.0.0.1:2",
            "--admin",
            "127.0.0.1:1",
        ],
        &["run", "--listen", "0.0.0.0:1", "--upstream", "127.0.0.1:1"],
        &["fly"],
        &[],
    ] {
        let (code, _, stderr) = output(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {stderr}");
    }
}

#[test]
fn an_address_in_use_is_exit_code_1_and_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, _, stderr) = output(&["run", "--listen", &address, "--upstream", "127.0.0.1:1"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains(&address), "{stderr}");
}

#[test]
fn the_demo_prints_its_addresses_and_serves_them() {
    let child = tower_proxy(&["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn();
    let mut demo = Running(child.unwrap());
    let mut lines = BufReader::new(demo.0.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let proxy = lines.find(|line| line.starts_with("proxy ")).unwrap();
    let address = proxy
        .split("http://")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .to_owned();
    let mut commands = lines.skip_while(|line| line != "Try:").skip(1).take(3);
    assert!(commands.all(|line| line.trim().starts_with("curl ")));

    let mut stream = TcpStream::connect(&address).unwrap();
    stream
        .write_all(b"GET /hello HTTP/1.1\r\nhost: demo\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// Returns the first connection on which a request arrives; the proxy may open more.
#[cfg(unix)]
fn connection_with_a_request(listener: std::net::TcpListener) -> TcpStream {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let sender = sender.clone();
            std::thread::spawn(move || {
                if stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
                    let _ = sender.send(stream);
                }
            });
        }
    });
    receiver.recv().unwrap()
}

/// Ctrl-C is SIGINT; systemd and Kubernetes send SIGTERM.
#[cfg(unix)]
#[test]
fn a_signal_lets_the_request_in_flight_complete_and_exits_with_0() {
    for signal in ["INT", "TERM"] {
        let upstream = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let upstream_address = upstream.local_addr().unwrap().to_string();
        let child = tower_proxy(&[
            "run",
            "--listen",
            "127.0.0.1:0",
            "--upstream",
            &upstream_address,
            "--drain",
            "20",
        ])
        .stdout(Stdio::piped())
        .spawn();
        let mut proxy = Running(child.unwrap());
        let mut lines = BufReader::new(proxy.0.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap);
        let address = lines
            .next()
            .unwrap()
            .split("http://")
            .nth(1)
            .unwrap()
            .to_owned();

        let mut client = TcpStream::connect(&address).unwrap();
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .unwrap();
        let mut server = connection_with_a_request(upstream);

        let id = proxy.0.id().to_string();
        assert!(
            Command::new("kill")
                .args([&format!("-{signal}"), &id])
                .status()
                .unwrap()
                .success()
        );
        // New connections are soon refused, while the request is still in flight.
        while TcpStream::connect(&address).is_ok() {}
        assert!(proxy.0.try_wait().unwrap().is_none());
        server
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone")
            .unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"),
            "{answer}"
        );
        assert_eq!(proxy.0.wait().unwrap().code(), Some(0));
    }
}
