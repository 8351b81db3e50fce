use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use super::kind::Kind;
use super::name::is_name;

/// An upstream's address: a name or an IP address, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    host: String,
    port: u16,
}

impl Endpoint {
    /// Returns the name or the IP address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self {
            host: address.ip().to_string(),
            port: address.port(),
        }
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = || {
            if let Ok(address) = text.parse::<SocketAddr>() {
                return (address.port() != 0).then(|| address.into());
            }
            let (host, port) = text.rsplit_once(':')?;
            let port = port
                .bytes()
                .all(|byte| byte.is_ascii_digit())
                .then(|| port.parse().ok())?
                .filter(|&port| port != 0)?;
            is_name(host).then(|| Self {
                host: host.to_owned(),
                port,
            })
        };
        parsed().ok_or_else(|| format!("found {text:?}; expected {}", Self::EXPECTED))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.parse() {
            Ok(IpAddr::V6(host)) => write!(f, "[{host}]:{}", self.port),
            _ => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl Kind for Endpoint {
    type Value = Self;
    const EXPECTED: &'static str =
        r#"a host and a port such as "127.0.0.1:3000", "[::1]:3000" or "backend.example:3000""#;
    const LIST: &'static str = r#"a list such as ["127.0.0.1:3000"]"#;

    fn text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}
