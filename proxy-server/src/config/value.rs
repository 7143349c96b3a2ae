//! Parses and shows the values of settings, one variant per kind of value.

mod given;
mod parse;

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use ipnet::IpNet;
use schemas::{Eras, REDACTED, Secret, format_duration};
use url::Url;

pub(super) use self::given::Given;
use self::parse::{
    all, components, count, entries, folder, host, joined, name_of, network, on_or_off, one, proxy, show_size,
    shown_url, size, time, tokens, web_url, without_user,
};
use super::model::InvalidSetting;
use crate::catalog::{Conflict, Mode, Separator};
use crate::http::client::{Choice, Exempt};
use crate::policy::PageOrigin;
use crate::registry::StorageKind;
use crate::telemetry::{Components, Format, Level};

/// Place of a setting's value in the configuration.
pub(super) enum Field<'a> {
    Host(&'a mut String),
    Text(&'a mut String),
    Port(&'a mut u16),
    Url(&'a mut Option<Url>),
    /// A duration above zero.
    Time(&'a mut Duration),
    /// A duration that may be zero.
    Delay(&'a mut Duration),
    /// A duration whose zero means the default, because some builds of the ancestor wrote 0 for "not set".
    Grace(&'a mut Duration),
    /// A number of bytes, with or without a unit.
    Size(&'a mut usize),
    Count(&'a mut usize),
    /// A flag without a value, or a variable that is `1` or `true`.
    Switch(&'a mut bool),
    OnOff(&'a mut bool),
    Tokens(&'a mut Vec<Secret>),
    Networks(&'a mut Vec<IpNet>),
    Hosts(&'a mut Vec<String>),
    Origins(&'a mut Vec<PageOrigin>),
    Files(&'a mut Vec<PathBuf>),
    Folder(&'a mut Option<PathBuf>),
    Storage(&'a mut StorageKind),
    /// A password.
    Secret(&'a mut Option<Secret>),
    /// A URL whose user is masked when it is shown.
    SecretUrl(&'a mut Option<Secret>),
    /// A number from 0 on.
    Number(&'a mut Option<u32>),
    /// Texts between commas.
    Names(&'a mut Vec<String>),
    Exempt(&'a mut Exempt),
    Proxy(&'a mut Choice),
    Mode(&'a mut Mode),
    Separator(&'a mut Separator),
    Conflict(&'a mut Conflict),
    Eras(&'a mut Eras),
    Level(&'a mut Level),
    Components(&'a mut Components),
    Format(&'a mut Format),
}

/// Variables that are read if several of a setting's variables are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// The first that is not empty.
    First,
    /// All that are not empty, as one list.
    All,
    /// All, also empty ones: a token that is set to nothing is an error.
    AllAndEmpty,
    /// The first that is `1` or `true`.
    Truth,
}

impl Field<'_> {
    /// Reads the value from the texts of its origin: a list from all of them, any other value from the first.
    pub(super) fn read(self, given: &[Given]) -> Result<(), InvalidSetting> {
        let expected = self.expected();
        match self {
            Self::Host(place) | Self::Text(place) => one(place, given, |text| Some(text.to_owned()), &expected),
            Self::Port(place) => one(place, given, |text| text.parse().ok(), &expected),
            Self::Url(place) if given.first().is_some_and(|given| given.text.is_empty()) => {
                *place = None;
                Ok(())
            }
            Self::Url(place) => one(place, given, |text| web_url(text).map(Some), &expected),
            Self::Time(place) => one(place, given, |text| time(text).filter(|time| !time.is_zero()), &expected),
            Self::Delay(place) => one(place, given, time, &expected),
            Self::Grace(place) => {
                let default = *place;
                one(place, given, |text| time(text).map(|time| if time.is_zero() { default } else { time }), &expected)
            }
            Self::Size(place) => one(place, given, size, &expected),
            Self::Count(place) => one(place, given, count, &expected),
            Self::Switch(place) => one(place, given, |_| Some(true), &expected),
            Self::OnOff(place) => one(place, given, on_or_off, &expected),
            Self::Tokens(place) => tokens(place, given),
            Self::Networks(place) => all(place, given, network, &expected),
            Self::Hosts(place) => all(place, given, host, &expected),
            Self::Origins(place) => all(place, given, |entry| entry.parse().ok(), &expected),
            Self::Files(place) => all(place, given, |entry| Some(entry.into()), &expected),
            Self::Folder(place) => {
                *place = given.first().map(folder);
                Ok(())
            }
            Self::Storage(place) => one(place, given, |text| text.parse().ok(), &expected),
            Self::Secret(place) | Self::SecretUrl(place) => {
                *place = given.first().map(|Given { text, .. }| Secret::new(text.clone()));
                Ok(())
            }
            Self::Number(place) => one(place, given, |text| text.parse().ok().map(Some), &expected),
            Self::Names(place) => all(place, given, |entry| Some(entry.to_owned()), &expected),
            Self::Exempt(place) => {
                let entries: Vec<&str> = entries(given).into_iter().map(|(_, entry)| entry).collect();
                *place = Exempt::parse(&entries.join(","));
                Ok(())
            }
            Self::Proxy(place) => proxy(place, given, &expected),
            Self::Mode(place) => one(place, given, |text| text.parse().ok(), &expected),
            Self::Separator(place) => one(place, given, |text| text.parse().ok(), &expected),
            Self::Conflict(place) => one(place, given, |text| text.parse().ok(), &expected),
            Self::Eras(place) => one(place, given, |text| text.parse().ok(), &expected),
            Self::Level(place) => one(place, given, |text| Level::from_str(text, true).ok(), &expected),
            Self::Components(place) => components(place, given, &expected),
            Self::Format(place) => one(place, given, |text| Format::from_str(text, true).ok(), &expected),
        }
    }

    /// Returns the value as text, with secrets masked; empty if nothing is set.
    pub(super) fn show(&self) -> String {
        match self {
            Self::Host(text) | Self::Text(text) => (*text).clone(),
            Self::Port(port) => port.to_string(),
            Self::Url(url) => url.as_ref().map(without_user).unwrap_or_default(),
            Self::Time(time) | Self::Delay(time) | Self::Grace(time) => format_duration(**time),
            Self::Size(size) => show_size(**size),
            Self::Count(count) => count.to_string(),
            Self::Switch(is_on) | Self::OnOff(is_on) => if **is_on { "on" } else { "off" }.to_owned(),
            Self::Tokens(tokens) => joined(tokens.iter().map(|_| REDACTED)),
            Self::Networks(networks) => joined(networks.iter()),
            Self::Hosts(hosts) => joined(hosts.iter()),
            Self::Origins(origins) => joined(origins.iter()),
            Self::Files(files) => joined(files.iter().map(|file| file.display())),
            Self::Folder(folder) => folder.as_ref().map(|folder| folder.display().to_string()).unwrap_or_default(),
            Self::Storage(kind) => kind.to_string(),
            Self::Secret(secret) => secret.as_ref().map(|_| REDACTED.to_owned()).unwrap_or_default(),
            Self::SecretUrl(url) => url.as_ref().map(shown_url).unwrap_or_default(),
            Self::Number(number) => number.map(|number| number.to_string()).unwrap_or_default(),
            Self::Names(names) => joined(names.iter()),
            Self::Exempt(exempt) => exempt.to_string(),
            Self::Proxy(choice) => match choice {
                Choice::Direct => "none".to_owned(),
                Choice::Via(proxy) => format!("{proxy:?}"),
                Choice::Unusable(reason) => reason.to_string(),
            },
            Self::Mode(mode) => mode.to_string(),
            Self::Separator(separator) => separator.to_string(),
            Self::Conflict(conflict) => conflict.to_string(),
            Self::Eras(Eras::Both) => "both".to_owned(),
            Self::Eras(Eras::Legacy) => "legacy".to_owned(),
            Self::Level(level) => name_of(**level),
            Self::Components(components) => components.to_string(),
            Self::Format(format) => name_of(**format),
        }
    }

    /// True if another field of this kind has an equal value.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tokens(one), Self::Tokens(other)) => one == other,
            (Self::Secret(one), Self::Secret(other)) | (Self::SecretUrl(one), Self::SecretUrl(other)) => one == other,
            (one, other) => one.show() == other.show(),
        }
    }

    /// Exchanges the values of two fields of one kind; fields of different kinds stay as they are.
    pub(super) fn swap(self, other: Self) {
        match (self, other) {
            (Self::Host(place), Self::Host(new)) | (Self::Text(place), Self::Text(new)) => std::mem::swap(place, new),
            (Self::Port(place), Self::Port(new)) => std::mem::swap(place, new),
            (Self::Url(place), Self::Url(new)) => std::mem::swap(place, new),
            (Self::Time(place), Self::Time(new)) => std::mem::swap(place, new),
            (Self::Delay(place), Self::Delay(new)) => std::mem::swap(place, new),
            (Self::Grace(place), Self::Grace(new)) => std::mem::swap(place, new),
            (Self::Size(place), Self::Size(new)) => std::mem::swap(place, new),
            (Self::Count(place), Self::Count(new)) => std::mem::swap(place, new),
            (Self::Switch(place), Self::Switch(new)) => std::mem::swap(place, new),
            (Self::OnOff(place), Self::OnOff(new)) => std::mem::swap(place, new),
            (Self::Tokens(place), Self::Tokens(new)) => std::mem::swap(place, new),
            (Self::Networks(place), Self::Networks(new)) => std::mem::swap(place, new),
            (Self::Hosts(place), Self::Hosts(new)) => std::mem::swap(place, new),
            (Self::Origins(place), Self::Origins(new)) => std::mem::swap(place, new),
            (Self::Files(place), Self::Files(new)) => std::mem::swap(place, new),
            (Self::Folder(place), Self::Folder(new)) => std::mem::swap(place, new),
            (Self::Storage(place), Self::Storage(new)) => std::mem::swap(place, new),
            (Self::Secret(place), Self::Secret(new)) => std::mem::swap(place, new),
            (Self::SecretUrl(place), Self::SecretUrl(new)) => std::mem::swap(place, new),
            (Self::Number(place), Self::Number(new)) => std::mem::swap(place, new),
            (Self::Names(place), Self::Names(new)) => std::mem::swap(place, new),
            (Self::Exempt(place), Self::Exempt(new)) => std::mem::swap(place, new),
            (Self::Proxy(place), Self::Proxy(new)) => std::mem::swap(place, new),
            (Self::Mode(place), Self::Mode(new)) => std::mem::swap(place, new),
            (Self::Separator(place), Self::Separator(new)) => std::mem::swap(place, new),
            (Self::Conflict(place), Self::Conflict(new)) => std::mem::swap(place, new),
            (Self::Eras(place), Self::Eras(new)) => std::mem::swap(place, new),
            (Self::Level(place), Self::Level(new)) => std::mem::swap(place, new),
            (Self::Components(place), Self::Components(new)) => std::mem::swap(place, new),
            (Self::Format(place), Self::Format(new)) => std::mem::swap(place, new),
            _ => {}
        }
    }

    /// Describes valid values. The example is the value before reading, the default.
    fn expected(&self) -> String {
        match self {
            Self::Port(_) => "a port, 0 to 65535".to_owned(),
            Self::Url(_) => "an http or https URL".to_owned(),
            Self::Time(_) => format!("a duration above zero, such as `{}`", self.show()),
            Self::Delay(_) | Self::Grace(_) => format!("a duration such as `{}`", self.show()),
            Self::Size(_) => "a size from 1 byte on, such as `16MiB` or `16777216`".to_owned(),
            Self::Count(_) => "a number from 1 on".to_owned(),
            Self::OnOff(_) => "one of on, off".to_owned(),
            Self::Networks(_) => "an IP address or a CIDR block".to_owned(),
            Self::Hosts(_) => "a host name or address, such as `gateway.example`".to_owned(),
            Self::Origins(_) => "the origin of pages, such as `https://console.example:8443`".to_owned(),
            Self::Storage(_) => "one of auto, embedded, memory, redis".to_owned(),
            Self::Number(_) => "a number from 0 on".to_owned(),
            Self::Proxy(_) => "the http or https URL of a proxy, or none".to_owned(),
            Self::Mode(_) => "one of always, on_conflict, never".to_owned(),
            Self::Separator(_) => "1 to 8 of A-Z a-z 0-9 . _ -".to_owned(),
            Self::Conflict(_) => "one of auto_prefix, reject, priority_override".to_owned(),
            Self::Eras(_) => "one of both, legacy".to_owned(),
            Self::Level(_) => "one of debug, info, warn, error".to_owned(),
            Self::Components(_) => Components::expected(),
            Self::Format(_) => "one of text, json".to_owned(),
            Self::Host(_)
            | Self::Text(_)
            | Self::Switch(_)
            | Self::Tokens(_)
            | Self::Files(_)
            | Self::Folder(_)
            | Self::Secret(_)
            | Self::SecretUrl(_)
            | Self::Names(_)
            | Self::Exempt(_) => String::new(),
        }
    }

    /// Returns the placeholder of the value in the help; `None` for a flag without a value.
    pub(super) fn value_name(&self) -> Option<&'static str> {
        Some(match self {
            Self::Host(_) => "HOST",
            Self::Text(_) => "TEXT",
            Self::Port(_) => "PORT",
            Self::Url(_) | Self::Proxy(_) => "URL",
            Self::Time(_) | Self::Delay(_) | Self::Grace(_) => "DURATION",
            Self::Size(_) => "SIZE",
            Self::Count(_) => "COUNT",
            Self::Switch(_) => return None,
            Self::OnOff(_) => "SWITCH",
            Self::Tokens(_) => "TOKENS",
            Self::Networks(_) => "IPS",
            Self::Hosts(_) | Self::Exempt(_) => "HOSTS",
            Self::Origins(_) => "ORIGINS",
            Self::Files(_) => "FILE",
            Self::Folder(_) => "FOLDER",
            Self::Storage(_) => "STORAGE",
            Self::Secret(_) => "SECRET",
            Self::SecretUrl(_) => "URL",
            Self::Number(_) => "NUMBER",
            Self::Names(_) => "NAMES",
            Self::Mode(_) => "MODE",
            Self::Separator(_) => "TEXT",
            Self::Conflict(_) => "STRATEGY",
            Self::Eras(_) => "ERAS",
            Self::Level(_) => "LEVEL",
            Self::Components(_) => "LEVELS",
            Self::Format(_) => "FORMAT",
        })
    }

    /// True if the value is a secret, which can also be in a file of its own.
    pub(super) fn is_secret(&self) -> bool {
        matches!(self, Self::Tokens(_) | Self::Secret(_) | Self::SecretUrl(_))
    }

    /// True if the value is a path, which a file may write relative to itself.
    pub(super) fn is_path(&self) -> bool {
        matches!(self, Self::Files(_) | Self::Folder(_))
    }

    /// Returns the rule for several variables. Flags of lists can be repeated.
    pub(super) fn reading(&self) -> Reading {
        match self {
            Self::Tokens(_) => Reading::AllAndEmpty,
            Self::Networks(_)
            | Self::Hosts(_)
            | Self::Origins(_)
            | Self::Files(_)
            | Self::Names(_)
            | Self::Components(_)
            | Self::Exempt(_) => Reading::All,
            Self::Switch(_) => Reading::Truth,
            _ => Reading::First,
        }
    }
}

impl InvalidSetting {
    /// Builds an error for a setting whose value must not be shown.
    pub(super) fn unusable(origin: &str, reason: impl std::fmt::Display) -> Self {
        Self { origin: origin.to_owned(), reason: reason.to_string(), place: None }
    }

    fn invalid(origin: &str, value: &str, expected: &str) -> Self {
        Self::unusable(origin, format!("`{value}` is not {expected}"))
    }
}
