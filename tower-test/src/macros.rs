/// Receives the next request from a [`Handle`](crate::mock::Handle), asserts that it equals the expected one, and
/// returns the [`SendResponse`](crate::mock::SendResponse) with which to respond.
///
/// It awaits, so it must be used in an `async` block or function. Further arguments are the message of a failed
/// assertion, as in [`assert_eq!`].
///
/// # Panics
///
/// If all services are dropped before they send a further request, or if the request differs.
///
/// # Example
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use tower_service::Service;
/// use tower_test::{assert_request_eq, mock};
///
/// let (mut service, mut handle) = mock::pair::<&str, &str>();
/// std::future::poll_fn(|cx| service.poll_ready(cx)).await.unwrap();
/// let response = service.call("ping");
/// assert_request_eq!(handle, "ping", "the request goes through unchanged").send_response("pong");
/// assert_eq!(response.await.unwrap(), "pong");
/// # }
/// ```
#[macro_export]
macro_rules! assert_request_eq {
    ($handle:expr, $expected:expr $(,)?) => {{
        let (request, send_response) =
            $handle.next_request().await.expect("a request was expected, but all services are gone");
        assert_eq!(request, $expected);
        send_response
    }};
    ($handle:expr, $expected:expr, $($message:tt)+) => {{
        let (request, send_response) =
            $handle.next_request().await.expect("a request was expected, but all services are gone");
        assert_eq!(request, $expected, $($message)+);
        send_response
    }};
}
