//! The threads that serve connections: one per core, each with a single-threaded runtime.
//!
//! A connection stays on the thread that it was placed on, with its requests and with the upstream connections that
//! these open. So a request wakes no other thread, unless it borrows another thread's upstream connection.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// The threads that serve connections. Clones share them; they end when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Workers(Arc<[Worker]>);

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    /// The number of connections that were placed here and are still open.
    connections: AtomicUsize,
    /// Dropping it ends the thread. `None` for the thread that has started the others.
    _alive: Option<oneshot::Sender<()>>,
}

/// A connection's place on a worker, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    workers: Workers,
    index: usize,
}

impl Workers {
    /// Returns the current runtime as the only worker.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub fn here() -> Self {
        Self(Arc::new([Worker::new(Handle::current(), None)]))
    }

    /// Starts threads until there are `number` with the current one, whose runtime must be single-threaded.
    ///
    /// # Errors
    ///
    /// If the operating system does not start a thread.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub fn start(number: usize) -> io::Result<Self> {
        let here = Ok(Worker::new(Handle::current(), None));
        let others = (1..number).map(Worker::start);
        let workers: io::Result<Vec<_>> = std::iter::once(here).chain(others).collect();
        Ok(Self(workers?.into()))
    }

    /// Returns a place on the worker with the fewest connections.
    pub(crate) fn place(&self) -> Place {
        let connections = |index: &usize| self.0[*index].connections.load(Ordering::Relaxed);
        // There is at least one worker.
        let index = (0..self.0.len()).min_by_key(connections).unwrap_or(0);
        self.0[index].connections.fetch_add(1, Ordering::Relaxed);
        Place {
            workers: self.clone(),
            index,
        }
    }
}

impl Worker {
    fn new(runtime: Handle, alive: Option<oneshot::Sender<()>>) -> Self {
        Self {
            runtime,
            connections: AtomicUsize::new(0),
            _alive: alive,
        }
    }

    fn start(number: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (alive, ended) = oneshot::channel();
        let worker = Self::new(runtime.handle().clone(), Some(alive));
        thread::Builder::new()
            .name(format!("worker-{number}"))
            .spawn(move || runtime.block_on(ended))?;
        Ok(worker)
    }
}

impl Place {
    /// Returns the runtime of the worker.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.workers.0[self.index].runtime
    }

    /// Takes a stream that was accepted by the first worker to this place, see [`Brought::here`].
    pub(crate) fn bring(&self, stream: TcpStream) -> io::Result<Brought> {
        Ok(match self.index {
            0 => Brought::Local(stream),
            _ => Brought::Foreign(stream.into_std()?),
        })
    }
}

/// A stream on its way to its worker, whose runtime must watch it.
pub(crate) enum Brought {
    Local(TcpStream),
    Foreign(std::net::TcpStream),
}

impl Brought {
    /// Returns the stream for the current runtime.
    pub(crate) fn here(self) -> io::Result<TcpStream> {
        match self {
            Self::Local(stream) => Ok(stream),
            Self::Foreign(stream) => TcpStream::from_std(stream),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let worker = &self.workers.0[self.index];
        worker.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_are_placed_where_the_fewest_are() {
        let workers = Workers::start(3).unwrap();
        let mut places: Vec<_> = (0..6).map(|_| workers.place()).collect();
        let indices = |places: &[Place]| places.iter().map(|place| place.index).collect::<Vec<_>>();
        assert_eq!(indices(&places), [0, 1, 2, 0, 1, 2]);
        // Both connections of worker 1 end.
        places.retain(|place| place.index != 1);
        places.extend((0..2).map(|_| workers.place()));
        assert_eq!(indices(&places), [0, 2, 0, 2, 1, 1]);
    }

    #[tokio::test]
    async fn each_worker_runs_its_tasks_on_its_own_thread() {
        let workers = Workers::start(3).unwrap();
        let places: Vec<_> = (0..3).map(|_| workers.place()).collect();
        let mut threads = Vec::new();
        for place in &places {
            let thread = place.runtime().spawn(async { thread::current().id() });
            threads.push(thread.await.unwrap());
        }
        assert_eq!(threads[0], thread::current().id());
        assert!(threads[1] != threads[2] && !threads[1..].contains(&threads[0]));
    }

    #[tokio::test]
    async fn the_threads_end_with_the_last_clone() {
        let workers = Workers::start(2).unwrap();
        let place = {
            let _here = workers.place();
            workers.place()
        };
        // A task that never ends by itself is dropped with the runtime of its thread.
        let (alive, ended) = oneshot::channel::<()>();
        let task = async move {
            let _alive = alive;
            std::future::pending::<()>().await;
        };
        drop(place.runtime().spawn(task));
        drop((workers, place));
        assert!(ended.await.is_err());
    }
}
