//! Dead files: every Rust file of a package is a target or is reached by a `mod`.

use super::Complaint;
use super::source::{Source, is_word_byte, word_offsets};
use std::collections::{BTreeMap, BTreeSet};
use toml::{Table, Value};

/// Looks at the package in `directory` (`crates/mail`), of whose files `sources` are all.
pub(crate) fn check(
    directory: &str,
    manifest: &Table,
    sources: &BTreeMap<String, Source>,
) -> Vec<Complaint> {
    let prefix = format!("{directory}/");
    let of_package = || sources.keys().filter(|path| path.starts_with(&prefix));
    let declared = declared_targets(directory, manifest);
    let is_root = |path: &&String| is_target(&path[prefix.len()..]) || declared.contains(*path);
    let mut waiting: Vec<(String, bool)> =
        of_package().filter(is_root).map(|p| (p.clone(), true)).collect();
    let mut reached = BTreeSet::new();
    while let Some((path, root)) = waiting.pop() {
        let Some(source) = sources.get(&path) else { continue };
        if reached.insert(path) {
            waiting.extend(children(source, root).into_iter().map(|child| (child, false)));
        }
    }
    let dead = of_package().filter(|path| !reached.contains(*path));
    dead.map(|path| {
        Complaint::at(path, 1, "no `mod` reaches this file: name it in its parent, or remove it")
    })
    .collect()
}

/// Files that Cargo takes for targets by their place.
fn is_target(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    matches!(
        parts.as_slice(),
        ["build.rs"]
            | ["src", "lib.rs" | "main.rs"]
            | ["src", "bin", _]
            | ["src", "bin", _, "main.rs"]
            | ["tests" | "benches" | "examples", _]
            | ["tests" | "benches" | "examples", _, "main.rs"]
    )
}

/// Files that the manifest names with `path`.
fn declared_targets(directory: &str, manifest: &Table) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for kind in ["lib", "bin", "test", "bench", "example"] {
        let targets = match manifest.get(kind) {
            Some(Value::Array(targets)) => targets.as_slice(),
            Some(target) => std::slice::from_ref(target),
            None => &[],
        };
        let named = targets.iter().filter_map(|target| target.get("path")?.as_str());
        paths.extend(named.map(|path| format!("{directory}/{path}")));
    }
    paths
}

/// The files that `source` names with `mod x;`, each in both forms that Cargo would look for, and
/// with `include!`. A `root` names its children from its own directory, as `mod.rs` does.
fn children(source: &Source, root: bool) -> Vec<String> {
    let (directory, file) = source.path.rsplit_once('/').unwrap_or((".", &source.path));
    let stem = file.trim_end_matches(".rs");
    let own =
        if root || stem == "mod" { directory.to_owned() } else { format!("{directory}/{stem}") };
    let mut found = Vec::new();
    for declaration in declarations(source) {
        match declaration.path {
            Some(path) => found.push(format!("{directory}/{path}")),
            None => {
                let place = [&[own.as_str()], declaration.within.as_slice()].concat().join("/");
                found.push(format!("{place}/{}.rs", declaration.name));
                found.push(format!("{place}/{}/mod.rs", declaration.name));
            }
        }
    }
    let includes = word_offsets(&source.code, "include!").filter_map(|at| literal(source, at));
    found.extend(includes.map(|path| format!("{directory}/{path}")));
    found
}

/// `mod name;` in a file.
struct Declaration<'a> {
    name: &'a str,
    /// The inline modules around it.
    within: Vec<&'a str>,
    /// What its `#[path = "…"]` says.
    path: Option<&'a str>,
}

fn declarations(source: &Source) -> Vec<Declaration<'_>> {
    let code = source.code.as_str();
    let (mut found, mut open, mut path, mut at) = (Vec::new(), Vec::new(), None, 0);
    while at < code.len() {
        let rest = &code[at..];
        let word_length = rest.bytes().take_while(|byte| is_word_byte(*byte)).count();
        match &rest[..word_length] {
            "" => {
                match rest.as_bytes()[0] {
                    b'{' => open.push(None),
                    b'}' => drop(open.pop()),
                    b'#' if rest.starts_with("#[path") => path = literal(source, at),
                    _ => {}
                }
                at += rest.chars().next().map_or(1, char::len_utf8);
            }
            "mod" => {
                let (name, end) = module_name(code, at + word_length);
                match code.as_bytes().get(end) {
                    Some(b';') => {
                        let within = open.iter().copied().flatten().collect();
                        found.push(Declaration { name, within, path: path.take() });
                    }
                    Some(b'{') => open.push(Some(name)),
                    Some(_) | None => {}
                }
                at = end + 1;
            }
            _ => at += word_length,
        }
    }
    found
}

/// The identifier after `at`, and where the mark behind it stands.
fn module_name(code: &str, at: usize) -> (&str, usize) {
    let blanks = |text: &str| text.bytes().take_while(u8::is_ascii_whitespace).count();
    let start = at + blanks(&code[at..]);
    let length = code[start..].bytes().take_while(|byte| is_word_byte(*byte)).count();
    let end = start + length;
    (&code[start..end], end + blanks(&code[end..]))
}

/// The string literal after `at`.
fn literal(source: &Source, at: usize) -> Option<&str> {
    let open = at + source.code[at..].find('"')? + 1;
    let close = open + source.code[open..].find('"')?;
    Some(&source.text[open..close])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dead(files: &[(&str, &str)], manifest: &str) -> Vec<String> {
        let source = |(path, text): &(&str, &str)| {
            let path = format!("crates/a/{path}");
            (path.clone(), Source::new(&path, text))
        };
        let sources = files.iter().map(source).collect();
        let found = check("crates/a", &manifest.parse().expect("a manifest"), &sources);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn files_that_a_module_or_target_reaches_are_alive() {
        let files = [
            (
                "src/lib.rs",
                "mod b; pub(crate) mod c;\nmod inline { mod d; }\n#[path = \"x/y.rs\"] mod z;",
            ),
            ("src/b.rs", "mod deep;"),
            ("src/b/deep.rs", "include!(\"table.rs\");"),
            ("src/b/table.rs", ""),
            ("src/c/mod.rs", "mod e;"),
            ("src/c/e.rs", ""),
            ("src/inline/d.rs", ""),
            ("src/x/y.rs", ""),
            ("src/bin/tool.rs", ""),
            ("tests/all.rs", "mod part;"),
            ("tests/part.rs", ""),
            ("tests/many/main.rs", "mod one;"),
            ("tests/many/one.rs", ""),
            ("odd/place.rs", ""),
        ];
        assert_eq!(dead(&files, "[[bin]]\npath = \"odd/place.rs\"\n"), [""; 0]);
    }

    #[test]
    fn a_file_that_nothing_names_is_dead() {
        let files = [
            ("src/lib.rs", "// mod b;\nconst TEXT: &str = \"mod b;\";\nfn f() { mod_c(); }"),
            ("src/b.rs", "mod c;"),
            ("src/b/c.rs", ""),
        ];
        let found = dead(&files, "");
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("crates/a/src/b.rs:1: no `mod`"), "{found:?}");
    }
}
