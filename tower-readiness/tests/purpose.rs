//! A purpose applies to one poll, and is restored after a panic.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Waker};

use tower_readiness::{Purpose, drive, release};
use tower_service::Service;

/// Records the purposes with which it is polled.
#[derive(Default)]
struct Recorder {
    seen: Vec<Purpose>,
    panics: bool,
}

impl Service<()> for Recorder {
    type Response = ();
    type Error = Infallible;
    type Future = Ready<Result<(), Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.seen.push(Purpose::current());
        assert!(!self.panics, "the test asked for a panic");
        Poll::Pending
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(()))
    }
}

#[test]
fn a_purpose_applies_to_one_poll() {
    let mut recorder = Recorder::default();
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(recorder.poll_ready(cx).is_pending());
    assert!(drive(&mut recorder, cx).is_pending());
    assert!(release(&mut recorder, cx).is_ok());
    assert!(recorder.poll_ready(cx).is_pending());
    let expected = [
        Purpose::Call,
        Purpose::Drive,
        Purpose::Release,
        Purpose::Call,
    ];
    assert_eq!(recorder.seen, expected);
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
fn the_purpose_is_restored_after_a_panic() {
    let mut recorder = Recorder {
        panics: true,
        ..Recorder::default()
    };
    let polled = catch_unwind(AssertUnwindSafe(|| {
        release(&mut recorder, &mut Context::from_waker(Waker::noop()))
    }));
    assert!(polled.is_err());
    assert_eq!(Purpose::current(), Purpose::Call);
}
