//! The configuration file: TOML into the options of each crate, or all that is wrong with it.
//!
//! For: reading `ringpost.toml` and what it includes, naming every mistake at once with file and
//! line and what to write instead, and the page that documents every key.
//! Never here: what an option does. Options live in the crate that obeys them; nothing depends on
//! this crate but `ringpost`.
//! Start reading at [`load`], then the table in `keys.rs`.
#![forbid(unsafe_code)]

mod document;
mod keys;
mod print;
mod problem;
mod receiving;
mod routes;
mod section;
mod settings;
mod source;
mod value;

pub use document::document;
pub use print::print;
pub use problem::{Problem, Problems};
pub use settings::{
    Config, ListenerSettings, LogFormat, LogTarget, PairSettings, Reactor, TlsSettings, Users,
};
pub use value::duration;

use std::path::Path;
use std::rc::Rc;

/// Reads the configuration at `path`, with what it includes. `machine` is this machine's name, for
/// the default of `hostname`.
///
/// # Errors
/// Everything that is wrong, in the order of the files.
pub fn load(path: &Path, machine: Option<&str>) -> Result<Config, Problems> {
    let (files, problems) = source::read(path);
    source::with_documents(&files, problems, |documents, problems| {
        settings::build(documents, machine, problems)
    })
}

/// Reads a configuration that is in no file, called `name` in messages.
///
/// # Errors
/// Everything that is wrong.
pub fn load_text(name: &Path, text: &str, machine: Option<&str>) -> Result<Config, Problems> {
    let file = Rc::new(problem::File { path: name.into(), text: text.to_owned() });
    source::with_documents(&[file], Vec::new(), |documents, problems| {
        settings::build(documents, machine, problems)
    })
}
