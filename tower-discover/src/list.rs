use std::convert::Infallible;
use std::iter::{Enumerate, IntoIterator};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::Change;

pin_project! {
    /// A fixed set of services; the key of each is its index in the list.
    ///
    /// # Example
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # use std::{future::{Ready, ready}, task::{Context, Poll}};
    /// # struct Echo;
    /// # impl tower_service::Service<u32> for Echo {
    /// #     type Response = u32; type Error = (); type Future = Ready<Result<u32, ()>>;
    /// #     fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ()>> { Poll::Ready(Ok(())) }
    /// #     fn call(&mut self, n: u32) -> Self::Future { ready(Ok(n)) }
    /// # }
    /// use futures::StreamExt;
    /// use tower_discover::{Change, ServiceList};
    ///
    /// let list = ServiceList::new::<u32>([Echo, Echo]);
    /// let keys: Vec<usize> = list
    ///     .map(|change| match change {
    ///         Ok(Change::Insert(key, _service)) => key,
    ///         Ok(Change::Remove(_)) => unreachable!("a list only grows"),
    ///     })
    ///     .collect()
    ///     .await;
    /// assert_eq!(keys, [0, 1]);
    /// # }
    /// ```
    #[derive(Debug)]
    pub struct ServiceList<T>
    where
        T: IntoIterator,
    {
        inner: Enumerate<T::IntoIter>,
    }
}

impl<T, U> ServiceList<T>
where
    T: IntoIterator<Item = U>,
{
    /// Yields all `services` as added endpoints, then ends.
    pub fn new<Request>(services: T) -> Self
    where
        U: Service<Request>,
    {
        Self {
            inner: services.into_iter().enumerate(),
        }
    }
}

impl<T, U> Stream for ServiceList<T>
where
    T: IntoIterator<Item = U>,
{
    type Item = Result<Change<usize, U>, Infallible>;

    fn poll_next(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.project().inner.next();
        Poll::Ready(next.map(|(index, service)| Ok(Change::Insert(index, service))))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}
