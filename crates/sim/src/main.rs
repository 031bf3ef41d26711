//! Runs seeds, and says which fail and how to see them again.
#![forbid(unsafe_code)]

mod fleet;
mod hunt;

use anyhow::{Context, Result, bail};
use clap::Parser;
use fleet::Fleet;
use std::ops::Range;
use std::process::ExitCode;

/// Seeds that run when nobody says which.
const SEEDS: Range<u64> = 0..500;

/// Runs the relay in simulated worlds.
#[derive(Parser)]
struct Arguments {
    /// Runs these seeds, the last not included.
    #[arg(long, value_name = "FROM..TO", value_parser = read_range)]
    seeds: Option<Range<u64>>,
    /// Runs this seed alone.
    #[arg(long, value_name = "N", conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Prints the events of the seed.
    #[arg(long, requires = "seed")]
    log: bool,
    /// Stops after so many minutes, whatever is left; without seeds runs ever more of them.
    #[arg(long, value_name = "M")]
    minutes: Option<u64>,
    /// Worlds at a time; as many as there are cores unless given.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Makes the code do this wrong; needs the feature `mutations`.
    #[arg(long, value_name = "NAME")]
    mutation: Option<String>,
    /// Searches for a seed that finds the mutation.
    #[arg(long, requires = "mutation")]
    search: bool,
    /// Replays every mutation on seeds that find it.
    #[arg(long, conflicts_with_all = ["seed", "seeds", "mutation", "minutes"])]
    mutations: bool,
}

fn read_range(text: &str) -> Result<Range<u64>> {
    let (from, to) = text.split_once("..").context("write FROM..TO, such as 0..500")?;
    let range = from.parse()?..to.parse()?;
    if range.is_empty() {
        bail!("no seed lies in {text}");
    }
    Ok(range)
}

fn main() -> ExitCode {
    match start(Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Does what is asked; whether all was as it should be.
fn start(arguments: Arguments) -> Result<bool> {
    let mutation = arguments.mutation.as_deref().map(hunt::known).transpose()?;
    let mut fleet = Fleet::new(arguments.threads, arguments.minutes);
    if arguments.mutations {
        return hunt::replay_all(&fleet);
    }
    if let Some(seed) = arguments.seed {
        return fleet::run_aloud(seed, mutation, arguments.log);
    }
    let seeds = match (arguments.seeds, arguments.minutes) {
        (Some(seeds), _) => seeds,
        (None, Some(_)) => 0..u64::MAX,
        (None, None) => SEEDS,
    };
    match mutation {
        Some(mutation) if arguments.search => hunt::search(&fleet, mutation, seeds),
        mutation => {
            fleet.mutation = mutation;
            Ok(fleet.run_all(seeds))
        }
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
    fn a_range_of_seeds_is_read() {
        assert_eq!(read_range("3..7").expect("a range"), 3..7);
        assert!(read_range("7..3").is_err());
        assert!(read_range("7").is_err());
    }
}
