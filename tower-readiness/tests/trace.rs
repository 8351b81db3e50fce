//! Events and spans reach `tracing` with the feature, and cost nothing without it.

use std::cell::Cell;

/// Returns the value of a field, and counts that it was asked for.
fn field(evaluated: &Cell<u32>) -> u32 {
    evaluated.set(evaluated.get() + 1);
    7
}

#[cfg(not(feature = "tracing"))]
#[test]
fn without_the_feature_no_field_is_evaluated() {
    use tower_readiness::event;

    let evaluated = Cell::new(0);
    let (shown, debugged) = (1, "two");
    event!(WARN, shown, ?debugged, %debugged, a = field(&evaluated), b = ?field(&evaluated), c = %field(&evaluated), "an event");
    event!(WARN, "a message only");
    assert_eq!(evaluated.get(), 0);
}

#[cfg(feature = "tracing")]
mod with_the_feature {
    use std::cell::Cell;
    use std::io::{self, Write};
    use std::pin::pin;
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Poll, Waker};

    use tower_readiness::event;
    use tower_readiness::trace::{Span, in_current_span};
    use tracing::{info_span, subscriber};

    use super::field;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Returns the lines that `run` logs.
    fn logged(run: impl FnOnce()) -> String {
        let log = Log::default();
        let writer = log.clone();
        let builder = tracing_subscriber::fmt().without_time();
        let subscriber = builder.with_writer(move || writer.clone()).finish();
        subscriber::with_default(subscriber, run);
        let bytes = log.0.lock().unwrap();
        String::from_utf8_lossy(&bytes).trim().to_owned()
    }

    #[test]
    fn an_event_has_its_fields_and_the_module_that_emits_it() {
        let evaluated = Cell::new(0);
        let log = logged(|| event!(INFO, count = field(&evaluated), "an event"));
        assert_eq!(log, format!("INFO {}: an event count=7", module_path!()));
        assert_eq!(evaluated.get(), 1);
    }

    #[test]
    fn a_future_is_polled_in_the_span_in_which_it_was_made() {
        let log = logged(|| {
            let emits = async { event!(INFO, "an event") };
            let future = info_span!("request").in_scope(|| in_current_span(emits));
            let cx = &mut Context::from_waker(Waker::noop());
            assert_eq!(pin!(future).poll(cx), Poll::Ready(()));
        });
        assert!(log.starts_with("INFO request: "), "{log}");
    }

    #[test]
    fn a_span_can_be_entered_later() {
        let log = logged(|| {
            let span = info_span!("request").in_scope(Span::current);
            span.in_scope(|| event!(INFO, "an event"));
        });
        assert!(log.starts_with("INFO request: "), "{log}");
    }
}
