//! The configuration: one declarative table of keys, a reader that reports every error at once
//! with file and line, and the plain [`Config`] that the rest of the supervisor uses.

mod build;
mod control_socket;
mod error;
mod identity;
mod model;
mod network;
mod reader;
pub mod schema;
mod value;

#[cfg(test)]
mod tests;

pub use build::{tls_demand, tls_word};
pub use control_socket::control_socket;
pub use error::{ConfigError, ConfigErrors};
pub use model::{Config, I2ftp, LogFormat, LogLevel, PassiveAddress, Penalties, Tls};
pub use network::Network;
