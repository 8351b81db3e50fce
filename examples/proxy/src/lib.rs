#![doc = include_str!("../README.md")]

mod accept;
pub mod admin;
pub mod body;
pub mod cli;
pub mod config;
mod connection;
pub mod demo;
pub mod dialect;
pub mod error;
pub mod headers;
pub mod hedge;
mod malformed;
pub mod metrics;
pub mod outcome;
pub mod outliers;
pub mod proxy;
pub mod retry;
pub mod router;
pub mod run;
pub mod server;
pub mod signal;
pub mod stack;
pub mod upstream;
