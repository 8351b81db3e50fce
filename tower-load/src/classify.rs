//! Which responses are failures.

use std::fmt;

use crate::completion::{CompleteOnResponse, TrackCompletion};
use crate::estimate::Outcome;
use crate::peak_ewma::Handle;

/// Tells what a response says of the endpoint: whether it is an answer, or a failure that only looks like one. A closure
/// will do.
///
/// [`Classified`] has a [`PeakEwma`](crate::PeakEwma) go by it. An error of the service needs no classification; it is always
/// a failure.
///
/// ```
/// use std::time::Duration;
/// use tower_load::Classify;
/// use tower_load::estimate::Outcome;
///
/// let classify = |status: &u16| match status {
///     429 => Outcome::Pushback(Duration::from_secs(1)),
///     500.. => Outcome::Failed,
///     _ => Outcome::Answered,
/// };
/// assert_eq!(classify.classify(&503), Outcome::Failed);
/// ```
pub trait Classify<Res> {
    /// What `response` says of the endpoint.
    fn classify(&self, response: &Res) -> Outcome;
}

impl<F, Res> Classify<Res> for F
where
    F: Fn(&Res) -> Outcome,
{
    fn classify(&self, response: &Res) -> Outcome {
        self(response)
    }
}

/// Classifies the responses of a [`PeakEwma`](crate::PeakEwma), and leaves it to another [`TrackCompletion`] when a request
/// is over.
///
/// # Example
///
/// A server that refuses at once is the fastest of all, unless its refusals count as failures:
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use std::convert::Infallible;
/// use std::time::Duration;
/// use tower_load::estimate::Outcome;
/// use tower_load::{Classified, Load, PeakEwma};
/// use tower_service::Service;
///
/// # struct Server(u16, Duration);
/// # impl Service<()> for Server {
/// #     type Response = u16; type Error = Infallible;
/// #     type Future = std::pin::Pin<Box<dyn Future<Output = Result<u16, Infallible>>>>;
/// #     fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
/// #         std::task::Poll::Ready(Ok(()))
/// #     }
/// #     fn call(&mut self, (): ()) -> Self::Future {
/// #         let (status, takes) = (self.0, self.1);
/// #         Box::pin(async move { tokio::time::sleep(takes).await; Ok(status) })
/// #     }
/// # }
/// let classify = |status: &u16| match status {
///     500.. => Outcome::Failed,
///     _ => Outcome::Answered,
/// };
/// let ms = Duration::from_millis;
/// let measured = |server| PeakEwma::new(server, ms(100), 1e10, Classified::new(classify));
/// let mut works = measured(Server(200, ms(100)));
/// let mut refuses = measured(Server(503, ms(1)));
///
/// works.call(()).await.unwrap();
/// refuses.call(()).await.unwrap();
/// assert!(works.load() < refuses.load());
/// # }
/// ```
///
/// # Clone
///
/// The classification is cloned for each request.
#[derive(Clone, Copy)]
pub struct Classified<F, C = CompleteOnResponse> {
    classify: F,
    completion: C,
}

impl<F> Classified<F> {
    /// Classifies responses with `classify`; a request is over when its response future is.
    pub fn new(classify: F) -> Self {
        Self::with_completion(classify, CompleteOnResponse::default())
    }
}

impl<F, C> Classified<F, C> {
    /// Classifies responses with `classify`; `completion` decides when a request is over.
    ///
    /// It may keep the handle in the response, and correct the classification with [`Handle::set_outcome`] when the end of
    /// the body tells of a failure.
    pub const fn with_completion(classify: F, completion: C) -> Self {
        Self {
            classify,
            completion,
        }
    }
}

impl<F, C, Res> TrackCompletion<Handle, Res> for Classified<F, C>
where
    F: Classify<Res> + Clone,
    C: TrackCompletion<Handle, Res>,
{
    type Output = C::Output;

    fn track_completion(&self, mut handle: Handle, response: Res) -> C::Output {
        handle.set_outcome(self.classify.classify(&response));
        self.completion.track_completion(handle, response)
    }
}

impl<F, C: fmt::Debug> fmt::Debug for Classified<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Classified")
            .field("completion", &self.completion)
            .finish_non_exhaustive()
    }
}
