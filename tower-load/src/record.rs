//! Records the result of a request in its handle, before the handle is passed to the completion.

use std::fmt;
use std::marker::PhantomData;

use tower_classify::Classify;

use crate::handle::Handle;

/// Records the result of a request in its handle `H`.
#[expect(unnameable_types, reason = "the trait is sealed")]
pub trait Record<H, T, E> {
    fn record(&self, handle: &mut H, result: Result<&T, &E>);
}

/// Records nothing.
#[derive(Clone, Copy, Debug)]
#[expect(unnameable_types, reason = "a default that callers never name")]
pub struct NoRecord;

impl<H, T, E> Record<H, T, E> for NoRecord {
    #[inline]
    fn record(&self, _handle: &mut H, _result: Result<&T, &E>) {}
}

/// Records the class of the result.
#[expect(
    unnameable_types,
    reason = "only part of the response future of `PeakEwma`"
)]
pub struct RecordClass<K, I, Req> {
    classify: K,
    info: I,
    _marker: PhantomData<fn(Req)>,
}

impl<K, I, Req> RecordClass<K, I, Req> {
    #[inline]
    pub(crate) fn new<T, E>(classify: K, request: &Req) -> Self
    where
        K: Classify<Req, T, E, Info = I>,
    {
        Self {
            info: classify.info(request),
            classify,
            _marker: PhantomData,
        }
    }
}

impl<K, Req, T, E> Record<Handle, T, E> for RecordClass<K, K::Info, Req>
where
    K: Classify<Req, T, E>,
{
    #[inline]
    fn record(&self, handle: &mut Handle, result: Result<&T, &E>) {
        handle.set_class(self.classify.classify(&self.info, result));
    }
}

impl<K, I, Req> fmt::Debug for RecordClass<K, I, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordClass").finish_non_exhaustive()
    }
}
