//! Type arguments for the types of tower.

use std::error::Error;
use std::fmt;
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher};
use std::marker::PhantomData;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use tower::discover::Change;
use tower::filter::AsyncPredicate;
use tower::{BoxError, Service};

/// Implements the auto traits that `A` does, `Clone` and `Debug` if chosen, and all other traits that a parameter needs.
pub struct P<A: ?Sized, const CLONE: bool = true, const DEBUG: bool = true>(PhantomData<A>);

pub trait Object {}

type All = dyn Object + Send + Sync + Unpin + UnwindSafe + RefUnwindSafe;

pub type Good = P<All>;
pub type NotSend = P<dyn Object + Sync + Unpin + UnwindSafe + RefUnwindSafe>;
pub type NotSync = P<dyn Object + Send + Unpin + UnwindSafe + RefUnwindSafe>;
pub type NotUnpin = P<dyn Object + Send + Sync + UnwindSafe + RefUnwindSafe>;
pub type NotUnwindSafe = P<dyn Object + Send + Sync + Unpin + RefUnwindSafe>;
pub type NotRefUnwindSafe = P<dyn Object + Send + Sync + Unpin + UnwindSafe>;
pub type NotClone = P<All, false, true>;
pub type NotDebug = P<All, true, false>;

impl<A: ?Sized, const DEBUG: bool> Clone for P<A, true, DEBUG> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}

impl<A: ?Sized, const CLONE: bool> fmt::Debug for P<A, CLONE, true> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("P")
    }
}

impl<A: ?Sized, const CLONE: bool, const DEBUG: bool> PartialEq for P<A, CLONE, DEBUG> {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl<A: ?Sized, const CLONE: bool, const DEBUG: bool> Eq for P<A, CLONE, DEBUG> {}

impl<A: ?Sized, const CLONE: bool, const DEBUG: bool> Hash for P<A, CLONE, DEBUG> {
    fn hash<H: Hasher>(&self, _hasher: &mut H) {}
}

impl<A: ?Sized, const CLONE: bool, const DEBUG: bool> From<P<A, CLONE, DEBUG>> for BoxError {
    fn from(_error: P<A, CLONE, DEBUG>) -> Self {
        Box::<dyn Error + Send + Sync>::from("P")
    }
}

/// Implements a trait for every [`P`].
macro_rules! implement {
    ($([$($generics:tt)*] $implements:path { $($body:tt)* })+) => {
        $(
            impl<A: ?Sized, const CLONE: bool, const DEBUG: bool, $($generics)*> $implements for P<A, CLONE, DEBUG> {
                $($body)*
            }
        )+
    };
}

implement! {
    [Req] Service<Req> {
        type Response = Good;
        type Error = Good;
        type Future = Fut<Good, Result<Good, Good>>;

        fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Good>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _request: Req) -> Self::Future {
            Fut(PhantomData, PhantomData)
        }
    }
    [] Future {
        type Output = Result<Good, Good>;

        fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Self::Output> {
            Poll::Pending
        }
    }
    [] Stream {
        type Item = Result<Change<Good, Good>, Good>;

        fn poll_next(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            Poll::Ready(None)
        }
    }
    [S] tower::Layer<S> {
        type Service = Good;

        fn layer(&self, _inner: S) -> Good {
            P(PhantomData)
        }
    }
    [] tower::load::Load {
        type Metric = u8;

        fn load(&self) -> u8 {
            0
        }
    }
    [Req] tower::filter::Predicate<Req> {
        type Request = Good;

        fn check(&mut self, _request: Req) -> Result<Good, BoxError> {
            Ok(P(PhantomData))
        }
    }
    [S, Req] tower::steer::Picker<S, Req> {
        fn pick(&mut self, _request: &Req, _services: &[S]) -> usize {
            0
        }
    }
    [Req] tower::hedge::Policy<Req> {
        fn clone_request(&self, _request: &Req) -> Option<Req> {
            None
        }

        fn can_retry(&self, _request: &Req) -> bool {
            false
        }
    }
    [Req, Res, Err] tower::retry::Policy<Req, Res, Err> {
        type Future = Fut<Good, ()>;

        fn retry(&mut self, _request: &mut Req, _result: &mut Result<Res, Err>) -> Option<Self::Future> {
            None
        }

        fn clone_request(&mut self, _request: &Req) -> Option<Req> {
            None
        }
    }
    [] BuildHasher {
        type Hasher = DefaultHasher;

        fn build_hasher(&self) -> DefaultHasher {
            DefaultHasher::new()
        }
    }
    [] tower::util::rng::Rng {
        fn next_u64(&mut self) -> u64 {
            0
        }
    }
}

impl<A: ?Sized, const DEBUG: bool, H, V> tower::load::TrackCompletion<H, V> for P<A, true, DEBUG> {
    type Output = Good;

    fn track_completion(&self, _handle: H, _value: V) -> Good {
        P(PhantomData)
    }
}

/// Defines types with the auto traits of their first parameter, independent of the others.
macro_rules! like_the_first {
    ($($(#[$doc:meta])* $name:ident<$first:ident $(, $other:ident)*>;)+) => {
        $(
            $(#[$doc])*
            pub struct $name<$first $(, $other)*>(PhantomData<$first>, PhantomData<fn() -> ($($other,)*)>);

            impl<$first: Clone $(, $other)*> Clone for $name<$first $(, $other)*> {
                fn clone(&self) -> Self {
                    Self(PhantomData, PhantomData)
                }
            }

            impl<$first: fmt::Debug $(, $other)*> fmt::Debug for $name<$first $(, $other)*> {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(stringify!($name))
                }
            }
        )+
    };
}

like_the_first! {
    /// A service whose futures are [`Fut<F, Result<Res, Err>>`](Fut).
    Svc<S, F, Res, Err>;
    /// A future.
    Fut<F, Out>;
    /// A stream.
    Items<S, Item>;
    /// A type that can be converted into an [`Items`].
    Many<M, S, Item>;
    /// A retry policy that waits for [`Fut<F, ()>`](Fut), and a hedge policy.
    Policy<L, F>;
    /// A predicate that waits for [`Fut<F, ...>`](Fut), and returns a `Req` for any request.
    Check<C, F, Req>;
}

/// A parameter that must always be `Clone`.
pub struct Cloned<S>(S);

impl<S> Clone for Cloned<S> {
    fn clone(&self) -> Self {
        unreachable!("nothing here is ever made")
    }
}

impl<S, F, Res, Err, Req> Service<Req> for Svc<S, F, Res, Err> {
    type Response = Res;
    type Error = Err;
    type Future = Fut<F, Result<Res, Err>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Err>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: Req) -> Self::Future {
        Fut(PhantomData, PhantomData)
    }
}

impl<S: Service<Req>, Req> Service<Req> for Cloned<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        self.0.call(request)
    }
}

impl<F, Out> Future for Fut<F, Out> {
    type Output = Out;

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Out> {
        Poll::Pending
    }
}

impl<S, Item> Stream for Items<S, Item> {
    type Item = Item;

    fn poll_next(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Item>> {
        Poll::Ready(None)
    }
}

impl<S, Item> Iterator for Items<S, Item> {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        None
    }
}

impl<M, S, Item> IntoIterator for Many<M, S, Item> {
    type Item = Item;
    type IntoIter = Items<S, Item>;

    fn into_iter(self) -> Items<S, Item> {
        Items(PhantomData, PhantomData)
    }
}

/// A discovery for a balancer.
pub type Changes<D, K, S, Err> = Items<D, Result<Change<K, S>, Err>>;

impl<L, F, Req, Res, Err> tower::retry::Policy<Req, Res, Err> for Policy<L, F> {
    type Future = Fut<F, ()>;

    fn retry(&mut self, _request: &mut Req, _result: &mut Result<Res, Err>) -> Option<Fut<F, ()>> {
        None
    }

    fn clone_request(&mut self, _request: &Req) -> Option<Req> {
        None
    }
}

impl<P, Req> tower::hedge::Policy<Req> for Cloned<P> {
    fn clone_request(&self, _request: &Req) -> Option<Req> {
        None
    }

    fn can_retry(&self, _request: &Req) -> bool {
        false
    }
}

impl<C, F, Req, Any> AsyncPredicate<Any> for Check<C, F, Req> {
    type Future = Fut<F, Result<Req, BoxError>>;
    type Request = Req;

    fn check(&mut self, _request: Any) -> Self::Future {
        Fut(PhantomData, PhantomData)
    }
}
