//! The generated documents.

use crate::run;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;

/// Every key with its default, unit, bounds and an example, as the relay itself prints them.
const CONFIGURATION: &str = "docs/configuration.md";

/// Writes them.
///
/// # Errors
/// When the relay cannot be built or a file cannot be written.
pub(crate) fn write(root: &Path) -> Result<()> {
    let text = printed(root)?;
    let path = root.join(CONFIGURATION);
    fs::write(&path, text).with_context(|| format!("cannot write {CONFIGURATION}"))?;
    println!("{CONFIGURATION} written");
    Ok(())
}

/// Compares them with what is there.
///
/// # Errors
/// When one is out of date.
pub(crate) fn check(root: &Path) -> Result<()> {
    let text = printed(root)?;
    let found = fs::read_to_string(root.join(CONFIGURATION)).unwrap_or_default();
    match first_difference(&found, &text) {
        None => println!("{CONFIGURATION} is up to date"),
        Some(line) => bail!("{CONFIGURATION}:{line}: out of date: run `cargo xtask docs`"),
    }
    Ok(())
}

fn printed(root: &Path) -> Result<String> {
    let arguments = ["run", "--quiet", "--locked", "--package", "ringpost", "--", "documentation"];
    let mut command = run::cargo(root, &arguments);
    command.stderr(std::process::Stdio::inherit());
    let output = command.output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!("{}: {}", run::shown(&command), output.status);
    }
    let text = String::from_utf8(output.stdout).context("the document is not UTF-8")?;
    if text.is_empty() {
        bail!("{}: printed nothing", run::shown(&command));
    }
    Ok(text)
}

/// The first line, from 1, in which two texts differ.
fn first_difference(one: &str, other: &str) -> Option<usize> {
    if one == other {
        return None;
    }
    let same = one.lines().zip(other.lines()).take_while(|(a, b)| a == b).count();
    Some(same + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_differs_is_named() {
        let cases = [
            ("a\nb\n", "a\nb\n", None),
            ("a\nb\n", "a\nc\n", Some(2)),
            ("a\n", "a\nb\n", Some(2)),
            ("", "a\n", Some(1)),
            ("a", "a\n", Some(2)),
        ];
        for (one, other, line) in cases {
            assert_eq!(first_difference(one, other), line, "{one:?} {other:?}");
        }
    }
}
