//! Declares settings: a flag, its variables, its key in files, help and value come from one declaration, and so does the
//! origin of the value in effect.

use std::collections::BTreeMap;
use std::fmt;

use clap::builder::EnumValueParser;
use clap::{Arg, ArgAction, value_parser};
use serde::Serialize;

use super::env::{NotText, Variables};
use super::file::{FileValue, FileValues, Place};
use super::model::{Config, InvalidSetting};
use super::secret;
use super::value::{Field, Given, Reading};
use crate::telemetry::{Format, Level};

/// Declaration of a setting.
pub(super) struct Setting {
    /// Name in `config show`: that of the flag, unless it has none or sets several values.
    pub(super) name: &'static str,
    /// Flag without its dashes.
    pub(super) flag: Option<&'static str>,
    /// An ancestor's spelling of the flag.
    pub(super) alias: Option<&'static str>,
    /// Variables in order of precedence, those of the ancestors included.
    pub(super) variables: &'static [&'static str],
    pub(super) short: Option<Short>,
    /// Help of the flag; empty if the setting has none, or shares that of another.
    pub(super) help: &'static str,
    /// Description of the variables, if their list is not enough.
    pub(super) variables_help: Option<&'static str>,
    /// Description of a default that depends on the machine, or that is empty.
    pub(super) default_help: Option<&'static str>,
    /// True if a new value applies while the gateway runs; false if it applies at the next start.
    pub(super) is_live: bool,
    pub(super) field: fn(&mut Config) -> Field<'_>,
}

/// A flag without a value, and variables, that stand for one value of a setting.
pub(super) struct Short {
    pub(super) flag: &'static str,
    pub(super) variables: &'static [&'static str],
    pub(super) value: &'static str,
    pub(super) help: &'static str,
}

/// Values of flags on the command line, by flag. A flag without a value has an empty text.
pub(super) type FlagValues = BTreeMap<&'static str, Vec<String>>;

/// Sources of values; the first that has a setting supplies its value.
#[derive(Clone, Copy)]
pub(super) struct Sources<'s> {
    pub(super) flags: &'s FlagValues,
    pub(super) variables: &'s Variables,
    pub(super) file: &'s FileValues,
}

/// Origin of a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Origin {
    /// No flag, no variable and no file sets it.
    Default,
    /// Configuration file.
    File(Place),
    /// Variables: several if a list is merged from them.
    Environment {
        variables: Vec<String>,
    },
    Flag {
        flag: String,
    },
}

/// The value of a setting that is in effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Effective {
    pub(crate) name: &'static str,
    /// The value as text, with secrets masked; `None` if nothing is set.
    pub(crate) value: Option<String>,
    pub(crate) origin: Origin,
    /// True if a new value applies while the gateway runs.
    #[serde(rename = "live")]
    pub(crate) is_live: bool,
}

/// Begins the declaration of a setting that is fixed at start.
pub(super) const fn flag(name: &'static str, field: fn(&mut Config) -> Field<'_>) -> Setting {
    Setting {
        name,
        flag: Some(name),
        alias: None,
        variables: &[],
        short: None,
        help: "",
        variables_help: None,
        default_help: None,
        is_live: false,
        field,
    }
}

/// Begins the declaration of a setting that can change while the gateway runs.
pub(super) const fn live_flag(name: &'static str, field: fn(&mut Config) -> Field<'_>) -> Setting {
    Setting { is_live: true, ..flag(name, field) }
}

impl Setting {
    /// Reads the setting into the configuration.
    pub(super) fn resolve(&self, sources: Sources<'_>, config: &mut Config) -> Result<Effective, InvalidSetting> {
        let field = (self.field)(config);
        let (reading, is_secret, is_path) = (field.reading(), field.is_secret(), field.is_path());
        let origin = match self.source(reading, is_secret, sources)? {
            Some((origin, given)) => {
                // The file's value has to be right even where it has no effect.
                self.read_file(sources.file, &mut Config::default(), reading, is_path)?;
                (self.field)(config).read(&given)?;
                origin
            }
            None => match self.read_file(sources.file, config, reading, is_path)? {
                Some(place) => Origin::File(place),
                None => Origin::Default,
            },
        };
        let value = Some((self.field)(config).show()).filter(|value| !value.is_empty());
        Ok(Effective { name: self.name, value, origin, is_live: self.is_live })
    }

    /// Returns the key of the setting in a file.
    pub(super) fn key(&self) -> &'static str {
        self.flag.unwrap_or(self.name)
    }

    /// Finds the texts that set the value: flags, else variables. A short form precedes the setting's own name.
    fn source(
        &self,
        reading: Reading,
        is_secret: bool,
        Sources { flags, variables: env, .. }: Sources<'_>,
    ) -> Result<Option<(Origin, Vec<Given>)>, InvalidSetting> {
        let short = self.short.as_ref();
        if let Some(short) = short.filter(|short| flags.contains_key(short.flag)) {
            return Ok(Some(given_by_flag(short.flag, &[short.value.to_owned()])));
        }
        let own = self.flag.and_then(|flag| Some((flag, flags.get(flag)?)));
        if let Some((flag, texts)) = own {
            return Ok(Some(given_by_flag(flag, texts)));
        }
        if let Some(short) = short {
            let set = read(short.variables, Reading::Truth, env)?;
            if let Some((variable, _)) = set.first() {
                return Ok(Some(given_by_variables(vec![(variable.clone(), short.value.to_owned())])));
            }
        }
        let mut given = read(self.variables, reading, env)?;
        if is_secret {
            given.extend(secret::in_variables(self.variables, env)?);
        }
        Ok((!given.is_empty()).then(|| given_by_variables(given)))
    }

    /// Reads the value in a file, if it has one. Returns its place.
    fn read_file(
        &self,
        values: &FileValues,
        config: &mut Config,
        reading: Reading,
        is_path: bool,
    ) -> Result<Option<Place>, InvalidSetting> {
        let Some((key, value)) = self.file_value(values)? else { return Ok(None) };
        let given = self.in_file(&key, value, reading, is_path);
        let read = given.and_then(|given| (self.field)(config).read(&given));
        read.map_err(|invalid| invalid.at(&value.place, &key))?;
        Ok(Some(value.place.clone()))
    }

    /// Finds the value in a file: its own, or the path of a file with it.
    fn file_value<'v>(&self, values: &'v FileValues) -> Result<Option<(String, &'v FileValue)>, InvalidSetting> {
        let keys = [self.key().to_owned(), secret::key(self.key())];
        let mut found = keys.into_iter().filter_map(|key| values.get(&key).map(|value| (key, value)));
        match (found.next(), found.next()) {
            (Some((first, _)), Some((second, value))) => {
                let reason = format!("`{first}` is set too; leave one of them out");
                Err(InvalidSetting::unusable("", reason).at(&value.place, &second))
            }
            (first, _) => Ok(first),
        }
    }

    /// Returns the texts of a value in a file.
    fn in_file(
        &self,
        key: &str,
        value: &FileValue,
        reading: Reading,
        is_path: bool,
    ) -> Result<Vec<Given>, InvalidSetting> {
        let texts = if key == self.key() { value.texts.clone() } else { vec![secret::of_file(value)?] };
        let texts = match reading {
            Reading::Truth => truth(&texts)?,
            Reading::AllAndEmpty if texts.is_empty() => {
                return Err(InvalidSetting::unusable(key, "the list is empty; leave the key out for none"));
            }
            Reading::First if texts.len() != 1 => {
                return Err(InvalidSetting::unusable(key, "it takes one value, not a list"));
            }
            _ if is_path => texts.iter().map(|text| value.folder.join(text).display().to_string()).collect(),
            _ => texts,
        };
        Ok(texts.into_iter().map(|text| Given { origin: key.to_owned(), text }).collect())
    }

    /// Returns the flags of the setting. Their help shows the value in `defaults`.
    pub(super) fn args(&self, heading: Option<&'static str>, defaults: &mut Config) -> Vec<Arg> {
        let short = self.short.as_ref().map(|short| {
            let help = help(short.help, &short.variables.join(", "), "");
            Arg::new(short.flag).long(short.flag).action(ArgAction::SetTrue).help(help).help_heading(heading)
        });
        let own = self.flag.filter(|_| !self.help.is_empty());
        own.map(|flag| self.arg(flag, defaults).help_heading(heading)).into_iter().chain(short).collect()
    }

    fn arg(&self, flag: &'static str, defaults: &mut Config) -> Arg {
        let field = (self.field)(defaults);
        let default = if field.value_name().is_some() { field.show() } else { String::new() };
        let variables = self.variables_help.map_or_else(|| self.variables.join(", "), str::to_owned);
        let help = help(self.help, &variables, self.default_help.unwrap_or(&default));
        let arg = Arg::new(flag).long(flag).help(help);
        let arg = match self.alias {
            Some(alias) => arg.alias(alias),
            None => arg,
        };
        let Some(value_name) = field.value_name() else { return arg.action(ArgAction::SetTrue) };
        let arg = arg.value_name(value_name);
        let arg = match field.reading() {
            Reading::All | Reading::AllAndEmpty => arg.action(ArgAction::Append),
            Reading::First | Reading::Truth => arg.action(ArgAction::Set),
        };
        match field {
            Field::Port(_) => arg.value_parser(value_parser!(u16)),
            Field::Level(_) => arg.value_parser(EnumValueParser::<Level>::new()).ignore_case(true),
            Field::Format(_) => arg.value_parser(EnumValueParser::<Format>::new()).ignore_case(true),
            // A separator may be `--`.
            Field::Separator(_) => arg.allow_hyphen_values(true),
            _ => arg,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(place) => write!(f, "file {place}"),
            Self::Environment { variables } => write!(f, "environment {}", variables.join(", ")),
            Self::Flag { flag } => write!(f, "flag {flag}"),
        }
    }
}

fn given_by_flag(flag: &str, texts: &[String]) -> (Origin, Vec<Given>) {
    let flag = format!("--{flag}");
    let given = texts.iter().map(|text| Given { origin: flag.clone(), text: text.clone() }).collect();
    (Origin::Flag { flag }, given)
}

fn given_by_variables(given: Vec<(String, String)>) -> (Origin, Vec<Given>) {
    let variables = given.iter().map(|(variable, _)| variable.clone()).collect();
    let given = given.into_iter().map(|(origin, text)| Given { origin, text }).collect();
    (Origin::Environment { variables }, given)
}

/// Reads the variables of a setting that count.
fn read(
    variables: &'static [&'static str],
    reading: Reading,
    env: &Variables,
) -> Result<Vec<(String, String)>, InvalidSetting> {
    let raw = variables.iter().filter_map(|variable| Some(((*variable).to_owned(), env.raw(variable)?)));
    if reading == Reading::AllAndEmpty {
        let not_text = |variable: &str| InvalidSetting::unusable(variable, "the token is not UTF-8");
        return raw
            .map(|(variable, text)| {
                let text = text.map_err(|NotText| not_text(&variable))?;
                Ok((variable, text))
            })
            .collect();
    }
    let set = raw.filter_map(|(variable, text)| Some((variable, text.ok()?))).filter(|(_, text)| !text.is_empty());
    let is_true = |text: &str| text == "1" || text.eq_ignore_ascii_case("true");
    Ok(match reading {
        Reading::First => set.take(1).collect(),
        Reading::Truth => set.filter(|(_, text)| is_true(text)).take(1).collect(),
        Reading::All | Reading::AllAndEmpty => set.collect(),
    })
}

/// Returns a text for each true value: none if a file switches a setting off.
fn truth(texts: &[String]) -> Result<Vec<String>, InvalidSetting> {
    match texts {
        [text] if matches!(text.as_str(), "true" | "on" | "1") => Ok(vec![text.clone()]),
        [text] if matches!(text.as_str(), "false" | "off" | "0" | "") => Ok(Vec::new()),
        _ => Err(InvalidSetting::unusable("", "it is not true or false")),
    }
}

fn help(text: &str, variables: &str, default: &str) -> String {
    let part = |name: &str, value: &str| if value.is_empty() { String::new() } else { format!(" [{name}: {value}]") };
    format!("{text}{}{}", part("env", variables), part("default", default))
}
