//! Versions as Masterminds' `semver` compares them.

mod constraint;

use std::cmp::Ordering;

use crate::template::call::Budget;
use crate::template::function::versions::constraint::Constraints;
use crate::template::function::{Outcome, Problem, utf8};
use crate::template::value::{Integer, Value};

/// Version as `semver` parses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    numbers: [u64; 3],
    prerelease: String,
    metadata: String,
    original: String,
}

/// Messages show no value, because it may contain a variable's.
const NO_VERSION: &str = "a text is not a version, such as `1.2.3`";

pub(super) fn semver(values: &[Value], _: &mut Budget) -> Outcome {
    let text = utf8(values, 0)?;
    let version = Version::parse(text).ok_or_else(|| Problem::Error(NO_VERSION.to_owned()))?;
    Ok(Value::Version(std::rc::Rc::new(version)))
}

pub(super) fn semver_compare(values: &[Value], _: &mut Budget) -> Outcome {
    let (constraint, text) = (utf8(values, 0)?, utf8(values, 1)?);
    let constraints = Constraints::parse(constraint)
        .ok_or_else(|| Problem::Refused("this constraint on versions is not understood here".to_owned()))?;
    let version = Version::parse(text).ok_or_else(|| Problem::Error(NO_VERSION.to_owned()))?;
    Ok(Value::Bool(constraints.hold(&version)))
}

impl Version {
    /// Parses `1`, `v1.2`, `1.2.3-rc.1+build` and the like.
    fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix('v').unwrap_or(text);
        let end = rest.find(['-', '+']).unwrap_or(rest.len());
        let (core, tail) = rest.split_at(end);
        let mut numbers = [0; 3];
        let mut parts = core.split('.');
        for (at, part) in parts.by_ref().take(3).enumerate() {
            *numbers.get_mut(at)? = number(part)?;
        }
        if parts.next().is_some() {
            return None;
        }
        let (before, metadata) = match tail.split_once('+') {
            Some((before, metadata)) => (before, Some(metadata)),
            None => (tail, None),
        };
        let prerelease = match before {
            "" => None,
            before => Some(before.strip_prefix('-')?),
        };
        let is_sound = [prerelease, metadata].into_iter().flatten().all(is_identifiers);
        let has_leading_zero = |part: &str| part.len() > 1 && part.starts_with('0') && is_digits(part);
        if !is_sound || prerelease.is_some_and(|it| it.split('.').any(has_leading_zero)) {
            return None;
        }
        Some(Self {
            numbers,
            prerelease: prerelease.unwrap_or_default().to_owned(),
            metadata: metadata.unwrap_or_default().to_owned(),
            original: text.to_owned(),
        })
    }

    /// Formats the version as `semver` prints it.
    pub(crate) fn shown(&self) -> String {
        let [major, minor, patch] = self.numbers;
        let mut text = format!("{major}.{minor}.{patch}");
        for (sign, part) in [('-', &self.prerelease), ('+', &self.metadata)] {
            if !part.is_empty() {
                text.push(sign);
                text += part;
            }
        }
        text
    }

    /// Returns the value of `.Major` and the like.
    pub(in crate::template) fn field(&self, name: &str) -> Outcome {
        let [major, minor, patch] = self.numbers;
        let number = |number: u64| match i64::try_from(number) {
            Ok(number) => Ok(Value::Int(number, Integer::Uint64)),
            Err(_) => Err(Problem::Refused("a version's number is too large".to_owned())),
        };
        match name {
            "Major" => number(major),
            "Minor" => number(minor),
            "Patch" => number(patch),
            "Prerelease" => Ok(Value::text(&self.prerelease)),
            "Metadata" => Ok(Value::text(&self.metadata)),
            "Original" => Ok(Value::text(&self.original)),
            "String" => Ok(Value::text(self.shown())),
            _ => Err(Problem::Refused(format!("`.{name}` of a version is not computed here"))),
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| compare_prereleases(&self.prerelease, &other.prerelease))
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn number(text: &str) -> Option<u64> {
    is_digits(text).then(|| text.parse().ok()).flatten()
}

fn is_identifiers(text: &str) -> bool {
    let is_part =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    text.split('.').all(is_part)
}

/// Orders a release behind its own prereleases. Compares part by part; numbers come before words.
fn compare_prereleases(one: &str, other: &str) -> Ordering {
    match (one.is_empty(), other.is_empty()) {
        (true, true) => return Ordering::Equal,
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let (mut ones, mut others) = (one.split('.'), other.split('.'));
    loop {
        let ordering = match (ones.next(), others.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(one), Some(other)) => match (number(one), number(other)) {
                (Some(one), Some(other)) => one.cmp(&other),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => one.cmp(other),
            },
        };
        if ordering != Ordering::Equal {
            return ordering;
        }
    }
}
