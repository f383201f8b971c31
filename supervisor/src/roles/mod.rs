//! What `bulkhead` is when the supervisor executes it anew.

pub mod authenticator;
pub mod keeper;
