use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tower_layer::{Identity, Layer};
use tower_service::Service;

/// Either of two services with the same response and error, or either of two layers.
#[derive(Debug, Clone, Copy)]
pub enum Either<A, B> {
    /// The first of the two services or layers.
    Left(A),
    /// The second of the two services or layers.
    Right(B),
}

/// Turns an optional layer into a layer; `None` leaves the service unchanged.
///
/// # Example
///
/// ```
/// use std::convert::Infallible;
/// use tower_layer::Layer;
/// use tower_util::{MapRequestLayer, ServiceExt, option_layer, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let increment = service_fn(async |n: u32| Ok::<_, Infallible>(n + 1));
/// let ten_times = true.then(|| MapRequestLayer::new(|n: u32| n * 10));
/// assert_eq!(option_layer(ten_times).layer(increment).oneshot(1).await, Ok(11));
/// # }
/// ```
pub fn option_layer<L>(layer: Option<L>) -> Either<L, Identity> {
    match layer {
        Some(layer) => Either::Left(layer),
        None => Either::Right(Identity::new()),
    }
}

impl<A, B, Request> Service<Request> for Either<A, B>
where
    A: Service<Request>,
    B: Service<Request, Response = A::Response, Error = A::Error>,
{
    type Response = A::Response;
    type Error = A::Error;
    type Future = EitherResponseFuture<A::Future, B::Future>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), A::Error>> {
        match self {
            Self::Left(service) => service.poll_ready(cx),
            Self::Right(service) => service.poll_ready(cx),
        }
    }

    #[inline]
    fn call(&mut self, request: Request) -> Self::Future {
        let kind = match self {
            Self::Left(service) => Kind::Left {
                inner: service.call(request),
            },
            Self::Right(service) => Kind::Right {
                inner: service.call(request),
            },
        };
        EitherResponseFuture { kind }
    }
}

impl<S, A, B> Layer<S> for Either<A, B>
where
    A: Layer<S>,
    B: Layer<S>,
{
    type Service = Either<A::Service, B::Service>;

    fn layer(&self, inner: S) -> Self::Service {
        match self {
            Self::Left(layer) => Either::Left(layer.layer(inner)),
            Self::Right(layer) => Either::Right(layer.layer(inner)),
        }
    }
}

pin_project! {
    /// The response future of [`Either`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct EitherResponseFuture<A, B> {
        #[pin]
        kind: Kind<A, B>,
    }
}

pin_project! {
    #[project = KindProj]
    #[derive(Debug)]
    enum Kind<A, B> {
        Left { #[pin] inner: A },
        Right { #[pin] inner: B },
    }
}

impl<A, B> Future for EitherResponseFuture<A, B>
where
    A: Future,
    B: Future<Output = A::Output>,
{
    type Output = A::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<A::Output> {
        match self.project().kind.project() {
            KindProj::Left { inner } => inner.poll(cx),
            KindProj::Right { inner } => inner.poll(cx),
        }
    }
}
