//! A next hop that takes mail, or refuses, defers, stalls, resets, lies, and eats its final
//! replies.

use crate::checkers::Checker;
use crate::ledger::{ArrivalId, When};
use crate::message::{SENDERS, read_recipient, without_trace};
use crate::plan::Mood;
use crate::yard::{PORT, Yard};
use mail::{
    EnhancedStatus, Envelope, ForwardPath, MessageId, Question, Reply, ReversePath, Verdict,
};
use reactor::sim::{Host, Process};
use reactor::{Hangup, Instant, Part, Reactor};
use smtp::{Accepted, CommitRefusal, ServerOptions, ServerPeer, ServerSession, Step};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;
use wire::Wire;

const CLOSED: Reply = Reply::fixed(421, EnhancedStatus(4, 3, 2), "Not now");
const REFUSED: Reply = Reply::fixed(550, EnhancedStatus(5, 1, 1), "Never heard of it");
const DEFERRED: Reply = Reply::fixed(450, EnhancedStatus(4, 2, 1), "Later");
const GREYLISTED: Reply = Reply::fixed(451, EnhancedStatus(4, 7, 1), "Greylisted, come again");

/// What a lying host says in place of what it means. None of it is a promise: who promises and
/// throws away cannot be told from one that delivers.
const LIES: [&[u8]; 6] = [
    b"\r\n",
    b"2",
    b"354 Go on\r\n",
    b"999 What\r\n",
    b"421 4.3.0 Gone\r\n",
    b"554 5.0.0 No such command, user or host\r\n",
];

/// A next hop's machine.
pub(crate) struct NextHop {
    yard: Rc<Yard>,
    host: Host,
    process: Option<Process>,
}

/// The next hop has hung up without a word.
struct Gone;

impl NextHop {
    /// A machine at `address`, switched off.
    pub(crate) fn new(yard: &Rc<Yard>, address: IpAddr) -> Self {
        Self { yard: Rc::clone(yard), host: yard.world.host(address), process: None }
    }

    /// Begins to listen, unless it does already.
    pub(crate) fn start(&mut self) {
        if self.process.is_some() {
            return;
        }
        let process = self.host.start();
        let reactor = process.reactor();
        let address = SocketAddr::new(self.host.address(), PORT);
        let listener = reactor.listen(address, false).expect("nobody else is on this machine");
        self.process = Some(process);
        let yard = Rc::clone(&self.yard);
        let ours = reactor.clone();
        reactor.spawn(async move {
            loop {
                match listener.accept().await {
                    Ok(stream) => {
                        let wire = Wire::new(&ours, stream);
                        ours.spawn(serve(Rc::clone(&yard), ours.clone(), wire));
                    }
                    // No descriptors; the world takes them away for a moment only.
                    Err(_) => ours.sleep(ours.now() + Duration::from_millis(100)).await,
                }
            }
        });
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }
}

async fn serve(yard: Rc<Yard>, reactor: Reactor, wire: Wire) {
    let options = ServerOptions { hostname: "next.example".into(), ..ServerOptions::default() };
    let peer = ServerPeer { trusted: true, ..ServerPeer::new(Some(wire.peer()), "next".into()) };
    let mut session = Session {
        session: ServerSession::new(Rc::new(options), peer),
        body: Vec::new(),
        replied: Vec::new(),
        began: reactor.now(),
        lied: false,
        yard,
        reactor,
    };
    match session.run(&wire).await {
        Ok(()) => wire.close().await,
        Err(Gone) => wire.abort(),
    }
}

struct Session {
    yard: Rc<Yard>,
    reactor: Reactor,
    session: ServerSession,
    body: Vec<u8>,
    /// Arrivals whose final reply was sent and perhaps not heard.
    replied: Vec<ArrivalId>,
    began: Instant,
    /// The relay has heard something else than was meant.
    lied: bool,
}

impl Session {
    async fn run(&mut self, wire: &Wire) -> Result<(), Gone> {
        loop {
            match self.session.step() {
                Step::Transmit => self.transmit(wire).await?,
                Step::Receive { within } => self.receive(wire, within).await?,
                Step::Decide(question) => {
                    let verdict = decide(&self.yard, &question);
                    self.session.answer(verdict);
                }
                Step::Body(bytes) => self.body.extend_from_slice(bytes),
                Step::Discard => self.body.clear(),
                Step::Commit(accepted) => self.commit(accepted)?,
                Step::Close => return Ok(()),
                Step::Secure | Step::Authenticate(_) | Step::Introduce(_) => {
                    unreachable!("a next hop offers none of these")
                }
            }
        }
    }

    async fn transmit(&mut self, wire: &Wire) -> Result<(), Gone> {
        self.misbehave().await?;
        let mut output = self.session.take_output();
        if self.yard.hits(self.yard.mood.get().lies) {
            output = LIES[self.yard.below(LIES.len() as u64) as usize].to_vec();
            // Whatever was meant to be said is not heard.
            self.replied.clear();
            self.lied = true;
        }
        let by = self.reactor.now() + Duration::from_secs(300);
        match wire.send(vec![Part::Bytes(output)], by).await {
            Ok(_) => self.session.sent(Vec::new()),
            Err(_) => self.session.lost(smtp::Hangup::Reset),
        }
        Ok(())
    }

    async fn receive(&mut self, wire: &Wire, within: Duration) -> Result<(), Gone> {
        self.misbehave().await?;
        match wire.recv(self.reactor.now() + within).await {
            Ok(bytes) => {
                // It goes on, so it has heard us.
                let now = self.yard.world.now();
                for id in self.replied.drain(..) {
                    self.yard.ledger.borrow_mut().heard(id, now);
                }
                self.session.receive(&bytes);
            }
            Err(Hangup::Closed) => self.session.lost(smtp::Hangup::Closed),
            Err(Hangup::TimedOut) => self.session.lost(smtp::Hangup::TimedOut),
            Err(Hangup::Broken(_) | Hangup::Interrupted) => {
                self.session.lost(smtp::Hangup::Reset);
            }
        }
        Ok(())
    }

    async fn misbehave(&self) -> Result<(), Gone> {
        let Mood { stalls, resets, .. } = self.yard.mood.get();
        if self.yard.hits(stalls) {
            let most = 1 << self.yard.below(11);
            let time = self.yard.time(&(Duration::ZERO..Duration::from_secs(most)));
            self.reactor.sleep(self.reactor.now() + time).await;
        }
        if self.yard.hits(resets) { Err(Gone) } else { Ok(()) }
    }

    fn commit(&mut self, accepted: Accepted) -> Result<(), Gone> {
        let Mood { fails, eats_reply, .. } = self.yard.mood.get();
        let body = std::mem::take(&mut self.body);
        if self.yard.hits(fails) {
            self.session.committed(Err(CommitRefusal::Failed));
            return Ok(());
        }
        if self.lied && body.is_empty() {
            // The relay believes that nobody was accepted, and an empty message must follow a 354
            // (RFC 2920 §3.1).
            self.session.committed(Ok(MessageId::new(0, 0, 1)));
            return Ok(());
        }
        let arrivals = record(&self.yard, &accepted.envelope, &body, self.began);
        if self.yard.hits(eats_reply) {
            return Err(Gone);
        }
        self.replied.extend(arrivals);
        self.session.committed(Ok(MessageId::new(0, 0, 1)));
        Ok(())
    }
}

fn decide(yard: &Yard, question: &Question) -> Verdict {
    let mood = yard.mood.get();
    let refuse = |reply: Reply| Verdict::Refuse { reply, rule: "mood".into() };
    match question {
        Question::Connect if yard.hits(mood.closed) => refuse(CLOSED),
        Question::Recipient { .. } if yard.hits(mood.defers) => refuse(DEFERRED),
        Question::Recipient { forward_path, .. } if is_too_early(yard, forward_path) => {
            refuse(GREYLISTED)
        }
        // A refused report, or a refused message without a sender, would vanish unseen.
        Question::Recipient { reverse_path: ReversePath::Mailbox(_), .. }
            if yard.hits(mood.refuses) =>
        {
            refuse(REFUSED)
        }
        Question::Connect
        | Question::Hello { .. }
        | Question::Sender { .. }
        | Question::Recipient { .. }
        | Question::Verify { .. }
        | Question::Expand { .. } => Verdict::Accept { rule: "mood".into() },
    }
}

/// Whether a greylisting host has not known a recipient for long enough.
fn is_too_early(yard: &Yard, recipient: &ForwardPath) -> bool {
    let wanted = yard.mood.get().greylists;
    if wanted.is_zero() {
        return false;
    }
    let now = yard.world.now();
    let mut first_seen = yard.first_seen.borrow_mut();
    let first = *first_seen.entry(recipient.to_string()).or_insert(now);
    now.since(first) < wanted
}

/// Enters what has arrived into the ledger.
fn record(yard: &Yard, envelope: &Envelope, body: &[u8], began: Instant) -> Vec<ArrivalId> {
    let mut arrivals = Vec::new();
    let when = When { at: yard.world.now(), began };
    for recipient in envelope.recipients.iter().map(ToString::to_string) {
        yard.world.note(&format!("next hop takes mail for {recipient}"));
        if let Some(pair) = read_recipient(&recipient) {
            arrivals.push(yard.ledger.borrow_mut().arrive(pair, without_trace(body), when));
        } else if recipient.ends_with(SENDERS) && envelope.reverse_path == ReversePath::Null {
            arrivals.extend(record_report(yard, body, when));
        } else {
            yard.wrong(Checker::Stranger, format!("mail for {recipient}, to whom nobody wrote"));
        }
    }
    arrivals
}

/// Enters each recipient that a report says has failed.
fn record_report(yard: &Yard, body: &[u8], when: When) -> Vec<ArrivalId> {
    let text = String::from_utf8_lossy(body);
    let value = |line: &str, name: &str| Some(line.strip_prefix(name)?.trim().to_owned());
    let Some(id) = text.lines().find_map(|line| value(line, "Message-ID: ")) else {
        yard.wrong(Checker::Content, "a report without an id".to_owned());
        return Vec::new();
    };
    let failed = text.lines().filter_map(|line| value(line, "Final-Recipient: rfc822; "));
    let mut arrivals = Vec::new();
    for recipient in failed {
        match read_recipient(&recipient) {
            Some(pair) => {
                arrivals.push(yard.ledger.borrow_mut().report(pair, &id, when));
            }
            None => {
                let what = format!("a report on {recipient}, to whom nobody wrote");
                yard.wrong(Checker::Stranger, what);
            }
        }
    }
    arrivals
}
