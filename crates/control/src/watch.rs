//! Files that are read again when they change: certificates and tables.
//!
//! Polled once a second: a handful of `stat` calls cost nothing, and work on every file system. A
//! change is taken over only once the files have stayed as they are for 2 s, so that a certificate
//! is not met while its key is still being written.

use crate::http::Desk;
use crate::order::Order;
use crate::plane::Apply;
use crate::{Log, clock};
use mail::{Event, EventKind, Field};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How often files are looked at.
const EVERY: Duration = Duration::from_secs(1);

/// Looks without a change before one is taken over.
const STILL_LOOKS: u32 = 2;

/// What files hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A certificate and its key.
    Certificate,
    /// A table.
    Table,
}

/// What follows from files that were read again.
#[derive(Default)]
pub struct Renewed {
    /// One closure a shard; none: shards need not know.
    pub applies: Vec<Apply>,
    /// Certificates by name, and when each ends, in seconds since 1970.
    pub ends: Vec<(String, i64)>,
}

/// Reads the files again, or says why the old content stays.
pub type Renew = Box<dyn FnMut() -> Result<Renewed, String>>;

/// Files that belong together.
pub struct Watch {
    /// Their name in log and metrics.
    pub name: String,
    /// What they hold.
    pub kind: Kind,
    /// Which they are; a reload may change that.
    pub paths: Box<dyn Fn() -> Vec<PathBuf>>,
    /// Takes a change over.
    pub renew: Renew,
    /// What was read at the start: certificates by name, and when each ends.
    pub ends: Vec<(String, i64)>,
}

/// What tells one content of a file from another: time, length, and which file it is.
type Mark = Vec<Option<(i64, i64, u64, u64)>>;

/// A watch and what was last seen.
struct Seen {
    watch: Watch,
    taken: Mark,
    latest: Mark,
    looks: u32,
}

/// Follows all of `watches` until the runtime ends.
pub(crate) async fn follow(watches: Vec<Watch>, desk: Arc<Desk>, log: Log) {
    let see = |watch: Watch| {
        let mark = mark(&(watch.paths)());
        note(&desk, &watch, true);
        note_ends(&desk, &watch.ends);
        Seen { watch, taken: mark.clone(), latest: mark, looks: 0 }
    };
    let mut all: Vec<Seen> = watches.into_iter().map(see).collect();
    if all.is_empty() {
        return;
    }
    loop {
        tokio::time::sleep(EVERY).await;
        for seen in &mut all {
            if seen.has_changed() {
                take_over(seen, &desk, &log);
            }
        }
    }
}

impl Seen {
    /// Whether the files have changed and stayed so for long enough.
    fn has_changed(&mut self) -> bool {
        let now = mark(&(self.watch.paths)());
        self.looks = if now == self.latest { self.looks + 1 } else { 0 };
        self.latest = now;
        let settled = self.latest != self.taken && self.looks >= STILL_LOOKS;
        if settled {
            self.taken.clone_from(&self.latest);
        }
        settled
    }
}

fn take_over(seen: &mut Seen, desk: &Desk, log: &Log) {
    let watch = &mut seen.watch;
    let result = (watch.renew)().and_then(|Renewed { applies, ends }| {
        note_ends(desk, &ends);
        let unreached = match applies.is_empty() {
            true => Vec::new(),
            false => desk.shards.tell(applies.into_iter().map(Order::Reload)),
        };
        match unreached.is_empty() {
            true => Ok(()),
            false => Err(format!("shards {unreached:?} are too busy to take it")),
        }
    });
    note(desk, watch, result.is_ok());
    let event = match &result {
        Ok(()) => Event::new(EventKind::ConfigReloaded)
            .text(Field::Reason, format!("{} was read again", watch.name)),
        Err(why) => {
            desk.health.note(
                format!("{}: {why}", watch.name),
                "correct it; the old one stays in force until then",
            );
            let kind = match watch.kind {
                Kind::Certificate => EventKind::TlsRefused,
                Kind::Table => EventKind::TableRefused,
            };
            let file = (watch.paths)().first().map(|path| path.display().to_string());
            Event::new(kind)
                .text(Field::File, file.unwrap_or_default())
                .text(Field::Reason, why.clone())
        }
    };
    log.record(clock::wall(), event);
}

fn note(desk: &Desk, watch: &Watch, good: bool) {
    let (metric, label) = match watch.kind {
        Kind::Certificate => ("tls_certificate_ok", "name"),
        Kind::Table => ("table_ok", "table"),
    };
    desk.meters.gauge(metric, &[(label, &watch.name)], if good { 1.0 } else { 0.0 });
}

fn note_ends(desk: &Desk, ends: &[(String, i64)]) {
    for (name, ends) in ends {
        let labels = [("name", name.as_str())];
        desk.meters.gauge("tls_certificate_expiry_timestamp_seconds", &labels, *ends as f64);
    }
}

fn mark(paths: &[PathBuf]) -> Mark {
    let one = |path: &PathBuf| {
        let found = std::fs::metadata(path).ok()?;
        Some((found.mtime(), found.mtime_nsec(), found.size(), found.ino()))
    };
    paths.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_taken_once_it_has_stayed_still() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("file");
        std::fs::write(&path, "one").expect("written");
        let paths = vec![path.clone()];
        let files = paths.clone();
        let watch = Watch {
            name: "file".into(),
            kind: Kind::Table,
            paths: Box::new(move || files.clone()),
            renew: Box::new(|| Ok(Renewed::default())),
            ends: Vec::new(),
        };
        let taken = mark(&paths);
        let mut seen = Seen { watch, latest: taken.clone(), taken, looks: 0 };
        assert!(!seen.has_changed() && !seen.has_changed() && !seen.has_changed());
        std::fs::write(&path, "other").expect("written");
        assert!(!seen.has_changed(), "it may still be written to");
        assert!(!seen.has_changed());
        assert!(seen.has_changed());
        assert!(!seen.has_changed(), "once is enough");
    }
}
