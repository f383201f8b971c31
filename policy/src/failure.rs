//! The one way to say which layer of a lockdown could not be raised.

use ipc::process::LockdownFailure;

/// A failure of one layer.
pub(crate) fn failure(layer: &str, reason: impl Into<String>) -> LockdownFailure {
    LockdownFailure { layer: layer.to_owned(), reason: reason.into() }
}
