use tower_layer::Layer;

use super::HoldUntilBodyEnd;

/// Wraps services in a limit of the layer `T`, and that in [`HoldUntilBodyEnd`].
///
/// It is created by the method `hold_until_body_end` of the limits' layers.
#[derive(Clone, Debug)]
pub struct HoldUntilBodyEndLayer<T> {
    limit: T,
}

impl<T> HoldUntilBodyEndLayer<T> {
    pub(crate) const fn new(limit: T) -> Self {
        Self { limit }
    }
}

impl<T: Layer<S>, S> Layer<S> for HoldUntilBodyEndLayer<T> {
    type Service = HoldUntilBodyEnd<T::Service>;

    fn layer(&self, service: S) -> HoldUntilBodyEnd<T::Service> {
        HoldUntilBodyEnd::new(self.limit.layer(service))
    }
}

/// Adds `hold_until_body_end` to a limit's layer.
macro_rules! holding_layer {
    ($layer:ident $(<$($parameter:ident),+>)?) => {
        impl $(<$($parameter),+>)? $layer $(<$($parameter),+>)? {
            /// Makes the limit count a request until the body of its response has ended: see [`http`](crate::http).
            pub const fn hold_until_body_end(self) -> crate::http::HoldUntilBodyEndLayer<Self> {
                crate::http::HoldUntilBodyEndLayer::new(self)
            }
        }
    };
}
pub(crate) use holding_layer;

/// Adds `hold_until_body_end` to a limit's service.
macro_rules! holding_service {
    ($service:ident<$($parameter:ident),+>) => {
        impl<$($parameter),+> $service<$($parameter),+> {
            /// Makes the limit count a request until the body of its response has ended: see [`http`](crate::http).
            pub const fn hold_until_body_end(self) -> crate::http::HoldUntilBodyEnd<Self> {
                crate::http::HoldUntilBodyEnd::new(self)
            }
        }
    };
}
pub(crate) use holding_service;
