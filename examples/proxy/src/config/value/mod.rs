//! The kinds of values: how each is written, and what an error says is accepted.

mod duration;
mod endpoint;
mod kind;
mod list;
mod name;
mod number;
mod switch;
mod web;

pub(super) use self::duration::*;
pub use self::endpoint::Endpoint;
pub(super) use self::kind::{Kind, read, some};
pub(super) use self::list::{list, some_list};
pub(super) use self::name::{ClusterName, Host, HostPattern, is_name};
pub(super) use self::number::*;
pub(super) use self::switch::Switch;
pub(super) use self::web::*;
