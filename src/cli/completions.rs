//! `rowcall completions`: the file that makes a shell complete rowcall's commands.

use std::process::ExitCode;

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;

use super::Cli;
use super::print::print;

/// For which shell.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  rowcall completions bash > ~/.local/share/bash-completion/completions/rowcall
  rowcall completions zsh > ~/.zfunc/_rowcall
  rowcall completions fish > ~/.config/fish/completions/rowcall.fish")]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut visible(&Cli::command()), "rowcall", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

/// What a person may run: the generators would offer hidden commands too.
fn visible(all: &Command) -> Command {
    let shown = all.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    Command::new("rowcall").version(env!("CARGO_PKG_VERSION")).subcommands(shown)
}
