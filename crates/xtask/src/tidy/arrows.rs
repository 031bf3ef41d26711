//! Which crate may depend on which: the drawn arrows, and nothing else.

use super::Complaint;
use toml::{Table, Value};

/// A crate and the crates of ours that it may depend on. Tests may depend on any.
const ARROWS: [(&str, &[&str]); 13] = [
    ("mail", &[]),
    ("scan", &[]),
    ("reactor", &[]),
    ("smtp", &["mail", "scan"]),
    ("policy", &["mail"]),
    ("wire", &["reactor", "mail"]),
    ("lookup", &["reactor", "mail"]),
    ("queue", &["mail", "reactor"]),
    ("server", &["queue", "wire", "lookup", "policy", "smtp", "mail", "reactor"]),
    ("delivery", &["queue", "wire", "lookup", "smtp", "mail", "reactor"]),
    ("control", &["server", "delivery", "queue", "lookup", "policy", "mail", "reactor"]),
    ("config", OPTIONS),
    ("xtask", &[]),
];

/// Crates with an `Options` of their own, and the words that these are written in.
const OPTIONS: &[&str] = &[
    "mail", "smtp", "policy", "reactor", "wire", "lookup", "queue", "server", "delivery", "control",
];

/// Crates that may depend on any of ours but themselves, the proofs and `xtask`.
const ASSEMBLY: &str = "ringpost";
/// Crates that prove the others: they may depend on any of ours but `xtask`.
const PROOFS: [&str; 4] = ["sim", "loadtest", "benches", "fuzz"];

/// Crates of others that only some of ours may have: a mistake here would let the kernel, a second
/// runtime or an untyped error into a room that is built without.
const OTHERS: [(&str, &[&str]); 8] = [
    ("io-uring", &["reactor"]),
    ("mio", &["reactor"]),
    ("libc", &["reactor"]),
    ("tokio", &["control"]),
    ("axum", &["control"]),
    ("hyper", &["control"]),
    ("tracing", &["control"]),
    ("anyhow", &["ringpost", "sim", "loadtest", "xtask"]),
];

/// Looks at one package's manifest, `ours` being the names of all packages of the workspace.
pub(crate) fn check(path: &str, manifest: &Table, ours: &[String]) -> Vec<Complaint> {
    let Some(name) = package_name(manifest) else {
        return vec![Complaint::at(path, 1, "no package name: write `[package] name = \"…\"`")];
    };
    let mut complaints = Vec::new();
    // The fuzz targets are a workspace of their own, so there is nothing to inherit.
    let inherits = manifest.get("lints").and_then(|lints| lints.get("workspace"));
    if !manifest.contains_key("workspace") && inherits != Some(&Value::Boolean(true)) {
        complaints.push(Complaint::at(path, 1, "add `[lints] workspace = true`"));
    }
    if !is_drawn(name) {
        let text = format!("`{name}` is not drawn: give it its arrows in tidy/arrows.rs");
        complaints.push(Complaint::at(path, 1, text));
        return complaints;
    }
    for dependency in dependencies(manifest) {
        if ours.contains(&dependency) && !may(name, &dependency) {
            let text = format!(
                "`{name}` must not depend on `{dependency}`: the design draws no such arrow; move \
                 what it needs to where both may look"
            );
            complaints.push(Complaint::at(path, 1, text));
        }
        let reserved = OTHERS.iter().find(|(other, _)| *other == dependency);
        if let Some((_, allowed)) = reserved.filter(|(_, allowed)| !allowed.contains(&name)) {
            let text = format!("`{name}` must not use `{dependency}`: only {allowed:?} may");
            complaints.push(Complaint::at(path, 1, text));
        }
    }
    complaints
}

/// The name of the package that `manifest` describes.
pub(crate) fn package_name(manifest: &Table) -> Option<&str> {
    manifest.get("package")?.get("name")?.as_str()
}

fn is_drawn(name: &str) -> bool {
    name == ASSEMBLY || PROOFS.contains(&name) || ARROWS.iter().any(|(from, _)| *from == name)
}

fn may(from: &str, to: &str) -> bool {
    if to == "xtask" {
        return false;
    }
    if PROOFS.contains(&from) {
        return true;
    }
    if from == ASSEMBLY {
        return !PROOFS.contains(&to);
    }
    ARROWS.iter().any(|(name, allowed)| *name == from && allowed.contains(&to))
}

/// Names of what the package is built with: `[dependencies]`, `[build-dependencies]` and those of
/// each `[target.…]`, renamed ones under their real name.
fn dependencies(manifest: &Table) -> Vec<String> {
    let targets = manifest.get("target").and_then(Value::as_table);
    let sections = targets.into_iter().flat_map(|table| table.values()).filter_map(Value::as_table);
    let mut names = Vec::new();
    for section in std::iter::once(manifest).chain(sections) {
        for kind in ["dependencies", "build-dependencies"] {
            let Some(table) = section.get(kind).and_then(Value::as_table) else { continue };
            names.extend(table.iter().map(|(key, value)| {
                value.get("package").and_then(Value::as_str).unwrap_or(key).to_owned()
            }));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(name: &str, rest: &str) -> Vec<String> {
        let ours = ["mail", "smtp", "queue", "server", "delivery", "config", "xtask", "reactor"];
        let text = format!("[package]\nname = \"{name}\"\n[lints]\nworkspace = true\n{rest}");
        let manifest = text.parse().expect("a manifest");
        let found = check("Cargo.toml", &manifest, &ours.map(str::to_owned));
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn drawn_arrows_pass_and_others_are_named() {
        let cases = [
            ("server", "queue", true),
            ("server", "delivery", false),
            ("delivery", "server", false),
            ("queue", "smtp", false),
            ("mail", "reactor", false),
            ("smtp", "config", false),
            ("ringpost", "config", true),
            ("sim", "config", true),
            ("ringpost", "xtask", false),
            ("sim", "xtask", false),
        ];
        for (from, to, passes) in cases {
            let found = complaints(from, &format!("[dependencies]\n{to}.workspace = true\n"));
            assert_eq!(found.is_empty(), passes, "{from} to {to}: {found:?}");
        }
    }

    #[test]
    fn an_arrow_is_seen_under_another_name_and_in_another_section() {
        let renamed = "[dependencies]\nletters = { package = \"server\", path = \"x\" }\n";
        assert_eq!(complaints("mail", renamed).len(), 1);
        let target = "[target.'cfg(unix)'.dependencies]\nserver.workspace = true\n";
        assert_eq!(complaints("mail", target).len(), 1);
        let build = "[build-dependencies]\nserver.workspace = true\n";
        assert_eq!(complaints("mail", build).len(), 1);
        let tests = "[dev-dependencies]\nserver.workspace = true\n";
        assert_eq!(complaints("mail", tests), [""; 0]);
    }

    #[test]
    fn a_reserved_crate_stays_in_its_room() {
        assert_eq!(complaints("control", "[dependencies]\ntokio = \"1\"\n"), [""; 0]);
        let found = complaints("server", "[dependencies]\ntokio = \"1\"\n");
        assert!(found[0].contains("must not use `tokio`"), "{found:?}");
    }

    #[test]
    fn a_crate_without_a_place_in_the_house_is_named() {
        let found = complaints("attic", "");
        assert!(found[0].contains("`attic` is not drawn"), "{found:?}");
    }
}
