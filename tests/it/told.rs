//! Requests and notifications that a server sends on its own stream are not lost, at the beginning of a session or
//! after a gap.

mod gaps;
mod questions;
mod session_tools;
