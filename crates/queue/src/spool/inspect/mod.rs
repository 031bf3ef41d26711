//! A spool looked at from outside: nothing is locked, opened for writing or changed, and damage is
//! told, not fled from.
//!
//! For `spool check`, `spool dump`, and an export when no relay runs. A log is read in the order of
//! its segments, one of them in memory at a time; batches are judged as a start judges them. While
//! a relay runs on the spool ([`Spool::holder`]), what is found is of a moment.
//! Start reading at [`Spool`].

mod dump;
mod examine;
mod export;
mod files;
mod holder;
mod ledger;
mod report;
mod seen;
mod walk;

pub use export::SpoolExport;
pub use report::{Cost, Damage, FileKind, FileReport, LogReport};
pub use seen::{
    ChangeSeen, LastChange, Life, MessageSeen, RecipientLife, Run, Says, Seen, StandingSeen,
};

use crate::OpenError;
use crate::spool::layout::VERSION;
use mail::MessageId;
use std::path::{Path, PathBuf};

/// The newest version of the format that can be read.
pub const FORMAT: u32 = VERSION;

/// A spool, from outside.
///
/// - *what is where*: [`logs`](Self::logs), [`strangers`](Self::strangers),
///   [`holder`](Self::holder)
/// - *a log at a time*: [`examine`](Self::examine), [`dump`](Self::dump)
/// - *messages*: [`life`](Self::life), [`export`](Self::export), [`export_one`](Self::export_one)
#[derive(Clone, Debug)]
pub struct Spool {
    directory: PathBuf,
    logs: Vec<u16>,
    strangers: Vec<String>,
}

impl Spool {
    /// The spool in `directory`.
    ///
    /// # Errors
    /// When the directory cannot be read, or has nothing of a spool in it.
    pub fn find(directory: &Path) -> Result<Self, OpenError> {
        let mut spool =
            Self { directory: directory.into(), logs: Vec::new(), strangers: Vec::new() };
        let mut locked = false;
        for name in files::names(directory)? {
            match log_number(&name) {
                Some(number) => spool.logs.push(number),
                None if name == "LOCK" => locked = true,
                None if name == "state" => {}
                None => spool.strangers.push(name),
            }
        }
        if spool.logs.is_empty() && !locked {
            let error = std::io::Error::other("this is no spool: it has neither LOCK nor log-00");
            return Err(OpenError::Io { path: directory.into(), error });
        }
        spool.logs.sort_unstable();
        Ok(spool)
    }

    /// The numbers of its logs, in order.
    pub fn logs(&self) -> &[u16] {
        &self.logs
    }

    /// Names in its directory that are not of a spool.
    pub fn strangers(&self) -> &[String] {
        &self.strangers
    }

    /// The process that holds its lock, as far as the kernel tells.
    pub fn holder(&self) -> Option<u32> {
        holder::holder(&self.directory.join("LOCK"))
    }

    /// Verifies every batch, record and body of a log.
    ///
    /// # Errors
    /// When its directory cannot be read; what is wrong with a file is in the report.
    pub fn examine(&self, log: u16) -> Result<LogReport, OpenError> {
        examine::examine(&self.log_directory(log), log)
    }

    /// Tells every record of a log, in the order in which they were written. What comes back are
    /// the files that could not be read.
    ///
    /// # Errors
    /// When its directory cannot be read.
    pub fn dump(&self, log: u16, tell: &mut dyn FnMut(&Seen)) -> Result<Vec<OpenError>, OpenError> {
        dump::dump(&self.log_directory(log), log, tell)
    }

    /// Why a message is live, or not.
    ///
    /// # Errors
    /// When the directory of its log cannot be read.
    pub fn life(&self, id: MessageId) -> Result<Life, OpenError> {
        if !self.logs.contains(&id.log()) {
            return Ok(Life { id, recipients: Vec::new() });
        }
        dump::life(&self.log_directory(id.log()), id)
    }

    fn log_directory(&self, number: u16) -> PathBuf {
        self.directory.join(format!("log-{number:02}"))
    }
}

/// `log-07` is 7; numbers of three and four digits keep them.
fn log_number(name: &str) -> Option<u16> {
    let number = name.strip_prefix("log-")?.parse().ok()?;
    (number < MessageId::LOGS && name == format!("log-{number:02}")).then_some(number)
}
