//! Every public name of tower 0.5.3, and the traits of its types. `compat/faults/run` also compiles this against tower 0.5.3.
#![cfg(feature = "full")]
#![allow(unused_imports, reason = "that they are there is the point")]

use std::fmt::Debug;
use std::future::Ready;

use tower::balance::error::Discover as _;
use tower::balance::p2c::{Balance, MakeBalance, MakeBalanceLayer, MakeFuture};
use tower::buffer::error::{Closed, ServiceError};
use tower::buffer::{Buffer, BufferLayer};
use tower::discover::{Change, Discover, ServiceList};
use tower::filter::{
    AsyncFilter, AsyncFilterLayer, AsyncPredicate, Filter, FilterLayer, Predicate,
};
use tower::hedge::{Future as _, Hedge, Policy as _};
use tower::layer::util::{Identity, Stack};
use tower::layer::{LayerFn, layer_fn};
use tower::limit::concurrency::{
    ConcurrencyLimit as _, ConcurrencyLimitLayer as _, GlobalConcurrencyLimitLayer as _,
};
use tower::limit::rate::{Rate, RateLimit as _, RateLimitLayer as _};
use tower::limit::{
    ConcurrencyLimit, ConcurrencyLimitLayer, GlobalConcurrencyLimitLayer, RateLimit, RateLimitLayer,
};
use tower::load::completion::{
    CompleteOnResponse as _, TrackCompletion as _, TrackCompletionFuture,
};
use tower::load::peak_ewma::{Cost, Handle as _, PeakEwma as _, PeakEwmaDiscover as _};
use tower::load::pending_requests::{
    Count, Handle as _, PendingRequests as _, PendingRequestsDiscover as _,
};
use tower::load::{
    CompleteOnResponse, Constant, Load, PeakEwma, PeakEwmaDiscover, PendingRequests,
    PendingRequestsDiscover, TrackCompletion,
};
use tower::load_shed::error::Overloaded;
use tower::load_shed::{LoadShed, LoadShedLayer};
use tower::make::future::SharedFuture;
use tower::make::{AsService, IntoService, MakeConnection, MakeService as _, Shared};
use tower::ready_cache::ReadyCache;
use tower::ready_cache::cache::{Equivalent, ReadyCache as _};
use tower::ready_cache::error::Failed;
use tower::reconnect::{Reconnect, ResponseFuture as _};
use tower::retry::backoff::{
    Backoff, ExponentialBackoff, ExponentialBackoffMaker, InvalidBackoff, MakeBackoff,
};
use tower::retry::budget::{Budget, TpsBudget, tps_budget::TpsBudget as _};
use tower::retry::{Policy, Retry, RetryLayer};
use tower::spawn_ready::{SpawnReady, SpawnReadyLayer};
use tower::steer::{Picker, Steer};
use tower::timeout::error::Elapsed;
use tower::timeout::{Timeout, TimeoutLayer};
use tower::util::error::optional::None as _;
use tower::util::future::{
    AndThenFuture, EitherResponseFuture, MapErrFuture, MapResponseFuture, MapResultFuture,
    ThenFuture, optional::ResponseFuture as _,
};
use tower::util::rng::{HasherRng, Rng};
use tower::util::{
    AndThen, AndThenLayer, BoxCloneService, BoxCloneServiceLayer, BoxCloneSyncService,
    BoxCloneSyncServiceLayer, BoxLayer, BoxService, CallAll, CallAllUnordered, Either,
    FutureService, MapErr, MapErrLayer, MapFuture, MapFutureLayer, MapRequest, MapRequestLayer,
    MapResponse, MapResponseLayer, MapResult, MapResultLayer, Oneshot, Optional, Ready as _,
    ReadyOneshot, ServiceFn, Then, ThenLayer, UnsyncBoxService, future_service, option_layer,
};
use tower::{BoxError, Layer, MakeService, Service, ServiceBuilder, ServiceExt, service_fn};

mod futures_of_layers {
    use tower::buffer::future::ResponseFuture as _;
    use tower::filter::future::{AsyncResponseFuture, ResponseFuture as _};
    use tower::limit::concurrency::future::ResponseFuture as _;
    use tower::load_shed::future::ResponseFuture as _;
    use tower::retry::future::ResponseFuture as _;
    use tower::spawn_ready::future::ResponseFuture as _;
    use tower::timeout::future::ResponseFuture as _;
}

/// A service, predicate, policy and target, for every parameter.
#[derive(Clone, Debug)]
struct Any;

impl Service<u8> for Any {
    type Response = ();
    type Error = BoxError;
    type Future = Ready<Result<(), BoxError>>;

    fn poll_ready(
        &mut self,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), BoxError>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: u8) -> Self::Future {
        std::future::ready(Ok(()))
    }
}

type Changes = ServiceList<Vec<Any>>;
type Future = Ready<Result<(), BoxError>>;

macro_rules! assert_impl {
    ($($bound:ident)+: $($type:ty),+ $(,)?) => {
        const _: () = { const fn is<T: $($bound +)+ ?Sized>() {} $(is::<$type>();)+ };
    };
}

assert_impl!(Clone Debug Send Sync Unpin:
    AsyncFilter<Any, Any>, AsyncFilterLayer<Any>, BufferLayer<u8>, ConcurrencyLimit<Any>,
    ConcurrencyLimitLayer, Either<Any, Any>, ExponentialBackoff, ExponentialBackoffMaker,
    Filter<Any, Any>, FilterLayer<Any>, GlobalConcurrencyLimitLayer, HasherRng, Identity,
    IntoService<Any, u8>, LoadShed<Any>, LoadShedLayer, MakeBalance<Any, u8>,
    MakeBalanceLayer<Any, u8>, Rate, RateLimitLayer, Retry<Any, Any>, RetryLayer<Any>,
    Shared<Any>, SpawnReadyLayer, Stack<Any, Any>, Timeout<Any>, TimeoutLayer,
    CompleteOnResponse, BoxCloneSyncService<u8, (), BoxError>,
    ServiceBuilder<Identity>,
    AndThen<Any, Any>, AndThenLayer<Any>, MapErr<Any, Any>, MapErrLayer<Any>,
    MapFuture<Any, Any>, MapFutureLayer<Any>, MapRequest<Any, Any>, MapRequestLayer<Any>,
    MapResponse<Any, Any>, MapResponseLayer<Any>, MapResult<Any, Any>, MapResultLayer<Any>,
    ServiceFn<Any>, Then<Any, Any>, ThenLayer<Any>,
);
assert_impl!(Debug Send Sync Unpin:
    Balance<Changes, u8>, Buffer<u8, Future>, Change<u8, Any>, Closed, Constant<Any, u8>, Cost,
    Count, Discovery, Elapsed, Failed<u8>, Hedge<Any, Any>, InvalidBackoff, Optional<Any>,
    Overloaded, PeakEwma<Any>, PeakEwmaDiscover<Any>, PendingRequests<Any>,
    PendingRequestsDiscover<Any>, RateLimit<Any>, ReadyCache<u8, Any, u8>, ServiceError,
    ServiceList<Vec<Any>>, SpawnReady<Any>, TpsBudget, BoxService<u8, (), BoxError>,
    BoxLayer<Any, u8, (), BoxError>, BoxCloneServiceLayer<Any, u8, (), BoxError>,
    BoxCloneSyncServiceLayer<Any, u8, (), BoxError>,
);
assert_impl!(Clone Debug Send: BoxCloneService<u8, (), BoxError>, Steer<Any, Any, u8>);
assert_impl!(Default: CompleteOnResponse, ExponentialBackoffMaker, HasherRng, LoadShedLayer,
    MakeBalanceLayer<Any, u8>, ReadyCache<u8, Any, u8>, ServiceBuilder<Identity>, SpawnReadyLayer,
    TpsBudget, Elapsed, Overloaded);
assert_impl!(Copy: Rate, Cost, Count, ServiceFn<u8>);

type Discovery = tower::balance::error::Discover;

use std::error::Error;
assert_impl!(Error: Closed, Discovery, Elapsed, Failed<u8>, InvalidBackoff, Overloaded,
    ServiceError, tower::util::error::optional::None);

/// Compiles only with the bounds and the return types of tower 0.5.
#[test]
fn compiles() {
    fn of_any_service<S>(service: S) -> impl Service<u8, Response = (), Error = BoxError> + Clone
    where
        S: Service<u8, Response = (), Error = BoxError> + Clone + Send + 'static,
        S::Future: Send,
    {
        ServiceBuilder::new()
            .option_layer(Some(LoadShedLayer::new()))
            .layer(GlobalConcurrencyLimitLayer::new(1))
            .layer_fn(|inner| inner)
            .and_then(|()| std::future::ready(Ok::<_, BoxError>(())))
            .map_future(|future| future)
            .check_service::<S, u8, (), BoxError>()
            .service(service)
    }
    let _service = of_any_service(Any);
    let _: BoxService<u8, (), BoxError> = ServiceBuilder::new().boxed().service(Any);
    let _: Timeout<Any> = ServiceBuilder::new()
        .timeout(std::time::Duration::from_secs(1))
        .service(Any);
}

/// Names that this family adds to tower 0.5.3, as methods of a user's trait: calls of them are not ambiguous.
mod names_of_a_user {
    use std::future::Ready;

    use tower::hedge::Policy as _;
    use tower::load::Load;
    use tower::retry::Policy as _;
    use tower::retry::budget::Budget;
    use tower::{BoxError, ServiceExt as _};

    use super::Any;

    trait Names: Sized {
        fn boxed_clone_sync(self) -> &'static str {
            "boxed_clone_sync"
        }

        fn buffered(self) -> &'static str {
            "buffered"
        }

        fn retry(&self) -> &'static str {
            "retry"
        }

        fn weight(&self) -> &'static str {
            "weight"
        }

        fn relative_weight(&self) -> &'static str {
            "relative_weight"
        }

        fn prepare(&self) -> &'static str {
            "prepare"
        }

        fn prepare_copy(&self) -> &'static str {
            "prepare_copy"
        }

        fn fail(&self) -> &'static str {
            "fail"
        }

        fn poll_give_up(&mut self) -> &'static str {
            "poll_give_up"
        }
    }

    impl Names for Any {}

    impl Load for Any {
        type Metric = u32;

        fn load(&self) -> u32 {
            0
        }
    }

    impl Budget for Any {
        fn deposit(&self) {}

        fn withdraw(&self) -> bool {
            false
        }
    }

    impl tower::hedge::Policy<u8> for Any {
        fn clone_request(&self, _request: &u8) -> Option<u8> {
            None
        }

        fn can_retry(&self, _request: &u8) -> bool {
            false
        }
    }

    /// A retry policy, whose trait has a method `retry` in tower 0.5.3 as well.
    struct Attempts;

    impl Names for Attempts {}

    impl tower::retry::Policy<u8, (), BoxError> for Attempts {
        type Future = Ready<()>;

        fn retry(
            &mut self,
            _request: &mut u8,
            _result: &mut Result<(), BoxError>,
        ) -> Option<Ready<()>> {
            None
        }

        fn clone_request(&mut self, _request: &u8) -> Option<u8> {
            None
        }
    }

    #[test]
    fn are_not_ambiguous() {
        assert_eq!(Any.boxed_clone_sync(), "boxed_clone_sync");
        assert_eq!(Any.buffered(), "buffered");
        assert_eq!(Any.retry(), "retry");
        assert_eq!(Any.weight(), "weight");
        assert_eq!(Any.relative_weight(), "relative_weight");
        assert_eq!(Any.prepare(), "prepare");
        assert_eq!(Any.prepare_copy(), "prepare_copy");
        assert_eq!(Any.fail(), "fail");
        assert_eq!(Attempts.poll_give_up(), "poll_give_up");
    }
}
