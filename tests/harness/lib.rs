//! The test DSL: gateways in-process and as binaries, official clients and servers, fakes, and waiting.

#![expect(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test that cannot go on ends")]

pub mod admin;
pub mod authorization_server;
pub mod binary;
pub mod browser;
pub mod client;
pub mod conformance;
pub mod envelope;
pub mod fake;
pub mod fixture;
pub mod gateway;
pub mod peer;
pub mod port;
pub mod process;
pub mod prometheus;
pub mod proxy;
pub mod raw;
pub mod recorder;
pub mod redis;
pub mod reference;
pub mod wait;
pub mod web;

pub use crate::admin::{Admin, Answer, http, send};
pub use crate::binary::{Served, binary};
pub use crate::browser::chromium;
pub use crate::client::{Client, client, inspector};
pub use crate::envelope::Envelope;
pub use crate::fixture::{built, fixture, fixture_path, python, root};
pub use crate::gateway::{InProcess, gateway};
pub use crate::port::free_port;
pub use crate::process::{Ended, Process, Seen};
pub use crate::wait::{DEADLINE, eventually, within};
