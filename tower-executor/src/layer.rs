use tokio::runtime::Handle;
use tower_layer::Layer;
use tower_readiness::Observer;

use crate::error::InvalidExecutor;
use crate::pool::Pool;
use crate::{Event, Executor};

/// Wraps services in [`Executor`]. They all share the bound.
#[derive(Clone, Debug)]
pub struct ExecutorLayer {
    runtime: Handle,
    pool: Option<Pool>,
    observer: Observer<Event>,
}

impl ExecutorLayer {
    /// Creates a layer that runs requests on `runtime`, without a bound.
    pub const fn new(runtime: Handle) -> Self {
        Self {
            runtime,
            pool: None,
            observer: Observer::none(),
        }
    }

    /// Runs at most `max_tasks` requests at a time, while at most `max_queued` others wait. Further requests are refused. By default,
    /// there is no bound.
    ///
    /// # Errors
    ///
    /// If `max_tasks` is zero.
    pub fn max_tasks(
        mut self,
        max_tasks: usize,
        max_queued: usize,
    ) -> Result<Self, InvalidExecutor> {
        if max_tasks == 0 {
            return Err(InvalidExecutor(()));
        }
        self.pool = Some(Pool::new(max_tasks, max_queued));
        Ok(self)
    }

    /// Calls `observe` for each refused request, and each panic.
    #[must_use]
    pub fn on_event(mut self, observe: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.observer = Observer::new(observe);
        self
    }
}

impl<S> Layer<S> for ExecutorLayer {
    type Service = Executor<S>;

    fn layer(&self, service: S) -> Executor<S> {
        Executor::build(
            service,
            self.runtime.clone(),
            self.pool.clone(),
            self.observer.clone(),
        )
    }
}
