//! Compozy: `mcps` of a workflow or project, and the settings of its proxy at `mcp_proxy`.

use crate::config::dialect::settings::{self, Form};
use crate::config::fields::{Rules, Unit, UrlAlone};
use crate::config::format::{Dialect, File, Imported, MCP_SERVERS, Reading};
use crate::config::pattern::Notation;
use crate::config::remark::Remark;
use crate::document::{Map, Node, Number, Value};

pub(super) const DIALECT: Dialect = Dialect {
    id: "compozy",
    programs: "Compozy",
    roots: &["mcps", "mcp_proxy"],
    evidence: |file| {
        let servers = file.list(&["mcps"]).map(|_| "`mcps`");
        servers.or_else(|| file.map(&["mcp_proxy"]).map(|_| "`mcp_proxy`")).map(str::to_owned)
    },
    servers: |file, entries| entries.listed(file.at(&["mcps"]), "id"),
    rules: Rules { transport: &["transport"], ..Rules::new(UrlAlone::Sse, Unit::Written, Notation::TEMPLATES) },
    finish,
    whole,
    ..MCP_SERVERS
};

/// Settings by their paths below `mcp_proxy`: the flat form of the code, and the nested one of the documentation.
const SETTINGS: [(&str, &str, Form); 26] = [
    ("host", "host", Form::Text),
    ("port", "port", Form::Text),
    ("base_url", "base-url", Form::Text),
    ("shutdown_timeout", "shutdown-timeout", Form::Time),
    ("max_connections", "max-connections", Form::Text),
    ("admin_tokens", "admin-tokens", Form::List),
    ("auth.admin_tokens", "admin-tokens", Form::List),
    ("admin_allow_ips", "admin-allow-ips", Form::List),
    ("auth.admin_allow_ips", "admin-allow-ips", Form::List),
    ("global_auth_tokens", "global-auth-tokens", Form::List),
    ("auth.global_tokens", "global-auth-tokens", Form::List),
    ("trusted_proxies", "trusted-proxies", Form::List),
    ("security.trusted_proxies", "trusted-proxies", Form::List),
    ("log_level", "log-level", Form::Text),
    ("logging.level", "log-level", Form::Text),
    ("log_format", "log-format", Form::Text),
    ("logging.format", "log-format", Form::Text),
    ("redis.url", "redis-url", Form::Text),
    ("redis.host", "redis-host", Form::Text),
    ("redis.port", "redis-port", Form::Text),
    ("redis.password", "redis-password", Form::Text),
    ("redis.db", "redis-db", Form::Text),
    ("redis.tls_enabled", "redis-tls", Form::Text),
    ("redis.dial_timeout", "redis-connect-timeout", Form::Time),
    ("redis.read_timeout", "redis-timeout", Form::Time),
    ("redis.write_timeout", "redis-timeout", Form::Time),
];

/// Settings that the gateway has no use for, and the reason.
const WITHOUT_EFFECT: [(&str, &str); 11] = [
    ("mode", MODE),
    ("max_idle_conns", POOL),
    ("max_idle_conns_per_host", POOL),
    ("max_conns_per_host", POOL),
    ("idle_conn_timeout", POOL),
    ("redis.pool_size", POOL),
    ("redis.min_idle_conns", POOL),
    ("redis.max_retries", POOL),
    ("redis.pool_timeout", POOL),
    ("redis.min_retry_backoff", POOL),
    ("redis.max_retry_backoff", POOL),
];

const MODE: &str = "the gateway stands alone; choose where registrations are kept with `storage`";
const POOL: &str = "the gateway manages its connections by its own rules";

fn finish(reading: &mut Reading<'_, '_>) {
    reading.used.add(&["id", "max_sessions"]);
    if let Some(node) = reading.entry.get("max_sessions") {
        match node.value {
            Value::Number(Number::Natural(number), _) => {
                reading.server.max_sessions = u32::try_from(number).ok().filter(|number| *number > 0);
            }
            // Without a limit.
            Value::Number(Number::Negative(_), _) => {}
            _ => reading.warn("max_sessions", format!("`max_sessions` of `{}` is not a number", reading.server.name)),
        }
    }
    // Only this program splits a command at its blanks.
    if reading.entry.literal("command").is_some() {
        let mut words = std::mem::take(&mut reading.server.command).words().into_iter();
        reading.server.command = words.next().unwrap_or_default();
        reading.server.args.splice(..0, words);
    }
}

fn whole(file: &File<'_>, imported: &mut Imported) {
    if let Some(proxy) = file.map(&["mcp_proxy"]) {
        read_settings("mcp_proxy.", "", proxy, imported);
    }
    // The documentation also shows the groups beside `mcp_proxy`.
    for (group, prefix) in [("auth", "auth."), ("security", "security."), ("logging", "logging."), ("redis", "redis.")]
    {
        let is_ours = group == "redis" || file.at(&["mcp_proxy"]).is_some();
        if let Some(settings) = file.map(&[group]).filter(|_| is_ours) {
            read_settings("", prefix, settings, imported);
        }
    }
    let agents = file.list(&["agents"]).unwrap_or_default();
    if let Some(span) = agents.iter().find_map(|agent| agent.as_map()?.key_span("mcps")) {
        let message = "the servers of agents are not imported; register them with the register service";
        imported.remarks.push(Remark::note(span, message));
    }
}

/// Reads the settings of a mapping, whose keys have their place in the tables behind `prefix`.
fn read_settings(root: &str, prefix: &str, map: &Map, imported: &mut Imported) {
    for (key, span, node) in &map.entries {
        let name = format!("{prefix}{key}");
        let path = format!("{root}{name}");
        if let Some((_, setting, form)) = SETTINGS.iter().find(|(known, ..)| *known == name) {
            switch_or_value((setting, *form), &path, node, imported);
        } else if let Some((_, reason)) = WITHOUT_EFFECT.iter().find(|(known, _)| *known == name) {
            imported.remarks.push(Remark::lost(*span, &path, reason));
        } else if let Some(nested) = node.as_map().filter(|_| is_group(&name)) {
            read_settings(root, &format!("{name}."), nested, imported);
        } else {
            let known = SETTINGS.iter().map(|(known, ..)| *known);
            let unknown = Remark::warning(*span, format!("`{path}` is unknown and has no effect"));
            imported.remarks.push(unknown.did_you_mean(&name, known));
        }
    }
}

/// True for a key whose value groups settings.
fn is_group(name: &str) -> bool {
    SETTINGS.iter().any(|(known, ..)| known.split_once('.').is_some_and(|(group, _)| group == name))
}

/// Adds a setting. A switch that is off is the default, which is no setting.
fn switch_or_value(setting: (&'static str, Form), path: &str, node: &Node, imported: &mut Imported) {
    if !matches!(node.value, Value::Bool(false, _)) {
        settings::add(imported, setting, path, node, Notation::TEMPLATES);
    }
}

#[cfg(test)]
mod tests {
    use crate::config::dialect::shown::{check, check_remarks, check_settings};

    const MCPS: &str = r#"
mcps:
  - id: filesystem
    command: "npx -y @example/fs {{ .env.ROOT }}/data"
    args: ["a b"]
    transport: stdio
    env: {A: "1"}
    start_timeout: 30s
    max_sessions: 10
  - id: github
    url: "https://api.example.org/mcp"
    transport: streamable-http
    headers: {Authorization: "Bearer {{ .env.GITHUB_TOKEN }}"}
    proto: "2025-03-26"
    use_proxy: true
  - {id: base, url: "{{ .env.URL }}", env: {X-Key: k}}
  - {id: task, url: "https://t.test/sse", headers: {A: "{{ .tasks.x.output }}"}, auth: {type: bearer}, timeout: 10}
  - other
"#;

    #[test]
    fn servers_of_a_workflow() {
        check(
            "compozy",
            MCPS,
            "filesystem stdio npx -y @example/fs ${ROOT}/data a b [A=1] connect 30s sessions 10; \
             github http https://api.example.org/mcp [Authorization: Bearer ${GITHUB_TOKEN}]; base sse ${URL}; \
             task sse https://t.test/sse \
             [A: <refused: of the engine's templates only `{{ .env.NAME }}` has a meaning here, not \
             `{{ .tasks.x.output }}`>]",
        );
        check_remarks(
            MCPS,
            &[
                "14: `github.proto`, `github.use_proxy` have no effect: it has no meaning for a gateway",
                "16: `base.env` has no effect: a server of its transport has no use for it",
                "17: `task.auth` has no effect: a login in a browser and its tokens belong to the program; \
                 give the gateway a token in `headers`",
                "17: `timeout` of `task` has no unit, so that it is one of nanoseconds, and has no effect; \
                 write it as in `30s`",
                "18: `other` is the name of a server declared elsewhere",
            ],
        );
    }

    #[test]
    fn settings_alone_in_both_forms() {
        let text = r#"
mcp_proxy:
  mode: standalone
  host: 0.0.0.0
  port: "6001"
  base_url: http://gw.test:6001
  shutdown_timeout: 30000000000
  admin_tokens: [a]
  auth: {admin_tokens: "a, b", admin_allow_ips: [10.0.0.0/8], global_tokens: [g]}
  security: {trusted_proxies: [10.0.0.1]}
  logging: {level: debug, format: json}
  log_level: info
  max_conections: 5
redis: {url: "redis://r.test", host: r, port: 6379, password: p, db: 2, tls_enabled: true, pool_size: 3}
"#;
        check("compozy", text, "");
        check_settings(
            text,
            "host 0.0.0.0; port 6001; base-url http://gw.test:6001; shutdown-timeout 30s; admin-tokens a,b; \
             admin-allow-ips 10.0.0.0/8; global-auth-tokens g; trusted-proxies 10.0.0.1; log-level debug; \
             log-format json; redis-url redis://r.test; redis-host r; redis-port 6379; redis-password p; redis-db 2; \
             redis-tls true",
        );
        check_remarks(
            text,
            &[
                "3: `mcp_proxy.mode` has no effect: the gateway stands alone; choose where registrations are kept with \
                 `storage`",
                "12: `mcp_proxy.log_level` has no effect: the file sets `log-level` twice, and the first one counts",
                "13: `mcp_proxy.max_conections` is unknown and has no effect (did you mean `max_connections`?)",
                "14: `redis.pool_size` has no effect: the gateway manages its connections by its own rules",
            ],
        );
    }

    #[test]
    fn settings_with_templates_are_refused() {
        let text = "mcps: [{id: a, command: x}]\nmcp_proxy: {admin_tokens: ['{{ .env.T }}'], port: 80}\n\
            agents: [{id: b, mcps: []}]\n";
        check("compozy", text, "a stdio x");
        check_settings(text, "port 80");
        check_remarks(
            text,
            &[
                "2: `mcp_proxy.admin_tokens` holds a variable, and the settings of this file are taken as they are \
                 (set `admin-tokens` by its flag or its environment variable)",
                "3: the servers of agents are not imported; register them with the register service",
            ],
        );
    }
}
