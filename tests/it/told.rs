//! Nothing that a server asks or tells on a stream of its own is lost, at the beginning of a session or after a gap.

mod gaps;
mod questions;
mod session_tools;
