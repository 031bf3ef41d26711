//! The dialogues of `dialogues/client`, each whole, byte by byte, and cut at every offset.
//!
//! Settings: `lmtp`; `pipelining off`; `transaction FROM TO,TO BODY` in order, QUIT behind the
//! last; `eight_bit` for all of them; `damaged`: the bodies do not verify; `early`: the server
//! speaks while the body should be sent; `uncut`: what it shows depends on what comes together.
//! Events: `closed`, `reset`, `timeout [WITHIN]`, `shutdown`.
//! Effects: `delivered REPLY`, `deferred REASON`, `bounced REASON` for each recipient, `uncertain`,
//! `session limit`, `close [REASON]`.

use crate::dialogue::{Dialogue, unescape};
use crate::stage::{self, Cut, Side, Subject, Transcript, Wait};
use mail::{BodyKind, ForwardPath, Outcome, ReversePath};
use smtp::{ClientOptions, ClientSession, ClientStep, Hangup, Transaction, TransactionResult};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

struct Sender {
    session: ClientSession,
    transactions: VecDeque<(Transaction, Vec<u8>)>,
    body: Vec<u8>,
    damaged: bool,
    /// The server has its say before the body is sent.
    early: bool,
    /// Whether the terminator goes in one write with the body.
    joined: bool,
}

fn sender(dialogue: &Dialogue, joined: bool) -> Sender {
    let has = |key| dialogue.values(key).next().is_some();
    let options = ClientOptions {
        hello: "client.example".into(),
        lmtp: has("lmtp"),
        pipelining: !has("pipelining"),
        ..ClientOptions::default()
    };
    let body = if has("eight_bit") { BodyKind::EightBitMime } else { BodyKind::SevenBit };
    Sender {
        session: ClientSession::new(Rc::new(options)),
        transactions: dialogue.values("transaction").map(|text| transaction(text, body)).collect(),
        body: Vec::new(),
        damaged: has("damaged"),
        early: has("early"),
        joined,
    }
}

fn transaction(text: &str, body: BodyKind) -> (Transaction, Vec<u8>) {
    let mut words = text.splitn(3, ' ');
    let from = words.next().expect("a reverse-path").trim_matches(['<', '>']);
    let to = words.next().expect("forward-paths");
    let bytes = unescape(words.next().unwrap_or_default(), b"");
    let transaction = Transaction {
        reverse_path: ReversePath::parse(from).expect("a reverse-path"),
        recipients: to
            .split(',')
            .map(|path| ForwardPath::parse(path.trim_matches(['<', '>'])).expect("a path"))
            .collect(),
        body,
        bytes: bytes.len() as u64,
    };
    (transaction, bytes)
}

fn tell(result: &TransactionResult, transcript: &mut Transcript) {
    for outcome in &result.outcomes {
        transcript.did(&match outcome {
            Outcome::Delivered { reply } => format!("delivered {reply}"),
            Outcome::Deferred { reason, .. } => format!("deferred {reason}"),
            Outcome::Bounced { reason } => format!("bounced {reason}"),
        });
    }
    if result.uncertain {
        transcript.did("uncertain");
    }
    if result.session_limit {
        transcript.did("session limit");
    }
}

impl Sender {
    fn send_body(&mut self, transcript: &mut Transcript) {
        if self.damaged {
            self.session.body_failed();
        } else if self.joined {
            transcript.said(&self.body);
            transcript.said(self.session.terminator());
            self.session.body_sent_with_terminator();
        } else {
            transcript.said(&self.body);
            self.session.body_sent();
        }
    }
}

impl Subject for Sender {
    fn run(&mut self, transcript: &mut Transcript) -> Wait {
        loop {
            match self.session.step() {
                ClientStep::Transmit => {
                    let output = self.session.take_output();
                    transcript.said(&output);
                    self.session.sent(output);
                }
                ClientStep::Receive { within } => return Wait::Input(within),
                ClientStep::Ready => match self.transactions.pop_front() {
                    Some((transaction, body)) => {
                        self.body = body;
                        self.session.begin(transaction);
                    }
                    None => self.session.quit(),
                },
                ClientStep::SendBody if self.early => return Wait::Input(Duration::ZERO),
                ClientStep::SendBody => self.send_body(transcript),
                ClientStep::Finished(result) => tell(&result, transcript),
                ClientStep::Close(reason) => {
                    let reason = reason.map(|reason| format!(" {reason}")).unwrap_or_default();
                    transcript.did(&format!("close{reason}"));
                    return Wait::Closed;
                }
            }
        }
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.session.receive(bytes);
    }

    fn event(&mut self, event: &str, within: Duration) {
        if let Some(expected) = stage::seconds(event) {
            assert_eq!(within, expected, "the session's patience");
        }
        self.session.lost(match event.split(' ').next().unwrap_or_default() {
            "closed" => Hangup::Closed,
            "reset" => Hangup::Reset,
            "timeout" => Hangup::TimedOut,
            "shutdown" => Hangup::Shutdown,
            _ => panic!("no such event: {event}"),
        });
    }
}

#[test]
fn every_dialogue_goes_as_written_however_it_is_cut() {
    let dialogues = Dialogue::all(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dialogues/client"));
    assert!(dialogues.len() >= 12, "only {} dialogues", dialogues.len());
    for dialogue in &dialogues {
        for joined in [false, true] {
            let play =
                |cut| stage::play(dialogue, Side::Client, &mut sender(dialogue, joined), cut);
            play(Cut::Whole);
            if dialogue.values("uncut").next().is_none() {
                play(Cut::Bytes);
                (1..stage::input_bytes(dialogue, Side::Client)).for_each(|at| play(Cut::At(at)));
            }
        }
    }
}
