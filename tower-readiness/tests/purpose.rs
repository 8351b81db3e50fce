//! A purpose holds for one poll, and comes back after a panic.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Waker};

use tower_readiness::{Purpose, drive, release};
use tower_service::Service;

/// Notes for what it is polled.
#[derive(Default)]
struct Notes {
    seen: Vec<Purpose>,
    panics: bool,
}

impl Service<()> for Notes {
    type Response = ();
    type Error = Infallible;
    type Future = Ready<Result<(), Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.seen.push(Purpose::current());
        assert!(!self.panics, "as asked for");
        Poll::Pending
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(()))
    }
}

#[test]
fn a_purpose_holds_for_one_poll() {
    let mut notes = Notes::default();
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(notes.poll_ready(cx).is_pending());
    assert!(drive(&mut notes, cx).is_pending());
    assert!(release(&mut notes, cx).is_ok());
    assert!(notes.poll_ready(cx).is_pending());
    let expected = [
        Purpose::Call,
        Purpose::Drive,
        Purpose::Release,
        Purpose::Call,
    ];
    assert_eq!(notes.seen, expected);
}

#[test]
fn purposes_nest() {
    Purpose::Drive.run(|| {
        assert_eq!(Purpose::Call.run(Purpose::current), Purpose::Call);
        assert_eq!(Purpose::current(), Purpose::Drive);
    });
    assert_eq!(Purpose::current(), Purpose::Call);
}

#[test]
fn a_panic_ends_the_purpose() {
    let mut notes = Notes {
        panics: true,
        ..Notes::default()
    };
    let polled = catch_unwind(AssertUnwindSafe(|| {
        release(&mut notes, &mut Context::from_waker(Waker::noop()))
    }));
    assert!(polled.is_err());
    assert_eq!(Purpose::current(), Purpose::Call);
}
