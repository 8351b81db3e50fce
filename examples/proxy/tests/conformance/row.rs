//! A row of a table, and how it is run: a separate proxy between a scripted client and a recording upstream.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::net::{TcpListener, TcpStream};

use super::message::{Message, compare};
use super::support::proxy;
use super::{http1, http2};

/// What one side sends: bytes of HTTP/1, or frames of HTTP/2 (see [`http2`]). An upstream has a response for each
/// request.
#[derive(Clone, Copy)]
pub enum Side {
    H1(&'static [&'static str]),
    H2(&'static [&'static [&'static str]]),
}
pub use Side::{H1, H2};

/// One exchange: what the client sends, what the upstream may receive, what it responds, and what the client gets.
#[derive(Clone, Copy)]
pub struct Row {
    /// The section of the RFC, and what is tested.
    name: &'static str,
    client: Side,
    sees: &'static [&'static str],
    upstream: Side,
    settings: &'static [(u16, u32)],
    gets: &'static [&'static str],
    or: Option<&'static [&'static str]>,
    top: &'static str,
}

/// Creates a row for a request that must not reach the upstream, unless [`sees`](Row::sees) says otherwise.
pub fn row(name: &'static str, client: Side) -> Row {
    Row {
        name,
        client,
        sees: &[],
        upstream: H1(&["HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"]),
        settings: &[],
        gets: &[],
        or: None,
        top: "",
    }
}

impl Row {
    /// Sets what the upstream receives, in the lines of [`compare`]; or `cut` alone, for nothing or an incomplete
    /// request.
    pub fn sees(self, sees: &'static [&'static str]) -> Self {
        Self { sees, ..self }
    }

    /// Sets what the upstream responds; by default an empty 200.
    pub fn upstream(self, upstream: Side) -> Self {
        Self { upstream, ..self }
    }

    /// Sets the SETTINGS of an HTTP/2 upstream.
    pub fn settings(self, settings: &'static [(u16, u32)]) -> Self {
        Self { settings, ..self }
    }

    /// Sets what the client gets, in the lines of [`compare`]; the last may be `closes`, the end of the connection.
    pub fn gets(self, gets: &'static [&'static str]) -> Self {
        Self { gets, ..self }
    }

    /// Sets what the client may get as well, where the order of two events on two connections decides.
    pub fn or(self, or: &'static [&'static str]) -> Self {
        Self {
            or: Some(or),
            ..self
        }
    }

    /// Sets keys at the top of the configuration.
    pub fn config(self, top: &'static str) -> Self {
        Self { top, ..self }
    }

    async fn run(self) -> Result<(), String> {
        let seen = Arc::default();
        let (address, protocol) = upstream(self.upstream, self.settings, &seen).await;
        let proxy = proxy(&self.configuration(address, protocol)).await;
        let client = TcpStream::connect(proxy.address).await.unwrap();
        let gets = expand(self.gets);
        let mut answers = Vec::new();
        let exchange = async {
            match self.client {
                H1(pieces) => {
                    let bytes = expand(pieces).concat();
                    http1::client(client, &bytes, &gets, &mut answers).await;
                }
                H2(frames) => {
                    http2::client(client, &expand(&frames.concat()), &mut answers).await;
                }
            }
        };
        let hangs = tokio::time::timeout(LIMIT, exchange).await.is_err();
        let seen = seen.lock().unwrap().clone();
        let mut report = if hangs {
            "    it hangs\n".to_owned()
        } else {
            String::new()
        };
        let broke_off = self.sees == ["cut"] && seen.iter().all(|request| request.cut.is_some());
        if let Err(difference) = compare(&expand(self.sees), &seen)
            && !broke_off
        {
            report += &format!("    the upstream: {difference}\n");
        }
        let alternative = |or| compare(&expand(or), &answers).is_ok();
        if let Err(difference) = compare(&gets, &answers)
            && !self.or.is_some_and(alternative)
        {
            report += &format!("    the client: {difference}\n");
        }
        if report.is_empty() {
            return Ok(());
        }
        let all =
            |messages: &[Message]| messages.iter().map(ToString::to_string).collect::<String>();
        Err(format!(
            "{report}    seen:\n{}    got:\n{}",
            all(&seen),
            all(&answers)
        ))
    }

    /// Returns a configuration that forwards everything to the upstream, except requests for `internal.example` or
    /// below `/admin`: these have no upstream, and get a 503.
    fn configuration(self, address: std::net::SocketAddr, protocol: &str) -> String {
        let top = self.top;
        format!(
            "{top}\n[[routes]]\ncluster = \"open\"\nretry = {{ max_attempts = 1 }}\n\
             [[routes]]\npath = \"/admin\"\ncluster = \"closed\"\n\
             [[routes]]\nhost = \"internal.example\"\ncluster = \"closed\"\n\
             [clusters.open]\nprotocol = \"{protocol}\"\nendpoints = [\"{address}\"]\n\
             [clusters.closed]\nendpoints = [\"127.0.0.1:1\"]\nfailfast_timeout = \"50ms\"\n"
        )
    }
}

/// Builds the bytes of an HTTP/1 message from its lines and, after a semicolon, its body.
macro_rules! http {
    ($($line:expr),* $(; $body:expr)?) => {
        concat!($($line, "\r\n",)* "\r\n" $(, $body)?)
    };
}
pub(crate) use http;

/// Runs all rows, some at a time, and reports every failed one.
pub async fn run(rows: &[Row]) {
    let run = |row: Row| async move {
        let result = tokio::spawn(row.run()).await;
        let result = result.unwrap_or_else(|panic| Err(panic.to_string()));
        result.map_err(|report| format!("\n  {}\n{report}", row.name))
    };
    let results = futures_util::stream::iter(rows.iter().copied()).map(run);
    let results: Vec<_> = results.buffered(4).collect().await;
    let failures: Vec<_> = results.into_iter().filter_map(Result::err).collect();
    assert!(
        failures.is_empty(),
        "{} of {} rows fail:{}",
        failures.len(),
        rows.len(),
        failures.concat()
    );
}

async fn upstream(
    side: Side,
    settings: &'static [(u16, u32)],
    seen: &Arc<Mutex<Vec<Message>>>,
) -> (std::net::SocketAddr, &'static str) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::clone(seen);
    let protocol = match side {
        H1(_) => "http1",
        H2(_) => "http2",
    };
    tokio::spawn(async move {
        match side {
            H1(answers) => {
                let script = Arc::new(Mutex::new(expand(answers).into_iter()));
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(http1::upstream(
                        stream,
                        Arc::clone(&seen),
                        Arc::clone(&script),
                    ));
                }
            }
            H2(answers) => {
                let answers: Vec<_> = answers.iter().map(|answer| expand(answer)).collect();
                let script = Arc::new(Mutex::new(answers.into_iter()));
                while let Ok((stream, _)) = listener.accept().await {
                    let (seen, script) = (Arc::clone(&seen), Arc::clone(&script));
                    tokio::spawn(http2::upstream(stream, seen, script, settings));
                }
            }
        }
    });
    (address, protocol)
}

/// Expands `{20000}` to that many letters.
fn expand(lines: &[&str]) -> Vec<String> {
    let expand = |line: &&str| {
        let Some((before, rest)) = line.split_once('{') else {
            return (*line).to_owned();
        };
        let (count, after) = rest.split_once('}').expect("a count in braces");
        let letters = "a".repeat(count.parse().expect("a count in braces"));
        format!("{before}{letters}{after}")
    };
    lines.iter().map(expand).collect()
}

/// The time after which an exchange counts as hanging; it normally takes milliseconds.
const LIMIT: Duration = Duration::from_secs(10);
