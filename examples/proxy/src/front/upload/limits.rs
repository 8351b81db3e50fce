use std::time::Duration;

use http::request::Parts;
use tower::timeout::http::{Pulse, TimeoutBody};

use super::{ClientBody, UploadBody};
use crate::transport::limits::Limits;

/// The limits of a route on the bodies of requests.
#[derive(Debug, Clone, Copy)]
pub struct UploadLimits {
    /// The time between two frames, both for the client to send and for the upstream to read.
    pub idle: Option<Duration>,
    /// The same for gRPC calls, in which both sides may be silent for long.
    pub grpc_idle: Option<Duration>,
    /// The time for the whole body.
    pub total: Option<Duration>,
    /// The number of bytes to wait for before the request is forwarded.
    pub buffer: usize,
}

impl UploadLimits {
    /// Returns the body under these limits. Those that other layers must know are put into the extensions of its `head`.
    pub fn bound(mut self, body: Option<ClientBody>, head: &mut Parts, grpc: bool) -> UploadBody {
        if grpc {
            self.idle = self.grpc_idle;
        }
        // While one side of a gRPC call sends, the other one may be silent.
        let pulse = grpc.then(Pulse::new);
        if let Some(pulse) = &pulse {
            head.extensions.insert(pulse.clone());
        }
        let Some(body) = body else {
            return UploadBody::empty();
        };
        let mut body = TimeoutBody::new(body);
        if let Some(idle) = self.idle {
            body = body.idle(idle);
        }
        if let Some(pulse) = pulse {
            body = body.pulse(pulse);
        }
        if let Some(total) = self.total {
            body = body.total(total);
        }
        head.extensions.insert(Limits {
            idle: self.idle,
            end: body.end(),
        });
        UploadBody::new(body)
    }
}
