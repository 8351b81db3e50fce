//! What a response future notes in a handle, before the handle goes where the completion puts it.

use std::fmt;
use std::marker::PhantomData;

use tower_classify::Classify;

use crate::peak_ewma::Handle;

/// Notes in the handle `H` of a request what came of it.
#[expect(unnameable_types, reason = "that is how a trait is sealed")]
pub trait Note<H, T, E> {
    fn note(&self, handle: &mut H, result: Result<&T, &E>);
}

/// Notes nothing.
#[derive(Clone, Copy, Debug)]
#[expect(unnameable_types, reason = "the default, which is never named")]
pub struct NoNote;

impl<H, T, E> Note<H, T, E> for NoNote {
    #[inline]
    fn note(&self, _handle: &mut H, _result: Result<&T, &E>) {}
}

/// Notes the class of the result.
#[expect(
    unnameable_types,
    reason = "only the response future of `PeakEwma` has it"
)]
pub struct NoteClass<K, I, Req> {
    classify: K,
    info: I,
    _marker: PhantomData<fn(Req)>,
}

impl<K, I, Req> NoteClass<K, I, Req> {
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

impl<K, Req, T, E> Note<Handle, T, E> for NoteClass<K, K::Info, Req>
where
    K: Classify<Req, T, E>,
{
    #[inline]
    fn note(&self, handle: &mut Handle, result: Result<&T, &E>) {
        handle.set_class(self.classify.classify(&self.info, result));
    }
}

impl<K, I, Req> fmt::Debug for NoteClass<K, I, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NoteClass").finish_non_exhaustive()
    }
}
