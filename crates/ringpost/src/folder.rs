//! The directory that messages are exported to and imported from.
//!
//! A message NAME (its id) is two files: `NAME.eml`, the message as any mail program reads it, and
//! `NAME.json`, its envelope. The `.json` comes last and vouches for the `.eml`. An import renames
//! it: to `NAME.importing` before the message is given away, to `NAME.imported` once it is durable
//! there. So a directory that is imported twice, or again after a crash, doubles nothing silently.

use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

/// Bytes that are compared at a time.
const PIECE: usize = 64 << 10;

/// The directory.
pub(crate) struct Folder {
    path: PathBuf,
}

/// A message that is being written.
pub(crate) struct Writing {
    name: String,
    words: Value,
    eml: File,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// It is in the directory now.
    New,
    /// It was there; its envelope is as of now.
    Again,
    /// It was there, and has been imported elsewhere: nothing is changed.
    Imported,
}

impl Folder {
    /// The directory at `path`, made if need be.
    pub(crate) fn for_export(path: &Path) -> io::Result<Self> {
        match std::fs::create_dir(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            Ok(()) | Err(_) => Ok(Self { path: path.into() }),
        }
    }

    /// The directory at `path`.
    pub(crate) fn for_import(path: &Path) -> Self {
        Self { path: path.into() }
    }

    /// The path of a file of message `name`.
    pub(crate) fn file(&self, name: &str, suffix: &str) -> PathBuf {
        self.path.join(format!("{name}.{suffix}"))
    }

    /// The names of all messages with a file of this suffix, sorted.
    pub(crate) fn names(&self, suffix: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let path = entry?.path();
            if path.extension().is_some_and(|found| found == suffix) {
                names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Makes the names in the directory durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    /// Renames a file of message `name`, durably.
    pub(crate) fn rename(&self, name: &str, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.file(name, from), self.file(name, to))?;
        self.sync()
    }

    /// Begins to write a message.
    pub(crate) fn begin(&self, name: &str, words: Value) -> io::Result<Writing> {
        let eml = create(&self.file(name, "eml.part"))?;
        Ok(Writing { name: name.to_owned(), words, eml })
    }

    /// Makes a message durable that has been written whole; `Err` with a text when something else
    /// has its names.
    pub(crate) fn finish(&self, writing: Writing) -> io::Result<Result<Written, String>> {
        let Writing { name, words, eml } = writing;
        eml.sync_all()?;
        let (part, whole) = (self.file(&name, "eml.part"), self.file(&name, "eml"));
        let there = whole.exists();
        if let Some(other) = self.other_message(&name, &words)? {
            std::fs::remove_file(&part)?;
            return Ok(Err(format!("{} is there and is of another message", other.display())));
        }
        let imported = ["importing", "imported"].iter().any(|one| self.file(&name, one).exists());
        if there || imported {
            std::fs::remove_file(&part)?;
        }
        if imported {
            return Ok(Ok(Written::Imported));
        }
        let written = if there { Written::Again } else { Written::New };
        if written == Written::New {
            std::fs::rename(&part, &whole)?;
        }
        let mut text = serde_json::to_string_pretty(&words).map_err(io::Error::other)?;
        text.push('\n');
        let part = self.file(&name, "json.part");
        let mut file = create(&part)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&part, self.file(&name, "json"))?;
        Ok(Ok(written))
    }

    /// The file that has one of the names of the message that is being written, and is of another.
    fn other_message(&self, name: &str, words: &Value) -> io::Result<Option<PathBuf>> {
        let whole = self.file(name, "eml");
        if whole.exists() && !same_bytes(&self.file(name, "eml.part"), &whole)? {
            return Ok(Some(whole));
        }
        for suffix in ["json", "importing", "imported"] {
            let path = self.file(name, suffix);
            if path.exists() && !same_message(&path, words)? {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    /// Forgets a message that could not be read whole.
    pub(crate) fn give_up(&self, writing: Writing) {
        // What stays behind is overwritten by the next export, and never imported.
        drop(std::fs::remove_file(self.file(&writing.name, "eml.part")));
    }
}

impl Writing {
    /// Appends bytes of the message.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.eml.write_all(bytes)
    }
}

/// A file that nobody but its owner reads: mail is private.
fn create(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Whether an envelope that was written before is of the message of `words`. Ids of two spools may
/// be equal; id, time and sender of two messages are not.
fn same_message(path: &Path, words: &Value) -> io::Result<bool> {
    let Ok(before) = serde_json::from_slice::<Value>(&std::fs::read(path)?) else {
        return Ok(false);
    };
    Ok(["id", "accepted", "from"].iter().all(|key| before[*key] == words[*key]))
}

fn same_bytes(one: &Path, other: &Path) -> io::Result<bool> {
    let (one, other) = (File::open(one)?, File::open(other)?);
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let (mut one, mut other) = (BufReader::new(one), BufReader::new(other));
    let (mut left, mut right) = (vec![0; PIECE], vec![0; PIECE]);
    loop {
        let count = one.read(&mut left)?;
        if count == 0 {
            return Ok(true);
        }
        other.read_exact(&mut right[..count])?;
        if left[..count] != right[..count] {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn export(folder: &Folder, words: &Value, bytes: &[u8]) -> Result<Written, String> {
        let mut writing = folder.begin("m", words.clone()).expect("room");
        writing.write(bytes).expect("room");
        folder.finish(writing).expect("a disk that is well")
    }

    fn words() -> Value {
        json!({ "id": "m", "accepted": "t", "from": "a@b", "recipients": [] })
    }

    #[test]
    fn a_message_that_is_there_is_only_brought_up_to_date() {
        let directory = tempfile::tempdir().expect("a directory");
        let folder = Folder::for_export(&directory.path().join("out")).expect("made");
        assert_eq!(export(&folder, &words(), b"body"), Ok(Written::New));
        let mut later = words();
        later["recipients"] = json!(["x"]);
        assert_eq!(export(&folder, &later, b"body"), Ok(Written::Again));
        let text = std::fs::read_to_string(folder.file("m", "json")).expect("written");
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), later);
        let names = std::fs::read_dir(directory.path().join("out")).expect("made").count();
        assert_eq!(names, 2, "nothing is left over");
    }

    #[test]
    fn another_message_of_the_same_name_is_not_overwritten() {
        let directory = tempfile::tempdir().expect("a directory");
        let folder = Folder::for_export(directory.path()).expect("there");
        assert_eq!(export(&folder, &words(), b"body"), Ok(Written::New));
        assert!(export(&folder, &words(), b"Body").is_err());
        let mut other = words();
        other["accepted"] = "later".into();
        assert!(export(&folder, &other, b"body").is_err());
        assert_eq!(std::fs::read(folder.file("m", "eml")).expect("there"), b"body");
        assert_eq!(folder.names("json").expect("readable"), ["m"]);
    }

    #[test]
    fn what_has_been_imported_is_not_made_ready_for_another_import() {
        let directory = tempfile::tempdir().expect("a directory");
        let folder = Folder::for_export(directory.path()).expect("there");
        assert_eq!(export(&folder, &words(), b"body"), Ok(Written::New));
        folder.rename("m", "json", "imported").expect("renamed");
        assert_eq!(export(&folder, &words(), b"body"), Ok(Written::Imported));
        assert!(folder.names("json").expect("readable").is_empty());
    }
}
