//! Recording what became of recipients.

use crate::books::Books;
use crate::schedule::{Expired, GivenUp, MessageKey, Settled, Verdict, Why};
use crate::spool::{Change, Commit, Finished, NewMessage, Outcomes};
use crate::{Queue, Ticket};
use mail::{Event, EventKind, FailedRecipient, Field, NextHop, Outcome, Reason, UnixTime};

/// Random numbers are cut to this many bits to become a fraction.
const CHANCE_BITS: u32 = 32;

/// What an outcome takes beside its reason, at most.
const CHANGE_BYTES: usize = 64;

/// Outcomes of one record take no more than this, however many recipients a message has: a record
/// must fit into the smallest segment twice.
const RECORD_BYTES_MAX: usize = 64 << 10;

/// What is kept of a reason for deferral: two lines of a reply at their longest.
const REASON_BYTES_MAX: usize = 1024;

/// A recipient that failed for good, by its index.
pub(crate) type Failed = (u32, FailedRecipient);

/// One attempt, as its outcomes are looked at one by one.
struct Attempt<'a> {
    message: MessageKey,
    /// Where it went; none where a recipient is given up while it waits.
    hop: Option<NextHop>,
    number: u32,
    host: Option<Box<str>>,
    settled: &'a Settled,
    now: UnixTime,
}

impl Queue {
    /// Records what an attempt came to, by index of the recipient; who is not mentioned is due
    /// again as before. The schedule knows at once, the disk within milliseconds. `host` is the
    /// one that was spoken to. Deferred, bounced and expired recipients are journalled here.
    pub fn settle(
        &self,
        ticket: Ticket,
        mut outcomes: Vec<(u32, Outcome)>,
        host: Option<Box<str>>,
    ) {
        self.look_at_clocks();
        let now = self.unix_time();
        outcomes.sort_by_key(|(recipient, _)| *recipient);
        outcomes.dedup_by_key(|(recipient, _)| *recipient);
        outcomes.retain(|(recipient, _)| ticket.recipients.binary_search(recipient).is_ok());
        let verdicts = outcomes.iter().map(|(recipient, outcome)| (*recipient, verdict(outcome)));
        let mut books = self.shared.books.borrow_mut();
        let before = books.schedule.next_due();
        let settled = books.schedule.settle(ticket.leg, verdicts, now, self.chance(&outcomes));
        let earlier = books.schedule.next_due() != before;
        let Ticket { message, attempt: number, hop, recipients, .. } = ticket;
        let mentioned = outcomes.len();
        let hop = Some(hop);
        let attempt = Attempt { message, hop, number, host, settled: &settled, now };
        let (changes, failed) = self.judge(&mut books, &attempt, outcomes);
        drop(books);
        self.record(message, changes, failed);
        // Who was not mentioned is due again; and whoever waits must not wait too long.
        if mentioned < recipients.len() {
            self.wake();
        } else if earlier {
            self.shared.due.notify_all();
        }
    }

    /// A number in 0..1, drawn only when some recipient is tried again.
    fn chance(&self, outcomes: &[(u32, Outcome)]) -> f64 {
        let deferred = |(_, outcome): &(u32, Outcome)| matches!(outcome, Outcome::Deferred { .. });
        if !outcomes.iter().any(deferred) {
            return 0.5;
        }
        let bits = self.shared.reactor.entropy() >> (u64::BITS - CHANCE_BITS);
        bits as f64 / (1u64 << CHANCE_BITS) as f64
    }

    /// What the disk is told of each outcome, and who has failed for good.
    fn judge(
        &self,
        books: &mut Books,
        attempt: &Attempt<'_>,
        outcomes: Vec<(u32, Outcome)>,
    ) -> (Vec<(u32, Change)>, Vec<Failed>) {
        let settled = attempt.settled;
        let mut changes = Vec::with_capacity(outcomes.len());
        let mut failed = Vec::new();
        for (recipient, outcome) in outcomes {
            match outcome {
                Outcome::Delivered { .. } => changes.push((recipient, Change::Delivered)),
                Outcome::Bounced { reason } => {
                    let one = self.fail(books, attempt, recipient, reason);
                    // What an operator has removed meanwhile is not reported.
                    if books.schedule.is_removed(attempt.message) {
                        changes.push((recipient, Change::Bounced));
                    } else {
                        failed.push(one);
                    }
                }
                Outcome::Deferred { reason, .. } if settled.expired.contains(&recipient) => {
                    let reason = Reason::Expired(reason.to_string());
                    failed.push(self.fail(books, attempt, recipient, reason));
                }
                // Below, with those that were not mentioned.
                Outcome::Deferred { .. } if settled.removed.contains(&recipient) => {}
                Outcome::Deferred { reason, .. } => {
                    changes.push((recipient, self.defer(books, attempt, recipient, &reason)));
                }
            }
        }
        changes.extend(settled.removed.iter().map(|one| (*one, Change::Removed)));
        if !settled.retried.is_empty() {
            // Memory is for what is about to be sent.
            books.kept_mut(attempt.message).stored.hot = None;
        }
        (changes, failed)
    }

    fn defer(
        &self,
        books: &mut Books,
        attempt: &Attempt<'_>,
        recipient: u32,
        reason: &Reason,
    ) -> Change {
        let next = attempt.settled.due;
        if self.shared.journal.hears(EventKind::RecipientDeferred) {
            let event = about(books, EventKind::RecipientDeferred, attempt, recipient);
            let event = explain(event, reason, false).time(Field::Next, next);
            self.shared.journal.record(event);
        }
        let words = in_short(reason);
        let addressee = &mut books.kept_mut(attempt.message).recipients[recipient as usize];
        addressee.reason = Some(words.clone());
        Change::Deferred { next, attempts: attempt.settled.attempts, reason: words }
    }

    fn fail(&self, books: &Books, attempt: &Attempt<'_>, recipient: u32, reason: Reason) -> Failed {
        let kind = match &reason {
            Reason::Expired(_) => EventKind::RecipientExpired,
            Reason::Peer(_)
            | Reason::Network(_)
            | Reason::Lookup(..)
            | Reason::Policy(..)
            | Reason::Local(_) => EventKind::RecipientBounced,
        };
        if self.shared.journal.hears(kind) {
            let event = about(books, kind, attempt, recipient);
            self.shared.journal.record(explain(event, &reason, true));
        }
        let kept = books.kept(attempt.message);
        let failed = FailedRecipient {
            recipient: kept.forward_path(recipient),
            reason,
            host: attempt.host.clone(),
            last_attempt: attempt.now,
        };
        (recipient, failed)
    }

    /// Gives up what has waited too long.
    pub(crate) fn expire(&self) {
        self.look_at_clocks();
        let now = self.unix_time();
        loop {
            let mut books = self.shared.books.borrow_mut();
            let Some(Expired { message, recipients }) = books.schedule.expire(now) else { return };
            let settled = Settled::default();
            let failed = recipients.into_iter().map(|GivenUp { recipient, hop, why }| {
                let last = books.kept(message).recipients[recipient as usize].reason.as_deref();
                let words = last_words(last, &why);
                let (hop, host) = (Some(hop), None);
                let attempt = Attempt { message, hop, number: 0, host, settled: &settled, now };
                self.fail(&books, &attempt, recipient, Reason::Expired(words))
            });
            let failed = failed.collect();
            drop(books);
            self.record(message, Vec::new(), failed);
        }
    }

    /// Sends changes on their way to the disk. Who has failed for good is reported to the sender
    /// in the same record, if there is one to report to.
    pub(crate) fn record(
        &self,
        message: MessageKey,
        mut changes: Vec<(u32, Change)>,
        failed: Vec<Failed>,
    ) {
        if !failed.is_empty() {
            let (id, is_bounce) = {
                let books = self.shared.books.borrow();
                let kept = books.kept(message);
                (kept.id, kept.from.is_empty())
            };
            if is_bounce {
                changes.extend(failed.iter().map(|(one, _)| (*one, Change::Bounced)));
                self.drop_report(id, failed.len());
            } else {
                self.report(message, failed);
            }
        }
        for changes in groups(&changes) {
            if reactor::mutated("outcome-not-written") {
                continue;
            }
            drop(self.append(message, changes, None));
        }
    }

    /// Nothing bounces a bounce (RFC 5321 §6.1).
    fn drop_report(&self, id: mail::MessageId, failed: usize) {
        self.shared.dsn_dropped.set(self.shared.dsn_dropped.get() + 1);
        let event = Event::new(EventKind::DsnDropped).id(id);
        self.shared.journal.record(
            event
                .number(Field::Recipients, failed as u64)
                .fixed(Field::Reason, "the reverse-path is null"),
        );
    }

    /// Appends changes to the log of their message, and gives its place back with the last one.
    pub(crate) fn append(
        &self,
        message: MessageKey,
        changes: &[(u32, Change)],
        report: Option<&NewMessage<'_>>,
    ) -> Commit {
        let ends = changes.iter().filter(|(_, change)| is_end(change)).count();
        let mut books = self.shared.books.borrow_mut();
        let kept = books.kept_mut(message);
        kept.unrecorded -= u32::try_from(ends).expect("a record has few changes");
        let (id, segment) = (kept.id, kept.stored.position.segment);
        let over = kept.unrecorded == 0;
        let finished = if over { Finished::Yes(books.forget(message)) } else { Finished::No };
        drop(books);
        self.log_of(id).append_outcomes(&Outcomes { id, segment, changes }, report, finished)
    }
}

/// What is said of the end of a recipient that was given up while it waited.
fn last_words(last: Option<&str>, why: &Why) -> String {
    match (why, last) {
        (Why::Suspended, None) => "its destination is suspended".to_owned(),
        (Why::Suspended, Some(last)) => format!("{last} (now its destination is suspended)"),
        (Why::Unreached(reason), None) => reason.to_string(),
        (Why::Unreached(_) | Why::Tried, Some(last)) => last.to_owned(),
        (Why::Tried, None) => "not tried in time".to_owned(),
    }
}

/// A reason in words, cut where it is too long to be kept for each recipient.
fn in_short(reason: &Reason) -> Box<str> {
    let mut words = reason.to_string();
    words.truncate(words.floor_char_boundary(REASON_BYTES_MAX));
    words.into()
}

fn verdict(outcome: &Outcome) -> Verdict {
    match outcome {
        Outcome::Delivered { .. } | Outcome::Bounced { .. } => Verdict::Done,
        Outcome::Deferred { not_before, .. } => Verdict::Retry { not_before: *not_before },
    }
}

fn reason_of(change: &Change) -> Option<&str> {
    match change {
        Change::Deferred { reason, .. } => Some(reason),
        Change::Standing(standing) => standing.reason.as_deref(),
        Change::Delivered
        | Change::Bounced
        | Change::Held
        | Change::Released { .. }
        | Change::Removed => None,
    }
}

/// Splits changes so that those of each group fit into a record.
fn groups(changes: &[(u32, Change)]) -> impl Iterator<Item = &[(u32, Change)]> {
    let mut rest = changes;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = rest.iter().take_while(|(_, change)| {
            bytes += CHANGE_BYTES + reason_of(change).map_or(0, str::len);
            bytes <= RECORD_BYTES_MAX
        });
        // One that is too long by itself is for the log to refuse; reasons are cut before.
        let count = fits.count().max(1).min(rest.len());
        let (group, others) = rest.split_at(count);
        rest = others;
        (!group.is_empty()).then_some(group)
    })
}

/// Whether nothing follows for the recipient.
fn is_end(change: &Change) -> bool {
    match change {
        Change::Delivered | Change::Bounced | Change::Removed => true,
        Change::Deferred { .. } | Change::Held | Change::Released { .. } => false,
        Change::Standing(standing) => standing.done,
    }
}

/// An event about a recipient at an attempt; number 0 is none.
fn about(books: &Books, kind: EventKind, attempt: &Attempt<'_>, recipient: u32) -> Event {
    let kept = books.kept(attempt.message);
    let to = &kept.recipients[recipient as usize].to;
    let accepted = books.schedule.accepted(attempt.message);
    let delay = attempt.now.since(accepted).as_secs_f64();
    let mut event = Event::new(kind).id(kept.id).text(Field::To, format!("<{to}>"));
    if let Some(hop) = &attempt.hop {
        event = event.text(Field::Destination, hop.as_str());
    }
    if let Some(host) = &attempt.host {
        event = event.text(Field::Host, host.clone());
    }
    event = event.seconds(Field::Delay, delay);
    if attempt.number > 0 {
        event = event.number(Field::Attempt, attempt.number.into());
    }
    event
}

fn explain(event: Event, reason: &Reason, permanent: bool) -> Event {
    let event = event.text(Field::Status, reason.status(permanent).to_string());
    match reason {
        Reason::Peer(reply) => event.text(Field::Reply, reply.to_string()),
        Reason::Network(_)
        | Reason::Lookup(..)
        | Reason::Policy(..)
        | Reason::Local(_)
        | Reason::Expired(_) => event.text(Field::Reason, reason.to_string()),
    }
}
