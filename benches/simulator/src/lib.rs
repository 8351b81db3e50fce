//! Simulates load balancers and limits in virtual time, with thousands of clients and servers, without sockets or waiting.
//!
//! The pickers are those of `tower-balance`, the loads those of `tower-load`, the adaptive limits those of `tower-limit`, not models
//! of them. See the README for the results.

mod client;
pub mod connections;
pub mod contestant;
pub mod distribution;
pub mod draw;
pub mod event;
mod group;
pub mod load;
pub mod memory;
pub mod overload;
pub mod plot;
mod rendezvous;
pub mod route;
pub mod scenario;
pub mod scenarios;
pub mod score;
pub mod server;
pub mod sim;
pub mod table;
pub mod usage;
