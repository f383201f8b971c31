//! What is shipped is what was promised: static workers, one directory.

use std::fs;

use bulkhead_tests::harness::{dist, test};
use libtest_mimic::Trial;

pub fn tests() -> Vec<Trial> {
    vec![test("binaries::worker_and_helper_are_linked_statically", static_programs)]
}

/// A program that needs a dynamic linker names it in a program header of this type (elf(5)).
const PT_INTERP: u32 = 3;

/// The types of a 64-bit little-endian ELF program's headers.
fn program_headers(program: &str) -> Vec<u32> {
    let bytes = fs::read(dist().join(program)).unwrap();
    assert_eq!(&bytes[..6], b"\x7fELF\x02\x01", "{program} is not a 64-bit ELF program");
    let number = |at: usize, length: usize| {
        let mut value = [0; 8];
        value[..length].copy_from_slice(&bytes[at..at + length]);
        usize::try_from(u64::from_le_bytes(value)).unwrap()
    };
    let (start, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    (0..count).map(|i| u32::try_from(number(start + i * size, 4)).unwrap()).collect()
}

fn static_programs() {
    for program in ["bulkhead-worker", "bulkhead-helper"] {
        assert!(!program_headers(program).contains(&PT_INTERP), "{program} is linked dynamically");
    }
    // The test can tell the difference.
    assert!(program_headers("bulkhead").contains(&PT_INTERP));
}
