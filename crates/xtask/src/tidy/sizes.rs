//! Files, functions and lines that one can take in.

use super::Complaint;
use super::source::{Source, is_word_byte, word_offsets};

/// Lines of a file.
const FILE_LINES_MAX: usize = 800;
/// Lines of a function, from `fn` to its closing brace.
const FUNCTION_LINES_MAX: usize = 70;
/// Columns of a line.
const COLUMNS_MAX: usize = 100;
/// Exempts a pure table: in the first lines of a file, whose rows may then be long too, or on the
/// line above a function.
const TABLE_MARK: &str = "// tidy: table";

pub(crate) fn check(source: &Source) -> Vec<Complaint> {
    let mut complaints = columns(source);
    complaints.extend(file_lines(source));
    complaints.extend(functions(source));
    complaints
}

/// A file that says at its top that it is a table.
fn is_table(source: &Source) -> bool {
    source.text.lines().take(20).any(|line| line.trim() == TABLE_MARK)
}

fn columns(source: &Source) -> Vec<Complaint> {
    if is_table(source) {
        return Vec::new();
    }
    let lines = source.text.lines().enumerate();
    let long = lines.filter(|(_, line)| line.chars().count() > COLUMNS_MAX);
    long.map(|(index, line)| {
        let columns = line.chars().count();
        let text = format!("{columns} columns: break the line before column {COLUMNS_MAX}");
        Complaint::at(&source.path, index + 1, text)
    })
    .collect()
}

fn file_lines(source: &Source) -> Option<Complaint> {
    let lines = source.text.lines().count();
    (lines > FILE_LINES_MAX && !is_table(source)).then(|| {
        let text = format!(
            "{lines} lines, at most {FILE_LINES_MAX}: move what has a name of its own into its own \
             file (a pure table says `{TABLE_MARK}` at the top)"
        );
        Complaint::at(&source.path, 1, text)
    })
}

fn functions(source: &Source) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for start in word_offsets(&source.code, "fn") {
        let Some((name, end)) = function_at(&source.code, start) else { continue };
        let (first, last) = (source.line_of(start), source.line_of(end));
        let lines = last - first + 1;
        if lines > FUNCTION_LINES_MAX && !has_table_mark(source, first) {
            let text = format!(
                "`{name}` has {lines} lines, at most {FUNCTION_LINES_MAX}: give a step of it a \
                 name (a pure table says `{TABLE_MARK}` on the line above)"
            );
            complaints.push(Complaint::at(&source.path, first, text));
        }
    }
    complaints
}

fn has_table_mark(source: &Source, line: usize) -> bool {
    line >= 2 && source.text.lines().nth(line - 2).is_some_and(|above| above.trim() == TABLE_MARK)
}

/// The name of the function whose `fn` stands at `start`, and where its body ends; `None` for a
/// pointer type or a declaration without a body.
fn function_at(code: &str, start: usize) -> Option<(&str, usize)> {
    let bytes = code.as_bytes();
    let name_start = start + 2 + code[start + 2..].find(|c: char| !c.is_whitespace())?;
    let name_length = bytes[name_start..].iter().take_while(|b| is_word_byte(**b)).count();
    let name = &code[name_start..name_start + name_length];
    let (mut at, mut nesting) = (name_start + name_length, 0i32);
    if name.is_empty() {
        return None;
    }
    loop {
        match bytes.get(at)? {
            b'(' | b'[' => nesting += 1,
            b')' | b']' => nesting -= 1,
            b';' if nesting == 0 => return None,
            b'{' if nesting == 0 => break,
            _ => {}
        }
        at += 1;
    }
    matching_brace(code, at).map(|end| (name, end))
}

/// The brace that closes the one at `open`.
pub(super) fn matching_brace(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (offset, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return Some(offset),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(text: &str) -> Vec<String> {
        check(&Source::new("a.rs", text)).iter().map(ToString::to_string).collect()
    }

    /// A function of `lines` lines whose strings hold braces that do not count.
    fn function(lines: usize) -> String {
        format!("fn f(a: [u8; 2]) -> u8 {{\n{}}}\n", "    g(\"}\", '{');\n".repeat(lines - 2))
    }

    #[test]
    fn a_function_over_the_limit_is_named_with_its_line() {
        assert_eq!(complaints(&function(FUNCTION_LINES_MAX)), [""; 0]);
        let text = format!("const A: fn(u8) = g;\n{}", function(FUNCTION_LINES_MAX + 1));
        let found = complaints(&text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("a.rs:2: `f` has 71 lines"), "{found:?}");
    }

    #[test]
    fn a_declaration_without_a_body_has_no_length() {
        let text = format!("trait T {{\n    fn f(a: [u8; 2]);\n{}}}\n", "\n".repeat(100));
        assert_eq!(complaints(&text), [""; 0]);
    }

    #[test]
    fn a_file_over_the_limit_is_named_unless_it_is_a_table() {
        let long = "const A: u8 = 1;\n".repeat(FILE_LINES_MAX + 1);
        assert_eq!(complaints(&long).len(), 1);
        assert_eq!(complaints(&format!("{TABLE_MARK}\n{long}")), [""; 0]);
        let marked = format!("{TABLE_MARK}\n{}", function(FUNCTION_LINES_MAX + 1));
        assert_eq!(complaints(&marked), [""; 0]);
    }

    #[test]
    fn a_line_is_measured_in_characters() {
        assert_eq!(complaints(&format!("// {}\n", "§".repeat(97))), [""; 0]);
        let long = format!("\n// {}\n", "§".repeat(98));
        assert_eq!(complaints(&format!("{TABLE_MARK}\n{long}")), [""; 0]);
        let found = complaints(&long);
        assert!(found[0].starts_with("a.rs:2: 101 columns"), "{found:?}");
    }
}
