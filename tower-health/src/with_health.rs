use std::fmt;
use std::hash::Hash;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use pin_project_lite::pin_project;
use tower_discover::{Change, Discover};
use tower_service::Service;

use crate::check::{CheckConfig, CheckHealth, Verdict};
use crate::policy::accrual::AccrualConfig;
use crate::policy::outlier::OutlierConfig;
use crate::policy::{InvalidPolicy, SlowStart};
use crate::{
    AccrueFailures, BoxError, EjectOutliers, EndpointStates, Health, Observe, SlowStartDiscover,
    TimeoutEndpoints,
};

pin_project! {
    /// A [`Discover`] and the [`Health`] that its wrappers share; created by [`HealthExt`](crate::HealthExt).
    ///
    /// As a `Discover`, it behaves like the one it holds. Each method adds a wrapper that shares the health.
    ///
    /// # Cost
    ///
    /// None on top of the wrappers that were added.
    pub struct WithHealth<D>
    where
        D: Discover,
    {
        #[pin]
        inner: D,
        health: Health<D::Key>,
    }
}

impl<D: Discover> WithHealth<D> {
    pub(crate) const fn new(inner: D, health: Health<D::Key>) -> Self {
        Self { inner, health }
    }

    /// Returns the health that the wrappers share.
    pub const fn health(&self) -> &Health<D::Key> {
        &self.health
    }

    /// Returns a reference to the inner `Discover`, with the wrappers added so far.
    pub const fn get_ref(&self) -> &D {
        &self.inner
    }

    /// Returns a mutable reference to the inner `Discover`, with the wrappers added so far.
    pub const fn get_mut(&mut self) -> &mut D {
        &mut self.inner
    }

    /// Consumes `self`, returning the inner `Discover`, with the wrappers added so far.
    pub fn into_inner(self) -> D {
        self.inner
    }
}

impl<D> WithHealth<D>
where
    D: Discover<Key: Hash + Clone + fmt::Debug> + Unpin,
{
    /// See [`HealthExt::timeout_endpoints`](crate::HealthExt::timeout_endpoints).
    pub fn timeout_endpoints(self, timeout: Duration) -> WithHealth<TimeoutEndpoints<D>> {
        WithHealth::new(TimeoutEndpoints::new(self.inner, timeout), self.health)
    }

    /// See [`HealthExt::eject_outliers`](crate::HealthExt::eject_outliers).
    ///
    /// # Errors
    ///
    /// If a setting of `config` is out of range.
    pub fn eject_outliers<C: Clone>(
        self,
        config: OutlierConfig,
        classify: C,
    ) -> Result<WithHealth<EjectOutliers<D, C>>, InvalidPolicy> {
        let wrapped = EjectOutliers::new(self.inner, config, classify)?;
        let wrapped = wrapped.with_health(self.health.clone());
        Ok(WithHealth::new(wrapped, self.health))
    }

    /// See [`HealthExt::accrue_failures`](crate::HealthExt::accrue_failures).
    ///
    /// # Errors
    ///
    /// If a setting of `config` is out of range.
    pub fn accrue_failures<C: Clone>(
        self,
        config: AccrualConfig,
        classify: C,
    ) -> Result<WithHealth<AccrueFailures<D, C>>, InvalidPolicy> {
        let wrapped = AccrueFailures::new(self.inner, config, classify)?;
        let wrapped = wrapped.with_health(self.health.clone());
        Ok(WithHealth::new(wrapped, self.health))
    }

    /// See [`HealthExt::check_health`](crate::HealthExt::check_health).
    ///
    /// # Errors
    ///
    /// If a setting of `config` is out of range.
    pub fn check_health<M>(
        self,
        config: CheckConfig,
        check: M,
    ) -> Result<WithHealth<CheckHealth<D, M>>, InvalidPolicy>
    where
        M: Service<D::Key, Response = Verdict, Error: Into<BoxError>> + Clone,
    {
        let wrapped = CheckHealth::new(self.inner, config, check)?;
        let wrapped = wrapped.with_health(self.health.clone());
        Ok(WithHealth::new(wrapped, self.health))
    }

    /// See [`HealthExt::slow_start`](crate::HealthExt::slow_start).
    pub fn slow_start(self, slow_start: SlowStart) -> WithHealth<SlowStartDiscover<D>> {
        let wrapped = SlowStartDiscover::new(self.inner, slow_start);
        let wrapped = wrapped.with_health(self.health.clone());
        WithHealth::new(wrapped, self.health)
    }

    /// See [`HealthExt::observe`](crate::HealthExt::observe).
    pub fn observe(self, states: EndpointStates<D::Key>) -> WithHealth<Observe<D>> {
        WithHealth::new(Observe::new(self.inner, states), self.health)
    }
}

impl<D, K, S, E> Stream for WithHealth<D>
where
    D: Discover<Key = K, Service = S, Error = E>,
{
    type Item = Result<Change<K, S>, E>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.project().inner.poll_discover(cx)
    }
}

impl<D: Discover + fmt::Debug> fmt::Debug for WithHealth<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithHealth")
            .field("inner", &self.inner)
            .field("health", &self.health)
            .finish()
    }
}
