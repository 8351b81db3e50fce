//! Decides which requests are accepted, and normalizes them.

use std::borrow::Cow;
use std::sync::Arc;

use http::{Method, Request, Version};
use tower::BoxError;
use tower::filter::Predicate;

use super::failure::Failure;
use super::headers::hop::Hop;
use super::headers::{authority, path};
use super::refused::Refused;
use crate::config::{Config, Paths};
use crate::transport::{framing, headers};

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

impl<B> Predicate<Request<B>> for Validate {
    type Request = Request<B>;

    fn check(&mut self, mut request: Request<B>) -> Result<Request<B>, BoxError> {
        match self.0.check(&mut request) {
            Ok(()) => Ok(request),
            Err(failure) => Err(Refused::new(failure).into()),
        }
    }
}

impl Rules {
    fn check<B>(&self, request: &mut Request<B>) -> Result<(), Failure> {
        if *request.method() == Method::CONNECT {
            return Err(Failure::Unsupported);
        }
        framing::check_request(request.headers()).map_err(Failure::BadFraming)?;
        // hyper has checked it for HTTP/1.
        if request.version() == Version::HTTP_2
            && headers::size(request.headers()) > self.max_head_size
        {
            return Err(Failure::HeadTooLarge);
        }
        authority::of(request).map_err(Failure::BadTarget)?;
        if self.hop.has_forwarded(request.headers()) {
            return Err(Failure::Loop);
        }
        let sent = request.uri().path();
        if self.paths == Paths::Normalized
            && sent != "*"
            && let Cow::Owned(normal) = path::normalize(sent)?
        {
            path::replace(request.uri_mut(), normal)?;
        }
        Ok(())
    }
}
