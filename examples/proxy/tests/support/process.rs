//! The binary as a separate process, with real signals.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::LIMIT;

/// A proxy that runs as a process; it is killed when the test ends in any way.
pub struct Process {
    child: Child,
    pub address: SocketAddr,
    pub admin: SocketAddr,
    stderr: BufReader<ChildStderr>,
}

impl Process {
    /// Starts a proxy in front of `upstream`.
    pub fn start(upstream: SocketAddr, options: &[&str]) -> Self {
        let upstream = upstream.to_string();
        let mut arguments = vec!["run", "--listen", "127.0.0.1:0", "--upstream", &upstream];
        arguments.extend(["--admin", "127.0.0.1:0"]);
        arguments.extend(options);
        let mut command = Command::new(env!("CARGO_BIN_EXE_tower-proxy"));
        command.args(arguments);
        Self::of(command)
    }

    /// Starts a proxy with a configuration that has an admin page, and a limit of open files.
    #[cfg(unix)]
    pub fn with_files(files: usize, config: &std::path::Path) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {files}; exec \"$@\""), "sh"]);
        command.args([env!("CARGO_BIN_EXE_tower-proxy"), "run", "--config"]);
        command.arg(config);
        Self::of(command)
    }

    fn of(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut address = || {
            let line = lines.next().unwrap().unwrap();
            let address = line.split("http://").nth(1).unwrap();
            address.trim_end_matches('/').parse().unwrap()
        };
        Self {
            address: address(),
            admin: address(),
            stderr: BufReader::new(child.stderr.take().unwrap()),
            child,
        }
    }

    /// Sends a signal such as `TERM`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    /// Waits for a line of the log that contains `words`.
    pub fn logs(&mut self, words: &str) -> String {
        let mut line = String::new();
        while !line.contains(words) {
            line.clear();
            let read = self.stderr.read_line(&mut line).unwrap();
            assert!(read > 0, "it ended without saying {words:?}");
        }
        line
    }

    /// Returns its resident memory in bytes.
    #[cfg(target_os = "linux")]
    pub fn resident(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        1024 * kib.unwrap().parse::<usize>().unwrap()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end, at most for `limit`.
    pub fn end_within(&mut self, limit: Duration) -> ExitStatus {
        let step = Duration::from_millis(10);
        for _ in 0..limit.as_millis() / step.as_millis() {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            pause(step);
        }
        panic!("it still runs after {limit:?}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts an upstream on threads that responds with `200` and `upstream`, to each request when `answer` returns.
pub fn upstream(answer: impl Fn() + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = answer.clone();
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                while read_head(&mut reader).is_some() {
                    answer();
                    let mut stream = &stream;
                    let response = b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nupstream";
                    if stream.write_all(response).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// Reads up to the empty line; returns `None` if the connection ends before.
pub fn read_head(reader: &mut impl BufRead) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

/// Waits while another process continues.
#[expect(
    clippy::disallowed_methods,
    reason = "there is no runtime here, and no clock to pause"
)]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

pub const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n";

/// Reads one response of the [`upstream`] with its body, and leaves the connection open.
pub fn read_answer(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nupstream") {
        let mut byte = [0];
        if stream.read(&mut byte)? == 0 {
            break;
        }
        answer.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
