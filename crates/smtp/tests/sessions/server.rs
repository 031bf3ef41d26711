//! The dialogues of `dialogues/server`, each whole, byte by byte, and cut at every offset.
//!
//! Settings: `message_bytes`, `recipients`, `hops`, `errors`, `line_bytes`, `data_rate` with a
//! number; `trusted`;
//! `refuse WHAT CODE STATUS TEXT`, where WHAT is `connect`, a name said in HELO, or an address in
//! brackets; `commit full` or `commit failed`, one for each commit that does not succeed.
//! Events: `closed`, `timeout [WITHIN]`, `shutdown`, `drain`, `stress`, `waited SECONDS`.
//! Effects: `commit from=… to=… rule=… stuffed=… body=…`, `discard`, `close`.

use crate::dialogue::{Dialogue, escape};
use crate::stage::{self, Cut, Side, Subject, Transcript, Wait};
use mail::{EnhancedStatus, MessageId, Question, Reply, Verdict};
use smtp::{CommitRefusal, Hangup, ServerOptions, ServerPeer, ServerSession, Step};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

struct Receiver {
    session: ServerSession,
    refusals: Vec<(String, Reply)>,
    commits: VecDeque<CommitRefusal>,
    draft: Vec<u8>,
    accepted: u64,
}

fn receiver(dialogue: &Dialogue) -> Receiver {
    let number = |key| dialogue.values(key).next().map(|v| v.parse::<u64>().expect("a number"));
    let default = ServerOptions::default();
    let options = ServerOptions {
        hostname: "relay.example".into(),
        message_bytes: number("message_bytes").unwrap_or(default.message_bytes),
        recipients_per_message: number("recipients").map_or(1000, |n| n as usize),
        hops: number("hops").map_or(default.hops, |n| n as u32),
        errors: number("errors").map_or(default.errors, |n| n as u32),
        line_bytes: number("line_bytes"),
        data_rate: number("data_rate").unwrap_or(default.data_rate),
        ..default
    };
    let peer = ServerPeer {
        client: "192.0.2.7:4000".parse().expect("an address"),
        listener: "mx".into(),
        trusted: dialogue.values("trusted").next().is_some(),
    };
    Receiver {
        session: ServerSession::new(Rc::new(options), peer),
        refusals: dialogue.values("refuse").map(refusal).collect(),
        commits: dialogue
            .values("commit")
            .map(|how| match how {
                "full" => CommitRefusal::Full,
                "failed" => CommitRefusal::Failed,
                _ => panic!("no such commit: {how}"),
            })
            .collect(),
        draft: Vec::new(),
        accepted: 0,
    }
}

/// `WHAT CODE STATUS TEXT`.
fn refusal(setting: &str) -> (String, Reply) {
    let mut words = setting.splitn(3, ' ');
    let what = words.next().expect("what is refused").to_owned();
    let code = words.next().and_then(|code| code.parse().ok()).expect("a code");
    let (status, text) = EnhancedStatus::parse_prefix(words.next().expect("a status and a text"))
        .expect("an enhanced status");
    (what, Reply { code, status: Some(status), text: text.to_owned().into() })
}

impl Receiver {
    fn decide(&self, question: &Question) -> Verdict {
        let what = match question {
            Question::Connect => "connect".to_owned(),
            Question::Hello { name } => name.to_string(),
            Question::Sender { reverse_path, .. } => format!("<{reverse_path}>"),
            Question::Recipient { forward_path, .. } => format!("<{forward_path}>"),
            Question::Verify { text } => format!("vrfy:{text}"),
            Question::Expand { text } => format!("expn:{text}"),
        };
        let rule = format!("rule of {what}").into();
        match self.refusals.iter().find(|(refused, _)| *refused == what) {
            Some((_, reply)) => Verdict::Refuse { reply: reply.clone(), rule },
            None => Verdict::Accept { rule },
        }
    }

    fn commit(&mut self, accepted: &smtp::Accepted, transcript: &mut Transcript) {
        assert_eq!(accepted.bytes, self.draft.len() as u64, "bytes are those of the draft");
        let to: Vec<String> =
            accepted.envelope.recipients.iter().map(|path| format!("<{path}>")).collect();
        transcript.did(&format!(
            "commit from=<{}> to={} rule={} stuffed={} body={}",
            accepted.envelope.reverse_path,
            to.join(","),
            accepted.envelope.origin.rule,
            accepted.stuffed_lines,
            escape(&self.draft)
        ));
        self.draft.clear();
        self.accepted += 1;
        let result = match self.commits.pop_front() {
            Some(refusal) => Err(refusal),
            None => Ok(MessageId::new(0, 1, self.accepted)),
        };
        self.session.committed(result);
    }
}

impl Subject for Receiver {
    fn run(&mut self, transcript: &mut Transcript) -> Wait {
        loop {
            match self.session.step() {
                Step::Transmit => {
                    let output = self.session.take_output();
                    assert!(!output.is_empty(), "nothing to transmit");
                    transcript.said(&output);
                    self.session.sent(output);
                }
                Step::Receive { within } => return Wait::Input(within),
                Step::Decide(question) => {
                    let verdict = self.decide(&question);
                    self.session.answer(verdict);
                }
                Step::Body(bytes) => {
                    assert!(!bytes.is_empty(), "an empty piece of body");
                    self.draft.extend_from_slice(bytes);
                }
                Step::Discard => {
                    self.draft.clear();
                    transcript.did("discard");
                }
                Step::Commit(accepted) => self.commit(&accepted, transcript),
                Step::Close => {
                    transcript.did("close");
                    return Wait::Closed;
                }
            }
        }
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.session.receive(bytes);
    }

    fn event(&mut self, event: &str, within: Duration) {
        match event.split(' ').next().unwrap_or_default() {
            "closed" => self.session.lost(Hangup::Closed),
            "timeout" => {
                if let Some(expected) = stage::seconds(event) {
                    assert_eq!(within, expected, "the session's patience");
                }
                self.session.lost(Hangup::TimedOut);
            }
            "shutdown" => self.session.lost(Hangup::Shutdown),
            "drain" => self.session.shut_down(),
            "stress" => self.session.set_stress(true),
            "waited" => self.session.waited(stage::seconds(event).expect("a duration")),
            _ => panic!("no such event: {event}"),
        }
    }
}

#[test]
fn every_dialogue_goes_as_written_however_it_is_cut() {
    let dialogues = Dialogue::all(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dialogues/server"));
    assert!(dialogues.len() >= 25, "only {} dialogues", dialogues.len());
    for dialogue in &dialogues {
        let play = |cut| stage::play(dialogue, Side::Server, &mut receiver(dialogue), cut);
        play(Cut::Whole);
        play(Cut::Bytes);
        (1..stage::input_bytes(dialogue, Side::Server)).for_each(|at| play(Cut::At(at)));
    }
}

#[test]
fn replies_to_a_pipelined_group_are_sent_together() {
    let mut receiver = receiver(&Dialogue::parse("group", ""));
    let mut transmits = Vec::new();
    for group in [
        "EHLO c.example\r\n",
        "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\nDATA\r\n",
        "text\r\n.\r\nRSET\r\nQUIT\r\n",
    ] {
        receiver.run(&mut Transcript::default());
        receiver.session.receive(group.as_bytes());
        let mut count = 0;
        while let step = receiver.session.step()
            && !matches!(step, Step::Receive { .. } | Step::Close)
        {
            match step {
                Step::Transmit => {
                    count += 1;
                    let output = receiver.session.take_output();
                    receiver.session.sent(output);
                }
                Step::Decide(question) => {
                    let verdict = receiver.decide(&question);
                    receiver.session.answer(verdict);
                }
                Step::Commit(_) => receiver.session.committed(Ok(MessageId::new(0, 1, 1))),
                Step::Body(_) | Step::Discard | Step::Receive { .. } | Step::Close => {}
            }
        }
        transmits.push(count);
    }
    assert_eq!(transmits, [1, 1, 1]);
}

#[test]
fn a_session_is_small_and_idle_between_transactions() {
    assert!(size_of::<ServerSession>() <= 1024, "{} bytes", size_of::<ServerSession>());
    let mut receiver = receiver(&Dialogue::parse("idle", ""));
    assert!(!receiver.session.is_idle(), "not greeted yet");
    let mut steps = |bytes: &str| {
        receiver.run(&mut Transcript::default());
        receiver.session.receive(bytes.as_bytes());
        receiver.run(&mut Transcript::default());
        receiver.session.is_idle()
    };
    assert!(steps("EHLO c\r\n"));
    assert!(!steps("MAIL FROM:<a@b>\r\n"));
    assert!(steps("RSET\r\n"));
    assert!(!steps("NOO"), "half a command is buffered");
}

#[test]
fn replies_are_counted_by_verb_and_code() {
    let mut receiver = receiver(&Dialogue::parse("count", ""));
    receiver.run(&mut Transcript::default());
    receiver.session.receive(b"HELO c\r\nRCPT TO:<a@b>\r\nRCPT TO:<a@b>\r\n");
    receiver.run(&mut Transcript::default());
    use smtp::Verb;
    assert_eq!(
        receiver.session.take_replies(),
        [(Verb::Connect, 220, 1), (Verb::Helo, 250, 1), (Verb::Rcpt, 503, 2)]
    );
    assert!(receiver.session.take_replies().is_empty());
}
