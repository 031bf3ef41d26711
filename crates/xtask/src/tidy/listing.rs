//! Which files belong to the repository.

use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The repository's files by their path from `root`, sorted: as git has them, new ones included,
/// so that what a build or a trial leaves in the tree is no part of it. In an unpacked archive,
/// where git knows nothing, all files but those of a build.
///
/// # Errors
/// When a directory cannot be read.
pub(crate) fn listed(root: &Path) -> Result<Vec<String>> {
    let mut paths = match by_git(root) {
        Some(paths) => paths,
        None => {
            let mut paths = Vec::new();
            walk(root, "", &mut paths)?;
            paths
        }
    };
    paths.retain(|path| !is_left_over(path));
    paths.sort();
    paths.dedup();
    Ok(paths)
}

fn by_git(root: &Path) -> Option<Vec<String>> {
    let mut git = Command::new("git");
    git.current_dir(root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let output = git.output().ok().filter(|output| output.status.success())?;
    let paths = String::from_utf8_lossy(&output.stdout).into_owned();
    // What is deleted but not yet committed stands in the index still.
    let there = paths.split_terminator('\0').filter(|path| root.join(path).exists());
    Some(there.map(str::to_owned).collect())
}

fn walk(root: &Path, below: &str, paths: &mut Vec<String>) -> Result<()> {
    let directory = root.join(below);
    let entries = fs::read_dir(&directory);
    for entry in entries.with_context(|| format!("cannot list {}", directory.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
        if !entry.file_type()?.is_dir() {
            paths.push(path);
        } else if name != "target" && name != ".git" {
            walk(root, &path, paths)?;
        }
    }
    Ok(())
}

/// What `ringpost serve --trial` leaves where it was started, and editors beside their files.
fn is_left_over(path: &str) -> bool {
    path.starts_with("ringpost-spool/")
        || path == "ringpost-control.sock"
        || path.ends_with('~')
        || path.ends_with(".swp")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_listed_without_what_is_built_with_git_and_without() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut walked = Vec::new();
        walk(&root, "", &mut walked).expect("a readable tree");
        for paths in [listed(&root).expect("a readable tree"), walked] {
            assert!(paths.iter().any(|path| path == "crates/xtask/src/tidy.rs"));
            assert!(!paths.iter().any(|path| path.starts_with("target/")));
            assert!(!paths.iter().any(|path| path.starts_with(".git/")));
        }
    }

    #[test]
    fn what_a_trial_leaves_is_no_part_of_the_tree() {
        assert!(is_left_over("ringpost-spool/LOCK") && is_left_over("ringpost-control.sock"));
        assert!(!is_left_over("README.md"));
    }
}
