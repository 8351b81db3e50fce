//! The set of services, by key, slot and index.

use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

pub use indexmap::Equivalent;
use indexmap::{IndexMap, map};
use tower_readiness::Purpose;
use tower_service::Service;

use super::error::Failed;
use super::wake_queue::{Signal, WakeQueue};

/// A set of services that tracks which of them are ready; see the [module](super).
pub struct ReadyCache<K, S, Req>
where
    K: Eq + Hash,
{
    keys: IndexMap<K, Versions>,
    /// All services. A service stays in its slot until it is removed.
    slots: Vec<Option<Entry<K, S>>>,
    vacant: Vec<usize>,
    /// The slots of the ready services.
    ready: Vec<usize>,
    /// Incremented with each change of `ready`.
    generation: u64,
    wake_queue: Arc<WakeQueue>,
    /// The services that were woken and not yet polled, in reverse order.
    woken: Vec<Arc<Signal>>,
    /// The slot of a service that was called in place, to be polled next.
    called: Option<usize>,
    /// The task that `wake_queue` wakes.
    task: Option<Waker>,
    ids: Ids,
    _marker: PhantomData<fn(Req)>,
}

/// Small, reused numbers for keys, used by pickers.
#[derive(Default)]
struct Ids {
    /// The slot of the current service of each number in use.
    slots: Vec<Option<usize>>,
    vacant: Vec<u32>,
    /// Changes of the numbers, if they are tracked.
    changes: Option<Vec<IdChange>>,
}

/// A change of a number.
#[derive(Clone, Copy, Debug)]
pub(crate) enum IdChange {
    Inserted(usize),
    Removed(usize),
}

impl Ids {
    fn insert(&mut self, slot: usize) -> u32 {
        let id = self.vacant.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).expect("there are fewer than 2³²")
        });
        self.set(id, slot);
        id
    }

    /// Sets the current service of `id` to that in `slot`.
    fn set(&mut self, id: u32, slot: usize) {
        self.slots[id as usize] = Some(slot);
        self.note(IdChange::Inserted(id as usize));
    }

    fn remove(&mut self, id: u32) {
        self.slots[id as usize] = None;
        self.vacant.push(id);
        self.note(IdChange::Removed(id as usize));
    }

    fn note(&mut self, change: IdChange) {
        if let Some(changes) = &mut self.changes {
            changes.push(change);
        }
    }
}

/// The slots of the services with one key.
struct Versions {
    id: u32,
    current: usize,
    /// Replaces `current` when it is ready.
    next: Option<usize>,
}

struct Entry<K, S> {
    key: K,
    service: S,
    signal: Arc<Signal>,
    /// `signal`, as a waker for the service.
    waker: Waker,
    /// Its index in `ready`, if it is ready.
    index: Option<u32>,
    /// The number of its key.
    id: u32,
    /// Whether it has ever been ready.
    proven: bool,
    /// Whether it was pushed while there was another service with its key.
    succeeds: bool,
}

impl<K, S, Req> ReadyCache<K, S, Req>
where
    K: Eq + Hash,
{
    /// Returns the number of services; a service and its pending replacement count as two.
    pub fn len(&self) -> usize {
        self.slots.len() - self.vacant.len()
    }

    /// Returns the number of keys; a service and its pending replacement have the same key.
    pub(crate) fn keys_len(&self) -> usize {
        self.keys.len()
    }

    /// Returns whether there are no services.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of ready services.
    pub fn ready_len(&self) -> usize {
        self.ready.len()
    }

    /// Returns the number of services that are not ready.
    pub fn pending_len(&self) -> usize {
        self.len() - self.ready_len()
    }

    /// Returns whether a service with this key is pending.
    pub fn pending_contains<Q: Hash + Equivalent<K>>(&self, key: &Q) -> bool {
        let pending = |slot| self.entry(slot).index.is_none();
        self.keys
            .get(key)
            .is_some_and(|versions| pending(versions.current) || versions.next.is_some_and(pending))
    }

    /// Returns the ready service with this key, and its index; or `None` if it is not ready.
    pub fn get_ready<Q: Hash + Equivalent<K>>(&self, key: &Q) -> Option<(usize, &K, &S)> {
        let entry = self.entry(self.keys.get(key)?.current);
        Some((entry.index? as usize, &entry.key, &entry.service))
    }

    /// Returns the ready service with this key, and its index; or `None` if it is not ready.
    pub fn get_ready_mut<Q: Hash + Equivalent<K>>(
        &mut self,
        key: &Q,
    ) -> Option<(usize, &K, &mut S)> {
        let slot = self.keys.get(key)?.current;
        let entry = self.entry_mut(slot);
        Some((entry.index? as usize, &entry.key, &mut entry.service))
    }

    /// Returns the ready service with this index, and its key; or `None` if the index is out of range.
    #[inline]
    pub fn get_ready_index(&self, idx: usize) -> Option<(&K, &S)> {
        let entry = self.entry(*self.ready.get(idx)?);
        Some((&entry.key, &entry.service))
    }

    /// Returns the ready service with this index, which must be in range.
    #[inline]
    pub(crate) fn ready_at(&self, index: usize) -> &S {
        &self.entry(self.ready[index]).service
    }

    /// Returns the ready service with this index, and its key; or `None` if the index is out of range.
    pub fn get_ready_index_mut(&mut self, idx: usize) -> Option<(&K, &mut S)> {
        let entry = self.entry_mut(*self.ready.get(idx)?);
        Some((&entry.key, &mut entry.service))
    }

    /// Iterates over the ready services, in the order of their indices.
    pub fn iter_ready(&self) -> impl Iterator<Item = (&K, &S)> {
        self.ready.iter().map(|&slot| {
            let entry = self.entry(slot);
            (&entry.key, &entry.service)
        })
    }

    /// Iterates over the ready services, in arbitrary order.
    pub fn iter_ready_mut(&mut self) -> impl Iterator<Item = (&K, &mut S)> {
        let ready = self
            .slots
            .iter_mut()
            .flatten()
            .filter(|entry| entry.index.is_some());
        ready.map(|entry| (&entry.key, &mut entry.service))
    }

    /// Drops the services with this key. Returns `false` if there are none.
    pub fn evict<Q: Hash + Equivalent<K>>(&mut self, key: &Q) -> bool {
        let Some(versions) = self.keys.swap_remove(key) else {
            return false;
        };
        self.ids.remove(versions.id);
        drop(self.vacate(versions.current));
        if let Some(next) = versions.next {
            drop(self.vacate(next));
        }
        true
    }

    /// Returns the number of the ready service with this index.
    pub(crate) fn id_at(&self, index: usize) -> usize {
        self.entry(self.ready[index]).id as usize
    }

    /// Returns the key and the current service of this number, and its index if it is ready.
    pub(crate) fn get_id(&self, id: usize) -> Option<(&K, &S, Option<usize>)> {
        let entry = self.entry((*self.ids.slots.get(id)?)?);
        Some((
            &entry.key,
            &entry.service,
            entry.index.map(|index| index as usize),
        ))
    }

    /// Returns how often the set of ready services has changed.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Starts recording changes for [`take_id_changes`](Self::take_id_changes).
    pub(crate) fn track_ids(&mut self) {
        self.ids.changes = Some(Vec::new());
    }

    /// Takes the changes of the numbers since the last call.
    pub(crate) fn take_id_changes(&mut self) -> Vec<IdChange> {
        self.ids
            .changes
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    #[inline]
    fn entry(&self, slot: usize) -> &Entry<K, S> {
        self.slots[slot]
            .as_ref()
            .expect("a slot that is referred to is occupied")
    }

    #[inline]
    fn entry_mut(&mut self, slot: usize) -> &mut Entry<K, S> {
        self.slots[slot]
            .as_mut()
            .expect("a slot that is referred to is occupied")
    }

    fn vacate(&mut self, slot: usize) -> Entry<K, S> {
        self.set_pending(slot);
        if self.called == Some(slot) {
            self.called = None;
        }
        self.vacant.push(slot);
        self.slots[slot]
            .take()
            .expect("a slot that is referred to is occupied")
    }

    /// Out of line, as is [`set_ready`](Self::set_ready), so that polling a service that stays ready is small enough to
    /// be inlined.
    #[inline(never)]
    fn set_pending(&mut self, slot: usize) {
        if let Some(index) = self.entry_mut(slot).index.take() {
            self.generation += 1;
            self.ready.swap_remove(index as usize);
            if let Some(&moved) = self.ready.get(index as usize) {
                self.entry_mut(moved).index = Some(index);
            }
        }
    }

    #[inline(never)]
    fn set_ready(&mut self, slot: usize) {
        let entry = self.slots[slot]
            .as_mut()
            .expect("a slot that is referred to is occupied");
        if entry.index.is_none() {
            let index = self.ready.len();
            entry.index = Some(u32::try_from(index).expect("there are fewer than 2³²"));
            self.ready.push(slot);
            self.generation += 1;
        }
        if !std::mem::replace(&mut entry.proven, true) && entry.succeeds {
            self.replace_older(slot);
        }
    }

    /// Called when a service is ready for the first time. If it is a replacement, the older service is dropped now.
    fn replace_older(&mut self, slot: usize) {
        let key = &self.slots[slot].as_ref().expect("it is ready").key;
        let versions = self
            .keys
            .get_mut(key)
            .expect("each service has its key here");
        if versions.next == Some(slot) {
            versions.next = None;
            let older = std::mem::replace(&mut versions.current, slot);
            self.ids.set(versions.id, slot);
            drop(self.vacate(older));
        }
    }

    /// Removes a service that has failed. Its pending replacement, or the service that it would have replaced, is kept.
    #[cold]
    fn take_failed(&mut self, slot: usize) -> K {
        let key = self.vacate(slot).key;
        let versions = self
            .keys
            .get_mut(&key)
            .expect("each service has its key here");
        match versions.next.take() {
            Some(next) if next != slot => {
                versions.current = next;
                self.ids.set(versions.id, next);
            }
            Some(_) => {}
            None => {
                self.ids.remove(versions.id);
                self.keys.swap_remove(&key);
            }
        }
        key
    }
}

impl<K, S, Req> ReadyCache<K, S, Req>
where
    K: Clone + Eq + Hash,
    S: Service<Req>,
    S::Error: Into<crate::BoxError>,
{
    /// Adds a service, which is pending. If a service with the same key has been ready, it is kept until the new one is
    /// ready; otherwise it is dropped.
    ///
    /// This does not wake the polling task, so call [`poll_pending`](Self::poll_pending) afterwards.
    pub fn push(&mut self, key: K, svc: S) {
        let slot = self.vacant.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        let signal = Signal::new(slot, &self.wake_queue);
        signal.enqueue();
        let waker = Arc::clone(&signal).into();
        let (id, succeeds, outdated) = match self.keys.entry(key.clone()) {
            map::Entry::Vacant(vacant) => {
                let id = self.ids.insert(slot);
                vacant.insert(Versions {
                    id,
                    current: slot,
                    next: None,
                });
                (id, false, None)
            }
            map::Entry::Occupied(versions) => {
                let Versions { id, current, next } = versions.into_mut();
                let proven = self.slots[*current]
                    .as_ref()
                    .is_some_and(|current| current.proven);
                let outdated = if proven {
                    next.replace(slot)
                } else {
                    self.ids.set(*id, slot);
                    Some(std::mem::replace(current, slot))
                };
                (*id, true, outdated)
            }
        };
        self.slots[slot] = Some(Entry {
            key,
            service: svc,
            signal,
            waker,
            index: None,
            id,
            proven: false,
            succeeds,
        });
        if let Some(outdated) = outdated {
            drop(self.vacate(outdated));
        }
    }

    /// Polls each service that was woken, pushed or called since it was last polled.
    ///
    /// Returns `Ready(Ok(()))` when all are ready.
    ///
    /// # Errors
    ///
    /// If a service fails to become ready. It was dropped; poll again for the others.
    #[inline]
    pub fn poll_pending(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failed<K>>> {
        kept_ready(|| self.poll_changed(cx))
    }

    /// Like [`poll_pending`](Self::poll_pending), but does not [release](Purpose::Release) reservations.
    #[inline]
    pub(crate) fn poll_changed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failed<K>>> {
        self.set_task(cx);
        if let Some(called) = self.called.take() {
            self.poll_slot(called)?;
        }
        // First poll the services that an error left over last time, then those woken since. A service that is woken
        // meanwhile wakes the task again.
        if !self.woken.is_empty() {
            self.poll_woken()?;
        }
        if self.wake_queue.swap(&mut self.woken) {
            self.woken.reverse();
            self.poll_woken()?;
        }
        if self.pending_len() == 0 {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    /// Polls whether the service with this key is still ready. If not, it becomes pending.
    ///
    /// # Errors
    ///
    /// If the service fails to become ready. It was dropped.
    pub fn check_ready<Q: Hash + Equivalent<K>>(
        &mut self,
        cx: &mut Context<'_>,
        key: &Q,
    ) -> Result<bool, Failed<K>> {
        match self.get_ready(key) {
            Some((index, _, _)) => self.check_ready_index(cx, index),
            None => Ok(false),
        }
    }

    /// Polls whether the service with this index is still ready. If not, it becomes pending.
    ///
    /// # Errors
    ///
    /// If the service fails to become ready. It was dropped.
    #[inline]
    pub fn check_ready_index(
        &mut self,
        cx: &mut Context<'_>,
        index: usize,
    ) -> Result<bool, Failed<K>> {
        self.set_task(cx);
        kept_ready(|| self.check_ready_again(index))
    }

    /// Like [`check_ready_index`](Self::check_ready_index), by the task that has just called
    /// [`poll_changed`](Self::poll_changed).
    #[inline]
    pub(crate) fn check_ready_again(&mut self, index: usize) -> Result<bool, Failed<K>> {
        match self.ready.get(index) {
            Some(&slot) => self.poll_slot(slot),
            None => Ok(false),
        }
    }

    /// Calls the service with this key, which becomes pending.
    ///
    /// # Panics
    ///
    /// If it is not ready.
    pub fn call_ready<Q: Hash + Equivalent<K>>(&mut self, key: &Q, req: Req) -> S::Future {
        let (index, _, _) = self
            .get_ready(key)
            .expect("service not ready; check_ready must be called first");
        self.call_ready_index(index, req)
    }

    /// Calls the service with this index, which becomes pending.
    ///
    /// # Panics
    ///
    /// If the index is out of range.
    pub fn call_ready_index(&mut self, index: usize, req: Req) -> S::Future {
        let slot = *self
            .ready
            .get(index)
            .expect("service not ready; check_ready_index must be called first");
        let response = self.entry_mut(slot).service.call(req);
        self.set_pending(slot);
        self.entry(slot).signal.enqueue();
        response
    }

    /// Calls the service with this index, which keeps its index and is polled by the next
    /// [`poll_pending`](Self::poll_pending). Check that it is ready before calling it again.
    #[inline]
    pub(crate) fn call_in_place(&mut self, index: usize, req: Req) -> S::Future {
        let slot = self.ready[index];
        if let Some(earlier) = self.called.replace(slot) {
            self.poll_soon(earlier);
        }
        self.entry_mut(slot).service.call(req)
    }

    #[cold]
    fn poll_soon(&self, slot: usize) {
        self.entry(slot).signal.enqueue();
    }

    #[inline]
    fn set_task(&mut self, cx: &Context<'_>) {
        if !self
            .task
            .as_ref()
            .is_some_and(|task| task.will_wake(cx.waker()))
        {
            self.task = Some(cx.waker().clone());
            self.wake_queue.set_task(cx.waker());
        }
    }

    #[cold]
    fn poll_woken(&mut self) -> Result<(), Failed<K>> {
        while let Some(signal) = self.woken.pop() {
            signal.mark_dequeued();
            // The slot may have been reused by another service, which has its own signal.
            let current = self.slots[signal.slot].as_ref();
            if current.is_some_and(|entry| Arc::ptr_eq(&entry.signal, &signal)) {
                self.poll_slot(signal.slot)?;
            }
        }
        Ok(())
    }

    #[inline]
    fn poll_slot(&mut self, slot: usize) -> Result<bool, Failed<K>> {
        let Entry {
            service,
            waker,
            index,
            proven,
            ..
        } = self.slots[slot]
            .as_mut()
            .expect("a slot that is polled is occupied");
        match service.poll_ready(&mut Context::from_waker(waker)) {
            // The common case: it was ready before.
            Poll::Ready(Ok(())) if index.is_some() && *proven => Ok(true),
            Poll::Ready(Ok(())) => {
                self.set_ready(slot);
                Ok(true)
            }
            Poll::Pending => {
                self.set_pending(slot);
                Ok(false)
            }
            Poll::Ready(Err(error)) => Err(Failed(self.take_failed(slot), error.into())),
        }
    }
}

/// Polls services that are kept ready for any request. They keep their reservations even if the caller releases its
/// own.
#[inline]
fn kept_ready<T>(poll: impl FnOnce() -> T) -> T {
    match Purpose::current() {
        Purpose::Release => Purpose::Call.run(poll),
        _ => poll(),
    }
}

impl<K, S, Req> Unpin for ReadyCache<K, S, Req> where K: Eq + Hash {}

impl<K, S, Req> Default for ReadyCache<K, S, Req>
where
    K: Eq + Hash,
{
    fn default() -> Self {
        Self {
            keys: IndexMap::new(),
            slots: Vec::new(),
            vacant: Vec::new(),
            ready: Vec::new(),
            generation: 0,
            wake_queue: Arc::default(),
            woken: Vec::new(),
            called: None,
            task: None,
            ids: Ids::default(),
            _marker: PhantomData,
        }
    }
}

impl<K, S, Req> fmt::Debug for ReadyCache<K, S, Req>
where
    K: fmt::Debug + Eq + Hash,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ready, pending): (Vec<_>, Vec<_>) = self
            .slots
            .iter()
            .flatten()
            .partition(|entry| entry.index.is_some());
        let keys = |entries: Vec<&Entry<K, S>>| {
            format!(
                "{:?}",
                entries.iter().map(|entry| &entry.key).collect::<Vec<_>>()
            )
        };
        f.debug_struct("ReadyCache")
            .field("ready", &keys(ready))
            .field("pending", &keys(pending))
            .finish_non_exhaustive()
    }
}
