use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_classify::{Class, Classify, Pushback};
use tower_readiness::event;
use tower_service::Service;

use crate::plan::{Attempt, Plan};
use crate::state::State;
use crate::state_ref::StateRef;
use crate::wait::Wait;
use crate::{BoxError, Event, Keep, KeepErrors, Policy};

pin_project! {
    /// The response future of [`Hedge`](crate::Hedge).
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Future<S, P, C, Request, L = KeepErrors>
    where
        S: Service<Request>,
        C: Classify<Request, S::Response, BoxError>,
        L: Keep,
    {
        // The first attempt, until it has completed.
        #[pin]
        first: Option<S::Future>,
        // The hedges in flight.
        hedges: Vec<Attempt<S, Request>>,
        // When the next attempt is due; `Over` if there is no `plan`.
        #[pin]
        wait: Wait,
        plan: Option<Plan<S, P, Request>>,
        // The result to return if no attempt wins, and the number of its attempt.
        lost: Option<(u32, L::Lost<S::Response>)>,
        // The classification, and the information about the request that it needs.
        classify: (C, C::Info),
        state: StateRef,
        began: Instant,
        // Whether a hedge was sent.
        hedged: bool,
    }

    impl<S, P, C, Request, L> PinnedDrop for Future<S, P, C, Request, L>
    where
        S: Service<Request>,
        C: Classify<Request, S::Response, BoxError>,
        L: Keep,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            // The caller has dropped the future: record the time that the first attempt has taken so far.
            if this.first.is_some() && *this.hedged {
                this.state.record(*this.began);
            }
        }
    }
}

type Answer<S, Request> = Result<<S as Service<Request>>::Response, BoxError>;

impl<S, P, C, Request, L> Future<S, P, C, Request, L>
where
    S: Service<Request>,
    C: Classify<Request, S::Response, BoxError>,
    L: Keep,
{
    pub(crate) fn new(
        response: S::Future,
        next: Option<(Wait, Plan<S, P, Request>)>,
        classify: (C, C::Info),
        state: StateRef,
        began: Instant,
    ) -> Self {
        let (wait, plan) = match next {
            Some((wait, plan)) => (wait, Some(plan)),
            None => (Wait::Over, None),
        };
        Self {
            first: Some(response),
            hedges: Vec::new(),
            wait,
            plan,
            lost: None,
            classify,
            state,
            began,
            hedged: false,
        }
    }
}

impl<S, P, C, Request, L> std::future::Future for Future<S, P, C, Request, L>
where
    S: Service<Request> + Clone,
    S::Error: Into<BoxError>,
    P: Policy<Request> + Clone,
    C: Classify<Request, S::Response, BoxError>,
    L: Keep,
{
    type Output = Answer<S, Request>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            while let Poll::Ready((number, answer)) = self.as_mut().poll_answer(cx) {
                let (classify, info) = &self.classify;
                let pushback = match classify.classify(info, answer.as_ref()) {
                    Class::Failure(failure) if failure.is_transient() => failure.pushback(),
                    Class::Unsent => None,
                    class => {
                        self.end(number, class.is_success());
                        return Poll::Ready(answer);
                    }
                };
                event!(DEBUG, attempt = number, error = ?answer.as_ref().err(), "hedging: an attempt has lost");
                match L::keep(answer) {
                    Ok(lost) => self.as_mut().lose(number, lost, pushback),
                    Err(response) => {
                        self.end(number, false);
                        return Poll::Ready(Ok(response));
                    }
                }
            }
            let this = self.as_mut().project();
            let in_flight = this.first.is_some() || !this.hedges.is_empty();
            if !in_flight && this.wait.is_over() {
                return match this.lost.take() {
                    Some((_, lost)) => Poll::Ready(L::into_result(lost)),
                    // Polled after completion.
                    None => Poll::Pending,
                };
            }
            ready!(this.wait.poll(cx));
            self.as_mut().send();
        }
    }
}

impl<S, P, C, Request, L> Future<S, P, C, Request, L>
where
    S: Service<Request> + Clone,
    S::Error: Into<BoxError>,
    P: Policy<Request> + Clone,
    C: Classify<Request, S::Response, BoxError>,
    L: Keep,
{
    /// Returns the next result, and the number of its attempt.
    fn poll_answer(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<(u32, Answer<S, Request>)> {
        let mut this = self.project();
        if let Some(response) = this.first.as_mut().as_pin_mut()
            && let Poll::Ready(result) = response.poll(cx)
        {
            this.first.set(None);
            return Poll::Ready((1, result.map_err(Into::into)));
        }
        for index in 0..this.hedges.len() {
            if let Poll::Ready(result) = this.hedges[index].response.as_mut().poll(cx) {
                let attempt = this.hedges.swap_remove(index);
                return Poll::Ready((attempt.number, result.map_err(Into::into)));
            }
        }
        Poll::Pending
    }

    fn lose(
        self: Pin<&mut Self>,
        number: u32,
        lost: L::Lost<S::Response>,
        pushback: Option<Pushback>,
    ) {
        let mut this = self.project();
        if this.lost.as_ref().is_none_or(|(best, _)| number < *best) {
            *this.lost = Some((number, lost));
        }
        let in_flight = this.first.is_some() || !this.hedges.is_empty();
        let wait = match pushback {
            // The next attempt stays as planned: a hedge helps against slowness, not against failure.
            None if in_flight => return,
            Some(Pushback::After(delay)) if this.plan.is_some() => {
                Wait::until(Instant::now(), delay)
            }
            None | Some(_) => Wait::Over,
        };
        this.wait.set(wait);
    }

    fn send(self: Pin<&mut Self>) {
        let mut this = self.project();
        let mut wait = Wait::Over;
        if let Some((attempt, after)) = this.plan.take().and_then(|plan| plan.send(this.state)) {
            *this.hedged = true;
            this.hedges.push(attempt);
            *this.plan = after;
            let now = Instant::now();
            if let (Some(_), Some(delay)) = (&this.plan, this.state.delay(now)) {
                wait = Wait::until(now, delay);
            }
        }
        this.wait.set(wait);
    }

    /// Ends the request with the result of this attempt, and drops the others.
    fn end(self: Pin<&mut Self>, number: u32, won: bool) {
        let mut this = self.project();
        let first_is_measured = if number == 1 {
            won
        } else {
            this.first.is_some()
        };
        this.first.set(None);
        this.hedges.clear();
        this.wait.set(Wait::Over);
        *this.plan = None;
        *this.lost = None;
        let state: &State = this.state;
        if first_is_measured {
            state.record(*this.began);
        }
        if won {
            state.deposit();
            if number > 1 {
                state.emit(Event::Won { attempt: number });
            }
        }
    }
}

impl<S, P, C, Request, L> fmt::Debug for Future<S, P, C, Request, L>
where
    S: Service<Request>,
    C: Classify<Request, S::Response, BoxError>,
    L: Keep,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Future")
            .field(
                "requests",
                &(usize::from(self.first.is_some()) + self.hedges.len()),
            )
            .finish_non_exhaustive()
    }
}
