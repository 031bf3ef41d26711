//! A server session under test, with what a corridor would do for it.
//!
//! Settings: `message_bytes`, `recipients`, `hops`, `errors`, `line_bytes`, `data_rate` with a
//! number; `offers` and `without` with extensions; `trusted`; `kind submission|local`; `user NAME`
//! for who the kernel names; `start_tls offered|required`; `tls` from the start; `xclient`;
//! `vrfy` and `expn` (they answer); `privacy WORD`; `origin DOMAIN`; `early_talker SECONDS`;
//! `bare_newline` and `bare_newline_trusted` with `refuse|normalise`; `mechanisms NAME…`;
//! `auth_in_clear`;
//! `refuse WHAT CODE STATUS TEXT`, where WHAT is `connect`, a name said in HELO, an address in
//! brackets, or `vrfy:TEXT`; `answer WHAT CODE STATUS TEXT`; `commit full`, `commit failed` or
//! `commit CODE STATUS TEXT`, one for each commit that does not succeed; `auth challenge TEXT`,
//! `auth accepted USER`, `auth refused|unavailable|too_many`, one for each turn of an exchange;
//! `facts` to see the header's.
//!
//! Effects: `commit from=… to=… rule=… stuffed=… body=…`, with what is unusual behind; `discard`,
//! `secure`, `authenticate …`, `introduce …`, `close`.

use crate::dialogue::{Dialogue, escape};
use crate::stage::{self, Subject, Transcript, Wait};
use mail::{Domain, EnhancedStatus, Envelope, MessageId, Question, Reply, TlsFacts, Verdict};
use smtp::{
    Accepted, AuthReply, BareNewline, CommitRefusal, Disclosure, Exchange, Extension, ExtensionSet,
    Hangup, ListenerKind, Privacy, ServerOptions, ServerPeer, ServerSession, StartTls, Step,
};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

pub(crate) struct Receiver {
    pub(crate) session: ServerSession,
    refusals: Vec<(String, Reply)>,
    answers: Vec<(String, Reply)>,
    commits: VecDeque<CommitRefusal>,
    turns: VecDeque<AuthReply>,
    facts: bool,
    draft: Vec<u8>,
    accepted: u64,
}

pub(crate) fn receiver(dialogue: &Dialogue) -> Receiver {
    Receiver {
        session: ServerSession::new(Rc::new(options(dialogue)), peer(dialogue)),
        refusals: dialogue.values("refuse").map(labelled_reply).collect(),
        answers: dialogue.values("answer").map(labelled_reply).collect(),
        commits: dialogue.values("commit").map(commit_refusal).collect(),
        turns: dialogue.values("auth").map(turn).collect(),
        facts: dialogue.values("facts").next().is_some(),
        draft: Vec::new(),
        accepted: 0,
    }
}

fn options(dialogue: &Dialogue) -> ServerOptions {
    let first = |key| dialogue.values(key).next();
    let number = |key| first(key).map(|v| v.parse::<u64>().expect("a number"));
    let disclosure = |key| match first(key) {
        Some(_) => Disclosure::Answer,
        None => Disclosure::Noncommittal,
    };
    let default = ServerOptions::default();
    let mut privacy = Privacy::default();
    for word in dialogue.values("privacy") {
        assert!(privacy.add(word), "no such word: {word}");
    }
    ServerOptions {
        hostname: "relay.example".into(),
        message_bytes: number("message_bytes").unwrap_or(default.message_bytes),
        recipients_per_message: number("recipients").map_or(1000, |n| n as usize),
        hops: number("hops").map_or(default.hops, |n| n as u32),
        errors: number("errors").map_or(default.errors, |n| n as u32),
        line_bytes: number("line_bytes"),
        data_rate: number("data_rate").unwrap_or(default.data_rate),
        offers: default.offers.or(extensions(first("offers"))),
        without: extensions(first("without")),
        bare_newline: bare_newline(first("bare_newline")).unwrap_or(default.bare_newline),
        bare_newline_trusted: bare_newline(first("bare_newline_trusted"))
            .unwrap_or(default.bare_newline_trusted),
        vrfy: disclosure("vrfy"),
        expn: disclosure("expn"),
        privacy,
        mechanisms: words(first("mechanisms")).map(Into::into).collect(),
        auth_in_clear: first("auth_in_clear").is_some(),
        origin: first("origin").map(|text| Domain::parse(text).expect("a domain")),
        early_talker: Duration::from_secs(number("early_talker").unwrap_or(0)),
        ..default
    }
}

fn peer(dialogue: &Dialogue) -> ServerPeer {
    let first = |key| dialogue.values(key).next();
    let kind = match first("kind") {
        None => ListenerKind::Relay,
        Some("submission") => ListenerKind::Submission,
        Some("local") => ListenerKind::Local,
        Some(other) => panic!("no such kind: {other}"),
    };
    let start_tls = match first("start_tls") {
        None => StartTls::Off,
        Some("offered") => StartTls::Offered,
        Some("required") => StartTls::Required,
        Some(other) => panic!("no such use of TLS: {other}"),
    };
    ServerPeer {
        kind,
        trusted: first("trusted").is_some(),
        start_tls,
        tls: first("tls").map(|_| tls()),
        xclient: first("xclient").is_some(),
        user: first("user").map(Into::into),
        ..ServerPeer::new("192.0.2.7:4000".parse().ok(), "mx".into())
    }
}

fn tls() -> TlsFacts {
    TlsFacts { version: "1.3".into(), ..TlsFacts::default() }
}

fn words(text: Option<&str>) -> impl Iterator<Item = &str> {
    text.unwrap_or_default().split_ascii_whitespace()
}

fn extensions(text: Option<&str>) -> ExtensionSet {
    let known = |word| Extension::parse(word).expect("an extension");
    words(text).fold(ExtensionSet::EMPTY, |set, word| set.with(known(word)))
}

fn bare_newline(text: Option<&str>) -> Option<BareNewline> {
    text.map(|word| match word {
        "refuse" => BareNewline::Refuse,
        "normalise" => BareNewline::Normalise,
        _ => panic!("neither refuse nor normalise: {word}"),
    })
}

/// `WHAT CODE STATUS TEXT`.
fn labelled_reply(setting: &str) -> (String, Reply) {
    let (what, rest) = setting.split_once(' ').expect("what it is about");
    (what.to_owned(), reply(rest))
}

/// `CODE STATUS TEXT`; a `|` stands between lines.
fn reply(text: &str) -> Reply {
    let (code, rest) = text.split_once(' ').expect("a code");
    let (status, text) = EnhancedStatus::parse_prefix(rest).expect("an enhanced status");
    let code = code.parse().expect("a code");
    Reply { code, status: Some(status), text: text.replace('|', "\n").into() }
}

fn commit_refusal(setting: &str) -> CommitRefusal {
    match setting {
        "full" => CommitRefusal::Full,
        "failed" => CommitRefusal::Failed,
        other => CommitRefusal::Refused(reply(other)),
    }
}

fn turn(setting: &str) -> AuthReply {
    let (kind, rest) = setting.split_once(' ').unwrap_or((setting, ""));
    match kind {
        "challenge" => AuthReply::Challenge(rest.into()),
        "accepted" => AuthReply::Accepted { user: rest.into() },
        "refused" => AuthReply::Refused,
        "unavailable" => AuthReply::Unavailable,
        "too_many" => AuthReply::TooMany,
        _ => panic!("no such turn: {setting}"),
    }
}

impl Receiver {
    pub(crate) fn decide(&self, question: &Question) -> Verdict {
        let what = match question {
            Question::Connect => "connect".to_owned(),
            Question::Hello { name } => name.to_string(),
            Question::Sender { reverse_path, .. } => format!("<{reverse_path}>"),
            Question::Recipient { forward_path, .. } => format!("<{forward_path}>"),
            Question::Verify { text } => format!("vrfy:{text}"),
            Question::Expand { text } => format!("expn:{text}"),
        };
        let rule = format!("rule of {what}").into();
        let about = |list: &[(String, Reply)]| {
            list.iter().find(|(about, _)| *about == what).map(|(_, reply)| reply.clone())
        };
        match (about(&self.refusals), about(&self.answers)) {
            (Some(reply), _) => Verdict::Refuse { reply, rule },
            (None, Some(reply)) => Verdict::Answer { reply },
            (None, None) => Verdict::Accept { rule },
        }
    }

    fn commit(&mut self, accepted: &Accepted, transcript: &mut Transcript) {
        assert_eq!(accepted.bytes, self.draft.len() as u64, "bytes are those of the draft");
        let to: Vec<String> =
            accepted.envelope.recipients.iter().map(|path| format!("<{path}>")).collect();
        let mut effect = format!(
            "commit from=<{}> to={} rule={} stuffed={} body={}",
            accepted.envelope.reverse_path,
            to.join(","),
            accepted.envelope.origin.rule,
            accepted.stuffed_lines,
            escape(&self.draft)
        );
        effect.push_str(&unusual(&accepted.envelope));
        if accepted.bare_newlines > 0 {
            effect.push_str(&format!(" mended={}", accepted.bare_newlines));
        }
        if self.facts {
            let header = &accepted.header;
            effect.push_str(&format!(
                " date={} message_id={} hops={} non_ascii={} from={}",
                header.has_date,
                header.has_message_id,
                header.hops,
                header.non_ascii,
                header.from_domain.as_ref().map_or("?", |domain| domain.as_str())
            ));
        }
        transcript.did(&effect);
        self.draft.clear();
        self.accepted += 1;
        let result = match self.commits.pop_front() {
            Some(refusal) => Err(refusal),
            None => Ok(MessageId::new(0, 1, self.accepted)),
        };
        self.session.committed(result);
    }

    fn take_turn(&mut self, exchange: Exchange, transcript: &mut Transcript) {
        match exchange {
            Exchange::Begin { mechanism, initial } => {
                let initial = initial.map_or("-".to_owned(), |bytes| escape(&bytes));
                transcript.did(&format!("authenticate {mechanism} {initial}"));
            }
            Exchange::Respond(bytes) => {
                transcript.did(&format!("authenticate respond {}", escape(&bytes)));
            }
            Exchange::Cancel => return transcript.did("authenticate cancel"),
        }
        let turn = self.turns.pop_front().expect("a turn for each question");
        self.session.authenticated(turn);
    }
}

/// What an envelope has that few have.
fn unusual(envelope: &Envelope) -> String {
    let mut text = String::new();
    if envelope.utf8 {
        text.push_str(" utf8");
    }
    if let Some(request) = &envelope.request {
        text.push_str(&format!(" request={request:?}"));
    }
    if let Some(user) = &envelope.origin.user {
        text.push_str(&format!(" user={user}"));
    }
    if envelope.origin.secured {
        text.push_str(" secured");
    }
    let client = envelope.origin.client.map(|client| client.to_string());
    if client.as_deref() != Some("192.0.2.7:4000") {
        text.push_str(&format!(" client={}", client.unwrap_or_default()));
    }
    text
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
                Step::Secure => {
                    transcript.did("secure");
                    self.session.secured(tls());
                }
                Step::Authenticate(exchange) => self.take_turn(exchange, transcript),
                Step::Introduce(introduction) => {
                    transcript.did(&format!("introduce {introduction:?}"));
                    self.session.introduced(false);
                }
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
