//! Words that must not stand in a repository, and lint attributes that say no reason.

use super::Complaint;
use super::source::{Source, is_word_byte, word_offsets};

/// Words of code, each with what to write instead. They are written in two halves, so that this
/// table does not find itself.
const CODE: [(&str, &str); 4] = [
    (concat!("todo", "!"), "write it, or leave it out until its issue"),
    (concat!("unimplemented", "!"), "write it, or leave it out until its issue"),
    (concat!("dbg", "!"), "remove it"),
    (concat!("thread::", "sleep"), "wait for the condition, not for a while"),
];

/// Words of comments and documents.
const PROSE: [(&str, &str); 4] = [
    (concat!("TO", "DO"), "do it, or file an issue"),
    (concat!("FIX", "ME"), "fix it, or file an issue"),
    (concat!("XX", "X"), "say what is wrong, or file an issue"),
    (concat!("for", " now"), "say how it is, in the present tense"),
];

/// Where somebody's machine shows. The last one is a fair place in code, not in documents.
const MACHINE_PATHS: [&str; 3] =
    [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/tm", "p/")];

/// A Rust file.
pub(crate) fn check(source: &Source) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (view, table) in [(&source.code, CODE), (&source.comments, PROSE)] {
        for (word, instead) in table {
            let found = word_offsets(view, word);
            complaints.extend(found.map(|offset| {
                let line = source.line_of(offset);
                Complaint::at(&source.path, line, format!("`{word}`: {instead}"))
            }));
        }
    }
    complaints.extend(machine_paths(&source.path, &source.text, &MACHINE_PATHS[..2]));
    complaints.extend(lint_attributes(source));
    complaints
}

/// A document, a unit file, a script.
pub(crate) fn check_prose(path: &str, text: &str) -> Vec<Complaint> {
    let document = path.ends_with(".md");
    let paths = if document { &MACHINE_PATHS[..] } else { &MACHINE_PATHS[..2] };
    let mut complaints = machine_paths(path, text, paths);
    for (index, line) in text.lines().enumerate() {
        for (word, instead) in PROSE {
            if word_offsets(line, word).next().is_some() {
                complaints.push(Complaint::at(path, index + 1, format!("`{word}`: {instead}")));
            }
        }
    }
    complaints
}

/// A manifest: an allowed lint has its reason on the same line or on the one above.
pub(crate) fn check_manifest(path: &str, text: &str) -> Vec<Complaint> {
    let mut complaints = check_prose(path, text);
    let mut above = "";
    for (index, line) in text.lines().enumerate() {
        let allows = line.split('#').next().is_some_and(|code| code.contains("\"allow\""));
        if allows && !line.contains('#') && !above.trim_start().starts_with('#') {
            let text = "a lint is allowed without a reason: say why in a comment beside it";
            complaints.push(Complaint::at(path, index + 1, text));
        }
        above = line;
    }
    complaints
}

fn machine_paths(path: &str, text: &str, forbidden: &[&str]) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for machine_path in forbidden.iter().filter(|machine_path| stands_alone(line, machine_path))
        {
            let text = format!(
                "`{machine_path}` is a path of one machine: write a relative one, or one that \
                 every system has"
            );
            complaints.push(Complaint::at(path, index + 1, text));
        }
    }
    complaints
}

/// Not as a part of a longer path: `/var/tmp/` is none of them, `target/work/` neither.
fn stands_alone(line: &str, machine_path: &str) -> bool {
    let longer = |byte: u8| is_word_byte(byte) || b"./-$}~*".contains(&byte);
    line.match_indices(machine_path).any(|(at, _)| at == 0 || !longer(line.as_bytes()[at - 1]))
}

/// `allow` and `expect` say `reason = "…"`, `ignore` says `= "…"`.
fn lint_attributes(source: &Source) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (start, _) in source.code.match_indices('#') {
        let Some(attribute) = attribute_at(&source.code, start) else { continue };
        let has = |word: &str| word_offsets(attribute, word).next().is_some();
        let quiets = has("allow(") || has("expect(");
        let text = if quiets && !has("reason") {
            "a lint is switched off without a reason: add `reason = \"…\"`"
        } else if ignores_silently(attribute) {
            "a test is ignored without a reason: write `#[ignore = \"…\"]`"
        } else {
            continue;
        };
        complaints.push(Complaint::at(&source.path, source.line_of(start), text));
    }
    complaints
}

fn ignores_silently(attribute: &str) -> bool {
    word_offsets(attribute, "ignore")
        .any(|at| !attribute[at + "ignore".len()..].trim_start().starts_with('='))
}

/// The attribute whose `#` stands at `start`, between its brackets.
fn attribute_at(code: &str, start: usize) -> Option<&str> {
    let rest = &code[start + 1..];
    let rest = rest.strip_prefix('!').unwrap_or(rest).trim_start().strip_prefix('[')?;
    let mut depth = 1;
    for (offset, byte) in rest.bytes().enumerate() {
        match byte {
            b'[' => depth += 1,
            b']' if depth == 1 => return Some(&rest[..offset]),
            b']' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_rust(text: &str) -> usize {
        check(&Source::new("a.rs", text)).len()
    }

    #[test]
    fn banned_words_count_where_they_mean_something() {
        for (word, _) in CODE {
            assert_eq!(in_rust(&format!("fn f() {{ {word}(); }}")), 1, "{word}");
            assert_eq!(in_rust(&format!("// {word} is banned")), 0, "{word}");
        }
        for (word, _) in PROSE {
            assert_eq!(in_rust(&format!("// so {word}, then")), 1, "{word}");
            assert_eq!(in_rust(&format!("{word} in [1] {{}}")), 0, "{word}");
            assert_eq!(check_prose("a.md", &format!("so {word}")).len(), 1, "{word}");
        }
        assert_eq!(check_prose("a.md", "segment-XXXXXXXX").len(), 0);
    }

    #[test]
    fn a_lint_is_switched_off_with_a_reason_only() {
        let cases = [
            ("#[allow(dead_code)]", 1),
            ("#![allow(\n    dead_code\n)]", 1),
            ("#[cfg_attr(test, expect(clippy::all))]", 1),
            ("#[allow(dead_code, reason = \"generated\")]", 0),
            ("#[ignore]", 1),
            ("#[ignore = \"needs a disk\"]", 0),
            ("#[doc = \"allow(x)\"]", 0),
            ("let a = b.expect(\"good\");", 0),
        ];
        for (text, count) in cases {
            assert_eq!(in_rust(text), count, "{text}");
        }
    }

    #[test]
    fn a_manifest_allows_a_lint_with_a_comment_beside_it_only() {
        assert_eq!(check_manifest("Cargo.toml", "todo = \"allow\"\n").len(), 1);
        assert_eq!(check_manifest("Cargo.toml", "todo = \"allow\" # since\n").len(), 0);
        assert_eq!(check_manifest("Cargo.toml", "# since\ntodo = \"allow\"\n").len(), 0);
        assert_eq!(check_manifest("Cargo.toml", "todo = \"deny\"\n").len(), 0);
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        let temporary = format!("see {}x", MACHINE_PATHS[2]);
        assert_eq!(check_prose("docs/a.md", &temporary).len(), 1);
        assert_eq!(in_rust(&format!("const A: &str = \"{temporary}\";")), 0);
        assert_eq!(in_rust(&format!("const A: &str = \"{}x\";", MACHINE_PATHS[1])), 1);
        assert_eq!(check_prose("docs/a.md", &format!("/var{}x", MACHINE_PATHS[2])).len(), 0);
    }
}
