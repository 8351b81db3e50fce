use std::future::Future;

use futures_core::Stream;
use tower_service::Service;

use crate::{
    AndThen, BoxCloneService, BoxService, CallAll, MapErr, MapFuture, MapRequest, MapResponse,
    MapResult, Oneshot, Ready, ReadyOneshot, Then,
};

/// Combinators for every [`Service`].
///
/// Most return a service again, so that they can be chained.
///
/// The trait has the methods of tower 0.5.3 and will not get more, because a new method would make one of the same name
/// in a trait of your own ambiguous. Newer combinators are in `tower::ext`.
pub trait ServiceExt<Request>: Service<Request> {
    /// Waits until the service is ready for a request.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), std::convert::Infallible> {
    /// # use tower_service::Service;
    /// # use std::convert::Infallible;
    /// # use tower_util::{ServiceExt, service_fn};
    /// let mut increment = service_fn(async |n: u32| Ok::<_, Infallible>(n + 1));
    /// assert_eq!(increment.ready().await?.call(1).await?, 2);
    /// # Ok(()) }
    /// ```
    fn ready(&mut self) -> Ready<'_, Self, Request>
    where
        Self: Sized,
    {
        Ready::new(self)
    }

    /// Waits until the service is ready for a request, and returns the service itself.
    fn ready_oneshot(self) -> ReadyOneshot<Self, Request>
    where
        Self: Sized,
    {
        ReadyOneshot::new(self)
    }

    /// Waits until the service is ready, sends it one request, and consumes the service. Dropping the future cancels
    /// the request.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), std::convert::Infallible> {
    /// # use std::convert::Infallible;
    /// # use tower_util::{ServiceExt, service_fn};
    /// let increment = service_fn(async |n: u32| Ok::<_, Infallible>(n + 1));
    /// assert_eq!(increment.clone().oneshot(1).await?, 2);
    /// # Ok(()) }
    /// ```
    fn oneshot(self, req: Request) -> Oneshot<Self, Request>
    where
        Self: Sized,
    {
        Oneshot::new(self, req)
    }

    /// Sends each request of a stream when the service is ready, and yields the results in the order of the requests,
    /// or as they complete with [`CallAll::unordered`]. An error from readiness is yielded, and ends the stream after
    /// the requests in flight; an error from a request does not end it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # use std::convert::Infallible;
    /// # use futures::{StreamExt, stream};
    /// # use tower_util::{ServiceExt, service_fn};
    /// let increment = service_fn(async |n: u32| Ok::<_, Infallible>(n + 1));
    /// let results = increment.call_all(stream::iter([1, 2, 3]));
    /// assert_eq!(results.collect::<Vec<_>>().await, [Ok(2), Ok(3), Ok(4)]);
    /// # }
    /// ```
    fn call_all<S>(self, reqs: S) -> CallAll<Self, S>
    where
        Self: Sized,
        S: Stream<Item = Request>,
    {
        CallAll::new(self, reqs)
    }

    /// Runs an async function on the response.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), std::num::ParseIntError> {
    /// # use tower_util::{ServiceExt, service_fn};
    /// # use std::num::ParseIntError;
    /// let parse = service_fn(async |text: &str| text.parse::<u32>());
    /// let double = parse.and_then(async |n| Ok::<_, ParseIntError>(n * 2));
    /// assert_eq!(double.clone().oneshot("21").await?, 42);
    /// assert!(double.oneshot("a dozen").await.is_err());
    /// # Ok(()) }
    /// ```
    fn and_then<F>(self, f: F) -> AndThen<Self, F>
    where
        Self: Sized,
        F: Clone,
    {
        AndThen::new(self, f)
    }

    /// Maps the response with a function.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), std::convert::Infallible> {
    /// # use std::convert::Infallible;
    /// # use tower_util::{ServiceExt, service_fn};
    /// let text = service_fn(async |n: u32| Ok::<_, Infallible>(n + 1)).map_response(|n| n.to_string());
    /// assert_eq!(text.oneshot(1).await?, "2");
    /// # Ok(()) }
    /// ```
    fn map_response<F, Response>(self, f: F) -> MapResponse<Self, F>
    where
        Self: Sized,
        F: FnOnce(Self::Response) -> Response + Clone,
    {
        MapResponse::new(self, f)
    }

    /// Maps the error with a function, both from readiness and from a request.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # use tower_util::{ServiceExt, service_fn};
    /// let parse = service_fn(async |text: &str| text.parse::<u32>()).map_err(|error| error.to_string());
    /// assert_eq!(parse.oneshot("a dozen").await.unwrap_err(), "invalid digit found in string");
    /// # }
    /// ```
    fn map_err<F, Error>(self, f: F) -> MapErr<Self, F>
    where
        Self: Sized,
        F: FnOnce(Self::Error) -> Error + Clone,
    {
        MapErr::new(self, f)
    }

    /// Maps the result with a function, which may turn an error into a response or a response into an error.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), std::num::ParseIntError> {
    /// # use std::num::ParseIntError;
    /// # use tower_util::{ServiceExt, service_fn};
    /// let parse = service_fn(async |text: &str| text.parse::<u32>());
    /// let or_zero = parse.map_result(|result| Ok::<_, ParseIntError>(result.unwrap_or(0)));
    /// assert_eq!(or_zero.oneshot("a dozen").await?, 0);
    /// # Ok(()) }
    /// ```
    fn map_result<F, Response, Error>(self, f: F) -> MapResult<Self, F>
    where
        Self: Sized,
        Error: From<Self::Error>,
        F: FnOnce(Result<Self::Response, Self::Error>) -> Result<Response, Error> + Clone,
    {
        MapResult::new(self, f)
    }

    /// Maps the request with a function: the new service takes the argument of the function.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), std::convert::Infallible> {
    /// # use std::convert::Infallible;
    /// # use tower_util::{ServiceExt, service_fn};
    /// let length = service_fn(async |n: usize| Ok::<_, Infallible>(n)).map_request(|text: &str| text.len());
    /// assert_eq!(length.oneshot("four").await?, 4);
    /// # Ok(()) }
    /// ```
    fn map_request<F, NewRequest>(self, f: F) -> MapRequest<Self, F>
    where
        Self: Sized,
        F: FnMut(NewRequest) -> Request,
    {
        MapRequest::new(self, f)
    }

    /// Passes each request to a [predicate](crate::filter::Predicate), which may change or reject it; see
    /// [`Filter`](crate::filter::Filter).
    #[cfg(feature = "filter")]
    fn filter<F, NewRequest>(self, filter: F) -> crate::filter::Filter<Self, F>
    where
        Self: Sized,
        F: crate::filter::Predicate<NewRequest>,
    {
        crate::filter::Filter::new(self, filter)
    }

    /// Passes each request to an [async predicate](crate::filter::AsyncPredicate), which may change or reject it; see
    /// [`AsyncFilter`](crate::filter::AsyncFilter).
    #[cfg(feature = "filter")]
    fn filter_async<F, NewRequest>(self, filter: F) -> crate::filter::AsyncFilter<Self, F>
    where
        Self: Sized,
        F: crate::filter::AsyncPredicate<NewRequest>,
    {
        crate::filter::AsyncFilter::new(self, filter)
    }

    /// Runs an async function on the result, whether a response or an error.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), std::num::ParseIntError> {
    /// # use std::num::ParseIntError;
    /// # use tower_util::{ServiceExt, service_fn};
    /// let parse = service_fn(async |text: &str| text.parse::<u32>());
    /// let or_zero = parse.then(async |result: Result<u32, _>| Ok::<_, ParseIntError>(result.unwrap_or(0)));
    /// assert_eq!(or_zero.oneshot("a dozen").await?, 0);
    /// # Ok(()) }
    /// ```
    fn then<F, Response, Error, Fut>(self, f: F) -> Then<Self, F>
    where
        Self: Sized,
        Error: From<Self::Error>,
        F: FnOnce(Result<Self::Response, Self::Error>) -> Fut + Clone,
        Fut: Future<Output = Result<Response, Error>>,
    {
        Then::new(self, f)
    }

    /// Maps the response future with a function, for example to wrap each request.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), tower_util::BoxError> {
    /// # use std::convert::Infallible;
    /// # use std::time::Duration;
    /// # use tower_util::{BoxError, ServiceExt, service_fn};
    /// let echo = service_fn(async |n: u32| Ok::<_, Infallible>(n)).map_future(|response| async {
    ///     let result = tokio::time::timeout(Duration::from_secs(1), response).await?;
    ///     Ok::<_, BoxError>(result?)
    /// });
    /// assert_eq!(echo.oneshot(7).await?, 7);
    /// # Ok(()) }
    /// ```
    fn map_future<F, Fut, Response, Error>(self, f: F) -> MapFuture<Self, F>
    where
        Self: Sized,
        F: FnMut(Self::Future) -> Fut,
        Error: From<Self::Error>,
        Fut: Future<Output = Result<Response, Error>>,
    {
        MapFuture::new(self, f)
    }

    /// Boxes the service, erasing its type.
    fn boxed(self) -> BoxService<Request, Self::Response, Self::Error>
    where
        Self: Sized + Send + 'static,
        Self::Future: Send + 'static,
    {
        BoxService::new(self)
    }

    /// Boxes the service, erasing its type; the boxed service is `Clone`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), std::convert::Infallible> {
    /// # use std::convert::Infallible;
    /// # use tower_util::{BoxCloneService, ServiceExt, service_fn};
    /// let services: [BoxCloneService<u32, u32, Infallible>; 2] = [
    ///     service_fn(async |n| Ok::<_, Infallible>(n + 1)).boxed_clone(),
    ///     service_fn(async |n| Ok::<_, Infallible>(n)).map_response(|n: u32| n * 2).boxed_clone(),
    /// ];
    /// assert_eq!(services[1].clone().oneshot(21).await?, 42);
    /// # Ok(()) }
    /// ```
    fn boxed_clone(self) -> BoxCloneService<Request, Self::Response, Self::Error>
    where
        Self: Clone + Sized + Send + 'static,
        Self::Future: Send + 'static,
    {
        BoxCloneService::new(self)
    }
}

impl<T, Request> ServiceExt<Request> for T where T: Service<Request> + ?Sized {}
