//! Running other programs from the repository's root.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The repository's root: the nearest directory upwards that has this crate in it.
///
/// # Errors
/// When there is none.
pub(crate) fn root() -> Result<PathBuf> {
    let here = std::env::current_dir()?;
    let root = here.ancestors().find(|path| path.join("crates/xtask/Cargo.toml").is_file());
    root.map(Path::to_owned).context("not in the repository: change into it")
}

/// Cargo, the same that started us, in `root`.
pub(crate) fn cargo(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root).args(arguments);
    // smtp-source and its like are no commands of an ordinary user's path.
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command
}

/// Runs `command` to its end, its output going where ours goes.
///
/// # Errors
/// When it cannot be started or does not succeed.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    println!("$ {shown}");
    let status = command.status().with_context(|| format!("cannot run {shown}"))?;
    if !status.success() {
        bail!("{shown}: {status}");
    }
    Ok(())
}

/// The command as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let program = program.file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_fails_is_named_in_the_error() {
        assert!(succeed(&mut Command::new("true")).is_ok());
        let error = succeed(Command::new("false").arg("x")).expect_err("false fails");
        assert!(error.to_string().starts_with("false x: "), "{error}");
        let error = succeed(&mut Command::new("/nowhere/at-all")).expect_err("it is not there");
        assert!(error.to_string().starts_with("cannot run at-all"), "{error}");
    }

    #[test]
    fn the_root_is_found_from_a_directory_below() {
        // Tests run in their package's directory.
        assert!(root().expect("in the repository").join("Cargo.lock").is_file());
    }
}
