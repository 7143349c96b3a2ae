//! Text below the options in `--help`: examples, variables and exit codes of each command.

use crate::exit::{Exit, table, whole_table};

/// Examples, variables and exit codes of one command.
pub(super) struct Page {
    examples: &'static [(&'static str, &'static str)],
    variables: &'static [&'static [Variable]],
    /// Exit codes to list; all of them if empty.
    exits: &'static [Exit],
}

/// Name of an environment variable, and its meaning.
type Variable = (&'static str, &'static str);

const GATEWAY: &[Variable] = &[
    ("MCP_PROXY_URL", "where the gateway is, if --proxy-url does not say it"),
    ("MCP_PROXY_ADMIN_TOKEN", "its admin token; else the first of MCP_PROXY_ADMIN_TOKENS, else MCP_ADMIN_TOKEN"),
    ("MCP_CLIENT_TIMEOUT", "how long a request may take, such as `30s`"),
];
const FILES: &[Variable] =
    &[("any NAME", "the value of `{{ .env.NAME }}` in files, unless an --env-file or --set says another")];
const JOB: &[Variable] = &[
    ("CI", "nobody is there to ask: --prune has to be said"),
    ("GITHUB_SHA, CI_COMMIT_SHA, GIT_COMMIT", "the commit that is registered with each change"),
    ("GITHUB_ACTOR, GITLAB_USER_LOGIN, BUILD_USER_ID", "... on whose behalf"),
    ("GITHUB_RUN_ID and the like, CI_JOB_URL, BUILD_URL", "... and where the run is to be seen"),
];
const COLOUR: &[Variable] = &[("NO_COLOR", "no colour")];

impl Page {
    /// Returns the text below `-h`: the examples.
    pub(super) fn short(&self) -> String {
        let line = |(command, meaning): &(&str, &str)| match meaning.is_empty() {
            true => format!("\n  register-service {command}"),
            false => format!("\n  # {meaning}\n  register-service {command}"),
        };
        format!("Examples:{}", self.examples.iter().map(line).collect::<String>())
    }

    /// Returns the text below `--help`: examples, variables and exit codes.
    pub(super) fn long(&self) -> String {
        let exits = if self.exits.is_empty() { whole_table() } else { table(self.exits) };
        let variables: Vec<&Variable> = self.variables.iter().copied().flatten().collect();
        if variables.is_empty() {
            return format!("{}\n\n{exits}", self.short());
        }
        let line = |(name, meaning): &&Variable| format!("\n  {name}\n      {meaning}");
        let variables: String = variables.iter().map(line).collect();
        format!("{}\n\nVariables:{variables}\n\n{exits}", self.short())
    }
}

pub(super) const WHOLE: Page = Page {
    examples: &[
        ("validate workflows/", "find every mistake, offline"),
        ("explain bad-template", "what a mistake means, and what to do"),
        ("plan workflows/", "show what would change, and why"),
        ("sync workflows/ --prune owned --wait", "make it so, and wait until it works"),
        ("status", "show how everything does"),
    ],
    variables: &[GATEWAY, FILES, JOB, COLOUR],
    exits: &[],
};

pub(super) const VALIDATE: Page = Page {
    examples: &[
        ("validate workflows/", "find every mistake, offline"),
        ("validate workflows/ --live", "... and ask the gateway about tools"),
        ("validate workflows/ --strict-env --env-file .env", "every variable has to be set"),
        ("validate workflows/ --strict --allow-unset", "warnings fail, but for variables that CI does not have"),
        ("validate workflows/ --output sarif > found.sarif", "for a code host"),
        ("validate - < flow.yaml", "from standard input, such as an editor's buffer"),
    ],
    variables: &[GATEWAY, FILES, COLOUR],
    exits: &[Exit::Done, Exit::Usage, Exit::InvalidFiles, Exit::NotReady, Exit::Unauthorized],
};

pub(super) const EXPLAIN: Page = Page {
    examples: &[
        ("explain", "every code, in a line each"),
        ("explain missing-variable", "what it means, with an example"),
    ],
    variables: &[],
    exits: &[Exit::Done, Exit::Usage],
};

pub(super) const RENDER: Page = Page {
    examples: &[
        ("render workflows/", "what the engine gets to see"),
        ("render workflows/ --all", "... if every entry were registered"),
        ("render workflows/ --set REGION=eu", "... with another variable"),
    ],
    variables: &[GATEWAY, FILES],
    exits: &[Exit::Done, Exit::Usage, Exit::InvalidFiles],
};

pub(super) const PLAN: Page = Page {
    examples: &[
        ("plan workflows/", "what would `sync` do?"),
        ("plan workflows/ --prune owned", "... and what would it remove?"),
        ("plan workflows/ -o plan.json", "keep it for `sync --plan`"),
        ("plan workflows/ --detailed-exitcode", "exit with 2 if there are changes"),
        ("dump --proxy-url http://other:6001 | register-service plan -", "how another gateway differs"),
    ],
    variables: &[GATEWAY, FILES, JOB, COLOUR],
    exits: &[
        Exit::Done,
        Exit::Failed,
        Exit::Usage,
        Exit::Changes,
        Exit::InvalidFiles,
        Exit::Refused,
        Exit::NotReady,
        Exit::Unauthorized,
    ],
};

pub(super) const SYNC: Page = Page {
    examples: &[
        ("sync workflows/ --prune owned --wait --timeout 2m", "make it so, and wait until it works"),
        ("sync workflows/ --plan plan.json", "only what was decided, if nothing moved since"),
        ("sync workflows/ --owner team-a --dry-run", "what would be done in that name"),
        ("dump | register-service sync -", "from standard input"),
        ("sync backup.yaml --restore", "what `dump --secrets` wrote, in the name of each owner"),
    ],
    variables: &[GATEWAY, FILES, JOB, COLOUR],
    exits: &[],
};

pub(super) const WATCH: Page = Page {
    examples: &[
        ("watch workflows/ --prune owned", "until it is interrupted"),
        ("watch workflows/ --health 127.0.0.1:8080", "for a readiness probe: 200 while in step, else 503"),
    ],
    variables: &[GATEWAY, FILES, JOB, COLOUR],
    exits: &[Exit::Failed, Exit::Usage, Exit::Interrupted, Exit::Terminated],
};

pub(super) const WAIT: Page = Page {
    examples: &[
        ("wait workflows/ --timeout 2m", "until everything that the files use works"),
        ("wait --name search --name time", "until these work"),
        ("wait workflows/ --optional time", "... but do not fail for `time`"),
    ],
    variables: &[GATEWAY, FILES],
    exits: &[Exit::Done, Exit::Usage, Exit::InvalidFiles, Exit::NotReady, Exit::Unauthorized],
};

pub(super) const STATUS: Page = Page {
    examples: &[
        ("status", "everything"),
        ("status search time", "these two; exit with 6 if one is not there"),
        ("status --owner team-a --output json", "those of one owner, for a program"),
    ],
    variables: &[GATEWAY, COLOUR],
    exits: &[Exit::Done, Exit::Usage, Exit::NotReady, Exit::Unauthorized],
};

pub(super) const DUMP: Page = Page {
    examples: &[
        ("dump > all.yaml", "everything"),
        ("dump --owner a | register-service sync - --owner a --dry-run", "changes nothing"),
        ("dump --secrets --out backup.yaml", "a backup, which `sync --restore` puts back"),
    ],
    variables: &[GATEWAY],
    exits: &[Exit::Done, Exit::Failed, Exit::Usage, Exit::NotReady, Exit::Unauthorized, Exit::Partial],
};

pub(super) const IMPORT: Page = Page {
    examples: &[
        ("import claude_desktop_config.json > workflows/desktop.yaml", ""),
        ("import .vscode/mcp.json ~/.codex/config.toml | register-service plan -", "what they would register"),
    ],
    variables: &[],
    exits: &[Exit::Done, Exit::Usage, Exit::InvalidFiles],
};

pub(super) const ADOPT: Page = Page {
    examples: &[
        ("adopt workflows/ --owner team-a --unowned", "what an older engine left behind"),
        ("adopt workflows/ --owner team-a", "... and what others own"),
    ],
    variables: &[GATEWAY, FILES, JOB],
    exits: &[
        Exit::Done,
        Exit::Usage,
        Exit::InvalidFiles,
        Exit::Stale,
        Exit::NotReady,
        Exit::Unauthorized,
        Exit::Partial,
    ],
};

/// Exit codes of the commands that take names of registrations.
const BY_NAME: &[Exit] =
    &[Exit::Done, Exit::Usage, Exit::Refused, Exit::Stale, Exit::NotReady, Exit::Unauthorized, Exit::Partial];

pub(super) const RELEASE: Page = Page {
    examples: &[("release search --owner team-a", "before another team takes it over")],
    variables: &[GATEWAY],
    exits: BY_NAME,
};

pub(super) const DEREGISTER: Page = Page {
    examples: &[
        ("deregister search --owner team-a", "one of this owner's"),
        ("deregister search --force", "whoever's it is"),
    ],
    variables: &[GATEWAY],
    exits: BY_NAME,
};

pub(super) const SCHEMA: Page = Page {
    examples: &[
        ("schema > workflow.schema.json", "for workflow files"),
        ("schema agent > agent.schema.json", "for agent files"),
    ],
    variables: &[],
    exits: &[Exit::Done, Exit::Usage],
};

pub(super) const COMPLETIONS: Page = Page {
    examples: &[
        ("completions bash > ~/.local/share/bash-completion/completions/register-service", ""),
        ("completions zsh > ~/.zfunc/_register-service", ""),
        ("completions fish > ~/.config/fish/completions/register-service.fish", ""),
    ],
    variables: &[],
    exits: &[Exit::Done, Exit::Usage],
};

pub(super) const MAN: Page = Page {
    examples: &[("man ~/.local/share/man/man1", "then `man register-service-sync`")],
    variables: &[],
    exits: &[Exit::Done, Exit::Failed, Exit::Usage],
};

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use crate::cli::Cli;

    #[test]
    fn every_page_has_examples_that_are_command_lines_and_the_codes_it_ends_with() {
        for command in Cli::command().get_subcommands_mut() {
            let page = command.render_long_help().to_string();
            assert!(page.contains("\nExit codes:\n  "), "{page}");
            let (_, examples) = page.split_once("\nExamples:\n").expect("examples");
            let lines = examples.lines().take_while(|line| !line.is_empty());
            for line in lines.filter(|line| !line.starts_with("  # ")) {
                assert!(line.starts_with("  register-service "), "{line}");
                for command in line.split('|') {
                    let words = command.split(['<', '>']).next().unwrap_or_default().split_whitespace();
                    assert!(Cli::try_parse_from(words).is_ok(), "{command}");
                }
            }
        }
    }
}
