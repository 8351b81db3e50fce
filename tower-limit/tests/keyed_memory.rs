//! The memory that keys take is bounded.
#![cfg(all(feature = "concurrency", feature = "rate"))]
#![allow(unsafe_code, reason = "counts what is allocated")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tower_limit::keyed::{KeyPermits, KeyRates};
use tower_limit::rate::{Rate, TokenBucket};

struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test, so that no other allocates at the same time.
#[test]
#[cfg_attr(miri, ignore = "takes hours")]
fn a_million_keys_of_a_rate_and_of_permits_take_32_bytes_each_and_no_more_are_kept() {
    const MILLION: usize = 1_000_000;
    /// A `u64` and 24 bytes.
    const BYTES: usize = 32;
    /// More than fit, so that all shards are full.
    const SEEN: u64 = 1_100_000;
    let day = Duration::from_secs(86_400);

    let before = ALLOCATED.load(Ordering::Relaxed);
    let rates = KeyRates::new(TokenBucket::new(Rate::new(1, day), 2), MILLION);
    let permits = KeyPermits::new(1, MILLION);
    for key in 0..SEEN {
        rates.take(key).unwrap();
        permits.take(key).unwrap();
        if key == MILLION as u64 / 10 {
            let used = ALLOCATED.load(Ordering::Relaxed) - before;
            // The vectors have room for up to twice the number of keys.
            assert!(used < 2 * 2 * BYTES * MILLION / 10, "{used} bytes early");
        }
    }
    let used = ALLOCATED.load(Ordering::Relaxed) - before;
    for keys in [rates.keys(), permits.keys()] {
        assert_eq!(keys, MILLION);
    }
    println!("{} bytes per key", used / (2 * MILLION));
    assert!(used < 2 * MILLION * BYTES, "{used} bytes");

    // Known keys cost nothing.
    let full = ALLOCATED.load(Ordering::Relaxed);
    for key in SEEN - 100_000..SEEN {
        let _ = rates.take(key);
        drop(permits.take(key));
    }
    assert_eq!(ALLOCATED.load(Ordering::Relaxed), full);
    drop((rates, permits));
    assert!(ALLOCATED.load(Ordering::Relaxed) < before + 1000);
}
