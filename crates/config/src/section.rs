//! Typed reading of one section: value, else default, else a problem with its place.

use crate::keys::{self, Key, Kind};
use crate::problem::Problem;
use crate::source::{Document, Text};
use crate::value;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A secret: the text itself, or where it stands. One newline at its end is cut.
fn secret(value: &DeValue<'_>) -> Result<String, String> {
    let read = |path: PathBuf| {
        std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let one = |table: &DeTable<'_>, name| {
        table.get(name).and_then(|value| value.get_ref().as_str()).map(str::to_owned)
    };
    let text = match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Table(table) => match (one(table, "file"), one(table, "env")) {
            (Some(path), _) => read(path.into())?,
            (None, Some(name)) => {
                std::env::var(&name).map_err(|error| format!("the variable {name}: {error}"))?
            }
            (None, None) => {
                let name = one(table, "credential").ok_or("a secret is a text or a place")?;
                let directory = std::env::var("CREDENTIALS_DIRECTORY");
                let directory = directory.map_err(|_| "systemd has passed no credentials")?;
                read(PathBuf::from(directory).join(name))?
            }
        },
        _ => {
            return Err(
                "a secret is a text, or { file = … }, { env = … }, { credential = … }".into()
            );
        }
    };
    Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}

/// What stands in `root` under `name`; `a.b` is `b` in the section `a`.
pub(crate) fn value_of<'a>(root: &'a DeTable<'a>, name: &str) -> Option<&'a Spanned<DeValue<'a>>> {
    match name.split_once('.') {
        None => root.get(name),
        Some((section, name)) => root.get(section)?.get_ref().as_table()?.get(name),
    }
}

/// Where a value stands.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) file: Option<Text>,
    pub(crate) span: Range<usize>,
}

impl Place {
    /// The file's name and the line, from 1; empty and 0 where there is none.
    pub(crate) fn file_and_line(&self) -> (String, usize) {
        let Some(file) = &self.file else { return (String::new(), 0) };
        let before = &file.text.as_bytes()[..self.span.start.min(file.text.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        (file.path.display().to_string(), line)
    }
}

/// One section: `[name]` of all files, or one element of `[[name]]`.
pub(crate) struct Section<'a> {
    name: &'static str,
    /// The tables that make it up; more than one when files share a section.
    tables: Vec<(Text, &'a DeTable<'a>)>,
    /// Where an element begins.
    pub(crate) place: Place,
    problems: &'a RefCell<Vec<Problem>>,
}

/// A value as it was found.
struct Found<'a> {
    key: &'static Key,
    /// `None`: the default.
    value: Option<&'a DeValue<'a>>,
    place: Place,
}

impl<'a> Section<'a> {
    /// The keys outside of any section.
    pub(crate) fn top(documents: &'a [Document<'a>], problems: &'a RefCell<Vec<Problem>>) -> Self {
        let tables = documents.iter().map(|d| (Rc::clone(&d.file), &d.root)).collect();
        Self { name: "", tables, place: Place { file: None, span: 0..0 }, problems }
    }

    /// `[name]`.
    pub(crate) fn table(
        documents: &'a [Document<'a>],
        name: &'static str,
        problems: &'a RefCell<Vec<Problem>>,
    ) -> Self {
        let mut tables = Vec::new();
        for document in documents {
            let Some(value) = document.root.get(name) else { continue };
            match value.get_ref() {
                DeValue::Table(table) => tables.push((Rc::clone(&document.file), table)),
                other => problems.borrow_mut().push(Problem {
                    file: Some(Rc::clone(&document.file)),
                    span: value.span(),
                    message: format!("`{name}` is a section, not a {}", other.type_str()),
                    help: format!("write [{name}] on a line of its own, and its keys below"),
                }),
            }
        }
        Self { name, tables, place: Place { file: None, span: 0..0 }, problems }
    }

    /// Each `[[name]]`, in the order of the files.
    pub(crate) fn elements(
        documents: &'a [Document<'a>],
        name: &'static str,
        problems: &'a RefCell<Vec<Problem>>,
    ) -> Vec<Self> {
        let mut elements = Vec::new();
        for document in documents {
            let Some(value) = value_of(&document.root, name) else { continue };
            let array = value.get_ref().as_array();
            let tables = array.map(|array| {
                array.iter().map(|e| (e.span(), e.get_ref().as_table())).collect::<Vec<_>>()
            });
            for (span, table) in tables.unwrap_or_else(|| vec![(value.span(), None)]) {
                let place = Place { file: Some(Rc::clone(&document.file)), span };
                match table {
                    Some(table) => elements.push(Self {
                        name,
                        tables: vec![(Rc::clone(&document.file), table)],
                        place,
                        problems,
                    }),
                    None => problems.borrow_mut().push(Problem {
                        file: place.file,
                        span: place.span,
                        message: format!("`{name}` is a list of sections"),
                        help: format!("write [[{name}]], with two brackets"),
                    }),
                }
            }
        }
        elements
    }

    /// Reports what is wrong at `place`.
    pub(crate) fn report(&self, place: &Place, message: String, help: &str) {
        self.problems.borrow_mut().push(Problem {
            file: place.file.clone(),
            span: place.span.clone(),
            message,
            help: help.to_owned(),
        });
    }

    /// Whether the key is set.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.tables.iter().any(|(_, table)| table.contains_key(name))
    }

    /// Where a key stands, or else its section.
    pub(crate) fn place_of(&self, name: &str) -> Place {
        self.find(name).place
    }

    fn find(&self, name: &str) -> Found<'a> {
        let key = keys::find(self.name, name).expect("only keys of the table are read");
        let mut found: Option<Found<'a>> = None;
        for (file, table) in &self.tables {
            let Some((written, value)) = table.get_key_value(name) else { continue };
            let place = Place { file: Some(Rc::clone(file)), span: value.span() };
            if let Some(first) = &found {
                let other = Problem {
                    file: first.place.file.clone(),
                    span: first.place.span.clone(),
                    message: String::new(),
                    help: String::new(),
                };
                let twice = Place { file: place.file.clone(), span: written.span() };
                self.report(
                    &twice,
                    format!("`{name}` is set twice; first at {}", other.place()),
                    "keep one of them",
                );
                continue;
            }
            found = Some(Found { key, value: Some(value.get_ref()), place });
        }
        found.unwrap_or(Found { key, value: None, place: self.place.clone() })
    }

    /// The text of a value that is written as a string; the default's when it is not set.
    fn text_of(&self, found: &Found<'_>) -> Option<String> {
        match found.value {
            None => Some(found.key.default.trim_matches('"').to_owned()),
            Some(DeValue::String(text)) => Some(text.to_string()),
            // A bare 0 is read as "0".
            Some(DeValue::Integer(number)) if number.as_str() == "0" => Some("0".into()),
            Some(_) => {
                self.wrong(found);
                None
            }
        }
    }

    fn wrong(&self, found: &Found<'_>) {
        let what = found.key.kind.what();
        let message = format!("`{}` is {what}", found.key.name);
        self.report(&found.place, message, &format!("for example: {}", found.key.example));
    }

    /// Reads with `parse`, reports when that gives nothing, and falls back on the default.
    fn read<T>(&self, name: &str, parse: impl Fn(&str) -> Option<T>) -> T {
        let found = self.find(name);
        if let Some(text) = self.text_of(&found) {
            match parse(&text) {
                Some(value) => return value,
                None => self.wrong(&found),
            }
        }
        parse(found.key.default.trim_matches('"')).expect("every default is a good value")
    }

    /// A text.
    pub(crate) fn text(&self, name: &str) -> String {
        self.read(name, |text| Some(text.to_owned()))
    }

    /// A text that can be switched off.
    pub(crate) fn optional_text(&self, name: &str) -> Option<String> {
        self.read(name, |text| Some((!value::is_off(text)).then(|| text.to_owned())))
    }

    /// One of the words of the key's kind, as its index.
    pub(crate) fn choice(&self, name: &str) -> usize {
        let Kind::Choice(words) = self.find(name).key.kind else {
            panic!("`{name}` is read as a choice")
        };
        self.read(name, |text| words.iter().position(|word| *word == text))
    }

    /// A duration within the key's bounds.
    pub(crate) fn duration(&self, name: &str) -> Duration {
        let Kind::Duration(low, high) = self.find(name).key.kind else {
            panic!("`{name}` is read as a duration")
        };
        let bounds = Duration::from_secs(low)..=Duration::from_secs(high);
        self.read(name, |text| value::duration(text).filter(|value| bounds.contains(value)))
    }

    /// A size within the key's bounds, in bytes.
    pub(crate) fn size(&self, name: &str) -> u64 {
        let Kind::Size(low, high) = self.find(name).key.kind else {
            panic!("`{name}` is read as a size")
        };
        self.read(name, |text| value::size(text).filter(|value| (low..=high).contains(value)))
    }

    /// A size that can be switched off.
    pub(crate) fn optional_size(&self, name: &str) -> Option<u64> {
        self.read(
            name,
            |text| if value::is_off(text) { Some(None) } else { value::size(text).map(Some) },
        )
    }

    /// A size, or a share of the file system in percent.
    pub(crate) fn size_or_percent(&self, name: &str) -> Result<u64, u8> {
        self.read(name, |text| value::percent(text).map(Err).or_else(|| value::size(text).map(Ok)))
    }

    /// Bytes a second; 0 is off.
    pub(crate) fn byte_rate(&self, name: &str) -> u64 {
        self.read(name, |text| if value::is_off(text) { Some(0) } else { value::byte_rate(text) })
    }

    /// A rate that can be switched off.
    pub(crate) fn optional_rate(&self, name: &str) -> Option<(u32, Duration)> {
        self.read(
            name,
            |text| {
                if value::is_off(text) { Some(None) } else { value::rate(text).map(Some) }
            },
        )
    }

    /// A whole number within the key's bounds.
    pub(crate) fn count(&self, name: &str) -> u64 {
        self.optional_count(name).unwrap_or_else(|| {
            let found = self.find(name);
            found.key.default.parse().expect("every default is a good value")
        })
    }

    /// A whole number within the key's bounds, or `"off"`.
    pub(crate) fn optional_count(&self, name: &str) -> Option<u64> {
        let found = self.find(name);
        let Kind::Count(low, high) = found.key.kind else { panic!("`{name}` is read as a count") };
        let number = match found.value {
            None => return found.key.default.parse().ok(),
            Some(DeValue::Integer(number)) => number.as_str().replace('_', "").parse().ok(),
            Some(DeValue::String(text)) if value::is_off(text) => return None,
            Some(_) => None,
        };
        match number.filter(|number| (low..=high).contains(number)) {
            Some(number) => Some(number),
            None => {
                self.wrong(&found);
                found.key.default.parse().ok()
            }
        }
    }

    /// A number with a fraction, within the key's bounds.
    pub(crate) fn number(&self, name: &str) -> f64 {
        let found = self.find(name);
        let Kind::Number(low, high) = found.key.kind else {
            panic!("`{name}` is read as a number")
        };
        let default = found.key.default.parse().expect("every default is a good value");
        let number: Option<f64> = match found.value {
            None => return default,
            Some(DeValue::Integer(number)) => number.as_str().parse().ok(),
            Some(DeValue::Float(number)) => number.as_str().parse().ok(),
            Some(_) => None,
        };
        match number.filter(|number| (low..=high).contains(number)) {
            Some(number) => number,
            None => {
                self.wrong(&found);
                default
            }
        }
    }

    /// A user and a password, which may stand elsewhere; `None` when it is off.
    pub(crate) fn login(&self, name: &str) -> Option<(String, String)> {
        let found = self.find(name);
        let table = match found.value? {
            DeValue::Table(table) => table,
            DeValue::String(text) if value::is_off(text) => return None,
            _ => {
                self.wrong(&found);
                return None;
            }
        };
        let user = table.get("user").and_then(|user| user.get_ref().as_str());
        let password = table.get("password").map(|password| secret(password.get_ref()));
        match (user, password, table.len()) {
            (Some(user), Some(Ok(password)), 2) => Some((user.to_owned(), password)),
            (_, Some(Err(why)), _) => {
                let help = "for example: password = { file = \"/etc/ringpost/password\" }";
                self.report(&found.place, why, help);
                None
            }
            _ => {
                self.wrong(&found);
                None
            }
        }
    }

    /// True or false.
    pub(crate) fn flag(&self, name: &str) -> bool {
        let found = self.find(name);
        match found.value {
            None => found.key.default == "true",
            Some(DeValue::Boolean(flag)) => *flag,
            Some(_) => {
                self.wrong(&found);
                false
            }
        }
    }

    /// A list of texts, or one text; each with its place. Lists of several files are joined.
    pub(crate) fn list(&self, name: &str) -> Vec<(String, Place)> {
        let key = keys::find(self.name, name).expect("only keys of the table are read");
        let mut list = Vec::new();
        let mut set = false;
        for (file, table) in &self.tables {
            let Some(value) = table.get(name) else { continue };
            set = true;
            let place = |span| Place { file: Some(Rc::clone(file)), span };
            let single = std::slice::from_ref(value);
            let elements: Vec<_> = match value.get_ref() {
                DeValue::Array(array) => array.iter().collect(),
                _ => single.iter().collect(),
            };
            for element in elements {
                match element.get_ref() {
                    DeValue::String(text) => list.push((text.to_string(), place(element.span()))),
                    _ => self.wrong(&Found { key, value: None, place: place(element.span()) }),
                }
            }
        }
        if !set {
            let inside = key.default.trim_matches(['[', ']']);
            let defaults = inside.split(',').map(|text| text.trim().trim_matches('"'));
            list.extend(
                defaults.filter(|t| !t.is_empty()).map(|t| (t.to_owned(), self.place.clone())),
            );
        }
        list
    }

    /// A list whose elements are read with `parse`; what it refuses is reported.
    pub(crate) fn list_of<T>(&self, name: &str, parse: impl Fn(&str) -> Option<T>) -> Vec<T> {
        let key = keys::find(self.name, name).expect("only keys of the table are read");
        let mut values = Vec::new();
        for (text, place) in self.list(name) {
            match parse(&text) {
                Some(value) => values.push(value),
                None => self.report(
                    &place,
                    format!("`{text}` is not {}", key.kind.element()),
                    &format!("for example: {}", key.example),
                ),
            }
        }
        values
    }

    /// An address and port that can be switched off.
    pub(crate) fn optional_address(&self, name: &str) -> Option<SocketAddr> {
        self.read(
            name,
            |text| {
                if value::is_off(text) { Some(None) } else { text.parse().ok().map(Some) }
            },
        )
    }
}
