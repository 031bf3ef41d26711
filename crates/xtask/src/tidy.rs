//! Holds what the compiler cannot: arrows between crates, sizes, words, places.
//!
//! Each check is a function from text to complaints, in a file of its own below this one. Each
//! complaint says what to do. Start reading at [`run`].

mod arrows;
mod layout;
mod links;
mod listing;
mod modules;
mod sizes;
mod source;
mod words;

use anyhow::{Context, Result, bail};
use source::Source;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use toml::Table;

/// Something that is not as it should be, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Complaint {
    path: String,
    line: usize,
    text: String,
}

impl Complaint {
    fn at(path: &str, line: usize, text: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, text: text.into() }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.text)
    }
}

/// Checks the repository at `root` and prints every complaint.
///
/// # Errors
/// When there is a complaint, or a file cannot be read.
pub(crate) fn run(root: &Path) -> Result<()> {
    let tree = Tree::read(root)?;
    let complaints = tree.complaints();
    for complaint in &complaints {
        println!("{complaint}");
    }
    match complaints.len() {
        0 => println!("tidy: {} files, nothing to complain about", tree.files.len()),
        count => bail!("tidy: {count} complaints in {} files", tree.files.len()),
    }
    Ok(())
}

/// The repository in memory.
struct Tree {
    /// What stands at the top level.
    top_level: BTreeSet<String>,
    /// All text files by their path from the root.
    files: BTreeMap<String, String>,
    sources: BTreeMap<String, Source>,
    /// Manifests of packages, by the package's directory.
    manifests: BTreeMap<String, Table>,
}

impl Tree {
    fn read(root: &Path) -> Result<Self> {
        let paths = listing::listed(root)?;
        let mut files = BTreeMap::new();
        for path in &paths {
            let bytes = std::fs::read(root.join(path));
            let bytes = bytes.with_context(|| format!("cannot read {path}"))?;
            // A picture or a corpus has no text to look at.
            let Ok(text) = String::from_utf8(bytes) else { continue };
            files.insert(path.clone(), text);
        }
        Self::new(&paths, files)
    }

    fn new(paths: &[String], files: BTreeMap<String, String>) -> Result<Self> {
        let first = |path: &String| path.split('/').next().unwrap_or(path).to_owned();
        let top_level = paths.iter().map(first).collect();
        let sources = files.iter().filter(|(path, _)| path.ends_with(".rs"));
        let sources = sources.map(|(path, text)| (path.clone(), Source::new(path, text))).collect();
        let mut manifests = BTreeMap::new();
        for (path, text) in &files {
            let Some(directory) = path.strip_suffix("/Cargo.toml") else { continue };
            let manifest = text.parse().with_context(|| format!("{path} is no TOML"))?;
            manifests.insert(directory.to_owned(), manifest);
        }
        Ok(Self { top_level, files, sources, manifests })
    }

    fn complaints(&self) -> Vec<Complaint> {
        let mut complaints = layout::check_top_level(&self.top_level);
        let names = self.manifests.values().filter_map(arrows::package_name);
        let ours: Vec<String> = names.map(str::to_owned).collect();
        for (directory, manifest) in &self.manifests {
            complaints.extend(arrows::check(&format!("{directory}/Cargo.toml"), manifest, &ours));
            complaints.extend(modules::check(directory, manifest, &self.sources));
        }
        for (path, text) in &self.files {
            complaints.extend(self.in_file(path, text));
        }
        complaints.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
        complaints
    }

    fn in_file(&self, path: &str, text: &str) -> Vec<Complaint> {
        let mut complaints = Vec::new();
        if let Some(source) = self.sources.get(path) {
            complaints.extend(layout::check_name(path));
            complaints.extend(layout::check_unsafe(source));
            complaints.extend(layout::check_front_page(source));
            complaints.extend(sizes::check(source));
            complaints.extend(words::check(source));
        } else if path.ends_with("Cargo.toml") {
            complaints.extend(words::check_manifest(path, text));
        } else if is_prose(path) {
            complaints.extend(words::check_prose(path, text));
            complaints.extend(links::check(path, text, &self.files));
        }
        complaints
    }
}

/// Files that people write by hand. A corpus or a recorded run may hold any bytes.
fn is_prose(path: &str) -> bool {
    let endings = [".md", ".toml", ".service", ".socket", ".conf", ".sh", ".smtp"];
    endings.iter().any(|ending| path.ends_with(ending)) || path.starts_with(".ci/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        let files: BTreeMap<String, String> =
            files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        let paths: Vec<String> = files.keys().cloned().collect();
        Tree::new(&paths, files).expect("manifests are TOML")
    }

    #[test]
    fn one_tree_with_a_fault_of_each_kind_gives_each_complaint_once() {
        let manifest = "[package]\nname = \"mail\"\n[lints]\nworkspace = true\n\
                        [dependencies]\nreactor.workspace = true\n";
        let reactor = "[package]\nname = \"reactor\"\n[lints]\nworkspace = true\n";
        let front = "//! A.\n//! B.\n//! C.\n";
        let tree = tree(&[
            ("notes", ""),
            ("crates/mail/Cargo.toml", manifest),
            ("crates/mail/src/lib.rs", &format!("{front}#![forbid(unsafe_code)]\n")),
            ("crates/mail/src/dead.rs", ""),
            ("crates/reactor/Cargo.toml", reactor),
            ("crates/reactor/src/lib.rs", &format!("{front}#[allow(dead_code)]\nmod types;\n")),
            ("crates/reactor/src/types.rs", &"x".repeat(101)),
        ]);
        let all: Vec<String> = tree.complaints().iter().map(ToString::to_string).collect();
        let found = all.iter().filter(|complaint| !complaint.contains("is missing"));
        let found: Vec<&str> =
            found.map(|complaint| complaint.split(": ").next().unwrap_or("")).collect();
        let expected = [
            "crates/mail/Cargo.toml:1",
            "crates/mail/src/dead.rs:1",
            "crates/reactor/src/lib.rs:4",
            "crates/reactor/src/types.rs:1",
            "crates/reactor/src/types.rs:1",
            "notes:1",
        ];
        assert_eq!(found, expected, "{all:#?}");
    }
}
