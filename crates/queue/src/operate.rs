//! What operators see and do.

use crate::books::Books;
use crate::filter::{means, names};
use crate::schedule::{MessageKey, View};
use crate::spool::{Change, Log};
use crate::{Counters, Filter, Listed, ListedRecipient, Queue, Shown, State, Summary, SummaryLine};
use mail::{MessageId, NextHop, UnixTime};
use reactor::Instant;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// Bytes of a header section that are shown at most.
const SHOWN_BYTES: usize = 64 << 10;

impl Queue {
    /// Ages × next hops.
    pub fn summary(&self, now: UnixTime) -> Summary {
        let books = self.shared.books.borrow();
        let ([active, deferred, held], _) = books.schedule.tallies();
        let mut hops: BTreeMap<&NextHop, [u64; 10]> = BTreeMap::new();
        for key in books.schedule.messages() {
            let minutes = now.since(books.schedule.accepted(key)).as_secs() / 60;
            let column = Summary::AGES_MINUTES.partition_point(|bound| *bound <= minutes);
            for view in books.schedule.views(key) {
                hops.entry(view.hop).or_default()[column] += 1;
            }
        }
        let line = |(hop, ages): (&NextHop, [u64; 10])| SummaryLine {
            hop: hop.clone(),
            recipients: ages.iter().sum(),
            ages,
        };
        let mut hops: Vec<SummaryLine> = hops.into_iter().map(line).collect();
        hops.sort_by_key(|line| std::cmp::Reverse(line.recipients));
        Summary { messages: active + deferred + held, active, deferred, held, hops }
    }

    /// Up to `limit` messages that `filter` means, by id.
    pub fn list(&self, filter: &Filter, limit: usize) -> Vec<Listed> {
        let mut meant = self.meant(filter);
        let books = self.shared.books.borrow();
        meant.sort_by_key(|key| books.kept(*key).id);
        meant.into_iter().take(limit).filter_map(|key| listed(&books, key)).collect()
    }

    /// All that is known of a message.
    pub async fn show(&self, id: MessageId) -> Option<Shown> {
        let key = self.find(id)?;
        let (listed, expires) = {
            let books = self.shared.books.borrow();
            (listed(&books, key)?, books.schedule.expires(key))
        };
        let mut shown = Shown { listed, envelope: None, header: Vec::new(), expires };
        let Ok(mut loaded) = self.load_message(key).await else { return Some(shown) };
        shown.envelope = Some(Rc::clone(&loaded.envelope));
        shown.header = crate::report::read_header(&mut loaded.body, SHOWN_BYTES).await;
        Some(shown)
    }

    /// Makes messages due now and routes them anew; returns how many.
    pub fn flush(&self, filter: &Filter) -> usize {
        let meant = self.meant(filter);
        let now = self.unix_time();
        for key in &meant {
            self.reroute_message(*key);
            self.shared.books.borrow_mut().schedule.flush(*key, now);
        }
        self.wake();
        meant.len()
    }

    /// Holds messages back until they are released; survives a restart. Returns how many.
    pub fn hold(&self, filter: &Filter) -> usize {
        let meant = self.meant(filter);
        let held = meant.into_iter().filter(|key| {
            let held = self.shared.books.borrow_mut().schedule.hold(*key);
            if held {
                self.record_all(*key, &Change::Held);
            }
            held
        });
        held.count()
    }

    /// Lets held messages go; returns how many.
    pub fn release(&self, filter: &Filter) -> usize {
        let now = self.unix_time();
        let meant = self.meant(filter);
        let released = meant.into_iter().filter(|key| {
            let released = self.shared.books.borrow_mut().schedule.release(*key, now);
            if released {
                self.record_all(*key, &Change::Released { next: now });
            }
            released
        });
        let released = released.count();
        self.wake();
        released
    }

    /// Removes messages, without a report; returns how many. Recipients in flight are not tried
    /// again.
    pub fn remove(&self, filter: &Filter) -> usize {
        let meant = self.meant(filter);
        for key in &meant {
            let removed = self.shared.books.borrow_mut().schedule.remove(*key);
            let changes = removed.into_iter().map(|one| (one, Change::Removed)).collect();
            self.record(*key, changes, Vec::new());
        }
        meant.len()
    }

    /// Records the same change for all unfinished recipients of a message.
    fn record_all(&self, key: MessageKey, change: &Change) {
        let changes: Vec<(u32, Change)> = {
            let books = self.shared.books.borrow();
            books.schedule.views(key).map(|view| (view.recipient, change.clone())).collect()
        };
        self.record(key, changes, Vec::new());
    }

    /// The unfinished messages that a filter means.
    fn meant(&self, filter: &Filter) -> Vec<MessageKey> {
        if filter.is_empty() {
            return Vec::new();
        }
        let now = self.unix_time();
        let books = self.shared.books.borrow();
        books.schedule.messages().filter(|key| is_meant(&books, filter, *key, now)).collect()
    }

    /// Plain numbers for the metrics; samples are handed out once.
    pub fn counters(&self) -> Counters {
        let books = self.shared.books.borrow();
        let (messages, recipients) = books.schedule.tallies();
        let oldest = books.schedule.oldest();
        let age = oldest.map_or(Duration::ZERO, |oldest| self.unix_time().since(oldest));
        let mut counters = Counters {
            messages,
            recipients,
            oldest_seconds: age.as_secs_f64(),
            dsn_sent: self.shared.dsn_sent.get(),
            dsn_dropped: self.shared.dsn_dropped.get(),
            ..Counters::default()
        };
        for log in &self.shared.logs {
            let of_log = log.counters();
            counters.live_bytes += of_log.live_bytes;
            counters.dead_bytes += of_log.dead_bytes;
            counters.free_bytes += of_log.free_bytes;
            counters.failures += of_log.failures;
            counters.quarantined += of_log.quarantined;
            for sample in log.take_samples() {
                counters.commit_seconds.push(sample.took.as_secs_f64());
                counters.commit_messages.push(sample.messages.into());
            }
        }
        counters
    }

    /// Waits until everything that was asked for is durable, or the disk has failed.
    pub async fn drain(&self) {
        while self.shared.reports.get() > 0 && !self.failed() {
            self.shared.reported.wait(Instant::NEVER).await;
        }
        let logs: Vec<Log> = self.shared.logs.clone();
        for log in logs {
            log.close().await;
        }
    }
}

fn is_meant(books: &Books, filter: &Filter, key: MessageKey, now: UnixTime) -> bool {
    let Filter { ids, hop, to, from, state, older, all: _ } = filter;
    let kept = books.kept(key);
    let recipient = |view: View<'_>| {
        let address = &kept.recipients[view.recipient as usize].to;
        hop.as_ref().is_none_or(|hop| names(hop, view.hop.as_str()))
            && to.as_ref().is_none_or(|to| means(to, address))
    };
    let old_enough = |least: &Duration| now.since(books.schedule.accepted(key)) >= *least;
    let state_is = |books: &Books| {
        let theirs = books.schedule.state(key);
        theirs.is_some() && (state.is_none() || *state == theirs)
    };
    (ids.is_empty() || ids.contains(&kept.id))
        && from.as_ref().is_none_or(|from| means(from, &kept.from))
        && older.as_ref().is_none_or(old_enough)
        && state_is(books)
        && books.schedule.views(key).any(recipient)
}

fn listed(books: &Books, key: MessageKey) -> Option<Listed> {
    let kept = books.kept(key);
    let state = books.schedule.state(key)?;
    let recipients = books.schedule.views(key).map(|view| {
        let addressee = &kept.recipients[view.recipient as usize];
        ListedRecipient {
            to: addressee.to.to_string(),
            hop: view.hop.to_string(),
            state: if state == State::Held { state } else { view.state },
            attempts: view.attempts,
            next: view.next,
            reason: addressee.reason.as_deref().map(str::to_owned),
        }
    });
    Some(Listed {
        id: kept.id,
        accepted: books.schedule.accepted(key),
        bytes: kept.stored.size,
        from: kept.from.to_string(),
        state,
        recipients: recipients.collect(),
    })
}
