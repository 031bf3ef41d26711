//! Messages that await delivery: the bytes on disk, when each is due, and one façade over both.
//!
//! For: taking a message so that 250 means durable, handing recipients out when they are due,
//! recording what became of them, reporting failures to the sender, surviving any crash.
//! Never here: SMTP, DNS, routes (a next hop is a name that the [`Router`] gives).
//! Start reading at [`Queue`]; `schedule` is *when* (pure), `spool` is *bytes on disk*.
#![forbid(unsafe_code)]

mod accept;
mod body;
mod books;
mod compaction;
mod counters;
mod deliver;
mod draft;
mod error;
mod exchange;
mod filter;
mod housekeeping;
mod land;
mod listing;
mod lock;
mod operate;
mod options;
mod queue;
mod report;
mod schedule;
mod settle;
mod spool;
mod suspend;

pub use accept::Admission;
pub use body::{Body, Loaded};
pub use counters::Counters;
pub use deliver::{Term, Ticket};
pub use draft::{Appended, Draft};
pub use error::{CommitError, LoadError, OpenError};
pub use exchange::{Export, ExportStep, Import, ImportError, Portable, Waiting};
pub use filter::Filter;
pub use listing::{Listed, ListedRecipient, Shown, Summary, SummaryLine};
pub use lock::{Lock, Tenure};
pub use options::{Options, Retry, SpoolFree};
pub use queue::{Queue, Router, Start};
pub use schedule::{Destinations, State, Suspended};
pub use spool::inspect;
