//! What a client gets whose request made the proxy panic.

use std::any::Any;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use tower_http::catch_panic::ResponseForPanic;

/// Answers with 500. The panic itself is printed by its hook.
#[derive(Debug, Clone, Copy, Default)]
pub struct Panicked;

impl ResponseForPanic for Panicked {
    type ResponseBody = Full<Bytes>;

    fn response_for_panic(&mut self, _panic: Box<dyn Any + Send>) -> Response<Full<Bytes>> {
        tracing::error!("a request made the proxy panic");
        let text = Bytes::from_static(b"the proxy failed\n");
        let mut response = Response::new(Full::new(text));
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        response
    }
}
