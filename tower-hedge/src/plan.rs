use std::pin::Pin;

use tower_service::Service;
use tower_util::Oneshot;

use crate::state::State;
use crate::{Event, Policy};

/// The next attempt: its request, its policy, and its service.
pub(crate) struct Plan<S, P, Request> {
    pub(crate) policy: P,
    pub(crate) service: S,
    pub(crate) request: Request,
    /// The number of attempts sent before it.
    pub(crate) sent: u32,
}

/// A hedge in flight. Hedges are rare, so they are allocated; that keeps the response future small.
pub(crate) struct Attempt<S: Service<Request>, Request> {
    /// The first attempt is 1.
    pub(crate) number: u32,
    pub(crate) response: Pin<Box<Oneshot<S, Request>>>,
}

impl<S, P, Request> Plan<S, P, Request>
where
    S: Service<Request> + Clone,
    P: Policy<Request> + Clone,
{
    /// Sends the attempt, if the policy and the budget allow it. Also returns the plan of the next attempt.
    pub(crate) fn send(mut self, state: &State) -> Option<(Attempt<S, Request>, Option<Self>)> {
        if !self.policy.can_retry(&self.request) {
            state.emit(Event::Refused);
            return None;
        }
        if !state.budget.withdraw() {
            state.emit(Event::NoBudget);
            return None;
        }
        let number = self.sent + 1;
        state.emit(Event::Sent { attempt: number });
        let after = self.after(number, state.attempts);
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
