//! Our client against our server over a fake link that cuts as it likes.

use mail::{
    BodyKind, EnhancedStatus, ForwardPath, MessageId, Outcome, Question, Reply, ReversePath,
    Verdict,
};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use smtp::{
    ClientOptions, ClientSession, ClientStep, ServerOptions, ServerPeer, ServerSession, Step,
    Transaction,
};
use std::collections::VecDeque;
use std::rc::Rc;

const NOBODY: Reply = Reply::fixed(550, EnhancedStatus(5, 1, 1), "Nobody here");

/// A message as the test makes it up.
#[derive(Clone, Debug)]
struct Message {
    /// Whether each recipient exists.
    recipients: Vec<bool>,
    /// Wire form, without the terminator.
    body: Vec<u8>,
}

/// Both ends, and what is on the way between them.
struct Pair {
    client: ClientSession,
    server: ServerSession,
    to_server: VecDeque<u8>,
    to_client: VecDeque<u8>,
    /// The sizes of pieces, over and over.
    sizes: Vec<usize>,
    piece: usize,
    /// Whether the terminator goes with the body.
    joined: bool,
    unsent: VecDeque<Message>,
    /// The message under way on the client's side.
    body: Vec<u8>,
    draft: Vec<u8>,
    /// What the server took: recipients and wire form.
    taken: Vec<(Vec<ForwardPath>, Vec<u8>)>,
    results: Vec<Vec<Outcome>>,
}

impl Pair {
    fn new(messages: &[Message], pipelining: bool, joined: bool, sizes: &[usize]) -> Self {
        let options = ClientOptions { pipelining, ..ClientOptions::default() };
        let client = "192.0.2.7:4000".parse().ok();
        let peer = ServerPeer { trusted: true, ..ServerPeer::new(client, "mx".into()) };
        Self {
            client: ClientSession::new(Rc::new(options)),
            server: ServerSession::new(Rc::new(ServerOptions::default()), peer),
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            sizes: sizes.to_vec(),
            piece: 0,
            joined,
            unsent: messages.iter().cloned().collect(),
            body: Vec::new(),
            draft: Vec::new(),
            taken: Vec::new(),
            results: Vec::new(),
        }
    }

    /// Lets both ends talk until both have closed.
    fn drive(&mut self) {
        loop {
            let client_closed = self.drive_client();
            let server_closed = self.drive_server();
            let piece = self.sizes[self.piece % self.sizes.len()];
            self.piece += 1;
            if !self.to_server.is_empty() && !server_closed {
                let piece = piece.min(self.to_server.len());
                let bytes: Vec<u8> = self.to_server.drain(..piece).collect();
                self.server.receive(&bytes);
            } else if !self.to_client.is_empty() && !client_closed {
                let piece = piece.min(self.to_client.len());
                let bytes: Vec<u8> = self.to_client.drain(..piece).collect();
                self.client.receive(&bytes);
            } else {
                assert!(client_closed && server_closed, "both ends wait for each other");
                return;
            }
        }
    }

    /// Whether the client has closed.
    fn drive_client(&mut self) -> bool {
        loop {
            match self.client.step() {
                ClientStep::Transmit => {
                    let output = self.client.take_output();
                    self.to_server.extend(&output);
                    self.client.sent(output);
                }
                ClientStep::Receive { .. } => return false,
                ClientStep::Ready => match self.unsent.pop_front() {
                    Some(message) => {
                        let transaction = self.begun(&message);
                        self.client.begin(transaction);
                    }
                    None => self.client.quit(),
                },
                ClientStep::SendBody => {
                    self.to_server.extend(&self.body);
                    if self.joined {
                        self.to_server.extend(self.client.terminator());
                        self.client.body_sent_with_terminator();
                    } else {
                        self.client.body_sent();
                    }
                }
                ClientStep::Secure | ClientStep::Authenticate(_) | ClientStep::Respond(_) => {
                    unreachable!("neither is asked for")
                }
                ClientStep::Finished(result) => {
                    assert!(!result.uncertain && !result.session_limit, "{result:?}");
                    self.results.push(result.outcomes);
                }
                ClientStep::Close(reason) => {
                    assert_eq!(reason, None);
                    return true;
                }
            }
        }
    }

    fn begun(&mut self, message: &Message) -> Transaction {
        self.body.clone_from(&message.body);
        let recipients = message.recipients.iter().enumerate().map(recipient).collect();
        let bytes = message.body.len() as u64;
        let transaction = Transaction::new(ReversePath::Null, recipients, bytes);
        Transaction { body: BodyKind::EightBitMime, ..transaction }
    }

    /// Whether the server has closed.
    fn drive_server(&mut self) -> bool {
        loop {
            match self.server.step() {
                Step::Transmit => {
                    let output = self.server.take_output();
                    self.to_client.extend(&output);
                    self.server.sent(output);
                }
                Step::Receive { .. } => return false,
                Step::Decide(question) => self.server.answer(decide(&question)),
                Step::Body(bytes) => self.draft.extend_from_slice(bytes),
                Step::Discard => panic!("nothing here is to be discarded"),
                Step::Commit(accepted) => {
                    assert_eq!(accepted.bytes, self.draft.len() as u64);
                    let body = std::mem::take(&mut self.draft);
                    assert_eq!(accepted.stuffed_lines, stuffed_lines(&body));
                    self.taken.push((accepted.envelope.recipients, body));
                    let id = MessageId::new(0, 1, self.taken.len() as u64);
                    self.server.committed(Ok(id));
                }
                Step::Close => return true,
                Step::Secure | Step::Authenticate(_) | Step::Introduce(_) => {
                    panic!("not offered")
                }
            }
        }
    }
}

fn recipient((index, exists): (usize, &bool)) -> ForwardPath {
    let host = if *exists { "there" } else { "nowhere" };
    ForwardPath::parse(&format!("r{index}@{host}")).expect("a path")
}

fn decide(question: &Question) -> Verdict {
    match question {
        Question::Recipient { forward_path, .. }
            if forward_path.to_string().ends_with("nowhere") =>
        {
            Verdict::Refuse { reply: NOBODY, rule: "nobody".into() }
        }
        _ => Verdict::Accept { rule: "all".into() },
    }
}

fn stuffed_lines(body: &[u8]) -> u64 {
    let text: String = body.iter().map(|&byte| char::from(byte)).collect();
    text.split("\r\n").filter(|line| line.starts_with('.')).count() as u64
}

/// Lines with many dots at their beginning, dot-stuffed as a sender must.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        Just(String::new()),
        Just(".".to_owned()),
        Just("..".to_owned()),
        "[.a]{0,4}",
        "[ -~äß]{0,90}",
    ];
    prop::collection::vec(line, 0..12).prop_map(|lines| {
        let stuffed = |line: String| {
            let dot = if line.starts_with('.') { "." } else { "" };
            format!("{dot}{line}\r\n")
        };
        lines.into_iter().map(stuffed).collect::<String>().into_bytes()
    })
}

fn messages() -> impl Strategy<Value = Vec<Message>> {
    let recipients = prop_oneof![
        8 => prop::collection::vec(any::<bool>(), 1..5),
        1 => prop::collection::vec(prop::bool::weighted(0.9), 90..260),
    ];
    let message =
        (recipients, bodies()).prop_map(|(recipients, body)| Message { recipients, body });
    prop::collection::vec(message, 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(3),
        ..ProptestConfig::with_cases(256)
    })]

    #[test]
    fn what_the_client_sends_the_server_takes_whole_and_both_agree_on_outcomes(
        messages in messages(),
        pipelining in any::<bool>(),
        joined in any::<bool>(),
        sizes in prop::collection::vec(1usize..200, 1..8),
    ) {
        let mut pair = Pair::new(&messages, pipelining, joined, &sizes);
        pair.drive();
        let mut taken = pair.taken.into_iter();
        prop_assert_eq!(pair.results.len(), messages.len());
        for (message, outcomes) in messages.iter().zip(pair.results) {
            for (exists, outcome) in message.recipients.iter().zip(&outcomes) {
                let as_due = match outcome {
                    Outcome::Delivered { .. } => *exists,
                    Outcome::Bounced { .. } => !*exists,
                    Outcome::Deferred { .. } => false,
                };
                prop_assert!(as_due, "{outcome:?}");
            }
            let theirs: Vec<ForwardPath> = message
                .recipients
                .iter()
                .enumerate()
                .filter(|(_, exists)| **exists)
                .map(recipient)
                .collect();
            if !theirs.is_empty() {
                prop_assert_eq!(taken.next(), Some((theirs, message.body.clone())));
            }
        }
        prop_assert_eq!(taken.next(), None);
    }
}
