//! The cache.

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
use super::wakes::{Signal, Wakes};

/// A set of services which knows which of them are ready; see the [module](super).
pub struct ReadyCache<K, S, Req>
where
    K: Eq + Hash,
{
    keys: IndexMap<K, Versions>,
    /// All services. Each keeps its slot for as long as it is here.
    slots: Vec<Option<Entry<K, S>>>,
    vacant: Vec<usize>,
    /// The slots of those that are ready.
    ready: Vec<usize>,
    /// Counts the changes of `ready`.
    generation: u64,
    wakes: Arc<Wakes>,
    /// Those that were woken and have not been polled yet, the next one last.
    woken: Vec<Arc<Signal>>,
    /// The slot of one that was called and left in its place; to be polled next.
    called: Option<usize>,
    /// The task that `wakes` wakes.
    task: Option<Waker>,
    ids: Ids,
    _marker: PhantomData<fn(Req)>,
}

/// Numbers of keys, for pickers: small, and used again.
#[derive(Default)]
struct Ids {
    /// The slot of the current service of each number that is in use.
    slots: Vec<Option<usize>>,
    vacant: Vec<u32>,
    /// What has become of them, if somebody wants to know.
    changes: Option<Vec<IdChange>>,
}

/// What has become of a number.
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

    /// The service of `slot` is the current one.
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
    /// Takes the place of `current` when it is ready.
    next: Option<usize>,
}

struct Entry<K, S> {
    key: K,
    service: S,
    signal: Arc<Signal>,
    /// `signal`, for the service.
    waker: Waker,
    /// Where in `ready` it is, if it is.
    index: Option<u32>,
    /// That of its key.
    id: u32,
    /// Whether it has ever been ready.
    proven: bool,
    /// Whether it was pushed while another with its key was here.
    succeeds: bool,
}

impl<K, S, Req> ReadyCache<K, S, Req>
where
    K: Eq + Hash,
{
    /// How many services there are; one that is to replace another counts as well as that.
    pub fn len(&self) -> usize {
        self.slots.len() - self.vacant.len()
    }

    /// How many keys there are: a service and the one that is to replace it have the same.
    pub(crate) fn keys_len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many of them are ready.
    pub fn ready_len(&self) -> usize {
        self.ready.len()
    }

    /// How many of them are not ready.
    pub fn pending_len(&self) -> usize {
        self.len() - self.ready_len()
    }

    /// Whether a service with this key is not ready.
    pub fn pending_contains<Q: Hash + Equivalent<K>>(&self, key: &Q) -> bool {
        let pending = |slot| self.entry(slot).index.is_none();
        self.keys
            .get(key)
            .is_some_and(|versions| pending(versions.current) || versions.next.is_some_and(pending))
    }

    /// The ready service with this key, and its index.
    pub fn get_ready<Q: Hash + Equivalent<K>>(&self, key: &Q) -> Option<(usize, &K, &S)> {
        let entry = self.entry(self.keys.get(key)?.current);
        Some((entry.index? as usize, &entry.key, &entry.service))
    }

    /// The ready service with this key, and its index.
    pub fn get_ready_mut<Q: Hash + Equivalent<K>>(
        &mut self,
        key: &Q,
    ) -> Option<(usize, &K, &mut S)> {
        let slot = self.keys.get(key)?.current;
        let entry = self.entry_mut(slot);
        Some((entry.index? as usize, &entry.key, &mut entry.service))
    }

    /// The ready service with this index.
    #[inline]
    pub fn get_ready_index(&self, idx: usize) -> Option<(&K, &S)> {
        let entry = self.entry(*self.ready.get(idx)?);
        Some((&entry.key, &entry.service))
    }

    /// The ready service with this index, which there is.
    #[inline]
    pub(crate) fn ready_at(&self, index: usize) -> &S {
        &self.entry(self.ready[index]).service
    }

    /// The ready service with this index.
    pub fn get_ready_index_mut(&mut self, idx: usize) -> Option<(&K, &mut S)> {
        let entry = self.entry_mut(*self.ready.get(idx)?);
        Some((&entry.key, &mut entry.service))
    }

    /// All that are ready, in the order of their indices.
    pub fn iter_ready(&self) -> impl Iterator<Item = (&K, &S)> {
        self.ready.iter().map(|&slot| {
            let entry = self.entry(slot);
            (&entry.key, &entry.service)
        })
    }

    /// All that are ready, in no particular order.
    pub fn iter_ready_mut(&mut self) -> impl Iterator<Item = (&K, &mut S)> {
        let ready = self
            .slots
            .iter_mut()
            .flatten()
            .filter(|entry| entry.index.is_some());
        ready.map(|entry| (&entry.key, &mut entry.service))
    }

    /// Drops what there is under this key. `false` if that is nothing.
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

    /// The number of the ready service with this index.
    pub(crate) fn id_at(&self, index: usize) -> usize {
        self.entry(self.ready[index]).id as usize
    }

    /// The key and the current service of this number, and its index if it is ready.
    pub(crate) fn get_id(&self, id: usize) -> Option<(&K, &S, Option<usize>)> {
        let entry = self.entry((*self.ids.slots.get(id)?)?);
        Some((
            &entry.key,
            &entry.service,
            entry.index.map(|index| index as usize),
        ))
    }

    /// How often the set of ready services has changed.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// From now on, changes are kept for [`take_id_changes`](Self::take_id_changes).
    pub(crate) fn track_ids(&mut self) {
        self.ids.changes = Some(Vec::new());
    }

    /// What has become of the numbers since the last time.
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

    /// Out of line, as is [`set_ready`](Self::set_ready), so that polling one that stays ready is short enough to be inlined.
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

    /// A service is ready for the first time: if it waits to replace another, now is the time.
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

    /// Takes out a service that has failed. What waits to replace it, or what it was to replace, stays.
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
    /// Adds a service, pending. If there is one with this key that has been ready before, it goes on until the new one
    /// is ready; otherwise it is dropped.
    ///
    /// The task that polls is not woken: poll after pushing.
    pub fn push(&mut self, key: K, svc: S) {
        let slot = self.vacant.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        let signal = Signal::new(slot, &self.wakes);
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

    /// Polls each service that has been woken since it was last polled, or was pushed or called.
    ///
    /// `Ready(Ok(()))` when all are ready. With an error, one was dropped; poll again for the others.
    #[inline]
    pub fn poll_pending(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failed<K>>> {
        kept_ready(|| self.poll_changed(cx))
    }

    /// [`poll_pending`](Self::poll_pending), but not to [release](Purpose::Release) anything.
    #[inline]
    pub(crate) fn poll_changed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failed<K>>> {
        self.set_task(cx);
        if let Some(called) = self.called.take() {
            self.poll_slot(called)?;
        }
        // First what an error left over last time, then what has come since; not what comes meanwhile, which wakes the
        // task again.
        if !self.woken.is_empty() {
            self.poll_woken()?;
        }
        if self.wakes.swap(&mut self.woken) {
            self.woken.reverse();
            self.poll_woken()?;
        }
        if self.pending_len() == 0 {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    /// Whether the service with this key is ready. If it is not, it is pending now.
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

    /// Whether the service with this index is ready. If it is not, it is pending now.
    #[inline]
    pub fn check_ready_index(
        &mut self,
        cx: &mut Context<'_>,
        index: usize,
    ) -> Result<bool, Failed<K>> {
        self.set_task(cx);
        kept_ready(|| self.check_ready_again(index))
    }

    /// [`check_ready_index`](Self::check_ready_index) by the task that has just called [`poll_changed`](Self::poll_changed).
    #[inline]
    pub(crate) fn check_ready_again(&mut self, index: usize) -> Result<bool, Failed<K>> {
        match self.ready.get(index) {
            Some(&slot) => self.poll_slot(slot),
            None => Ok(false),
        }
    }

    /// Calls the service with this key, which is pending then.
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

    /// Calls the service with this index, which is pending then.
    ///
    /// # Panics
    ///
    /// If there is none.
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

    /// Calls the service with this index, which stays in its place, and is polled by the next [`poll_pending`]
    /// (Self::poll_pending). It has to be asked whether it is ready before it is called again.
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
            self.wakes.set_task(cx.waker());
        }
    }

    #[cold]
    fn poll_woken(&mut self) -> Result<(), Failed<K>> {
        while let Some(signal) = self.woken.pop() {
            signal.take_up();
            // The slot may belong to another by now, which has a signal of its own.
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
            // Most were ready before.
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

/// Polls services that are kept ready for whichever request is next, also when their owner gives back what it has reserved.
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
            wakes: Arc::default(),
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
