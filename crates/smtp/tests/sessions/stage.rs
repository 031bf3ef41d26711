//! Plays dialogues on a pure session, however its input is cut.
//!
//! Consecutive lines of the other side are one group. A group is given only when the session wants
//! input and everything expected before it has been said; the session must then have said exactly
//! what the dialogue expects, no matter in how many pieces the group came.

use crate::dialogue::{Dialogue, Entry, escape};
use std::time::Duration;

/// How the other side's bytes are cut.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    /// Each group in one piece.
    Whole,
    /// Every byte by itself.
    Bytes,
    /// In two, at this offset of all of them.
    At(usize),
}

/// What a session waits for once it has run out of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Input, for so long.
    Input(Duration),
    /// Nothing: it has closed.
    Closed,
}

/// A session under test, with what a corridor would do for it.
pub(crate) trait Subject {
    /// Steps until it waits; what it says and does goes to the transcript.
    fn run(&mut self, transcript: &mut Transcript) -> Wait;
    /// Gives it bytes.
    fn receive(&mut self, bytes: &[u8]);
    /// Lets something happen to it.
    fn event(&mut self, event: &str, within: Duration);
}

/// What the session said and did, as lines of a dialogue.
#[derive(Default)]
pub(crate) struct Transcript {
    lines: Vec<String>,
    unfinished: Vec<u8>,
}

impl Transcript {
    /// It said something.
    pub(crate) fn said(&mut self, bytes: &[u8]) {
        self.unfinished.extend_from_slice(bytes);
        while let Some(end) = self.unfinished.windows(2).position(|pair| pair == b"\r\n") {
            let line: Vec<u8> = self.unfinished.drain(..end + 2).collect();
            self.lines.push(escape(&line[..end]));
        }
    }

    /// It did something.
    pub(crate) fn did(&mut self, effect: &str) {
        self.lines.push(format!("= {effect}"));
    }
}

/// Who the session under test is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// Plays `dialogue` on `subject`. Panics where they part.
pub(crate) fn play(dialogue: &Dialogue, side: Side, subject: &mut dyn Subject, cut: Cut) {
    let mut transcript = Transcript::default();
    let mut expected: Vec<String> = Vec::new();
    let mut offset = 0;
    let mut wait = subject.run(&mut transcript);
    let mut entries = dialogue.entries.iter().peekable();
    while let Some(entry) = entries.next() {
        match input_of(entry, side) {
            None => match entry {
                Entry::Effect(effect) => expected.push(format!("= {effect}")),
                Entry::Event(event) => {
                    compare(dialogue, cut, &transcript, &expected);
                    let Wait::Input(within) = wait else { panic!("closed before {event}") };
                    subject.event(event, within);
                    wait = subject.run(&mut transcript);
                }
                Entry::Client(line) | Entry::Server(line) => {
                    let line = line.strip_suffix(b"\r\n").unwrap_or(line);
                    expected.push(escape(line));
                }
            },
            Some(bytes) => {
                compare(dialogue, cut, &transcript, &expected);
                let mut group = bytes.to_vec();
                while let Some(more) = entries.peek().and_then(|entry| input_of(entry, side)) {
                    group.extend_from_slice(more);
                    entries.next();
                }
                for piece in pieces(&group, offset, cut) {
                    if wait == Wait::Closed {
                        break;
                    }
                    subject.receive(piece);
                    wait = subject.run(&mut transcript);
                }
                offset += group.len();
            }
        }
    }
    compare(dialogue, cut, &transcript, &expected);
}

/// How many bytes the other side says in all.
pub(crate) fn input_bytes(dialogue: &Dialogue, side: Side) -> usize {
    dialogue.entries.iter().filter_map(|entry| input_of(entry, side)).map(<[u8]>::len).sum()
}

/// The bytes of the other side.
fn input_of(entry: &Entry, side: Side) -> Option<&[u8]> {
    match (entry, side) {
        (Entry::Client(bytes), Side::Server) | (Entry::Server(bytes), Side::Client) => Some(bytes),
        _ => None,
    }
}

/// The pieces of a group that begins at `offset`.
fn pieces(group: &[u8], offset: usize, cut: Cut) -> Vec<&[u8]> {
    match cut {
        Cut::Whole => vec![group],
        Cut::Bytes => group.chunks(1).collect(),
        Cut::At(at) if at > offset && at < offset + group.len() => {
            let (before, after) = group.split_at(at - offset);
            vec![before, after]
        }
        Cut::At(_) => vec![group],
    }
}

/// Compares line by line; with `@set apart` what was said and what was done each for itself, since
/// replies may wait for their company while a message is made durable.
fn compare(dialogue: &Dialogue, cut: Cut, transcript: &Transcript, expected: &[String]) {
    let apart = dialogue.values("apart").next().is_some();
    let ordered = |lines: &[String]| {
        let mut lines = lines.to_vec();
        if apart {
            lines.sort_by_key(|line| line.starts_with("= "));
        }
        lines
    };
    let (lines, expected) = (ordered(&transcript.lines), ordered(expected));
    let same = |(actual, expected): (&String, &String)| match expected.strip_suffix('*') {
        Some(head) => actual.starts_with(head),
        None => actual == expected,
    };
    let agree = transcript.unfinished.is_empty()
        && lines.len() == expected.len()
        && lines.iter().zip(&expected).all(same);
    assert!(
        agree,
        "{} ({cut:?})\nexpected: {expected:#?}\nactual: {:#?}\nunfinished: {}",
        dialogue.name,
        lines,
        escape(&transcript.unfinished)
    );
}

/// The duration of an event such as `timeout 10s`; `None` where it names none.
pub(crate) fn seconds(event: &str) -> Option<Duration> {
    let (_, text) = event.split_once(' ')?;
    let seconds = text.strip_suffix('s').expect("a duration in seconds, such as 10s");
    Some(Duration::from_secs(seconds.parse().expect("a number of seconds")))
}
