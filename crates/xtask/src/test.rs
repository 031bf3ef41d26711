//! The one test command: its parts, in order, each with its time.

use crate::{docs, packages, run, tidy};
use anyhow::{Result, bail};
use clap::ValueEnum;
use std::path::Path;
use std::time::Instant;

/// A part of the test command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Name {
    /// Formatting is rustfmt's
    Fmt,
    /// Clippy without warnings
    Clippy,
    /// Arrows, sizes, words, places
    Tidy,
    /// The Debian packages that end-to-end tests need
    Packages,
    /// Unit, dialogue, pair, conformance and end-to-end tests
    Tests,
    /// Release builds of the relay and the load generator
    Release,
    /// The simulation, 500 seeds
    Sim,
    /// Generated documents are up to date
    Docs,
}

type Part = (Name, fn(&Path) -> Result<()>);

/// The cheapest first, and what the next one needs before it.
const PARTS: [Part; 8] = [
    (Name::Fmt, |root| cargo(root, &["fmt", "--all", "--check"])),
    (Name::Clippy, clippy),
    (Name::Tidy, tidy::run),
    (Name::Packages, |_| packages::ensure()),
    (Name::Tests, |root| cargo(root, &["test", "--workspace", "--locked"])),
    (Name::Release, release),
    (Name::Sim, |root| sim(root, &["--seeds".into(), "0..500".into()])),
    (Name::Docs, docs::check),
];

/// Runs the parts in `names`, or all, to the end whatever fails, and says how many did.
///
/// # Errors
/// When a part failed.
pub(crate) fn run(root: &Path, names: &[Name]) -> Result<()> {
    let chosen = PARTS.into_iter().filter(|(name, _)| names.is_empty() || names.contains(name));
    let failed = run_parts(root, &chosen.collect::<Vec<_>>());
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

/// Each part under its header; the titles of those that failed.
fn run_parts(root: &Path, parts: &[Part]) -> Vec<String> {
    let mut failed = Vec::new();
    for (name, part) in parts {
        let title = title(*name);
        println!("\n== {title}");
        let start = now();
        let outcome = part(root);
        let seconds = start.elapsed().as_secs_f64();
        match outcome {
            Ok(()) => println!("== {title}: passed in {seconds:.1} s"),
            Err(error) => {
                println!("{error:#}\n== {title}: FAILED in {seconds:.1} s");
                failed.push(title);
            }
        }
    }
    println!("\n{} passed, {} failed", parts.len() - failed.len(), failed.len());
    failed
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
    cargo(root, &["clippy", "--workspace", "--all-targets", "--locked", "--", "--deny", "warnings"])
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
            (Name::Fmt, |_| bail!("badly set")),
            (Name::Tidy, |_| Ok(())),
            (Name::Docs, |root| bail!("{} is old", root.display())),
        ];
        assert_eq!(run_parts(Path::new("x"), &parts), ["fmt", "docs"]);
    }
}
