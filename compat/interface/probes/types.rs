//! Every public type of tower 0.5.3. `run` checks that none is missing.

use tower::Service;

use crate::parameters::{Changes, Check, Cloned, Fut, Items, Many, Policy, Svc};
use crate::probe::Row;

pub fn print() {
    let mut rows: Vec<Row> = Vec::new();
    balance(&mut rows);
    layers(&mut rows);
    adaptors(&mut rows);
    boxes(&mut rows);
    futures(&mut rows);
    plain(&mut rows);
    rows.iter().for_each(Row::print);
}

fn balance(rows: &mut Vec<Row>) {
    probe!(rows, "tower::balance::p2c::Balance", <D, K, S, F, Res, Err, Fail, Req>,
        tower::balance::p2c::Balance<Changes<D, K, Svc<S, F, Res, Err>, Fail>, Req>);
    probe!(rows, "tower::balance::p2c::MakeBalance", <S, Req>, tower::balance::p2c::MakeBalance<S, Req>);
    probe!(rows, "tower::balance::p2c::MakeBalanceLayer", <D, Req>, tower::balance::p2c::MakeBalanceLayer<D, Req>);
    probe!(rows, "tower::balance::p2c::MakeFuture", <F, Out, Req>, tower::balance::p2c::MakeFuture<Fut<F, Out>, Req>);
    probe!(rows, "tower::discover::Change", <K, V>, tower::discover::Change<K, V>);
    probe!(rows, "tower::discover::ServiceList", <M, S, Item>, tower::discover::ServiceList<Many<M, S, Item>>);
    probe!(rows, "tower::load::Constant", <T, M>, tower::load::Constant<T, M>);
    probe!(rows, "tower::load::PeakEwma", <S, C>, tower::load::PeakEwma<S, C>);
    probe!(rows, "tower::load::PeakEwmaDiscover", <D, C>, tower::load::PeakEwmaDiscover<D, C>);
    probe!(rows, "tower::load::PendingRequests", <S, C>, tower::load::PendingRequests<S, C>);
    probe!(rows, "tower::load::PendingRequestsDiscover", <D, C>, tower::load::PendingRequestsDiscover<D, C>);
    probe!(rows, "tower::ready_cache::ReadyCache", <K, S, F, Res, Err, Req>,
        tower::ready_cache::ReadyCache<K, Svc<S, F, Res, Err>, Req>);
}

fn layers(rows: &mut Vec<Row>) {
    probe!(rows, "tower::buffer::Buffer", <Req, F, Out>, tower::buffer::Buffer<Req, Fut<F, Out>>);
    probe!(rows, "tower::buffer::BufferLayer", <Req>, tower::buffer::BufferLayer<Req>);
    probe!(rows, "tower::filter::Filter", <S, F>, tower::filter::Filter<S, F>);
    probe!(rows, "tower::filter::FilterLayer", <F>, tower::filter::FilterLayer<F>);
    probe!(rows, "tower::filter::AsyncFilter", <S, F>, tower::filter::AsyncFilter<S, F>);
    probe!(rows, "tower::filter::AsyncFilterLayer", <F>, tower::filter::AsyncFilterLayer<F>);
    probe!(rows, "tower::hedge::Hedge", <S, F, Res, Err, P>, tower::hedge::Hedge<Svc<S, F, Res, Err>, P>);
    probe!(rows, "tower::limit::ConcurrencyLimit", <S>, tower::limit::ConcurrencyLimit<S>);
    probe!(rows, "tower::limit::RateLimit", <S>, tower::limit::RateLimit<S>);
    probe!(rows, "tower::load_shed::LoadShed", <S>, tower::load_shed::LoadShed<S>);
    probe!(rows, "tower::make::Shared", <S>, tower::make::Shared<S>);
    probe!(rows, "tower::make::AsService", <M, Req>, tower::make::AsService<'static, M, Req>);
    probe!(rows, "tower::make::IntoService", <M, Req>, tower::make::IntoService<M, Req>);
    probe!(rows, "tower::reconnect::Reconnect", <M, F, Res, Err, Target>,
        tower::reconnect::Reconnect<Svc<M, F, Res, Err>, Target>);
    probe!(rows, "tower::retry::Retry", <P, S>, tower::retry::Retry<P, S>);
    probe!(rows, "tower::retry::RetryLayer", <P>, tower::retry::RetryLayer<P>);
    probe!(rows, "tower::spawn_ready::SpawnReady", <S>, tower::spawn_ready::SpawnReady<S>);
    probe!(rows, "tower::steer::Steer", <S, F, Req>, tower::steer::Steer<S, F, Req>);
    probe!(rows, "tower::timeout::Timeout", <S>, tower::timeout::Timeout<S>);
    probe!(rows, "tower::ServiceBuilder", <L>, tower::ServiceBuilder<L>);
    probe!(rows, "tower::layer::LayerFn", <F>, tower::layer::LayerFn<F>);
    probe!(rows, "tower::layer::util::Stack", <A, B>, tower::layer::util::Stack<A, B>);
}

fn adaptors(rows: &mut Vec<Row>) {
    probe!(rows, "tower::util::AndThen", <S, F>, tower::util::AndThen<S, F>);
    probe!(rows, "tower::util::AndThenLayer", <F>, tower::util::AndThenLayer<F>);
    probe!(rows, "tower::util::Either", <A, B>, tower::util::Either<A, B>);
    probe!(rows, "tower::util::FutureService", <F, S>, tower::util::FutureService<F, S>);
    probe!(rows, "tower::util::MapErr", <S, F>, tower::util::MapErr<S, F>);
    probe!(rows, "tower::util::MapErrLayer", <F>, tower::util::MapErrLayer<F>);
    probe!(rows, "tower::util::MapFuture", <S, F>, tower::util::MapFuture<S, F>);
    probe!(rows, "tower::util::MapFutureLayer", <F>, tower::util::MapFutureLayer<F>);
    probe!(rows, "tower::util::MapRequest", <S, F>, tower::util::MapRequest<S, F>);
    probe!(rows, "tower::util::MapRequestLayer", <F>, tower::util::MapRequestLayer<F>);
    probe!(rows, "tower::util::MapResponse", <S, F>, tower::util::MapResponse<S, F>);
    probe!(rows, "tower::util::MapResponseLayer", <F>, tower::util::MapResponseLayer<F>);
    probe!(rows, "tower::util::MapResult", <S, F>, tower::util::MapResult<S, F>);
    probe!(rows, "tower::util::MapResultLayer", <F>, tower::util::MapResultLayer<F>);
    probe!(rows, "tower::util::Optional", <S>, tower::util::Optional<S>);
    probe!(rows, "tower::util::ServiceFn", <F>, tower::util::ServiceFn<F>);
    probe!(rows, "tower::util::Then", <S, F>, tower::util::Then<S, F>);
    probe!(rows, "tower::util::ThenLayer", <F>, tower::util::ThenLayer<F>);
    probe!(rows, "tower::util::CallAll", <S, F, Res, Err, St, Req>,
        tower::util::CallAll<Svc<S, F, Res, Err>, Items<St, Req>>);
    probe!(rows, "tower::util::CallAllUnordered", <S, F, Res, Err, St, Req>,
        tower::util::CallAllUnordered<Svc<S, F, Res, Err>, Items<St, Req>>);
}

fn boxes(rows: &mut Vec<Row>) {
    probe!(rows, "tower::util::BoxService", <T, U, E>, tower::util::BoxService<T, U, E>);
    probe!(rows, "tower::util::BoxCloneService", <T, U, E>, tower::util::BoxCloneService<T, U, E>);
    probe!(rows, "tower::util::BoxCloneSyncService", <T, U, E>, tower::util::BoxCloneSyncService<T, U, E>);
    probe!(rows, "tower::util::UnsyncBoxService", <T, U, E>, tower::util::UnsyncBoxService<T, U, E>);
    probe!(rows, "tower::util::BoxLayer", <In, T, U, E>, tower::util::BoxLayer<In, T, U, E>);
    probe!(rows, "tower::util::BoxCloneServiceLayer", <In, T, U, E>, tower::util::BoxCloneServiceLayer<In, T, U, E>);
    probe!(rows, "tower::util::BoxCloneSyncServiceLayer", <In, T, U, E>,
        tower::util::BoxCloneSyncServiceLayer<In, T, U, E>);
}

fn futures(rows: &mut Vec<Row>) {
    probe!(rows, "tower::buffer::future::ResponseFuture", <F, Out>, tower::buffer::future::ResponseFuture<Fut<F, Out>>);
    probe!(rows, "tower::filter::future::ResponseFuture", <R, F>, tower::filter::future::ResponseFuture<R, F>);
    probe!(rows, "tower::filter::future::AsyncResponseFuture", <C, F, Checked, S, G, Res, Err, Req>,
        tower::filter::future::AsyncResponseFuture<Check<C, F, Checked>, Svc<S, G, Res, Err>, Req>);
    // Its parameters differ, but those of tower 0.5.3 cannot be named, since they are private.
    probe!(rows, "tower::hedge::Future", <S, F, Res, Err, P, Req>,
        <tower::hedge::Hedge<Cloned<Svc<S, F, Res, Err>>, Cloned<P>> as Service<Req>>::Future);
    probe!(rows, "tower::limit::concurrency::future::ResponseFuture", <F>,
        tower::limit::concurrency::future::ResponseFuture<F>);
    probe!(rows, "tower::load::completion::TrackCompletionFuture", <F, C, H>,
        tower::load::completion::TrackCompletionFuture<F, C, H>);
    probe!(rows, "tower::load_shed::future::ResponseFuture", <F>, tower::load_shed::future::ResponseFuture<F>);
    probe!(rows, "tower::make::future::SharedFuture", <S>, tower::make::future::SharedFuture<S>);
    probe!(rows, "tower::reconnect::ResponseFuture", <F, E>, tower::reconnect::ResponseFuture<F, E>);
    probe!(rows, "tower::retry::future::ResponseFuture", <L, W, S, F, Res, Err, Req>,
        tower::retry::future::ResponseFuture<Policy<L, W>, Svc<S, F, Res, Err>, Req>);
    probe!(rows, "tower::spawn_ready::future::ResponseFuture", <F, E>,
        tower::spawn_ready::future::ResponseFuture<F, E>);
    probe!(rows, "tower::timeout::future::ResponseFuture", <F>, tower::timeout::future::ResponseFuture<F>);
    probe!(rows, "tower::util::future::AndThenFuture", <F, G, Res, Err, N>,
        tower::util::future::AndThenFuture<F, Fut<G, Result<Res, Err>>, N>);
    probe!(rows, "tower::util::future::EitherResponseFuture", <A, B>, tower::util::future::EitherResponseFuture<A, B>);
    probe!(rows, "tower::util::future::MapErrFuture", <F, N>, tower::util::future::MapErrFuture<F, N>);
    probe!(rows, "tower::util::future::MapResponseFuture", <F, N>, tower::util::future::MapResponseFuture<F, N>);
    probe!(rows, "tower::util::future::MapResultFuture", <F, N>, tower::util::future::MapResultFuture<F, N>);
    probe!(rows, "tower::util::future::ThenFuture", <F, G, N>, tower::util::future::ThenFuture<F, G, N>);
    probe!(rows, "tower::util::future::optional::ResponseFuture", <F>,
        tower::util::future::optional::ResponseFuture<F>);
    probe!(rows, "tower::util::Oneshot", <S, F, Res, Err, Req>, tower::util::Oneshot<Svc<S, F, Res, Err>, Req>);
    probe!(rows, "tower::util::Ready", <S, Req>, tower::util::Ready<'static, S, Req>);
    probe!(rows, "tower::util::ReadyOneshot", <S, Req>, tower::util::ReadyOneshot<S, Req>);
}

/// The types without parameters, or with parameters that have defaults.
fn plain(rows: &mut Vec<Row>) {
    probe!(rows, "tower::balance::error::Discover", <>, tower::balance::error::Discover);
    probe!(rows, "tower::buffer::error::Closed", <>, tower::buffer::error::Closed);
    probe!(rows, "tower::buffer::error::ServiceError", <>, tower::buffer::error::ServiceError);
    probe!(rows, "tower::layer::util::Identity", <>, tower::layer::util::Identity);
    probe!(rows, "tower::limit::ConcurrencyLimitLayer", <>, tower::limit::ConcurrencyLimitLayer);
    probe!(rows, "tower::limit::GlobalConcurrencyLimitLayer", <>, tower::limit::GlobalConcurrencyLimitLayer);
    probe!(rows, "tower::limit::RateLimitLayer", <>, tower::limit::RateLimitLayer);
    probe!(rows, "tower::limit::rate::Rate", <>, tower::limit::rate::Rate);
    probe!(rows, "tower::load::CompleteOnResponse", <>, tower::load::CompleteOnResponse);
    probe!(rows, "tower::load::peak_ewma::Cost", <>, tower::load::peak_ewma::Cost);
    probe!(rows, "tower::load::peak_ewma::Handle", <>, tower::load::peak_ewma::Handle);
    probe!(rows, "tower::load::pending_requests::Count", <>, tower::load::pending_requests::Count);
    probe!(rows, "tower::load::pending_requests::Handle", <>, tower::load::pending_requests::Handle);
    probe!(rows, "tower::load_shed::LoadShedLayer", <>, tower::load_shed::LoadShedLayer);
    probe!(rows, "tower::load_shed::error::Overloaded", <>, tower::load_shed::error::Overloaded);
    probe!(rows, "tower::ready_cache::error::Failed", <K>, tower::ready_cache::error::Failed<K>);
    probe!(rows, "tower::retry::backoff::ExponentialBackoff", <R>, tower::retry::backoff::ExponentialBackoff<R>);
    probe!(rows, "tower::retry::backoff::ExponentialBackoffMaker", <R>,
        tower::retry::backoff::ExponentialBackoffMaker<R>);
    probe!(rows, "tower::retry::backoff::InvalidBackoff", <>, tower::retry::backoff::InvalidBackoff);
    probe!(rows, "tower::retry::budget::TpsBudget", <>, tower::retry::budget::TpsBudget);
    probe!(rows, "tower::spawn_ready::SpawnReadyLayer", <>, tower::spawn_ready::SpawnReadyLayer);
    probe!(rows, "tower::timeout::TimeoutLayer", <>, tower::timeout::TimeoutLayer);
    probe!(rows, "tower::timeout::error::Elapsed", <>, tower::timeout::error::Elapsed);
    probe!(rows, "tower::util::error::optional::None", <>, tower::util::error::optional::None);
    probe!(rows, "tower::util::rng::HasherRng", <H>, tower::util::rng::HasherRng<H>);
}
