//! Versions as Masterminds' `semver` parses and orders them.

use std::cmp::Ordering;

/// Version as `semver` parses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) numbers: [u64; 3],
    pub(super) prerelease: String,
    pub(super) metadata: String,
    pub(super) original: String,
}

impl Version {
    /// Parses `1`, `v1.2`, `1.2.3-rc.1+build` and the like.
    pub(super) fn parse(text: &str) -> Option<Self> {
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
    pub(super) fn shown(&self) -> String {
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

    pub(super) fn compare(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| compare_prereleases(&self.prerelease, &other.prerelease))
    }
}

pub(super) fn is_digits(text: &str) -> bool {
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
