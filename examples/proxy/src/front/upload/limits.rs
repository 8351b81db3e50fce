use std::time::Duration;

use http::Request;
use http_body::Body;
use tower::timeout::http::{Pulse, TimeoutBody};

use super::UploadBody;
use crate::front::body::ClientBody;
use crate::transport::stall::Limits;

/// How a route takes the bodies of requests.
#[derive(Debug, Clone, Copy)]
pub struct UploadLimits {
    /// How long the next piece may be waited for, from the client and by the upstream.
    pub idle: Option<Duration>,
    /// The same for gRPC calls, in which both sides may be silent for long.
    pub grpc_idle: Option<Duration>,
    /// How long all of it may take.
    pub total: Option<Duration>,
    /// So many bytes of it are waited for before the request is sent on.
    pub buffer: usize,
}

impl UploadLimits {
    /// The request with its body within these limits.
    pub fn bound(mut self, request: Request<ClientBody>, grpc: bool) -> Request<UploadBody> {
        if grpc {
            self.idle = self.grpc_idle;
        }
        // Where one side of a call of gRPC speaks, the other one need not.
        let pulse = grpc.then(Pulse::new);
        let mut request = request.map(|body| self.bound_body(body, pulse.clone()));
        if let Some(pulse) = pulse {
            request.extensions_mut().insert(pulse);
        }
        if !request.body().has_arrived() {
            let limits = Limits {
                idle: self.idle,
                end: request.body().end(),
            };
            request.extensions_mut().insert(limits);
        }
        request
    }

    fn bound_body(self, body: ClientBody, pulse: Option<Pulse>) -> UploadBody {
        let mut body = TimeoutBody::new(body);
        if body.is_end_stream() {
            return UploadBody::new(body);
        }
        if let Some(idle) = self.idle {
            body = body.idle(idle);
        }
        if let Some(pulse) = pulse {
            body = body.pulse(pulse);
        }
        if let Some(total) = self.total {
            body = body.total(total);
        }
        UploadBody::new(body)
    }
}
