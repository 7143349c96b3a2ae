//! Evaluates a template: walks its AST as Go's `text/template` does, and continues after a fault to find all of them.

use std::ops::Range;
use std::rc::Rc;

use crate::template::ast::{Block, Command, Node, Operand, OperandKind, Pipe};
use crate::template::budget::{self, Budget};
use crate::template::call as arguments_of;
use crate::template::environment::Environment;
use crate::template::fault::{Fault, FaultKind, OnUnset};
use crate::template::format;
use crate::template::function::{Function, versions};
use crate::template::literal::Number;
use crate::template::problem::Problem;
use crate::template::value::{Entries, Map, Of, Value};

/// Most faults reported per template.
const MAX_FAULTS: usize = 64;
/// Most actions and calls per template; far above what authors need.
const MAX_STEPS: usize = 200_000;
/// Most bytes that a template may render to.
const MAX_OUTPUT: usize = 1024 * 1024;
/// Names that the engine defines only while a workflow runs.
const LATER: [&str; 7] = ["input", "output", "trigger", "tools", "tasks", "agents", "workflow"];

type Evaluated = Result<Value, Box<Fault>>;

/// Evaluates templates and collects faults.
pub(super) struct Evaluation<'e> {
    template: &'e str,
    environment: &'e Environment,
    unset: OnUnset,
    /// Declared variables, innermost last.
    variables: Vec<(&'e str, Value)>,
    steps: usize,
    budget: Budget,
    out: Vec<u8>,
    faults: Vec<Fault>,
}

/// Function, its operands, and the span of its name.
struct Call<'e, 'p> {
    function: &'static Function,
    arguments: &'e [Operand],
    part: &'p Range<usize>,
}

/// Control flow after a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
    /// The limit on steps, output or faults is reached.
    Stop,
}

impl<'e> Evaluation<'e> {
    pub(super) fn new(template: &'e str, environment: &'e Environment, unset: OnUnset) -> Self {
        let variables = vec![("$", Value::Root)];
        let (out, faults) = (Vec::new(), Vec::new());
        Self { template, environment, unset, variables, steps: 0, budget: Budget::default(), out, faults }
    }

    /// Returns the output of the nodes and their faults.
    pub(super) fn run(mut self, nodes: &'e [Node]) -> (Vec<u8>, Vec<Fault>) {
        self.walk(nodes, &Value::Root);
        (self.out, self.faults)
    }

    fn walk(&mut self, nodes: &'e [Node], dot: &Value) -> Flow {
        for node in nodes {
            let flow = match node {
                Node::Text(part) => self.write(self.template.get(part.clone()).unwrap_or_default().as_bytes(), part),
                Node::Action(pipe) => self.action(pipe, dot),
                Node::If(block) | Node::With(block) => self.branch(block, matches!(node, Node::With(_)), dot),
                Node::Range(block) => self.range(block, dot),
                Node::Break => Flow::Break,
                Node::Continue => Flow::Continue,
            };
            if flow != Flow::Next {
                return flow;
            }
        }
        Flow::Next
    }

    fn write(&mut self, text: &[u8], part: &Range<usize>) -> Flow {
        if self.out.len() + text.len() > MAX_OUTPUT {
            let message = format!("the template comes to more than {MAX_OUTPUT} bytes");
            self.faults.push(Fault::refused(part.clone(), message));
            return Flow::Stop;
        }
        self.out.extend_from_slice(text);
        Flow::Next
    }

    /// Records a fault. For an unset variable, also records the other unset variables of the same pipeline.
    fn note(&mut self, fault: Fault, pipe: &'e Pipe) -> Flow {
        if matches!(fault.kind, FaultKind::Unset(_)) && self.unset == OnUnset::Refused {
            let first = fault.part.start;
            self.note_unset(pipe, first);
        }
        self.push(fault);
        if self.faults.len() >= MAX_FAULTS || self.steps > MAX_STEPS { Flow::Stop } else { Flow::Next }
    }

    fn push(&mut self, fault: Fault) {
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    /// Records the unset variables of a pipeline, except those behind `and` and `or`, which may not evaluate them.
    fn note_unset(&mut self, pipe: &'e Pipe, except: usize) {
        let is_conditional = |command: &Command| match command.first.kind {
            OperandKind::Function(function) => function.is_short_circuit(),
            _ => false,
        };
        let mut found = Vec::new();
        for command in pipe.commands.iter().filter(|command| !is_conditional(command)) {
            for operand in std::iter::once(&command.first).chain(&command.arguments) {
                match &operand.kind {
                    OperandKind::Pipe(inner) => self.note_unset(inner, except),
                    _ => found.push(operand),
                }
            }
        }
        for operand in found {
            let Some(name) = operand.variable() else { continue };
            if self.environment.get(name).is_none() && operand.part.start != except {
                self.push(Fault::unset(operand.part.clone(), name));
            }
        }
    }

    fn action(&mut self, pipe: &'e Pipe, dot: &Value) -> Flow {
        let printed = self.pipe(pipe, dot).and_then(|value| match pipe.declared.is_empty() {
            true => self.printed(&value, &pipe.part),
            false => Ok(Vec::new()),
        });
        match printed {
            Ok(text) => self.write(&text, &pipe.part),
            Err(fault) => self.note(*fault, pipe),
        }
    }

    fn printed(&self, value: &Value, part: &Range<usize>) -> Result<Vec<u8>, Box<Fault>> {
        match value {
            Value::Nil => Ok(b"<no value>".to_vec()),
            value => format::print(std::slice::from_ref(value)).map_err(|problem| problem.fault(part)),
        }
    }

    fn branch(&mut self, block: &'e Block, is_with: bool, dot: &Value) -> Flow {
        let mark = self.variables.len();
        let flow = match self.pipe(&block.pipe, dot) {
            Ok(value) if value.is_true() => self.walk(&block.then, if is_with { &value } else { dot }),
            Ok(_) => self.walk(&block.otherwise, dot),
            Err(fault) => self.note(*fault, &block.pipe),
        };
        self.variables.truncate(mark);
        flow
    }

    fn range(&mut self, block: &'e Block, dot: &Value) -> Flow {
        let mark = self.variables.len();
        let flow = match self.pipe(&block.pipe, dot).and_then(|value| self.items(value, &block.pipe)) {
            // As in Go, `break` in the `else` branch ends this `range`, and `continue` ends the iteration of the
            // enclosing one.
            Ok(items) if items.is_empty() => match self.walk(&block.otherwise, dot) {
                Flow::Break => Flow::Next,
                flow => flow,
            },
            Ok(items) => self.each(block, items),
            Err(fault) => self.note(*fault, &block.pipe),
        };
        self.variables.truncate(mark);
        flow
    }

    /// Returns the keys and values that `range` iterates over.
    fn items(&mut self, value: Value, pipe: &Pipe) -> Result<Vec<(Value, Value)>, Box<Fault>> {
        let bad = |message: String| Err(Box::new(Fault::bad(pipe.part.clone(), message)));
        match value {
            Value::Nil => Ok(Vec::new()),
            Value::Int(..) if pipe.declared.len() > 1 => {
                bad("`range` over a number has one variable, not two".to_owned())
            }
            Value::Int(count, width) => {
                let count = count.max(0);
                self.budget.take(usize::try_from(count).unwrap_or(usize::MAX)).map_err(|it| it.fault(&pipe.part))?;
                Ok((0..count).map(|number| (Value::Nil, Value::Int(number, width))).collect())
            }
            Value::List(list) if list.is_unordered && list.items.len() > 1 => {
                Err(Problem::unordered().fault(&pipe.part))
            }
            Value::List(list) => {
                let indexed = list.items.iter().enumerate();
                Ok(indexed
                    .map(|(at, item)| (Value::int(i64::try_from(at).unwrap_or_default()), item.clone()))
                    .collect())
            }
            Value::Map(map) => {
                let entries = map.entries.borrow();
                Ok(entries.iter().map(|(key, value)| (Value::Text(key.clone()), value.clone())).collect())
            }
            Value::Unset(unset) => Err(Box::new(Fault::unset(unset.1.clone(), &unset.0))),
            Value::Root => Err(Problem::root().fault(&pipe.part)),
            other => bad(format!("`range` cannot go through a value of type {}", other.type_name())),
        }
    }

    fn each(&mut self, block: &'e Block, items: Vec<(Value, Value)>) -> Flow {
        let declared = &block.pipe.declared;
        let mark = self.variables.len();
        for (key, item) in items {
            if let Some(fault) = self.step(&block.pipe.part) {
                self.push(*fault);
                return Flow::Stop;
            }
            let values: &[(&'e String, &Value)] = match declared.as_slice() {
                [] => &[],
                [one] => &[(one, &item)],
                [one, two, ..] => &[(one, &key), (two, &item)],
            };
            for (name, value) in values {
                self.assign(name, (*value).clone());
            }
            let before = self.faults.len();
            let flow = self.walk(&block.then, &item);
            self.variables.truncate(mark);
            match flow {
                Flow::Stop => return flow,
                Flow::Break => break,
                Flow::Next | Flow::Continue => {}
            }
            // One failed iteration is enough to report what is wrong with the block.
            if self.faults.len() > before {
                break;
            }
        }
        Flow::Next
    }

    /// Assigns to the innermost variable of this name. Returns false if there is none.
    fn assign(&mut self, name: &str, value: Value) -> bool {
        let found = self.variables.iter_mut().rev().find(|(declared, _)| *declared == name);
        found.map(|variable| variable.1 = value).is_some()
    }

    fn step(&mut self, part: &Range<usize>) -> Option<Box<Fault>> {
        self.steps += 1;
        let message = || format!("the template takes more than {MAX_STEPS} steps");
        (self.steps > MAX_STEPS).then(|| Box::new(Fault::refused(part.clone(), message())))
    }

    fn pipe(&mut self, pipe: &'e Pipe, dot: &Value) -> Evaluated {
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(command, dot, value)?);
        }
        let value = value.unwrap_or(Value::Nil);
        for name in &pipe.declared {
            match pipe.is_assignment {
                true if !self.assign(name, value.clone()) => {
                    return Err(Box::new(Fault::bad(pipe.part.clone(), format!("variable `{name}` is not declared"))));
                }
                true => {}
                false => self.variables.push((name, value.clone())),
            }
        }
        Ok(value)
    }

    fn command(&mut self, command: &'e Command, dot: &Value, piped: Option<Value>) -> Evaluated {
        let Command { first, arguments } = command;
        if let Some(fault) = self.step(&first.part) {
            return Err(fault);
        }
        if let OperandKind::Function(function) = first.kind {
            return self.call(Call { function, arguments, part: &first.part }, dot, piped);
        }
        if !arguments.is_empty() || piped.is_some() {
            let part = arguments.first().map_or(&first.part, |argument| &argument.part);
            let shown = self.template.get(part.clone()).unwrap_or_default();
            return Err(Box::new(Fault::bad(part.clone(), format!("`{shown}` is not expected there"))));
        }
        match first.kind {
            OperandKind::Nil => Err(Box::new(Fault::bad(first.part.clone(), "`nil` alone is no value"))),
            _ => self.operand(first, dot),
        }
    }

    fn operand(&mut self, operand: &'e Operand, dot: &Value) -> Evaluated {
        let part = &operand.part;
        match &operand.kind {
            OperandKind::Dot => Ok(dot.clone()),
            OperandKind::Nil => Ok(Value::Nil),
            OperandKind::Bool(flag) => Ok(Value::Bool(*flag)),
            OperandKind::Text(text) => Ok(Value::Text(text.clone())),
            OperandKind::Number(Number { is_fraction: true, fraction: Some(value), .. }) => Ok(Value::Float(*value)),
            OperandKind::Number(Number { integer: Some(value), .. }) => Ok(Value::int(*value)),
            OperandKind::Number(_) => {
                let shown = self.template.get(part.clone()).unwrap_or_default();
                Err(Box::new(Fault::bad(part.clone(), format!("`{shown}` is too large for an integer"))))
            }
            OperandKind::Field(path) => self.fields(dot.clone(), path, part),
            OperandKind::Variable(name, path) => {
                let found = self.variables.iter().rev().find(|(declared, _)| declared == name);
                let Some((_, value)) = found else {
                    return Err(Box::new(Fault::bad(part.clone(), format!("variable `{name}` is not declared"))));
                };
                self.fields(value.clone(), path, part)
            }
            OperandKind::Function(function) => self.call(Call { function, arguments: &[], part }, dot, None),
            OperandKind::Pipe(pipe) => self.pipe(pipe, dot),
            OperandKind::Chain(inner, path) => {
                let value = self.operand(inner, dot)?;
                self.fields(value, path, part)
            }
        }
    }

    fn fields(&mut self, value: Value, path: &'e [String], part: &Range<usize>) -> Evaluated {
        let mut value = value;
        let mut names = path.iter();
        while let Some(name) = names.next() {
            value = match &value {
                Value::Root if name == "env" => match names.next() {
                    Some(name) => self.variable(name, part)?,
                    None => self.environment_map(),
                },
                Value::Root => return Err(Box::new(not_here(path, name, part))),
                Value::Map(map) => self.entry(map, name, part)?,
                Value::Version(version) => versions::field(version, name).map_err(|problem| problem.fault(part))?,
                Value::Unset(unset) => return Err(Box::new(Fault::unset(unset.1.clone(), &unset.0))),
                Value::Nil => {
                    return Err(Box::new(Fault::bad(part.clone(), format!("there is no value to take `.{name}` of"))));
                }
                Value::Time(_) => {
                    let message = format!("`.{name}` of a time is not computed here");
                    return Err(Box::new(Fault::refused(part.clone(), message)));
                }
                other => {
                    let message = format!("a value of type {} has no `.{name}`", other.type_name());
                    return Err(Box::new(fault_of_path(path, part, message)));
                }
            };
        }
        Ok(value)
    }

    fn entry(&self, map: &Rc<Map>, name: &str, part: &Range<usize>) -> Evaluated {
        match map.entries.borrow().get(name.as_bytes()) {
            Some(value) => Ok(value.clone()),
            None if map.of == Of::Environment => self.unset(name, part),
            None => Err(Box::new(Fault::bad(part.clone(), format!("there is no entry `{name}`")))),
        }
    }

    fn variable(&self, name: &str, part: &Range<usize>) -> Evaluated {
        match self.environment.get(name) {
            Some(value) => Ok(Value::text(value)),
            None => self.unset(name, part),
        }
    }

    fn unset(&self, name: &str, part: &Range<usize>) -> Evaluated {
        match self.unset {
            OnUnset::Refused => Err(Box::new(Fault::unset(part.clone(), name))),
            OnUnset::Tolerated => Ok(Value::Unset(Rc::new((name.to_owned(), part.clone())))),
        }
    }

    fn environment_map(&self) -> Value {
        let names = self.environment.names();
        let entries = names.filter_map(|name| Some((name.as_bytes().into(), Value::text(self.environment.get(name)?))));
        Value::map_of(entries.collect::<Entries>(), Of::Environment)
    }

    fn call(&mut self, call: Call<'e, '_>, dot: &Value, piped: Option<Value>) -> Evaluated {
        let Call { function, arguments, part } = call;
        let count = arguments.len() + usize::from(piped.is_some());
        arguments_of::check_count(function, count).map_err(|problem| problem.fault(part))?;
        let mut values = Vec::with_capacity(count);
        for (at, argument) in arguments.iter().enumerate() {
            let value = match (&argument.kind, function.parameter(at)) {
                (OperandKind::Number(number), Some(parameter)) => {
                    arguments_of::constant(*number, parameter).map_or_else(|| self.operand(argument, dot), Ok)?
                }
                _ => self.operand(argument, dot)?,
            };
            if function.is_short_circuit() {
                if value.is_true() == (function.name == "or") {
                    return Ok(value);
                }
                values = vec![value];
                continue;
            }
            values.push(arguments_of::converted(function, at, value).map_err(|problem| problem.fault(&argument.part))?);
        }
        if let Some(value) = piped {
            match function.is_short_circuit() {
                true => values = vec![value],
                false => values.push(arguments_of::converted(function, count - 1, value).map_err(|it| it.fault(part))?),
            }
        }
        if function.is_short_circuit() {
            return Ok(values.pop().unwrap_or(Value::Nil));
        }
        let value = match (function.apply)(&values, &mut self.budget) {
            Err(Problem::Missing(name)) => {
                // A computed name may contain a variable's value, so it is not shown.
                let is_inline =
                    |it: &Operand| matches!(&it.kind, OperandKind::Text(text) if **text == *name.as_bytes());
                match arguments.iter().any(is_inline) {
                    true => self.unset(&name, part)?,
                    false => {
                        return Err(Box::new(Fault::bad(part.clone(), "a variable of a computed name is not set")));
                    }
                }
            }
            made => made.map_err(|problem| problem.fault(part))?,
        };
        self.budget.take(budget::size(&value)).map_err(|problem| problem.fault(part))?;
        Ok(value)
    }
}

/// Returns the fault for a name at the top that only the engine defines, or that does not exist.
fn not_here(path: &[String], name: &str, part: &Range<usize>) -> Fault {
    let shown = format!(".{}", path.join("."));
    if LATER.contains(&name) {
        let message = format!("`{shown}` is known only while a workflow runs; here only `.env.NAME` is");
        return Fault::bad(part.clone(), message);
    }
    let is_near = crate::nearest(name, ["env"]).is_some();
    let meant = match path {
        [_] if !is_near => Some(format!(".env.{name}")),
        _ => is_near.then(|| shown.replacen(name, "env", 1)),
    };
    let hint = meant.map(|meant| format!("did you mean `{meant}`?"));
    Fault { hint, ..Fault::bad(part.clone(), format!("`{shown}` is not available here; only `.env.NAME` is")) }
}

fn fault_of_path(path: &[String], part: &Range<usize>, message: String) -> Fault {
    match path {
        [env, _, _, ..] if env == "env" => {
            let hint = Some("a variable is `.env.NAME`".to_owned());
            Fault { hint, ..Fault::bad(part.clone(), format!("`.{}` is not a variable", path.join("."))) }
        }
        _ => Fault::bad(part.clone(), message),
    }
}
