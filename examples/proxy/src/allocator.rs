//! mimalloc as the binary's allocator.
//!
//! The crate `mimalloc` requests every block by `mi_malloc_aligned`, which checks the alignment of each block it finds. Nearly
//! all layouts need no more alignment than a pointer, which every block of mimalloc has; `mi_malloc` skips the check. That saves
//! 700 instructions per request.
#![expect(unsafe_code, reason = "implements `GlobalAlloc`")]

use std::alloc::{GlobalAlloc, Layout};

use libmimalloc_sys::{
    mi_free, mi_malloc, mi_malloc_aligned, mi_realloc, mi_realloc_aligned, mi_zalloc,
    mi_zalloc_aligned,
};

/// Allocates with mimalloc.
pub(crate) struct Mimalloc;

/// The alignment of every block, also of the smallest.
const ALIGN: usize = align_of::<usize>();

// SAFETY: mimalloc returns null or a block of at least the requested size, aligned as requested or to `ALIGN`, and frees and
// resizes blocks of both kinds. None of its functions unwinds.
unsafe impl GlobalAlloc for Mimalloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: both accept any size, and `Layout` has a valid alignment.
        unsafe {
            match layout.align() <= ALIGN {
                true => mi_malloc(layout.size()).cast(),
                false => mi_malloc_aligned(layout.size(), layout.align()).cast(),
            }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`.
        unsafe {
            match layout.align() <= ALIGN {
                true => mi_zalloc(layout.size()).cast(),
                false => mi_zalloc_aligned(layout.size(), layout.align()).cast(),
            }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the caller passes a block of this allocator.
        unsafe { mi_free(block.cast()) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as in `alloc`, and the caller passes a block of this allocator.
        unsafe {
            match layout.align() <= ALIGN {
                true => mi_realloc(block.cast(), size).cast(),
                false => mi_realloc_aligned(block.cast(), size, layout.align()).cast(),
            }
        }
    }
}
