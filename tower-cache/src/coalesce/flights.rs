use std::hash::Hash;
use std::sync::Arc;
use std::task::{Context, Poll};

use hashbrown::HashTable;

use super::flight::{Call, Flight};
use crate::BoxError;
use crate::shards::Shards;

/// The calls in flight, by key.
#[derive(Debug)]
pub(super) struct Flights<K, R> {
    shards: Shards<Table<K, R>>,
}

#[derive(Debug)]
struct Table<K, R> {
    flights: HashTable<Entry<K, R>>,
    max: usize,
}

#[derive(Debug)]
struct Entry<K, R> {
    flight: Arc<Flight<K, R>>,
    /// The number of [`Ticket`]s.
    tickets: usize,
}

/// The share of a request in a call. Once all are dropped, the call is stopped.
#[derive(Debug)]
pub(super) struct Ticket<K: Eq, R> {
    /// `None` once the result is taken.
    flight: Option<Arc<Flight<K, R>>>,
    waiter: Option<usize>,
    flights: Arc<Flights<K, R>>,
}

/// What there is for a key.
pub(super) enum Found<K: Eq, R> {
    /// A call, which the request has joined.
    Call(Ticket<K, R>),
    /// No call, and room for one.
    Room(K),
    /// No call, and no room.
    Full,
}

impl<K: Hash + Eq, R> Flights<K, R> {
    pub(super) fn new(max_keys: usize) -> Self {
        let table = |max| Table {
            flights: HashTable::new(),
            max,
        };
        Self {
            shards: Shards::new(max_keys, table),
        }
    }

    /// Joins the call of `key`, if there is one.
    pub(super) fn join(self: &Arc<Self>, key: K) -> Found<K, R> {
        let hash = self.shards.hash(&key);
        let mut table = self.shards.lock(hash);
        if let Some(entry) = table.find(hash, &key) {
            return Found::Call(entry.join(self));
        }
        match table.is_full() {
            true => Found::Full,
            false => Found::Room(key),
        }
    }

    /// Begins the call of `key`, or joins the one that has begun since.
    ///
    /// # Errors
    ///
    /// The call, if there is no room for the key any more.
    pub(super) fn begin(self: &Arc<Self>, key: K, call: Call<R>) -> Result<Ticket<K, R>, Call<R>> {
        let hash = self.shards.hash(&key);
        let mut table = self.shards.lock(hash);
        if let Some(entry) = table.find(hash, &key) {
            return Ok(entry.join(self));
        }
        if table.is_full() {
            return Err(call);
        }
        let flight = Arc::new(Flight::new(key, hash, Arc::downgrade(self), call));
        let mut entry = Entry { flight, tickets: 0 };
        let ticket = entry.join(self);
        table
            .flights
            .insert_unique(hash, entry, |entry| entry.flight.hash);
        Ok(ticket)
    }

    /// Returns the number of keys in flight.
    pub(super) fn keys(&self) -> usize {
        self.shards.each().map(|table| table.flights.len()).sum()
    }
}

impl<K, R> Flights<K, R> {
    /// Removes a call that has ended.
    pub(super) fn remove(&self, flight: &Arc<Flight<K, R>>) {
        let removed = self.shards.lock(flight.hash).take(flight);
        drop(removed);
    }

    /// Returns a ticket, and stops the call if it was the last one.
    fn leave(&self, flight: &Arc<Flight<K, R>>) {
        let mut table = self.shards.lock(flight.hash);
        let entry = table
            .flights
            .find_mut(flight.hash, |entry| Arc::ptr_eq(&entry.flight, flight));
        let Some(entry) = entry else {
            // The call has ended.
            return;
        };
        entry.tickets -= 1;
        if entry.tickets == 0 {
            let removed = table.take(flight);
            drop(table);
            drop(removed);
            flight.stop();
        }
    }
}

impl<K, R> Table<K, R> {
    fn find(&mut self, hash: u64, key: &K) -> Option<&mut Entry<K, R>>
    where
        K: Eq,
    {
        self.flights
            .find_mut(hash, |entry| entry.flight.key == *key)
    }

    fn is_full(&self) -> bool {
        self.flights.len() >= self.max
    }

    fn take(&mut self, flight: &Arc<Flight<K, R>>) -> Option<Entry<K, R>> {
        let is_it = |entry: &Entry<K, R>| Arc::ptr_eq(&entry.flight, flight);
        let found = self.flights.find_entry(flight.hash, is_it).ok()?;
        Some(found.remove().0)
    }
}

impl<K: Eq, R> Entry<K, R> {
    fn join(&mut self, flights: &Arc<Flights<K, R>>) -> Ticket<K, R> {
        self.tickets += 1;
        Ticket {
            flight: Some(Arc::clone(&self.flight)),
            waiter: None,
            flights: Arc::clone(flights),
        }
    }
}

impl<K, R> Ticket<K, R>
where
    K: Eq + Send + Sync + 'static,
    R: Clone + Send + Sync + 'static,
{
    /// # Panics
    ///
    /// If it is polled again after it has completed.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<R, BoxError>> {
        let flight = self.flight.as_ref().expect("polled after it has completed");
        std::task::ready!(flight.poll(&mut self.waiter, cx));
        Poll::Ready(match self.end() {
            Some(flight) => flight.into_result(),
            None => unreachable!("it was there above"),
        })
    }
}

impl<K: Eq, R> Ticket<K, R> {
    fn end(&mut self) -> Option<Arc<Flight<K, R>>> {
        let flight = self.flight.take()?;
        if let Some(waiter) = self.waiter.take() {
            flight.leave(waiter);
        }
        Some(flight)
    }
}

impl<K: Eq, R> Drop for Ticket<K, R> {
    fn drop(&mut self) {
        if let Some(flight) = self.end() {
            self.flights.leave(&flight);
        }
    }
}
