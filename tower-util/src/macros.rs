//! The common parts of the adaptors that wrap one service with one function.

/// Defines the adaptor `$name<S, F>` with its layer `$layer<F>`: all but its `Service` implementation.
#[cfg(feature = "util")]
macro_rules! adaptor {
    ($(#[$doc:meta])* $name:ident, $layer:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub struct $name<S, F> {
            inner: S,
            f: F,
        }

        impl<S, F> $name<S, F> {
            /// Wraps `inner` with the function `f`.
            pub const fn new(inner: S, f: F) -> Self {
                Self { inner, f }
            }

            /// Returns a layer that wraps services with the function `f`.
            pub const fn layer(f: F) -> $layer<F> {
                $layer { f }
            }

            /// Returns a reference to the inner service.
            pub const fn get_ref(&self) -> &S {
                &self.inner
            }

            /// Returns a mutable reference to the inner service.
            pub const fn get_mut(&mut self) -> &mut S {
                &mut self.inner
            }

            /// Consumes `self`, returning the inner service.
            pub fn into_inner(self) -> S {
                self.inner
            }
        }

        impl<S: std::fmt::Debug, F> std::fmt::Debug for $name<S, F> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("inner", &self.inner)
                    .field("f", &format_args!("{}", std::any::type_name::<F>()))
                    .finish()
            }
        }

        #[doc = concat!("Wraps services in [`", stringify!($name), "`].")]
        #[derive(Clone, Copy)]
        pub struct $layer<F> {
            f: F,
        }

        impl<F> $layer<F> {
            /// Creates a layer that wraps services with the function `f`.
            pub const fn new(f: F) -> Self {
                Self { f }
            }
        }

        impl<S, F: Clone> tower_layer::Layer<S> for $layer<F> {
            type Service = $name<S, F>;

            fn layer(&self, inner: S) -> Self::Service {
                $name::new(inner, self.f.clone())
            }
        }

        impl<F> std::fmt::Debug for $layer<F> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($layer))
                    .field("f", &format_args!("{}", std::any::type_name::<F>()))
                    .finish()
            }
        }
    };
}

/// Defines a named future that wraps an unnamed or private one.
macro_rules! named_future {
    ($(#[$doc:meta])* $name:ident<$($param:ident),+>($inner:ty) $(where $bounded:ident: $bound:path)?) => {
        pin_project_lite::pin_project! {
            $(#[$doc])*
            #[must_use = "futures do nothing unless you `.await` or poll them"]
            pub struct $name<$($param),+> $(where $bounded: $bound)? {
                #[pin]
                inner: $inner,
            }
        }

        impl<$($param),+> $name<$($param),+> $(where $bounded: $bound)? {
            pub(crate) fn new(inner: $inner) -> Self {
                Self { inner }
            }
        }

        impl<$($param),+> std::future::Future for $name<$($param),+>
        where
            $inner: std::future::Future,
            $($bounded: $bound)?
        {
            type Output = <$inner as std::future::Future>::Output;

            #[inline]
            fn poll(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Self::Output> {
                self.project().inner.poll(cx)
            }
        }

        impl<$($param),+> std::fmt::Debug for $name<$($param),+> $(where $bounded: $bound)? {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}
