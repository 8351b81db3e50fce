//! What both sides of the proxy share: sockets, the streams of HTTP/2 connections, peers that do not read, and the fields and
//! the framing of messages.

pub mod blocks;
pub mod descriptors;
pub mod framing;
pub mod headers;
pub mod socket;
pub mod stall;
pub mod streams;
pub mod trailers;
pub mod upload;
