//! Prints which traits every public type of tower 0.5.3 implements: with parameters that implement all of them, and with
//! each parameter in turn lacking one.

#[macro_use]
mod probe;
mod parameters;
mod types;

fn main() {
    types::print();
}
