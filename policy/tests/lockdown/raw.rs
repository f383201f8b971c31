//! The one attempt that no safe function can make.
#![allow(unsafe_code, reason = "mmap is unsafe in every crate; nothing is kept of the mapping")]

/// Maps a page that is writable and executable.
///
/// # Errors
/// The errno of mmap(2).
pub fn map_executable() -> Result<(), i32> {
    let protection = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new anonymous mapping touches no memory that exists, and is never used.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0) };
    if page == libc::MAP_FAILED {
        return Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(199));
    }
    Ok(())
}
