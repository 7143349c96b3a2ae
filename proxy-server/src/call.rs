//! Life of one call. Read this module first.
//!
//! An edge reads a client's request into a [`Call`], whatever the client's era, the endpoint and the transport.
//! [`from_memory`] answers lists. For every other request, [`route`] admits the principal and finds candidates; then
//! `RoutedCall::run` (legacy clients) or `start` (modern ones) makes attempts at them in order until one gives the
//! answer. [`listen`] serves subscriptions of modern clients. The edge renders the outputs of the [`Exchange`]:
//! notifications and questions, then one answer or failure.

mod access_log;
mod attachments;
mod attempt;
mod context;
mod exchange;
mod failover;
mod kept;
mod listen;
mod lists;
mod modern_client;
mod modern_to_legacy;
mod modern_to_modern;
mod open_questions;
mod own_lists;
mod record;
mod relay;
mod request;
mod services;
mod session_ids;
mod tally;
mod target;

pub(crate) use self::access_log::AccessLog;
pub(crate) use self::attachments::{Attachments, ClientSession};
pub(crate) use self::attempt::call_tool;
pub(crate) use self::context::{Evict, Limits};
pub(crate) use self::exchange::{Exchange, Output};
pub(crate) use self::failover::route;
pub(crate) use self::kept::{Holder, Kept, Rank};
pub(crate) use self::listen::listen;
pub(crate) use self::lists::{changes, from_memory, introduction};
pub(crate) use self::modern_client::ModernClient;
pub(crate) use self::open_questions::OpenQuestions;
pub(crate) use self::request::{Answer, Attached, Call, Class, Client, Scope};
pub(crate) use self::services::{Parts, Services};
pub(crate) use self::session_ids::{Earlier, Owner, SessionIds, session_key};
