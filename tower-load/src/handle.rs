use std::sync::Arc;

use tower_classify::Class;

use crate::clock;
use crate::estimate::Estimate;

/// Represents one request in flight, which is complete when the handle is dropped. Its result has the class that the
/// classification returned for the response, or the one that was [set](Handle::set_class) later.
#[derive(Debug)]
pub struct Handle {
    sent_at: u64,
    estimate: Arc<Estimate>,
    /// `None` until there is a result.
    class: Option<Class>,
}

impl Handle {
    /// Records that a request was sent, and returns its handle.
    pub(crate) fn begin(estimate: &Arc<Estimate>) -> Self {
        let now = clock::now();
        estimate.begin(now);
        Self {
            sent_at: now,
            estimate: Arc::clone(estimate),
            class: None,
        }
    }

    /// Sets the class of the result, replacing the one from the classification. Call it from a body that holds the
    /// handle, if the end of the body shows whether the request failed.
    pub fn set_class(&mut self, class: Class) {
        self.class = Some(class);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.estimate.end(self.sent_at, self.class, clock::now());
    }
}
