//! Renders templates of scalars, and turns their faults into diagnostics with positions.

use schemas::document::Node;
use schemas::template::{Environment, Fault, FaultKind};

use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::source::File;
use crate::workflow::settings::Engine;

/// Context of a template: its file and the variables that it may use.
#[derive(Clone, Copy)]
pub(super) struct Rendering<'a> {
    pub(super) file: &'a File,
    pub(super) environment: &'a Environment,
    /// True if an unset variable is an error rather than a warning.
    pub(super) unset_is_error: bool,
    pub(super) engine: Engine,
}

impl Rendering<'_> {
    /// Renders the templates of a scalar's text.
    pub(super) fn render(&self, node: &Node) -> Result<String, Vec<Diagnostic>> {
        let text = node.literal().unwrap_or_default();
        let rendered = schemas::template::render(text, self.environment, self.engine.on_unset());
        rendered.map_err(|faults| faults.into_iter().map(|fault| self.remark(node, fault)).collect())
    }

    fn remark(&self, node: &Node, fault: Fault) -> Diagnostic {
        let at = self.file.part(node, fault.part);
        let name = match fault.kind {
            FaultKind::Unset(name) => name,
            FaultKind::Bad(message) | FaultKind::Refused(message) => {
                return Diagnostic::new(Code::BadTemplate, &at, message).hint_if(fault.hint);
            }
        };
        // A process has many short variables of unrelated programs; a typo is seldom in the first letter.
        let first = |text: &str| text.chars().next().map(|it| it.to_ascii_lowercase());
        let meant = self.environment.names().filter(|it| it.len() > 2 && first(it) == first(&name));
        let hint = match nearest(&name, meant) {
            Some(near) => format!("did you mean `.env.{near}`?"),
            None => cures(&name, self.engine),
        };
        let remark = Diagnostic::new(Code::MissingVariable, &at, format!("variable `{name}` is not set")).hint(hint);
        if self.unset_is_error { remark } else { remark.as_warning() }
    }
}

/// Returns a hint with the ways to set a variable, as far as they help with this engine.
fn cures(name: &str, engine: Engine) -> String {
    let set = format!("declare it under `env:`, or give it with `--set {name}=VALUE` or `--env-file FILE`");
    match engine {
        Engine::Compozy => format!("{set}; a `default` helps with `--engine none` only"),
        Engine::None => format!("{set}, or give a default: `{{{{ .env.{name} | default \"...\" }}}}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::{Settings, interpret};

    #[test]
    fn only_a_variable_that_was_likely_meant_is_proposed() {
        let environment = Environment::from_iter([("HOME", "/root"), ("_", "x"), ("SEARCH_TOKEN", "t")]);
        let settings = Settings::new("http://127.0.0.1:6001".parse().expect("a URL"), environment);
        let hint = |name: &str| {
            let text = format!("mcps:\n  - {{id: a, command: 'p {{{{ .env.{name} }}}}', use_proxy: true}}\n");
            let (file, malformed) = File::parse("a.yaml", "a.yaml", &text);
            let found = interpret(vec![file], malformed, &settings).expect_err(name).diagnostics;
            found[0].hint.clone().unwrap_or_default()
        };
        assert_eq!(hint("SERACH_TOKEN"), "did you mean `.env.SEARCH_TOKEN`?");
        for name in ["NOPE", "X"] {
            let wanted = format!("declare it under `env:`, or give it with `--set {name}=VALUE` or `--env-file FILE`");
            assert!(hint(name).starts_with(&wanted), "{}", hint(name));
        }
    }
}
