//! What is wrong with the templates of a text, told with places.

use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::source::File;
use crate::source::node::Node;
use crate::template::{Environment, Fault, FaultKind};

/// Where a template stands and what it may use.
#[derive(Clone, Copy)]
pub(super) struct Rendering<'a> {
    pub(super) file: &'a File,
    pub(super) environment: &'a Environment,
    /// Whether a variable that is not set keeps the files from being used.
    pub(super) unset_is_error: bool,
}

impl Rendering<'_> {
    /// The text of a scalar with its templates rendered, or why not.
    pub(super) fn render(&self, node: &Node) -> Result<String, Vec<Diagnostic>> {
        let rendered = crate::template::render(node.literal().unwrap_or_default(), self.environment);
        rendered.map_err(|faults| faults.into_iter().map(|fault| self.remark(node, fault)).collect())
    }

    fn remark(&self, node: &Node, fault: Fault) -> Diagnostic {
        let at = self.file.part(node, fault.part);
        let name = match fault.kind {
            FaultKind::Missing(name) => name,
            FaultKind::Bad(message) => {
                return Diagnostic::new(Code::BadTemplate, &at, message).hint_if(fault.hint);
            }
        };
        let hint = match nearest(&name, self.environment.names()) {
            Some(near) => format!("did you mean `.env.{near}`?"),
            None => format!("set it, or give a default: `{{{{ .env.{name} | default \"...\" }}}}`"),
        };
        let remark = Diagnostic::new(Code::MissingVariable, &at, format!("variable `{name}` is not set")).hint(hint);
        if self.unset_is_error { remark } else { remark.as_warning() }
    }
}
