//! A replayed body is the same as the original.
#![cfg(feature = "http")]

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use proptest::prelude::*;
use tokio_test::{assert_pending, assert_ready, task};
use tower_retry::http::{ReplayBody, ReplayError};
use tower_util::BoxError;

/// A body of these chunks, with an exact size hint if `sized`.
struct Chunks {
    chunks: VecDeque<Bytes>,
    trailers: Option<HeaderMap>,
    sized: bool,
    _alive: Arc<()>,
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let next = self.chunks.pop_front().map(Frame::data);
        Poll::Ready(
            next.or_else(|| self.trailers.take().map(Frame::trailers))
                .map(Ok),
        )
    }

    fn is_end_stream(&self) -> bool {
        self.sized && self.chunks.is_empty() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.sized {
            true => SizeHint::with_exact(self.chunks.iter().map(|chunk| chunk.len() as u64).sum()),
            false => SizeHint::default(),
        }
    }
}

fn chunks(chunks: &[Vec<u8>], trailers: bool, sized: bool) -> Chunks {
    Chunks {
        chunks: chunks
            .iter()
            .map(|chunk| Bytes::copy_from_slice(chunk))
            .collect(),
        trailers: trailers
            .then(|| HeaderMap::from_iter([("x".parse().unwrap(), HeaderValue::from_static("y"))])),
        sized,
        _alive: Arc::default(),
    }
}

type Read = (Vec<u8>, Option<HeaderMap>);

/// Reads up to `most` frames, and checks the size hint and `is_end_stream` of the rest.
fn read<B>(body: &mut ReplayBody<B>, most: usize, read: &mut Read) -> Result<bool, BoxError>
where
    B: Body<Error: Into<BoxError>> + Unpin,
{
    let mut cx = Context::from_waker(std::task::Waker::noop());
    for _ in 0..most {
        let ended = body.is_end_stream();
        let before = body.size_hint();
        let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(&mut cx) else {
            panic!("these bodies are never pending");
        };
        assert!(!ended || frame.is_none(), "a frame after the end");
        match frame.transpose()?.map(Frame::into_data) {
            None => return Ok(true),
            Some(Ok(data)) => {
                let after = body.size_hint();
                assert!(before.lower() <= data.len() as u64 + after.lower());
                assert_eq!(before.exact().is_some(), after.exact().is_some() || ended);
                if let (Some(before), Some(after)) = (before.exact(), after.exact()) {
                    assert_eq!(before, after + data.len() as u64);
                }
                read.0.extend_from_slice(&data);
            }
            Some(Err(frame)) => read.1 = frame.into_trailers().ok(),
        }
    }
    Ok(false)
}

fn whole<B>(mut body: ReplayBody<B>) -> Result<Read, BoxError>
where
    B: Body<Error: Into<BoxError>> + Unpin,
{
    let mut all = Read::default();
    while !read(&mut body, 1, &mut all)? {}
    Ok(all)
}

proptest! {
    #[test]
    fn each_further_attempt_sends_the_same(
        data in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..10),
        trailers: bool,
        sized: bool,
        limit in 0..120_usize,
        cuts in prop::collection::vec(0..13_usize, 1..4),
    ) {
        let body = chunks(&data, trailers, sized);
        let expected = (data.concat(), body.trailers.clone());
        let mut next = ReplayBody::new(body, limit);
        let longest = if sized && expected.0.len() > limit { 0 } else { limit };
        let mut most_read = 0;
        for cut in cuts {
            let copy = next.try_clone().expect("it has not begun to read");
            let hint = next.size_hint();
            if sized {
                prop_assert_eq!(hint.exact(), Some(expected.0.len() as u64));
            }
            let mut sent = Read::default();
            read(&mut next, cut, &mut sent).unwrap();
            prop_assert!(expected.0.starts_with(&sent.0));
            most_read = most_read.max(sent.0.len());
            prop_assert_eq!(copy.is_replayable(), most_read <= longest);
            prop_assert!(!copy.is_complete() || most_read == expected.0.len());
            drop(next);
            if !copy.is_replayable() {
                prop_assert!(copy.try_clone().is_none());
                if most_read > 0 {
                    prop_assert!(whole(copy).is_err(), "it must fail, not end early");
                }
                return Ok(());
            }
            next = copy;
        }
        // The last attempt, without another clone: nothing is buffered any more, and the whole body is sent.
        prop_assert_eq!(whole(next).unwrap(), expected);
    }

    /// The first attempt does not depend on whether the body is buffered.
    #[test]
    fn the_first_attempt_is_complete_whatever_happens_to_its_clone(
        data in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..10),
        trailers: bool,
        limit in 0..120_usize,
        cut in 0..13_usize,
    ) {
        let body = chunks(&data, trailers, false);
        let expected = (data.concat(), body.trailers.clone());
        let mut first = ReplayBody::new(body, limit);
        let copy = first.try_clone();
        let mut sent = Read::default();
        read(&mut first, cut, &mut sent).unwrap();
        drop(copy);
        read(&mut first, usize::MAX, &mut sent).unwrap();
        prop_assert_eq!(sent, expected);
    }
}

#[test]
fn an_empty_body_needs_no_memory_and_can_always_be_replayed() {
    let first = ReplayBody::new(Empty::<Bytes>::new(), 0);
    assert!(first.is_end_stream() && first.is_replayable());
    let copy = first.try_clone().unwrap();
    assert_eq!(whole(first).unwrap(), Read::default());
    assert_eq!(copy.size_hint().exact(), Some(0));
}

#[test]
fn a_body_that_is_passed_through_is_not_replayed() {
    let body = ReplayBody::once(Full::new(Bytes::from("hello")));
    assert!(body.try_clone().is_none() && !body.is_replayable());
    assert_eq!(body.size_hint().exact(), Some(5));
    assert_eq!(whole(body).unwrap().0, b"hello");
}

#[test]
fn the_buffer_is_freed_at_once_when_the_limit_is_exceeded() {
    // `is_unique` shows whether this is the last reference to the memory.
    let chunk = Bytes::from(vec![1; 10]);
    let body = StreamBody::new(futures::stream::iter(
        [chunk.clone(), Bytes::from(vec![2; 10])]
            .map(|chunk| Ok::<_, BoxError>(Frame::data(chunk))),
    ));
    let mut first = ReplayBody::new(body, 15);
    let copy = first.try_clone().unwrap();
    let mut sent = Read::default();
    read(&mut first, 1, &mut sent).unwrap();
    assert!(!chunk.is_unique(), "it is buffered");
    read(&mut first, 1, &mut sent).unwrap();
    assert!(chunk.is_unique(), "it is not buffered any more");
    assert!(!copy.is_replayable());
    assert_eq!(sent.0.len(), 20);
    let error = whole(copy).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&ReplayError::TooLong));
}

#[test]
fn the_buffer_is_freed_without_another_clone() {
    let chunk = Bytes::from(vec![1; 10]);
    let body = StreamBody::new(futures::stream::iter([Ok::<_, BoxError>(Frame::data(
        chunk.clone(),
    ))]));
    let mut first = ReplayBody::new(body, 100);
    let copy = first.try_clone().unwrap();
    read(&mut first, 1, &mut Read::default()).unwrap();
    assert!(!chunk.is_unique() && !copy.is_complete());
    read(&mut first, 1, &mut Read::default()).unwrap();
    assert!(copy.is_complete());
    drop(copy);
    assert!(chunk.is_unique());
}

#[test]
fn the_older_attempt_is_woken_and_fails_when_another_starts_to_read() {
    let (sender, receiver) = futures::channel::mpsc::unbounded::<Result<Frame<Bytes>, BoxError>>();
    let mut first = ReplayBody::new(StreamBody::new(receiver), 100);
    let mut second = first.try_clone().unwrap();
    sender
        .unbounded_send(Ok(Frame::data(Bytes::from("a"))))
        .unwrap();
    let mut older = task::spawn(());
    older.enter(|cx, _| {
        assert!(Pin::new(&mut first).poll_frame(cx).is_ready());
        assert_pending!(Pin::new(&mut first).poll_frame(cx));
    });
    let mut newer = task::spawn(());
    newer.enter(|cx, _| {
        assert!(Pin::new(&mut second).poll_frame(cx).is_ready());
        assert_pending!(Pin::new(&mut second).poll_frame(cx));
    });
    assert!(older.is_woken(), "it must free its connection");
    older.enter(|cx, _| {
        let frame = assert_ready!(Pin::new(&mut first).poll_frame(cx));
        let error = frame.unwrap().unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&ReplayError::Superseded));
    });
    assert!(!newer.is_woken());
    sender
        .unbounded_send(Ok(Frame::data(Bytes::from("b"))))
        .unwrap();
    assert!(newer.is_woken(), "the original wakes the newer reader");
}

#[test]
fn a_body_that_fails_is_not_replayed() {
    let frames = [
        Ok(Frame::data(Bytes::from("a"))),
        Err(BoxError::from("the client has gone")),
    ];
    let mut first = ReplayBody::new(StreamBody::new(futures::stream::iter(frames)), 100);
    let copy = first.try_clone().unwrap();
    let error = read(&mut first, 2, &mut Read::default()).unwrap_err();
    assert_eq!(error.to_string(), "the client has gone");
    assert!(!copy.is_replayable());
}

#[test]
fn the_original_is_dropped_with_the_last_clone() {
    let body = chunks(&[vec![1]], false, false);
    let alive = Arc::downgrade(&body._alive);
    let first = ReplayBody::new(body, 100);
    let copy = first.try_clone().unwrap();
    drop(first);
    assert!(alive.upgrade().is_some());
    drop(copy);
    assert!(alive.upgrade().is_none());
}

#[tokio::test]
async fn a_clone_can_be_collected_like_any_body() {
    let first = ReplayBody::new(Full::new(Bytes::from("hello")), 5);
    let copy = first.try_clone().unwrap();
    drop(first);
    assert_eq!(copy.collect().await.unwrap().to_bytes(), "hello");
}
