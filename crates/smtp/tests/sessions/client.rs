//! The dialogues of `dialogues/client`, each whole, byte by byte, and cut at every offset.
//!
//! Settings: `lmtp`; `pipelining off`; `transaction FROM TO,TO BODY` in order, QUIT behind the
//! last; `eight_bit`, `utf8` and `plain` (no stuffed lines) for all of them; `request`: they ask
//! for status notifications; `eight_bit_bounces`; `encryption offered|required`; `auth MECHANISM
//! INITIAL RESPONSE`; `damaged`: the bodies do not verify; `early`: the server speaks while the
//! body should be sent; `uncut`: what it shows depends on what comes together.
//! Events: `closed`, `reset`, `timeout [WITHIN]`, `shutdown`.
//! Effects: `delivered REPLY`, `deferred REASON`, `bounced REASON` for each recipient, `uncertain`,
//! `session limit`, `passed on`, `secure`, `challenge TEXT`, `close [REASON]`.

use crate::dialogue::{Dialogue, unescape};
use crate::stage::{self, Cut, Side, Subject, Transcript, Wait};
use mail::{
    BodyKind, ForwardPath, Notify, Outcome, Reason, RecipientRequest, Returned, ReversePath,
    StatusRequest,
};
use smtp::{
    ClientOptions, ClientSession, ClientStep, Encryption, Hangup, Transaction, TransactionResult,
};
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
    /// Mechanism, initial response, answer to a challenge.
    auth: Vec<String>,
}

fn sender(dialogue: &Dialogue, joined: bool) -> Sender {
    let has = |key| dialogue.values(key).next().is_some();
    let options = ClientOptions {
        hello: "client.example".into(),
        lmtp: has("lmtp"),
        pipelining: !has("pipelining"),
        encryption: match dialogue.values("encryption").next() {
            Some("offered") => Encryption::Offered,
            Some(_) => Encryption::Required,
            None => Encryption::Never,
        },
        authenticate: has("auth"),
        eight_bit_bounces: has("eight_bit_bounces"),
        ..ClientOptions::default()
    };
    let finish = |(transaction, bytes): (Transaction, Vec<u8>)| {
        let body = if has("eight_bit") { BodyKind::EightBitMime } else { BodyKind::SevenBit };
        let request = has("request").then(|| Box::new(request(transaction.recipients.len())));
        let (utf8, plain) = (has("utf8"), has("plain"));
        (Transaction { body, utf8, plain, request, ..transaction }, bytes)
    };
    let transactions = dialogue.values("transaction").map(transaction).map(finish);
    let auth = dialogue.values("auth").next().unwrap_or_default();
    Sender {
        session: ClientSession::new(Rc::new(options)),
        transactions: transactions.collect(),
        body: Vec::new(),
        damaged: has("damaged"),
        early: has("early"),
        joined,
        auth: auth.split_whitespace().map(str::to_owned).collect(),
    }
}

fn transaction(text: &str) -> (Transaction, Vec<u8>) {
    let mut words = text.splitn(3, ' ');
    let from = words.next().expect("a reverse-path").trim_matches(['<', '>']);
    let to = words.next().expect("forward-paths").split(',');
    let to = to.map(|path| ForwardPath::parse(path.trim_matches(['<', '>'])).expect("a path"));
    let bytes = unescape(words.next().unwrap_or_default(), b"");
    let from = ReversePath::parse(from).expect("a reverse-path");
    (Transaction::new(from, to.collect(), bytes.len() as u64), bytes)
}

/// Headers only, an id, and for each recipient something else.
fn request(recipients: usize) -> StatusRequest {
    let all = [
        RecipientRequest { notify: Some(Notify::default()), original: None },
        RecipientRequest {
            notify: Some(Notify { success: true, failure: true, delay: true }),
            original: Some("rfc822;c+2Bx@d".into()),
        },
        RecipientRequest::default(),
    ];
    StatusRequest {
        returned: Some(Returned::Headers),
        envelope_id: Some("id+2B1".into()),
        recipients: all.into_iter().cycle().take(recipients).collect(),
    }
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
    if result.request_passed_on {
        transcript.did("passed on");
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
                ClientStep::Secure => {
                    transcript.did("secure");
                    self.session.secured();
                }
                ClientStep::Authenticate(_) => {
                    let initial = self.auth.get(1).map(String::as_bytes);
                    self.session.authenticate(&self.auth[0], initial);
                }
                ClientStep::Respond(challenge) => {
                    transcript.did(&format!("challenge {}", String::from_utf8_lossy(&challenge)));
                    match self.auth.get(2) {
                        Some(response) => self.session.respond(response.as_bytes()),
                        None => self.session.give_up(Reason::Local("no response".into())),
                    }
                }
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
