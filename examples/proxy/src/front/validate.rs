//! Decides which requests are accepted, and normalizes them.

use std::borrow::Cow;
use std::sync::Arc;

use http::{Method, Version};
use tower::BoxError;
use tower::filter::Predicate;

use super::failure::Failure;
use super::headers::hop::Hop;
use super::headers::{authority, path};
use super::inbound::Inbound;
use super::refused::Refused;
use crate::config::{Config, Paths};
use crate::transport::framing;

/// A predicate that rejects, with [`Refused`], requests that two servers could read differently, and normalizes the
/// path of the others.
#[derive(Debug, Clone)]
pub struct Validate(Arc<Rules>);

#[derive(Debug)]
struct Rules {
    hop: Arc<Hop>,
    paths: Paths,
    max_head_size: usize,
}

impl Validate {
    /// Creates it from the configuration. Requests that have passed through `hop` before are rejected.
    pub fn new(config: &Config, hop: Arc<Hop>) -> Self {
        Self(Arc::new(Rules {
            hop,
            paths: config.paths,
            max_head_size: config.max_header_bytes,
        }))
    }
}

impl Predicate<Box<Inbound>> for Validate {
    type Request = Box<Inbound>;

    fn check(&mut self, mut request: Box<Inbound>) -> Result<Box<Inbound>, BoxError> {
        match self.0.check(&mut request) {
            Ok(()) => Ok(request),
            Err(failure) => Err(Refused::new(failure).into()),
        }
    }
}

impl Rules {
    fn check(&self, request: &mut Inbound) -> Result<(), Failure> {
        let Inbound { head, fields, .. } = request;
        if head.method == Method::CONNECT {
            return Err(Failure::Unsupported);
        }
        if fields.transfer_encoding {
            framing::check_request(&head.headers).map_err(Failure::BadFraming)?;
        }
        // hyper has checked it for HTTP/1.
        if head.version == Version::HTTP_2 && fields.size > self.max_head_size {
            return Err(Failure::HeadTooLarge);
        }
        authority::of(head, fields.hosts).map_err(Failure::BadTarget)?;
        if fields.via && self.hop.has_forwarded(&head.headers) {
            return Err(Failure::Loop);
        }
        let sent = head.uri.path();
        if self.paths == Paths::Normalized
            && sent != "*"
            && let Cow::Owned(normal) = path::normalize(sent)?
        {
            path::replace(&mut head.uri, normal)?;
        }
        Ok(())
    }
}
