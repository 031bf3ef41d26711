//! Files, parsed and joined: `include` brings in more of them.

use crate::keys;
use crate::problem::{File, Problem, Problems};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use toml::de::{DeTable, DeValue};

/// A file's text, shared with the problems found in it.
pub(crate) type Text = Rc<File>;

/// A parsed file.
pub(crate) struct Document<'a> {
    pub(crate) file: Text,
    pub(crate) root: DeTable<'a>,
}

/// Reads the file at `path` and, by the names in `include`, the others.
pub(crate) fn read(path: &Path) -> (Vec<Text>, Vec<Problem>) {
    let mut problems = Vec::new();
    let Some(main) = read_one(path, &mut problems) else { return (Vec::new(), problems) };
    let mut files = vec![Rc::clone(&main)];
    for (pattern, span) in includes(&main, &mut problems) {
        let directory = path.parent().unwrap_or(Path::new(""));
        match matching(directory, &pattern) {
            Ok(paths) => {
                files.extend(paths.iter().filter_map(|path| read_one(path, &mut problems)));
            }
            Err(message) => problems.push(Problem {
                file: Some(Rc::clone(&main)),
                span,
                message,
                help: "include = [\"conf.d/*.toml\"] takes files of one directory".into(),
            }),
        }
    }
    (files, problems)
}

fn read_one(path: &Path, problems: &mut Vec<Problem>) -> Option<Text> {
    match std::fs::read_to_string(path) {
        Ok(text) => Some(Rc::new(File { path: path.into(), text })),
        Err(error) => {
            problems.push(Problem {
                file: None,
                span: 0..0,
                message: format!("{}: {error}", path.display()),
                help: "name a configuration that exists and can be read: --config FILE".into(),
            });
            None
        }
    }
}

/// The patterns of `include`; mistakes in its form are found when all keys are read.
fn includes(file: &Text, problems: &mut Vec<Problem>) -> Vec<(String, Range<usize>)> {
    let (root, _) = DeTable::parse_recoverable(&file.text);
    let mut patterns = Vec::new();
    let Some(include) = root.get_ref().get("include") else { return patterns };
    let Some(array) = include.get_ref().as_array() else {
        problems.push(Problem {
            file: Some(Rc::clone(file)),
            span: include.span(),
            message: "`include` is a list".into(),
            help: "write include = [\"conf.d/*.toml\"]".into(),
        });
        return patterns;
    };
    for element in array.iter() {
        if let Some(pattern) = element.get_ref().as_str() {
            patterns.push((pattern.to_owned(), element.span()));
        }
    }
    patterns
}

/// The files that `pattern` names, by name; only the last component may have a `*`.
fn matching(directory: &Path, pattern: &str) -> Result<Vec<PathBuf>, String> {
    let full = directory.join(pattern);
    let Some(name) = full.file_name().and_then(|name| name.to_str()) else {
        return Err(format!("`{pattern}` names no file"));
    };
    let Some((before, after)) = name.split_once('*') else { return Ok(vec![full]) };
    let parent = full.parent().unwrap_or(Path::new("."));
    let entries =
        std::fs::read_dir(parent).map_err(|error| format!("{}: {error}", parent.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| {
            name.len() >= before.len() + after.len()
                && name.starts_with(before)
                && name.ends_with(after)
        })
        .collect();
    names.sort();
    Ok(names.into_iter().map(|name| parent.join(name)).collect())
}

/// Parses all files, hands them to `build`, and gives its result unless something is wrong.
pub(crate) fn with_documents<T>(
    files: &[Text],
    mut problems: Vec<Problem>,
    build: impl FnOnce(&[Document<'_>], &mut Vec<Problem>) -> T,
) -> Result<T, Problems> {
    let mut documents = Vec::new();
    for file in files {
        let (root, errors) = DeTable::parse_recoverable(&file.text);
        problems.extend(errors.iter().map(|error| Problem {
            file: Some(Rc::clone(file)),
            span: error.span().unwrap_or(0..0),
            message: error.message().to_owned(),
            help: "see https://toml.io for how TOML is written".into(),
        }));
        documents.push(Document { file: Rc::clone(file), root: root.into_inner() });
    }
    for document in &documents {
        refuse_unknown(document, &mut problems);
    }
    if files.is_empty() {
        return Err(Problems(problems));
    }
    let built = build(&documents, &mut problems);
    if problems.is_empty() {
        return Ok(built);
    }
    let order = |problem: &Problem| {
        let file = problem.file.as_ref();
        (file.and_then(|file| files.iter().position(|f| f == file)), problem.span.start)
    };
    problems.sort_by_key(order);
    problems.dedup();
    Err(Problems(problems))
}

/// Every key that the table of keys does not have is a mistake.
fn refuse_unknown(document: &Document<'_>, problems: &mut Vec<Problem>) {
    for (key, value) in document.root.iter() {
        let name: &str = key.get_ref();
        if keys::is_section(name) {
            refuse_unknown_in(document, name, value.get_ref(), problems);
        } else if keys::find("", name).is_none() {
            let known = keys::sections().chain(keys::names(""));
            problems.push(unknown(document, name, key.span(), known, "at the top"));
        }
    }
}

/// The same in a section, or in each element of a repeated one, and in the sections within.
fn refuse_unknown_in(
    document: &Document<'_>,
    section: &str,
    value: &DeValue<'_>,
    problems: &mut Vec<Problem>,
) {
    let tables: Vec<&DeTable<'_>> = match value {
        DeValue::Table(table) => vec![table],
        DeValue::Array(array) => {
            array.iter().filter_map(|element| element.get_ref().as_table()).collect()
        }
        _ => Vec::new(),
    };
    for (key, value) in tables.iter().flat_map(|table| table.iter()) {
        let within = format!("{section}.{}", key.get_ref());
        if keys::is_section(&within) {
            refuse_unknown_in(document, &within, value.get_ref(), problems);
        } else if keys::find(section, key.get_ref()).is_none() {
            let known = keys::names(section);
            let place = format!("in [{section}]");
            problems.push(unknown(document, key.get_ref(), key.span(), known, &place));
        }
    }
}

fn unknown(
    document: &Document<'_>,
    key: &str,
    span: Range<usize>,
    known: impl Iterator<Item = &'static str>,
    place: &str,
) -> Problem {
    let known: Vec<&str> = known.collect();
    let nearest = known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(key, name), *name))
        .min()
        .filter(|(distance, name)| *distance <= name.len().max(3) / 2);
    let help = match nearest {
        Some((_, name)) => format!("did you mean `{name}`?"),
        None => format!("known {place}: {}", known.join(", ")),
    };
    let message = format!("`{key}` is no key {place}");
    Problem { file: Some(Rc::clone(&document.file)), span, message, help }
}
