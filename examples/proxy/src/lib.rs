#![doc = include_str!("../README.md")]

pub mod admin;
pub mod cli;
pub mod config;
pub mod demo;
pub mod front;
mod lock;
pub mod metrics;
pub mod run;
pub mod signal;
pub mod stack;
mod threads;
pub mod transport;
pub mod upstream;
pub mod workers;

pub use self::front::server;
