//! Flags of `mcp-proxy serve`, made from the declarations of the settings.

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches};

use super::file::FileFlags;
use super::model::Config;
use super::setting::{FlagValues, Setting};
use super::{edge, limits, oauth, outbound, process, serve, storage, tls};

/// Settings of `serve` by heading in the help, in the order in which they are shown.
const GROUPS: [(Option<&str>, &[Setting]); 8] = [
    (None, serve::SETTINGS),
    (Some("TLS"), tls::SETTINGS),
    (Some("OAuth"), oauth::SETTINGS),
    (Some("Storage"), storage::SETTINGS),
    (Some("Programs"), process::SETTINGS),
    (Some("Connections to servers"), outbound::SETTINGS),
    (Some("Limits"), limits::SETTINGS),
    (Some("Connections"), edge::SETTINGS),
];

/// The flags of a command line.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flags {
    pub(super) values: FlagValues,
}

/// The flags of `serve`.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct ServeFlags {
    #[command(flatten)]
    pub(crate) settings: Flags,
    #[command(flatten)]
    pub(crate) files: FileFlags,
}

/// Returns all settings of `serve`.
pub(super) fn settings() -> impl Iterator<Item = &'static Setting> {
    GROUPS.iter().flat_map(|(_, settings)| *settings)
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        // Made once, because it asks the system for the number of processors.
        let mut defaults = Config::default();
        let mut args = Vec::new();
        for (heading, settings) in GROUPS {
            args.extend(settings.iter().flat_map(|setting| setting.args(heading, &mut defaults)));
        }
        command.args(args)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        let names = settings()
            .flat_map(|setting| setting.flag.into_iter().chain(setting.short.as_ref().map(|short| short.flag)));
        for name in names.filter(|name| matches.value_source(name) == Some(ValueSource::CommandLine)) {
            let texts = matches.get_raw(name).into_iter().flatten();
            self.values.insert(name, texts.map(|text| text.to_string_lossy().into_owned()).collect());
        }
        Ok(())
    }
}
