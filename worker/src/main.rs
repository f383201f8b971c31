//! `bulkhead-worker gate|session`: started by the supervisor with its channel as standard input.

fn main() {
    let status = worker::run(std::env::args_os().nth(1).as_deref());
    // Returning from main would make system calls that no policy allows.
    ipc::last_words::leave(status)
}
