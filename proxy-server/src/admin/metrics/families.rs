//! Declares every metric: name, help, labels, and where its value comes from.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;

use schemas::admin::{State as UpstreamState, Status};

use super::family::{Family, Labels};
use crate::admin::state::Admin;
use crate::telemetry::usage::{self, Usage};
use crate::upstream::{RequestCounts, descriptor_limit};

/// States of an upstream, by the words of the admin API.
const STATES: [(UpstreamState, &str); 4] = [
    (UpstreamState::Connected, "connected"),
    (UpstreamState::Connecting, "connecting"),
    (UpstreamState::Error, "error"),
    (UpstreamState::Disconnected, "disconnected"),
];

/// Reads all metrics. `trees` are the resources of the upstreams' processes.
pub(super) fn all(admin: &Admin, trees: &HashMap<u32, Usage>) -> Vec<Family> {
    let counts: BTreeMap<String, RequestCounts> =
        admin.upstreams.all().iter().map(|(name, upstream)| (name.to_string(), upstream.counts())).collect();
    let mut all = calls(admin);
    all.extend(requests(admin, &counts));
    all.extend(upstreams(admin));
    all.extend(processes(admin, trees));
    all.extend(gateway(admin));
    all.push(limits(admin));
    all.extend(storage(admin));
    all.extend(own_process());
    all
}

fn calls(admin: &Admin) -> Vec<Family> {
    let tally = &admin.calls.tally;
    let by_outcome = tally.sum().into_iter().map(|((method, outcome, principal), count)| {
        (labels([("method", method), ("outcome", outcome), ("principal", principal)]), count)
    });
    let denials = admin.policy.denials().all().map(|(reason, count)| (labels([("reason", reason)]), count));
    vec![
        Family::counter(
            "mcp_proxy_calls",
            "Requests of clients that go to upstreams: `answered`, also with an error of the upstream, or the reason why not.",
            by_outcome,
        ),
        Family::counter(
            "mcp_proxy_failovers",
            "Calls that went on at another upstream.",
            [(Vec::new(), tally.failovers())],
        ),
        Family::counter("mcp_proxy_denied", "Requests that were refused for lack of access.", denials),
    ]
}

fn requests(admin: &Admin, counts: &BTreeMap<String, RequestCounts>) -> Vec<Family> {
    let outcomes = counts.iter().flat_map(|(name, counts)| {
        counts.outcomes.iter().map(|((method, outcome), count)| {
            (labels([("upstream", name), ("method", method), ("outcome", outcome)]), *count)
        })
    });
    let durations = counts.iter().flat_map(|(name, counts)| {
        counts
            .durations
            .iter()
            .map(|(method, durations)| (labels([("upstream", name), ("method", method)]), durations.clone()))
    });
    let bytes = |of: fn(&RequestCounts) -> u64| {
        counts.iter().map(move |(name, counts)| (labels([("upstream", name)]), of(counts)))
    };
    vec![
        Family::counter(
            "mcp_proxy_upstream_requests",
            "Requests to upstreams: `ok`, `error` for a JSON-RPC error, or the reason of the failure.",
            outcomes,
        ),
        Family::durations(
            "mcp_proxy_requests_duration_seconds",
            "Time from sending a request to an upstream to its answer or failure.",
            durations,
        ),
        Family::counter(
            "mcp_proxy_errors",
            "Requests to upstreams that failed, by the type of the failure.",
            errors(admin.upstreams.failures()),
        ),
        Family::counter(
            "mcp_proxy_upstream_request_bytes",
            "Bytes of requests that were sent to upstreams.",
            bytes(|counts| counts.request_bytes),
        ),
        Family::counter(
            "mcp_proxy_upstream_response_bytes",
            "Bytes of the upstreams' answers.",
            bytes(|counts| counts.response_bytes),
        ),
    ]
}

/// Sums failures by type; `connection` and `timeout` are the ancestor's words and always there.
fn errors(failures: BTreeMap<&'static str, u64>) -> Vec<(Labels, u64)> {
    let mut sums = BTreeMap::from([("connection", 0), ("timeout", 0)]);
    for (kind, count) in failures {
        let kind = match kind {
            "upstream_unreachable" | "upstream_lost" | "upstream_session_lost" | "upstream_not_ready" => "connection",
            "upstream_timed_out" => "timeout",
            other => other,
        };
        *sums.entry(kind).or_default() += count;
    }
    sums.into_iter().map(|(kind, count)| (labels([("type", kind)]), count)).collect()
}

fn upstreams(admin: &Admin) -> Vec<Family> {
    let all = admin.upstreams.all();
    let of = |name: &str| labels([("upstream", name)]);
    let statuses: Vec<Status> = all.values().map(|upstream| upstream.status()).collect();
    let states = statuses.iter().flat_map(|status| {
        STATES.map(|(state, word)| {
            let is_present = f64::from(u8::from(state == status.status));
            (labels([("upstream", &status.name), ("state", word)]), is_present)
        })
    });
    let attempts = statuses.iter().map(|status| (of(&status.name), f64::from(status.reconnect_attempts)));
    let noise = statuses.iter().map(|status| (of(&status.name), status.unreadable_lines));
    let handshakes = all.iter().map(|(name, upstream)| (of(name.as_str()), upstream.handshakes()));
    let in_flight = all.iter().map(|(name, upstream)| (of(name.as_str()), upstream.in_flight() as f64));
    let most_in_flight = all.iter().map(|(name, upstream)| (of(name.as_str()), upstream.most_in_flight() as f64));
    let snapshot = admin.catalog.snapshot();
    let items = snapshot
        .lengths()
        .map(|(name, list, length)| (labels([("upstream", name.as_str()), ("list", list.member())]), length as f64));
    vec![
        Family::gauge("mcp_proxy_upstream_state", "1 for the present state of an upstream, 0 for the others.", states),
        Family::counter(
            "mcp_proxy_upstream_handshakes",
            "Sessions that the gateway has opened of its own.",
            handshakes,
        ),
        Family::gauge(
            "mcp_proxy_upstream_reconnect_attempts",
            "Attempts to connect since the last stable session.",
            attempts,
        ),
        Family::gauge("mcp_proxy_upstream_in_flight", "Requests in flight at an upstream.", in_flight),
        Family::gauge(
            "mcp_proxy_upstream_in_flight_limit",
            "Maximum number of requests in flight at an upstream (--max-in-flight, maxInFlight).",
            most_in_flight,
        ),
        Family::counter(
            "mcp_proxy_upstream_unreadable_lines",
            "Lines on the standard output of programs that are no messages.",
            noise,
        ),
        Family::gauge("mcp_proxy_catalog_items", "Items that an upstream offers, by list.", items),
    ]
}

fn processes(admin: &Admin, trees: &HashMap<u32, Usage>) -> Vec<Family> {
    let (mut numbers, mut cpu, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for (name, upstream) in admin.upstreams.all().iter() {
        let running = upstream.processes();
        if running.is_empty() {
            continue;
        }
        let used: Vec<&Usage> = running.iter().filter_map(|id| trees.get(id)).collect();
        let own = || labels([("upstream", name.as_str())]);
        numbers.push((own(), running.len() as f64));
        // Unknown for a program that is younger than the last reading.
        if used.is_empty() {
            continue;
        }
        cpu.push((own(), used.iter().map(|usage| usage.cpu.as_secs_f64()).sum()));
        memory.push((own(), used.iter().map(|usage| usage.resident_bytes as f64).sum()));
    }
    vec![
        Family::gauge("mcp_proxy_upstream_processes", "Programs of an upstream that are running.", numbers),
        Family::gauge(
            "mcp_proxy_upstream_cpu_seconds",
            "CPU time of the running programs of an upstream, with all that they have started.",
            cpu,
        ),
        Family::gauge(
            "mcp_proxy_upstream_resident_memory_bytes",
            "Memory of the running programs of an upstream, with all that they have started.",
            memory,
        ),
    ]
}

fn gateway(admin: &Admin) -> Vec<Family> {
    let file = admin.control.file_report();
    let single = |value: usize| [(Vec::new(), value as f64)];
    let version = labels([("version", env!("CARGO_PKG_VERSION"))]);
    vec![
        Family::gauge("mcp_proxy_build_info", "Version of the gateway; always 1.", [(version, 1.0)]),
        Family::counter(
            "mcp_proxy_connections",
            "Connections of clients that were accepted.",
            [(Vec::new(), admin.connections.total.load(Ordering::Relaxed))],
        ),
        Family::gauge(
            "mcp_proxy_connections_active",
            "Connections of clients that are open.",
            [(Vec::new(), admin.connections.active.load(Ordering::Relaxed) as f64)],
        ),
        Family::gauge("mcp_proxy_sessions", "Sessions of clients of the legacy era.", single((admin.sessions)())),
        Family::gauge(
            "mcp_proxy_parked_calls",
            "Calls that wait for their clients to answer a question.",
            single(admin.calls.parked_calls()),
        ),
        Family::gauge("mcp_proxy_registrations", "Registered upstreams.", single(admin.control.snapshot().len())),
        Family::gauge("mcp_proxy_lease_holders", "Holders of leases.", single(admin.control.leases().len())),
        Family::gauge("mcp_proxy_access_tokens", "Issued access tokens.", single(admin.control.tokens().all().len())),
        Family::gauge(
            "mcp_proxy_configuration_generation",
            "Number of the version of the configuration file that is in effect; 0 without a file.",
            [(Vec::new(), file.generation as f64)],
        ),
        Family::gauge(
            "mcp_proxy_configuration_rejected",
            "1 if a newer version of the configuration file has a mistake and is not used.",
            [(Vec::new(), f64::from(u8::from(file.rejected.is_some())))],
        ),
        Family::gauge(
            "mcp_proxy_configuration_refused_servers",
            "Servers of the configuration file that are not registered, because of a mistake or a name that is taken.",
            single(file.refused.len()),
        ),
    ]
}

/// The limits that other metrics approach.
fn limits(admin: &Admin) -> Family {
    let limits = [
        ("connections", admin.connections.limit),
        ("sessions", admin.calls.limits.max_sessions),
        ("parked_calls", admin.calls.limits.parked_calls),
        ("processes", admin.upstreams.most_processes()),
        ("servers", admin.upstreams.capacity()),
        ("access_tokens", admin.control.tokens().capacity()),
    ];
    let limits = limits.map(|(limit, value)| (labels([("limit", limit)]), value as f64));
    Family::gauge("mcp_proxy_limit", "Maximum numbers of connections, sessions, processes and others.", limits)
}

/// The metrics of the storage, and of the logs that the gateway keeps.
fn storage(admin: &Admin) -> Vec<Family> {
    let is_up = f64::from(u8::from(admin.control.storage_failure().is_none()));
    let audit = admin.policy.audit();
    let is_recorded = audit.path().map(|_| (Vec::new(), f64::from(u8::from(audit.failure().is_none()))));
    let left_out = admin.calls.access_log.left_out().map(|lines| (Vec::new(), lines));
    vec![
        Family::gauge(
            "mcp_proxy_audit_log_up",
            "1 unless records of the audit log cannot be written, for which changes are refused.",
            is_recorded,
        ),
        Family::counter(
            "mcp_proxy_access_log_left_out_lines",
            "Lines of the access log that were left out, because the disk does not keep up or is full.",
            left_out,
        ),
        Family::gauge(
            "mcp_proxy_storage_up",
            "1 unless the storage is lost.",
            [(labels([("storage", admin.control.storage())]), is_up)],
        ),
        Family::durations(
            "mcp_proxy_storage_write_duration_seconds",
            "Time that a change of the storage took, failed ones included.",
            [(Vec::new(), admin.control.write_durations())],
        ),
    ]
}

/// The metrics of a process that every exporter has.
fn own_process() -> Vec<Family> {
    let Some(usage) = usage::of_this_process() else { return Vec::new() };
    let single = |value: f64| [(Vec::new(), value)];
    let started = usage::boot_time().map(|boot| boot as f64 + usage.started.as_secs_f64());
    let optional = |value: Option<u64>| value.map(|value| (Vec::new(), value as f64));
    vec![
        Family::sum("process_cpu_seconds", "CPU time of the gateway.", single(usage.cpu.as_secs_f64())),
        Family::gauge("process_resident_memory_bytes", "Memory of the gateway.", single(usage.resident_bytes as f64)),
        Family::gauge(
            "process_virtual_memory_bytes",
            "Address space of the gateway.",
            single(usage.virtual_bytes as f64),
        ),
        Family::gauge("process_threads", "Threads of the gateway.", single(usage.threads as f64)),
        Family::gauge("process_open_fds", "Open descriptors.", optional(usage::open_descriptors())),
        Family::gauge("process_max_fds", "Limit of open descriptors.", optional(descriptor_limit())),
        Family::gauge(
            "process_start_time_seconds",
            "Start of the gateway, in seconds of the epoch.",
            started.map(|started| (Vec::new(), started)),
        ),
    ]
}

fn labels<const N: usize>(pairs: [(&'static str, &str); N]) -> Labels {
    pairs.map(|(name, value)| (name, value.to_owned())).into()
}
