//! Hedging: sends a request to a second endpoint if the first is slow to respond.

use std::sync::Arc;

use http::Request;
use tower::classify::http::HttpClassify;
use tower::hedge::http::{HedgeResponses, HttpPolicy};
use tower::hedge::{Event, HedgeLayer, InvalidHedge, KeepResults};
use tower::retry::budget::Budget;
use tower::util::Tried;

use super::classify::HedgeErrors;
use crate::config::Hedge;
use crate::front::body::RequestBody;
use crate::metrics::RouteStats;

/// Returns the hedge layer of a route; `retries` is its retry budget.
///
/// # Errors
///
/// If a number is out of its range; a checked configuration has no such number.
pub fn layer(
    config: &Hedge,
    retries: &Arc<dyn Budget + Send + Sync>,
    stats: &RouteStats,
) -> Result<
    HedgeLayer<HttpPolicy<RequestBody>, HedgeResponses<HedgeErrors>, KeepResults>,
    InvalidHedge,
> {
    let (hedges, won) = (stats.hedges.clone(), stats.hedges_won.clone());
    let policy = HttpPolicy::replayed().grpc(config.grpc);
    let results = HttpClassify::new().errors(HedgeErrors);
    let mut layer = HedgeLayer::builder()
        .percentile(config.percentile)
        .window(config.window)
        .floor(config.min_delay)
        .max_extra(config.max_extra_load)
        .policy(policy)
        .classify(HedgeResponses::from(results))
        .on_event(move |event: &Event| match event {
            Event::Sent { .. } => drop(hedges.inc()),
            Event::Won { .. } => drop(won.inc()),
            _ => {}
        });
    if config.share_retry_budget {
        layer = layer.share_budget(Arc::clone(retries));
    }
    layer.build()
}

/// Makes the balancer record the endpoints that get the request, so that its hedge goes to a different one.
pub fn note_endpoints<B>(mut request: Request<B>) -> Request<B> {
    request.extensions_mut().insert(Tried::new());
    request
}
