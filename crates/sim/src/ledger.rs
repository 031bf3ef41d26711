//! Who promised what, and what arrived: the facts that checkers judge by.
//!
//! A pure structure: times arrive as arguments. Start reading at [`Ledger::promise`] and
//! [`Ledger::arrive`]; what follows from them is in `checkers/lost.rs` and `checkers/twice.rs`.

use crate::checkers::{Checker, Wrong, content};
use crate::message::Message;
use reactor::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// The header of a segment.
const HEADER_BYTES: usize = 4096;

/// Names an arrival: of whom, and which of his.
pub(crate) type ArrivalId = (Pair, usize);

/// A message and one of its recipients.
pub(crate) type Pair = (u32, usize);

/// When something arrived, and when the session that brought it was accepted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct When {
    pub(crate) at: Instant,
    pub(crate) began: Instant,
}

/// A message or a report that a next hop has taken.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) at: Instant,
    /// When its session was accepted.
    pub(crate) began: Instant,
    /// When the relay went on in that session after our final reply: it has heard it.
    pub(crate) heard: Option<Instant>,
    /// The report that says that it failed, by its id; else the message itself.
    pub(crate) report: Option<String>,
}

/// What was submitted, promised and brought.
#[derive(Default)]
pub(crate) struct Ledger {
    messages: BTreeMap<u32, Rc<Message>>,
    /// Their end of data was sent: they may arrive.
    ended: BTreeSet<u32>,
    /// 250 was said to the end of data.
    promised: BTreeSet<Pair>,
    /// The ids that were said with it.
    ids: BTreeSet<String>,
    arrivals: BTreeMap<Pair, Vec<Arrival>>,
    /// Whom an operator removed, or whose failure nobody could be told.
    excused: BTreeSet<Pair>,
    /// When the relay ended without having written everything down.
    crashes: Vec<Instant>,
    /// When the relay said that it had no room.
    full: Vec<Instant>,
    /// Since when outcomes may have rotten.
    rotten: Option<Instant>,
    /// Ends of data and arrivals so far.
    moves: u64,
    wrongs: Vec<Wrong>,
}

impl Ledger {
    /// A client is about to submit `message`.
    pub(crate) fn submit(&mut self, message: &Rc<Message>) {
        self.messages.insert(message.number, Rc::clone(message));
    }

    /// The end of its data is about to be sent.
    pub(crate) fn end_of_data(&mut self, number: u32) {
        self.ended.insert(number);
        self.moves += 1;
    }

    /// The relay said 250 to it, for one recipient.
    pub(crate) fn promise(&mut self, number: u32, recipient: usize) {
        self.promised.insert((number, recipient));
    }

    /// The relay gave a message this id; whether nobody else had it.
    pub(crate) fn is_new_id(&mut self, id: &str) -> bool {
        self.ids.insert(id.to_owned())
    }

    /// This one need not arrive.
    pub(crate) fn excuse(&mut self, pair: Pair) {
        self.excused.insert(pair);
    }

    /// Nobody can be told any more what became of this message.
    pub(crate) fn excuse_all(&mut self, number: u32) {
        let Some(message) = self.messages.get(&number) else { return };
        self.excused.extend((0..message.domains.len()).map(|index| (number, index)));
    }

    /// Whether a message has somebody to report to.
    pub(crate) fn has_sender(&self, number: u32) -> bool {
        self.messages.get(&number).is_some_and(|message| message.has_sender)
    }

    /// The relay ended without having written everything down.
    pub(crate) fn crash(&mut self, at: Instant) {
        self.crashes.push(at);
    }

    /// The relay says that it has no room.
    pub(crate) fn full(&mut self, at: Instant) {
        self.full.push(at);
    }

    /// Byte `at` of `segment` has rotten: excuses those whom it hurts, and says who they are. In a
    /// body that is its message alone; elsewhere all that are named within a batch's length; in
    /// the header, whose generation seeds all checksums, all that are named in the segment.
    pub(crate) fn rot(
        &mut self,
        segment: &[u8],
        at: usize,
        batch_bytes: usize,
        now: Instant,
    ) -> Vec<u32> {
        let hurt = match self.owner_of(segment, at) {
            Some(number) => vec![number],
            None => {
                self.rotten = self.rotten.or(Some(now));
                let reach = if at < HEADER_BYTES { segment.len() } else { batch_bytes };
                let from = at.saturating_sub(reach);
                let to = (at + reach).min(segment.len());
                named_in(&segment[from..to]).into_iter().collect()
            }
        };
        hurt.iter().for_each(|number| self.excuse_all(*number));
        hurt
    }

    /// Whose body byte `at` of `segment` belongs to: the letters before it tell, or those behind.
    fn owner_of(&self, segment: &[u8], at: usize) -> Option<u32> {
        const PROOF: usize = 20;
        let before = segment.get(at.checked_sub(PROOF)?..at)?;
        let behind = segment.get(at + 1..at + 1 + PROOF)?;
        let is_letters = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_lowercase);
        let proof = [before, behind].into_iter().find(|bytes| is_letters(bytes))?;
        let has = |message: &&Rc<Message>| message.body.windows(PROOF).any(|at| at == proof);
        self.messages.values().find(has).map(|message| message.number)
    }

    /// Whether outcomes may have rotten before `at`.
    pub(crate) fn was_rotten(&self, at: Instant) -> bool {
        self.rotten.is_some_and(|since| since <= at)
    }

    /// A next hop has taken `body`, the trace field taken off, for a recipient.
    pub(crate) fn arrive(&mut self, pair: Pair, body: &[u8], when: When) -> ArrivalId {
        let (number, recipient) = pair;
        let others = self.messages.values().map(|message| &**message);
        let finding = match self.messages.get(&number) {
            Some(message) => {
                let ended = self.ended.contains(&number);
                content::judge(message, ended, recipient, body, others)
            }
            None => Some((Checker::Content, format!("message {number} was never sent"))),
        };
        if let Some((checker, what)) = finding {
            self.wrong(checker, when.at, what);
        }
        self.enter(pair, when, None)
    }

    /// A next hop has taken report `id`, which says that a recipient failed.
    pub(crate) fn report(&mut self, pair: Pair, id: &str, when: When) -> ArrivalId {
        if !self.messages.contains_key(&pair.0) {
            let what = format!("a report on message {} that was never sent", pair.0);
            self.wrong(Checker::Stranger, when.at, what);
        }
        self.enter(pair, when, Some(id.to_owned()))
    }

    fn enter(&mut self, pair: Pair, when: When, report: Option<String>) -> ArrivalId {
        self.moves += 1;
        let When { at, began } = when;
        let arrivals = self.arrivals.entry(pair).or_default();
        arrivals.push(Arrival { at, began, heard: None, report });
        (pair, arrivals.len() - 1)
    }

    /// The relay has heard the final reply to an arrival.
    pub(crate) fn heard(&mut self, (pair, index): ArrivalId, at: Instant) {
        let arrivals = self.arrivals.get_mut(&pair).expect("it has arrived");
        arrivals[index].heard = Some(at);
    }

    /// Something that must not happen has happened.
    pub(crate) fn wrong(&mut self, checker: Checker, at: Instant, what: String) {
        self.wrongs.push(Wrong { checker, at, what });
    }

    /// Everything that is wrong so far.
    pub(crate) fn wrongs(&self) -> &[Wrong] {
        &self.wrongs
    }

    /// Ends of data and arrivals so far: what a crash may be aimed at.
    pub(crate) fn moves(&self) -> u64 {
        self.moves
    }

    /// Who got a 250.
    pub(crate) fn promised(&self) -> impl Iterator<Item = Pair> + '_ {
        self.promised.iter().copied()
    }

    /// Whether this one need not arrive.
    pub(crate) fn is_excused(&self, pair: Pair) -> bool {
        self.excused.contains(&pair)
    }

    /// What came for a recipient, in order.
    pub(crate) fn arrivals_of(&self, pair: Pair) -> &[Arrival] {
        self.arrivals.get(&pair).map_or(&[], Vec::as_slice)
    }

    /// Everybody for whom something came.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (Pair, &[Arrival])> + '_ {
        self.arrivals.iter().map(|(pair, arrivals)| (*pair, arrivals.as_slice()))
    }

    /// Whether the relay ended in this time without having written everything down.
    pub(crate) fn crashed_between(&self, from: Instant, to: Instant) -> bool {
        self.crashes.iter().any(|crash| (from..=to).contains(crash))
    }

    /// Whether the relay said in this time that it had no room.
    pub(crate) fn was_full(&self, from: Instant, to: Instant) -> bool {
        self.full.iter().any(|at| (from..=to).contains(at))
    }

    /// How often the relay crashed.
    pub(crate) fn crashes(&self) -> usize {
        self.crashes.len()
    }

    /// How many arrivals there were.
    pub(crate) fn arrivals(&self) -> usize {
        self.arrivals.values().map(Vec::len).sum()
    }
}

/// The messages that are named in `bytes`, by an address of a recipient.
fn named_in(bytes: &[u8]) -> BTreeSet<u32> {
    let mut named = BTreeSet::new();
    for at in (0..bytes.len()).filter(|at| bytes[*at] == b'r') {
        let end = bytes.len().min(at + 20);
        let text = String::from_utf8_lossy(&bytes[at + 1..end]);
        let Some((index, rest)) = text.split_once('.') else { continue };
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        if !index.is_empty() && index.chars().all(|one| one.is_ascii_digit()) {
            named.extend(digits.parse::<u32>());
        }
    }
    named
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A ledger with message 1, promised to its first recipient.
    pub(crate) fn promised() -> (Ledger, Vec<u8>) {
        let mut ledger = Ledger::default();
        let message = Rc::new(Message { spoilt: None, ..Message::new(0, 1) });
        ledger.submit(&message);
        ledger.end_of_data(1);
        ledger.promise(1, 0);
        (ledger, message.body.clone())
    }

    /// In a session that began just before.
    pub(crate) fn when(at: u64) -> When {
        When { at: Instant(at), began: Instant(at - 1) }
    }

    #[test]
    fn what_arrives_is_compared_with_what_was_sent() {
        let (mut ledger, body) = promised();
        ledger.arrive((1, 0), &body, when(9));
        assert!(ledger.wrongs().is_empty());
        ledger.arrive((2, 0), &body, when(9));
        ledger.report((3, 0), "x", when(9));
        let found: Vec<Checker> = ledger.wrongs().iter().map(|wrong| wrong.checker).collect();
        assert_eq!(found, [Checker::Content, Checker::Stranger]);
    }

    #[test]
    fn a_message_whose_reports_have_failed_is_excused_whole() {
        let (mut ledger, _) = promised();
        assert!(!ledger.is_excused((1, 0)));
        ledger.excuse_all(1);
        assert!(ledger.is_excused((1, 0)));
    }

    #[test]
    fn rot_in_a_body_hurts_its_message_and_elsewhere_whoever_is_named_near_by() {
        let mut ledger = Ledger::default();
        for number in [1, 2] {
            ledger.submit(&Rc::new(Message::of_size(0, number, 500)));
        }
        let mut segment = vec![0; HEADER_BYTES];
        segment.extend_from_slice(b"..r0.2@smart.example..r12.7@mx.example..");
        let body_at = segment.len();
        segment.extend_from_slice(&Message::of_size(0, 1, 500).body);
        assert_eq!(ledger.rot(&segment, HEADER_BYTES + 5, 100, Instant(1)), [2, 7]);
        assert!(ledger.was_rotten(Instant(1)));
        assert!(ledger.is_excused((2, 0)));
        assert_eq!(ledger.rot(&segment, body_at + 300, 100, Instant(1)), [1]);
        assert_eq!(ledger.rot(&segment, 9, 100, Instant(1)), [2, 7]);
    }

    #[test]
    fn an_id_is_new_once() {
        let mut ledger = Ledger::default();
        assert!(ledger.is_new_id("A"));
        assert!(!ledger.is_new_id("A"));
    }
}
