//! What stands where: the top level, names that say nothing, `unsafe`.

use super::Complaint;
use super::source::{Source, word_offsets};
use std::collections::BTreeSet;

/// The top level, exactly; names that begin with a dot besides.
const TOP_LEVEL: [&str; 10] = [
    "Cargo.toml",
    "Cargo.lock",
    "crates",
    "deploy",
    "benches",
    "loadtest",
    "docs",
    "README.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
];

/// Names that say nothing of what is in them.
const EMPTY_NAMES: [&str; 6] = ["common", "utils", "util", "types", "core", "helpers"];

/// The crates that may say `unsafe`.
const UNSAFE: [&str; 2] = ["crates/reactor/", "crates/scan/"];

/// The names at the top level.
pub(crate) fn check_top_level(names: &BTreeSet<String>) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for name in names.iter().filter(|name| !name.starts_with('.')) {
        if !TOP_LEVEL.contains(&name.as_str()) {
            let text = "does not belong at the top level: move it into a crate, deploy/, docs/, \
                        benches/ or loadtest/, or let its name begin with a dot";
            complaints.push(Complaint::at(name, 1, text));
        }
    }
    for missing in TOP_LEVEL.iter().filter(|known| !names.contains(**known)) {
        complaints.push(Complaint::at(missing, 1, "is missing at the top level: add it"));
    }
    complaints
}

/// Whether a part of `path` is one of the names that say nothing.
pub(crate) fn check_name(path: &str) -> Option<Complaint> {
    let mut parts = path.split('/').map(|part| part.trim_end_matches(".rs"));
    let empty = parts.rfind(|part| EMPTY_NAMES.contains(part))?;
    let text = format!("`{empty}` says nothing: name it after what is in it");
    Some(Complaint::at(path, 1, text))
}

/// `unsafe` stands in the basement only, and all other crates forbid it.
pub(crate) fn check_unsafe(source: &Source) -> Vec<Complaint> {
    if UNSAFE.iter().any(|directory| source.path.starts_with(directory)) {
        return Vec::new();
    }
    let found = word_offsets(&source.code, "unsafe");
    let mut complaints: Vec<_> = found
        .map(|offset| {
            let text =
                "`unsafe` stands in reactor and scan only: find a safe way, or move it there";
            Complaint::at(&source.path, source.line_of(offset), text)
        })
        .collect();
    if is_root(&source.path) && !source.code.contains("#![forbid(unsafe_code)]") {
        let text = "add `#![forbid(unsafe_code)]` below the crate's documentation";
        complaints.push(Complaint::at(&source.path, 1, text));
    }
    complaints
}

/// A library's front page says what it is for before anything else; a program's says so in a line.
pub(crate) fn check_front_page(source: &Source) -> Option<Complaint> {
    let front = source.text.lines().take_while(|line| line.starts_with("//!")).count();
    let wanted = if source.path.ends_with("/lib.rs") { 3 } else { 1 };
    (is_root(&source.path) && front < wanted).then(|| {
        let text = "no front page: begin with `//!` lines that say what the crate is for, what it \
                    will never contain and where to start reading";
        Complaint::at(&source.path, 1, text)
    })
}

fn is_root(path: &str) -> bool {
    path.ends_with("/src/lib.rs") || path.ends_with("/src/main.rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_level_is_held_exactly() {
        let names = |text: &str| text.split(' ').map(str::to_owned).collect();
        let all = "Cargo.toml Cargo.lock crates deploy benches loadtest docs README.md \
                   LICENSE-MIT LICENSE-APACHE .ci .gitignore";
        assert!(check_top_level(&names(all)).is_empty());
        let found = check_top_level(&names(&format!("{all} notes.txt")));
        assert!(found[0].to_string().starts_with("notes.txt:1: does not belong"));
        let found = check_top_level(&names(&all.replace("README.md ", "")));
        assert!(found[0].to_string().starts_with("README.md:1: is missing"));
    }

    #[test]
    fn names_that_say_nothing_are_found_as_file_and_as_directory() {
        for bad in
            ["crates/core/src/lib.rs", "crates/a/src/utils.rs", "crates/a/tests/common/mod.rs"]
        {
            assert!(check_name(bad).is_some(), "{bad}");
        }
        assert!(check_name("crates/a/src/core_dump.rs").is_none());
    }

    #[test]
    fn unsafe_outside_the_basement_is_found() {
        let count = |path: &str, text: &str| check_unsafe(&Source::new(path, text)).len();
        assert_eq!(count("crates/mail/src/a.rs", "unsafe { f() }"), 1);
        assert_eq!(count("crates/mail/src/a.rs", "// unsafe\nlet a = \"unsafe\";"), 0);
        assert_eq!(count("crates/reactor/src/a.rs", "unsafe { f() }"), 0);
        assert_eq!(count("crates/mail/src/lib.rs", "mod a;"), 1);
        assert_eq!(count("crates/mail/src/lib.rs", "#![forbid(unsafe_code)]"), 0);
        assert_eq!(count("crates/scan/src/lib.rs", "mod a;"), 0);
    }

    #[test]
    fn a_crate_begins_with_its_front_page() {
        let found = |text: &str| check_front_page(&Source::new("crates/a/src/lib.rs", text));
        assert!(found("//! a\n").is_some());
        assert!(found("//! A.\n//!\n//! Start reading at `f`.\nmod f;\n").is_none());
    }
}
