//! System calls as an attacker makes them: by number, with any arguments.
#![allow(
    unsafe_code,
    reason = "a captured process makes calls that no safe function makes; each attempt is one process"
)]

use std::ffi::c_long;

/// The errno of this thread.
fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// Makes a system call.
///
/// # Errors
/// Its errno.
pub fn call(number: c_long, arguments: &[u64]) -> Result<i64, i32> {
    let at = |index: usize| arguments.get(index).copied().unwrap_or(0);
    // SAFETY: attempts pass pointers to memory that outlives the call, or none; a process makes one
    // attempt and ends, so nothing it breaks in itself is used afterwards.
    let result = unsafe { libc::syscall(number, at(0), at(1), at(2), at(3), at(4), at(5)) };
    if result == -1 { Err(errno()) } else { Ok(result) }
}

/// Makes a call that returns twice; the second process ends at once.
///
/// # Errors
/// Its errno.
pub fn call_that_forks(number: c_long, arguments: &[u64]) -> Result<i64, i32> {
    let result = call(number, arguments)?;
    if result == 0 {
        ipc::last_words::leave(0);
    }
    Ok(result)
}

/// getpid through the 32-bit entry of an x86-64 kernel.
///
/// # Errors
/// None: the kernel kills the process if the entry is not there.
#[cfg(target_arch = "x86_64")]
pub fn call_by_32_bit_entry() -> Result<i64, i32> {
    const GETPID_32: i64 = 20;
    let mut result = GETPID_32;
    // SAFETY: getpid has no arguments; the kernel may clobber r8 to r11 on this entry.
    unsafe {
        std::arch::asm!(
            "int 0x80",
            inout("rax") result,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    if result < 0 { Err(i32::try_from(-result).unwrap_or(0)) } else { Ok(result) }
}

/// A pointer as an argument.
pub fn pointer<T: ?Sized>(to: &T) -> u64 {
    std::ptr::from_ref(to).cast::<u8>() as u64
}

/// A pointer to a place that the kernel writes to, as an argument.
pub fn place<T: ?Sized>(at: &mut T) -> u64 {
    std::ptr::from_mut(at).cast::<u8>() as u64
}
