//! The programs the supervisor starts.

use std::path::{Path, PathBuf};

use crate::children::Program;

/// The programs the supervisor starts, opened once.
#[derive(Debug)]
pub struct Programs {
    /// `bulkhead` itself: keeper and authenticator.
    pub own: Program,
    /// `bulkhead-worker`.
    pub worker: Program,
    /// `bulkhead-helper`.
    pub helper: HelperSource,
}

/// Where the helper comes from.
#[derive(Debug)]
pub enum HelperSource {
    /// A program that the supervisor starts.
    Program(Program),
    /// A socket at which systemd starts one, in a unit of its own: the rest of the server then needs
    /// no network.
    Socket(PathBuf),
}

/// Where the other two binaries of an installed server are.
const LIBEXEC: &str = "/usr/libexec/bulkhead";

impl Programs {
    /// Opens the running program, and the other two beside it or under the libexec directory; the
    /// helper is not started by us if there is a socket where systemd does.
    ///
    /// # Errors
    /// A sentence that names what is missing and where it was looked for.
    pub fn open(helper_socket: Option<PathBuf>) -> Result<Programs, String> {
        let own = Path::new("/proc/self/exe");
        let beside = std::fs::read_link(own)
            .map_err(|e| format!("/proc/self/exe cannot be read ({e}); mount /proc"))?;
        let find = |name: &str| {
            let places = [beside.with_file_name(name), Path::new(LIBEXEC).join(name)];
            let found = places.iter().find_map(|place| Program::open(place).ok());
            found.ok_or_else(|| {
                format!(
                    "{name} is neither at {} nor at {}; install it beside bulkhead",
                    places[0].display(),
                    places[1].display()
                )
            })
        };
        Ok(Programs {
            own: Program::open(own).map_err(|e| format!("/proc/self/exe: {e}"))?,
            worker: find("bulkhead-worker")?,
            helper: match helper_socket {
                Some(socket) => HelperSource::Socket(socket),
                None => HelperSource::Program(find("bulkhead-helper")?),
            },
        })
    }
}
