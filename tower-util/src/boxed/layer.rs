use std::fmt;
use std::sync::Arc;

use tower_layer::{Layer, layer_fn};
use tower_service::Service;

use super::{BoxCloneService, BoxCloneSyncService, BoxService};

/// Defines a boxed layer whose services are boxed as `$service`.
macro_rules! boxed_layer {
    ($(#[$doc:meta])* $name:ident, $service:ident, $($bound:tt)+) => {
        $(#[$doc])*
        pub struct $name<In, T, U, E> {
            boxed: Arc<dyn Layer<In, Service = $service<T, U, E>> + Send + Sync>,
        }

        impl<In, T, U, E> $name<In, T, U, E> {
            /// Boxes `inner_layer`, and each service that it wraps.
            pub fn new<L>(inner_layer: L) -> Self
            where
                L: Layer<In> + Send + Sync + 'static,
                L::Service: Service<T, Response = U, Error = E> + $($bound)+ + 'static,
                <L::Service as Service<T>>::Future: Send + 'static,
            {
                Self { boxed: Arc::new(layer_fn(move |inner: In| $service::new(inner_layer.layer(inner)))) }
            }
        }

        impl<In, T, U, E> Layer<In> for $name<In, T, U, E> {
            type Service = $service<T, U, E>;

            fn layer(&self, inner: In) -> Self::Service {
                self.boxed.layer(inner)
            }
        }

        impl<In, T, U, E> Clone for $name<In, T, U, E> {
            fn clone(&self) -> Self {
                Self { boxed: Arc::clone(&self.boxed) }
            }
        }

        impl<In, T, U, E> fmt::Debug for $name<In, T, U, E> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}

boxed_layer! {
    /// A boxed layer that wraps services in [`BoxService`]. Clones share the layer.
    ///
    /// # Example
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use tower_layer::{Identity, Layer};
    /// use tower_util::{BoxLayer, MapResponseLayer, ServiceExt, ServiceFn, service_fn};
    ///
    /// async fn echo(n: u32) -> Result<u32, Infallible> {
    ///     Ok(n)
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// for (doubling, expected) in [(true, 42), (false, 21)] {
    ///     // Both arms have the same type.
    ///     let layer = if doubling {
    ///         BoxLayer::new(MapResponseLayer::new(|n: u32| n * 2))
    ///     } else {
    ///         BoxLayer::new(Identity::new())
    ///     };
    ///     assert_eq!(layer.layer(service_fn(echo)).oneshot(21).await, Ok(expected));
    /// }
    /// # }
    /// ```
    BoxLayer, BoxService, Send
}

boxed_layer! {
    /// A boxed layer that wraps services in [`BoxCloneService`]. Clones share the layer.
    BoxCloneServiceLayer, BoxCloneService, Clone + Send
}

boxed_layer! {
    /// A boxed layer that wraps services in [`BoxCloneSyncService`]. Clones share the layer.
    BoxCloneSyncServiceLayer, BoxCloneSyncService, Clone + Send + Sync
}
