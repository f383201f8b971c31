//! The configuration: one declarative table of keys, a reader that reports every error at once
//! with file and line, and the plain [`Config`] that the other programs use.

mod build;
mod control_socket;
mod error;
pub mod fips;
mod identity;
mod model;
mod reader;
pub mod restart;
pub mod schema;
mod settings;
mod value;

#[cfg(test)]
mod tests;

pub use control_socket::control_socket;
pub use error::{ConfigError, ConfigErrors};
pub use model::{Access, Config, I2ftp, LogFormat, LogLevel, PassiveAddress, Penalties, Tls};
