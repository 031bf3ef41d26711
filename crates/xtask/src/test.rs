//! The one test command: its parts, in order, each with its time.

use crate::{docs, packages, run, tidy};
use anyhow::{Result, bail};
use clap::ValueEnum;
use std::path::Path;
use std::time::Instant;

/// What CI may take, in minutes. What would take it over that belongs into the long forms.
const MINUTES_MAX: f64 = 40.0;

/// Seeds of the short form; the long one goes on with those behind them. More than these have not
/// all been looked at yet: some world behind them does not come to its end in five minutes.
const SEEDS: u64 = 200;

/// Cuts of each kind, on each file system with each reactor, of the long form.
const ROUNDS: u32 = 40;

/// A part of the test command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Name {
    /// Formatting is rustfmt's
    Fmt,
    /// Clippy without warnings
    Clippy,
    /// Arrows, sizes, words, places
    Tidy,
    /// The Debian packages that tests need
    Packages,
    /// Unit, dialogue, pair, conformance and end-to-end tests
    Tests,
    /// File systems that lose power, fill up, move and vanish (as root)
    Disk,
    /// Release builds of the relay and the load generator
    Release,
    /// The simulation: so many seeds, or five minutes, whichever ends first
    Sim,
    /// Faults made on purpose, each found by its seed
    Mutations,
    /// Generated documents are up to date
    Docs,
}

/// How much of what has no natural end is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// What CI runs at each change.
    Short,
    /// As long as somebody has given it.
    Long {
        /// For the simulation.
        minutes: u64,
    },
}

type Part = (Name, fn(&Path, Length) -> Result<()>);

/// The cheapest first, and what the next one needs before it.
const PARTS: [Part; 10] = [
    (Name::Fmt, |root, _| cargo(root, &["fmt", "--all", "--check"])),
    (Name::Clippy, |root, _| clippy(root)),
    (Name::Tidy, |root, _| tidy::run(root)),
    (Name::Packages, |_, _| packages::ensure()),
    (Name::Tests, |root, _| cargo(root, &["test", "--workspace", "--locked"])),
    (Name::Disk, disk),
    (Name::Release, |root, _| release(root)),
    (Name::Sim, |root, length| sim(root, &seeds(length))),
    (Name::Mutations, |root, _| mutations(root)),
    (Name::Docs, |root, _| docs::check(root)),
];

/// How a part went.
struct Outcome {
    title: String,
    minutes: f64,
    passed: bool,
}

/// Runs the parts in `names`, or all, to the end whatever fails, and says how long each took.
///
/// # Errors
/// When a part failed.
pub(crate) fn run(root: &Path, names: &[Name], length: Length) -> Result<()> {
    let chosen = PARTS.into_iter().filter(|(name, _)| match names {
        // Its seeds are still being chosen: the long form and whoever names it run it.
        [] => *name != Name::Mutations || length != Length::Short,
        _ => names.contains(name),
    });
    let outcomes = run_parts(root, &chosen.collect::<Vec<_>>(), length);
    println!("\n{}", summary(&outcomes, length));
    let failed = outcomes.iter().filter(|outcome| !outcome.passed);
    let failed: Vec<&str> = failed.map(|outcome| outcome.title.as_str()).collect();
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

/// Each part under its header.
fn run_parts(root: &Path, parts: &[Part], length: Length) -> Vec<Outcome> {
    let mut outcomes = Vec::with_capacity(parts.len());
    for (name, part) in parts {
        let title = title(*name);
        println!("\n== {title}");
        let start = now();
        let result = part(root, length);
        let minutes = start.elapsed().as_secs_f64() / 60.0;
        match &result {
            Ok(()) => println!("== {title}: passed in {minutes:.1} min"),
            Err(error) => println!("{error:#}\n== {title}: FAILED in {minutes:.1} min"),
        }
        outcomes.push(Outcome { title, minutes, passed: result.is_ok() });
    }
    outcomes
}

/// The table of parts and minutes.
fn summary(outcomes: &[Outcome], length: Length) -> String {
    let mut text = format!("{:<10}{:>8}\n", "part", "minutes");
    for Outcome { title, minutes, passed } in outcomes {
        let told = if *passed { "" } else { "  FAILED" };
        text.push_str(&format!("{title:<10}{minutes:>8.1}{told}\n"));
    }
    let all: f64 = outcomes.iter().map(|outcome| outcome.minutes).sum();
    let passed = outcomes.iter().filter(|outcome| outcome.passed).count();
    text.push_str(&format!("{:<10}{all:>8.1}\n", "all"));
    text.push_str(&format!("{passed} passed, {} failed", outcomes.len() - passed));
    if length == Length::Short && all > MINUTES_MAX {
        text.push_str(&format!("\nover {MINUTES_MAX} minutes: move something behind --long"));
    }
    text
}

/// What the simulation is told.
fn seeds(length: Length) -> [String; 4] {
    let (seeds, minutes) = match length {
        Length::Short => (0..SEEDS, 5),
        Length::Long { minutes } => (SEEDS..u64::MAX, minutes),
    };
    let range = format!("{}..{}", seeds.start, seeds.end);
    ["--seeds".into(), range, "--minutes".into(), minutes.to_string()]
}

/// Replays the mutations, in a build of their own: no other has their places.
fn mutations(root: &Path) -> Result<()> {
    let build = ["run", "--release", "--locked", "--package", "sim", "--features", "mutations"];
    cargo(root, &[&build[..], &["--", "--mutations"]].concat())
}

/// The real disk. It is no part of `cargo test`, because it needs root.
fn disk(root: &Path, length: Length) -> Result<()> {
    let mut command =
        run::cargo(root, &["test", "--locked", "--package", "ringpost", "--test", "real_disk"]);
    if let Length::Long { .. } = length {
        command.env("REAL_DISK_ROUNDS", ROUNDS.to_string());
    }
    run::succeed(&mut command)
}

/// Runs the simulation with these arguments, in a release build.
///
/// # Errors
/// When it cannot be built or finds a fault.
pub(crate) fn sim(root: &Path, arguments: &[String]) -> Result<()> {
    let mut command = run::cargo(root, &["run", "--release", "--locked", "--package", "sim", "--"]);
    run::succeed(command.args(arguments))
}

fn clippy(root: &Path) -> Result<()> {
    let strict = ["--locked", "--", "--deny", "warnings"];
    cargo(root, &[&["clippy", "--workspace", "--all-targets"][..], &strict].concat())?;
    // Not among all targets, as it is no part of `cargo test`.
    let disk = ["clippy", "--package", "ringpost", "--test", "real_disk"];
    cargo(root, &[&disk[..], &strict].concat())
}

fn release(root: &Path) -> Result<()> {
    cargo(
        root,
        &["build", "--release", "--locked", "--package", "ringpost", "--package", "loadtest"],
    )
}

fn cargo(root: &Path, arguments: &[&str]) -> Result<()> {
    run::succeed(&mut run::cargo(root, arguments))
}

fn title(name: Name) -> String {
    let value = name.to_possible_value().expect("every name is a value");
    value.get_name().to_owned()
}

#[expect(clippy::disallowed_methods, reason = "people read these seconds; nothing decides by them")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_its_part_once_and_in_order() {
        let names: Vec<Name> = PARTS.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, Name::value_variants());
    }

    #[test]
    fn a_part_that_fails_is_named_and_does_not_stop_the_others() {
        let parts: [Part; 3] = [
            (Name::Fmt, |_, _| bail!("badly set")),
            (Name::Tidy, |_, _| Ok(())),
            (Name::Docs, |root, _| bail!("{} is old", root.display())),
        ];
        let outcomes = run_parts(Path::new("x"), &parts, Length::Short);
        let passed: Vec<_> =
            outcomes.iter().map(|outcome| (outcome.title.as_str(), outcome.passed)).collect();
        assert_eq!(passed, [("fmt", false), ("tidy", true), ("docs", false)]);
    }

    #[test]
    fn the_summary_has_each_part_with_its_minutes_and_complains_over_40() {
        let outcome = |title: &str, minutes, passed| {
            let title = title.to_owned();
            Outcome { title, minutes, passed }
        };
        let outcomes = [outcome("tests", 12.25, true), outcome("sim", 30.0, false)];
        let text = summary(&outcomes, Length::Short);
        let lines: Vec<&str> = text.lines().collect();
        let expected = [
            "part       minutes",
            "tests         12.2",
            "sim           30.0  FAILED",
            "all           42.2",
            "1 passed, 1 failed",
            "over 40 minutes: move something behind --long",
        ];
        assert_eq!(lines, expected);
        assert!(!summary(&outcomes, Length::Long { minutes: 60 }).contains("over"));
    }

    #[test]
    fn the_long_simulation_goes_on_behind_the_short_one() {
        assert_eq!(seeds(Length::Short), ["--seeds", "0..200", "--minutes", "5"]);
        let long = seeds(Length::Long { minutes: 90 });
        assert!(long[1].starts_with("200..") && long[3] == "90", "{long:?}");
    }
}
