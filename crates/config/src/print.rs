//! The effective configuration, for `check --print`.

use crate::keys::{SECTIONS, keys};
use crate::section::value_of;
use crate::source;
use std::fmt::Write;
use std::path::Path;
use toml::de::{DeTable, DeValue};

/// Every key that is set, with its place, and every default, as one commented TOML text. A
/// configuration with mistakes shows what could be read.
pub fn print(path: &Path) -> String {
    let (files, _) = source::read(path);
    let mut text = String::new();
    section(&mut text, &files, "", false);
    for note in SECTIONS {
        section(&mut text, &files, note.name, note.repeated);
    }
    text
}

fn section(text: &mut String, files: &[source::Text], name: &str, repeated: bool) {
    let mut any = false;
    for file in files {
        let (root, _) = DeTable::parse_recoverable(&file.text);
        let root = root.get_ref();
        let tables: Vec<&DeTable<'_>> = match value_of(root, name).map(|value| value.get_ref()) {
            _ if name.is_empty() => vec![root],
            Some(DeValue::Table(table)) => vec![table],
            Some(DeValue::Array(array)) => {
                array.iter().filter_map(|element| element.get_ref().as_table()).collect()
            }
            Some(_) | None => Vec::new(),
        };
        for table in tables {
            if repeated || !any {
                heading(text, name, repeated);
            }
            any = true;
            for key in keys().filter(|key| key.section == name) {
                let Some(value) = table.get(key.name) else { continue };
                let before = &file.text.as_bytes()[..value.span().start];
                let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
                let written = &file.text[value.span()];
                let place = file.path.display();
                let _ = writeln!(text, "{} = {written} # {place}:{line}", key.name);
            }
        }
    }
    if !any {
        heading(text, name, repeated);
    }
    for key in keys().filter(|key| key.section == name) {
        let set = files.iter().any(|file| {
            let (root, _) = DeTable::parse_recoverable(&file.text);
            let value = value_of(root.get_ref(), name);
            let table = value.and_then(|value| value.get_ref().as_table());
            let table = if name.is_empty() { Some(root.get_ref()) } else { table };
            table.is_some_and(|table| table.contains_key(key.name))
        });
        if !repeated && !set {
            let _ = writeln!(text, "{} = {} # default", key.name, key.default);
        }
    }
}

fn heading(text: &mut String, name: &str, repeated: bool) {
    if repeated {
        let _ = writeln!(text, "\n[[{name}]]");
    } else if !name.is_empty() {
        let _ = writeln!(text, "\n[{name}]");
    }
}
