//! What both sides of the proxy share: sockets, HTTP/2 streams, stall detection, header fields, and the framing of
//! messages.

pub mod blocks;
pub mod descriptors;
pub mod framing;
pub mod headers;
pub mod limits;
pub mod poll_clock;
mod read_signal;
pub mod socket;
pub mod stall;
pub mod streams;
pub mod task_waker;
pub mod trailers;
pub mod upload;
