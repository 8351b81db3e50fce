use std::pin::Pin;

use tower_service::Service;
use tower_util::Oneshot;

use crate::shared::Shared;
use crate::{Event, Policy};

/// The next request: what may be sent, by whose leave, and to whom.
pub(crate) struct Plan<S, P, Request> {
    pub(crate) policy: P,
    pub(crate) service: S,
    pub(crate) request: Request,
    /// How many were sent before it.
    pub(crate) sent: u32,
}

/// A request that was sent again: rarely enough that it is worth an allocation, which keeps all others small.
pub(crate) struct Attempt<S: Service<Request>, Request> {
    /// The first request is 1.
    pub(crate) number: u32,
    pub(crate) response: Pin<Box<Oneshot<S, Request>>>,
}

impl<S, P, Request> Plan<S, P, Request>
where
    S: Service<Request> + Clone,
    P: Policy<Request> + Clone,
{
    /// Sends the request, if there is leave to. Also tells what may be sent after it.
    pub(crate) fn send(mut self, shared: &Shared) -> Option<(Attempt<S, Request>, Option<Self>)> {
        if !self.policy.can_retry(&self.request) {
            shared.tell(Event::Refused);
            return None;
        }
        if !shared.budget.withdraw() {
            shared.tell(Event::NoBudget);
            return None;
        }
        let number = self.sent + 1;
        shared.tell(Event::Sent { attempt: number });
        let after = self.after(number, shared.attempts);
        P::prepare_copy(&self.policy, &mut self.request, self.sent);
        let attempt = Attempt {
            number,
            response: Box::pin(Oneshot::new(self.service, self.request)),
        };
        Some((attempt, after))
    }

    fn after(&self, sent: u32, attempts: u32) -> Option<Self> {
        if sent >= attempts {
            return None;
        }
        Some(Self {
            request: self.policy.clone_request(&self.request)?,
            policy: self.policy.clone(),
            service: self.service.clone(),
            sent,
        })
    }
}
