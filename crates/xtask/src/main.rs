//! What a developer and CI run beside cargo: `cargo xtask test` is all of it.
//!
//! For: tidy (what the compiler cannot hold), the one test command, the generated documents.
//! Never here: anything that the relay needs at run time. No crate of ours depends on this one.
//! Start reading at `main`, then `test::PARTS`.
#![forbid(unsafe_code)]

mod docs;
mod packages;
mod run;
mod test;
mod tidy;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// What a developer and CI run beside cargo.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything that CI checks, or only the named parts
    Test {
        /// Parts to run, in their fixed order; none means all
        #[arg(value_enum)]
        parts: Vec<test::Name>,
        /// Run what takes longer than CI waits: simulation by the hour, more rounds on real disks
        #[arg(long)]
        long: bool,
        /// How long the long simulation runs
        #[arg(long, value_name = "M", default_value_t = 120, requires = "long")]
        minutes: u64,
    },
    /// Hold what the compiler cannot: arrows between crates, sizes, words, places
    Tidy,
    /// Run the simulation in a release build: arguments go to `sim`, such as --seeds 0..500
    Sim {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Write the generated documents: docs/configuration.md
    Docs {
        /// Only compare, and fail when they are out of date
        #[arg(long)]
        check: bool,
    },
    /// Install the Debian packages that the tests need (as root)
    Packages,
}

fn main() -> ExitCode {
    match start(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(command: Command) -> Result<()> {
    let root = run::root()?;
    match command {
        Command::Test { parts, long: true, minutes } => {
            test::run(&root, &parts, test::Length::Long { minutes })
        }
        Command::Test { parts, long: false, .. } => test::run(&root, &parts, test::Length::Short),
        Command::Tidy => tidy::run(&root),
        Command::Sim { arguments } => test::sim(&root, &arguments),
        Command::Docs { check: true } => docs::check(&root),
        Command::Docs { check: false } => docs::write(&root),
        Command::Packages => packages::install(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn sim_hands_on_options_that_are_not_ours() {
        let arguments = Arguments::try_parse_from(["xtask", "sim", "--seeds", "0..5"]);
        let Ok(Arguments { command: Command::Sim { arguments } }) = arguments else {
            panic!("not understood");
        };
        assert_eq!(arguments, ["--seeds", "0..5"]);
    }
}
