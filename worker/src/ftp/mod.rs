//! FTP as text and bytes: lines, verbs, arguments, replies, paths and listings. Pure code: nothing
//! here makes a system call, and every byte it is given may come from an enemy.

pub mod argument;
pub mod ascii;
pub mod calendar;
pub mod command;
pub mod digest;
pub mod glob;
pub mod line;
pub mod listing;
pub mod path;
pub mod reply;
pub mod site;
pub mod verb;
