//! Documents speak of files that are there.

use super::Complaint;
use std::collections::BTreeMap;

/// Directories whose files documents name in backquotes, from the root.
const PLACES: [&str; 5] = ["crates/", "docs/", "deploy/", "benches/", "loadtest/"];

/// Looks at a Markdown file: its links to files, and the paths that it names.
pub(crate) fn check(path: &str, text: &str, files: &BTreeMap<String, String>) -> Vec<Complaint> {
    if !path.ends_with(".md") {
        return Vec::new();
    }
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    let mut complaints = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let links = links(line).map(|link| (link, resolved(directory, link)));
        let named = named_paths(line).map(|named| (named, named.to_owned()));
        for (written, target) in links.chain(named) {
            if !is_there(&target, files) {
                let text = format!("`{written}` is not there: write where it is now");
                complaints.push(Complaint::at(path, index + 1, text));
            }
        }
    }
    complaints
}

/// Targets of `[text](target)` in this repository, without their `#section`.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let targets = targets.map(|target| target.split('#').next().unwrap_or(target));
    targets.filter(|target| !target.is_empty() && !target.contains(':'))
}

/// What stands in backquotes and begins like a path of ours; a pattern is none.
fn named_paths(line: &str) -> impl Iterator<Item = &str> {
    let quoted = line.split('`').skip(1).step_by(2);
    quoted.filter(|text| {
        let ours = PLACES.iter().any(|place| text.starts_with(place));
        ours && !text.contains([' ', '*', '<', '{', '…'])
    })
}

fn resolved(directory: &str, link: &str) -> String {
    let mut parts: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

fn is_there(target: &str, files: &BTreeMap<String, String>) -> bool {
    let directory = format!("{}/", target.trim_end_matches('/'));
    files.contains_key(target) || files.keys().any(|path| path.starts_with(&directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(path: &str, text: &str) -> usize {
        let files = ["README.md", "docs/a.md", "docs/adr/001-x.md", "crates/a/src/lib.rs"];
        let files = files.map(|path| (path.to_owned(), String::new())).into();
        check(path, text, &files).len()
    }

    #[test]
    fn links_and_named_paths_must_be_there() {
        let cases = [
            ("README.md", "[a](docs/a.md), [b](docs/adr/) and [c](docs/a.md#c)", 0),
            ("README.md", "[a](docs/b.md)", 1),
            ("docs/a.md", "[a](../README.md) [b](adr/001-x.md)", 0),
            ("docs/a.md", "[a](README.md)", 1),
            ("docs/a.md", "`crates/a/src/lib.rs` `crates/a` `docs/`", 0),
            ("docs/a.md", "`crates/a/src/main.rs`", 1),
            ("docs/a.md", "`crates/*/src` and `crates/a FILE` and crates/none", 0),
            ("docs/a.md", "[a](https://example.org/none) [b](#here)", 0),
        ];
        for (path, text, count) in cases {
            assert_eq!(complaints(path, text), count, "{text} in {path}");
        }
    }
}
