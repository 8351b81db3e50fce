//! A client's request in the layers of the front.

use http::request::Parts;
use http::{Request, Version};
use http_body::Body;
use hyper::body::Incoming;

use super::headers::fields::Fields;
use super::server::Client;
use super::upload::ClientBody;

/// A client's request, its client, and what one pass over its fields has found.
///
/// The layers of the front pass on a `Box` of it: a request is large, and each of them would copy it.
#[derive(Debug)]
pub struct Inbound {
    /// The head, which [`Validate`](super::validate::Validate) has checked and
    /// [`Forward`](super::forward::Forward) rewrites.
    pub head: Parts,
    /// The body, which is taken once its limits are known; `None` if it is empty.
    pub body: Option<ClientBody>,
    /// Who sends it.
    pub client: Client,
    /// What was found in the head as it was sent.
    pub fields: Fields,
}

impl Inbound {
    /// Takes over the request of a `client`. Trailers over `max_trailers` bytes are an error, and so are trailers that
    /// the [`OversizedTrailers`](crate::transport::blocks::OversizedTrailers) among the request's extensions reports as
    /// shortened.
    pub fn of(request: Request<Incoming>, client: Client, max_trailers: usize) -> Box<Self> {
        let (mut head, incoming) = request.into_parts();
        let long = match head.version {
            Version::HTTP_2 => head.extensions.remove(),
            _ => None,
        };
        Box::new(Self {
            body: (!incoming.is_end_stream())
                .then(|| ClientBody::new(incoming, max_trailers, long)),
            client,
            fields: Fields::of(&head.headers),
            head,
        })
    }
}
