//! The integration tests, as one binary: a module for each feature.

#![expect(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test that cannot go on ends")]

mod admin_api;
mod aggregate;
mod binary;
mod both_eras;
mod browsers;
mod call_steps;
mod canaries;
mod cards;
mod cells;
mod client_faults;
mod clients;
mod commands;
mod conformance;
mod connections;
mod draining;
mod editors;
mod eras;
mod faults;
mod fidelity;
mod install;
mod isolation;
mod library;
mod limits;
mod loops;
mod modern;
mod one_address;
mod ownership;
mod pipeline;
mod programs;
mod real_servers;
mod reference;
mod reload;
mod reports;
mod reverse_proxies;
mod skills;
mod starts;
mod stdio_front;
mod storage;
mod streams;
mod sync;
mod tidy;
mod told;
mod upstream_http;
mod worker;
