//! Trait objects for services and layers, which erase their types.

mod clone;
mod clone_sync;
mod layer;
mod sync;
mod unsync;

pub use self::clone::BoxCloneService;
pub use self::clone_sync::BoxCloneSyncService;
pub use self::layer::{BoxCloneServiceLayer, BoxCloneSyncServiceLayer, BoxLayer};
pub use self::sync::BoxService;
pub use self::unsync::UnsyncBoxService;
