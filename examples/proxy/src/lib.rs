#![doc = include_str!("../README.md")]

pub mod admin;
pub mod body;
pub mod cli;
pub mod config;
pub mod demo;
pub mod error;
pub mod headers;
pub mod metrics;
pub mod proxy;
pub mod retry;
pub mod router;
pub mod run;
pub mod server;
pub mod signal;
pub mod stack;
pub mod upstream;
