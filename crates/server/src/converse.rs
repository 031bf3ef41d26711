//! One session, from greeting to close.
//!
//! Everything that decides is in the session or in `policy`; here bytes and answers are carried
//! between them, the wire and the queue.

use crate::authenticate::Authentication;
use crate::compose::{header_block, needs_utf8};
use crate::facts::Guest;
use crate::secure::secure;
use crate::server::Shard;
use lookup::Account;
use mail::{Event, EventKind, Field, Question, UnixTime, Verdict};
use policy::Proof;
use queue::{CommitError, Draft};
use reactor::{Hangup, Part};
use smtp::{Accepted, CommitRefusal, Introduction, ServerPeer, ServerSession, Step};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use wire::Wire;

/// How long a client may take to read our replies before we give it up.
const SEND_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Serves one client until either side has had enough.
pub(crate) async fn converse(shard: &Shard, wire: Wire, guest: &mut Guest) {
    let mut session = ServerSession::new(shard.options_for(&guest.door), peer(shard, guest));
    session.set_stress(shard.is_stressed());
    let mut body = Body { draft: None, failed: None };
    // Boxed: hardly a session has one.
    let mut authentication: Option<Box<Authentication>> = None;
    loop {
        let full = match session.step() {
            Step::Transmit => {
                transmit(shard, &wire, &mut session).await;
                false
            }
            Step::Receive { within } => {
                receive(shard, &wire, &mut session, within).await;
                false
            }
            Step::Secure => {
                // Boxed, as all that is rare: an idle session carries the room of every branch.
                Box::pin(start_tls(shard, &wire, &mut session, guest)).await;
                false
            }
            Step::Authenticate(exchange) => {
                let authentication = authentication.get_or_insert_default();
                let answer = Box::pin(authentication.turn(shard, guest, exchange)).await;
                answer.into_iter().for_each(|answer| session.authenticated(answer));
                false
            }
            Step::Introduce(introduction) => {
                let trusted = introduce(shard, guest, *introduction);
                session.introduced(trusted);
                false
            }
            Step::Decide(question) => {
                let verdict = decide(shard, guest, &question);
                session.answer(verdict);
                false
            }
            Step::Body(bytes) => body.append(shard, bytes), // copies: no lease lives on
            Step::Discard => {
                body = Body { draft: None, failed: None };
                false
            }
            Step::Commit(accepted) => {
                // 250 only once durable.
                let result = Box::pin(commit(shard, guest, &mut body, accepted)).await;
                session.committed(result);
                false
            }
            Step::Close => break,
        };
        if full {
            Box::pin(body.make_room()).await;
        }
    }
    shard.count_replies(&session.take_replies());
    shard.count_notes(&session.take_notes());
    Box::pin(wire.close()).await;
}

/// Who is at the other end, as the session is told.
fn peer(shard: &Shard, guest: &Guest) -> ServerPeer {
    let door = &guest.door;
    ServerPeer {
        kind: door.options.kind,
        trusted: guest.trusted.is_some(),
        start_tls: door.start_tls(shard.tls().is_some()),
        tls: guest.tls.as_deref().cloned(),
        xclient: guest.xclient,
        ..ServerPeer::new(Some(guest.client), Rc::clone(&door.name))
    }
}

async fn start_tls(shard: &Shard, wire: &Wire, session: &mut ServerSession, guest: &mut Guest) {
    // RFC 3207 §4.2: what was known before is forgotten, but for the address.
    if guest.trusted == Some(Proof::User) {
        guest.trusted = None;
    }
    guest.account = None;
    match secure(shard, wire, guest).await {
        Some(facts) => {
            session.secured(facts);
            session.set_trusted(guest.trusted.is_some());
        }
        None => session.lost(smtp::Hangup::Reset),
    }
}

/// The client speaks for another; whether that one is trusted. A login that is passed on may send
/// with any address: who passes it on has looked.
fn introduce(shard: &Shard, guest: &mut Guest, introduction: Introduction) -> bool {
    let address = introduction.address.unwrap_or(guest.client.ip());
    let port = introduction.port.unwrap_or(0);
    guest.client = SocketAddr::new(address, port);
    if let Some(name) = introduction.name {
        guest.name = name;
    }
    if let Some(login) = introduction.login {
        let any: Arc<[Box<str>]> = vec!["*".into()].into();
        guest.account = login.map(|name| Box::new(Account { name, senders: any }));
    }
    guest.trusted = match &guest.account {
        Some(_) => Some(Proof::User),
        None => shard.policy().is_trusted(address).then_some(Proof::Network),
    };
    guest.trusted.is_some()
}

async fn transmit(shard: &Shard, wire: &Wire, session: &mut ServerSession) {
    let mut output = session.take_output();
    if reactor::mutated("replies-swapped") {
        let mut lines: Vec<&[u8]> = output.split_inclusive(|byte| *byte == b'\n').collect();
        if lines.iter().all(|line| line.get(3) != Some(&b'-')) {
            lines.reverse();
            output = lines.concat();
        }
    }
    let by = shard.now() + SEND_TIMEOUT;
    match wire.send(vec![Part::Bytes(output)], by).await {
        Ok(mut parts) => match parts.pop() {
            Some(Part::Bytes(mut output)) => {
                output.clear();
                session.sent(output);
            }
            Some(Part::Slice(_) | Part::Fixed(_)) | None => session.sent(Vec::new()),
        },
        Err(_) => session.lost(smtp::Hangup::Reset),
    }
}

async fn receive(shard: &Shard, wire: &Wire, session: &mut ServerSession, within: Duration) {
    let began = shard.now();
    match wire.recv(began + within).await {
        Ok(bytes) => {
            session.waited(shard.now().since(began));
            session.receive(&bytes);
            if reactor::mutated("lease-held-across-await") {
                let reactor = shard.reactor.clone();
                shard.reactor.spawn(async move {
                    reactor.sleep(reactor.now() + SEND_TIMEOUT).await;
                    drop(bytes);
                });
            }
        }
        Err(Hangup::Interrupted) => session.shut_down(),
        Err(Hangup::TimedOut) => session.lost(smtp::Hangup::TimedOut),
        Err(Hangup::Closed) => session.lost(smtp::Hangup::Closed),
        Err(Hangup::Broken(_)) => session.lost(smtp::Hangup::Reset),
    }
}

fn decide(shard: &Shard, guest: &Guest, question: &Question) -> Verdict {
    let facts = guest.facts(shard.admission(), question);
    let verdict = shard.policy().decide(question, &facts);
    if let Verdict::Refuse { reply, rule } = &verdict {
        let (stage, kind) = match question {
            Question::Connect => ("connect", EventKind::SessionRefused),
            Question::Hello { .. } => ("hello", EventKind::SessionRefused),
            Question::Sender { .. } => ("mail", EventKind::MessageRefused),
            Question::Recipient { .. } => ("rcpt", EventKind::MessageRefused),
            Question::Verify { .. } => ("vrfy", EventKind::SessionRefused),
            Question::Expand { .. } => ("expn", EventKind::SessionRefused),
        };
        shard.count_refusal(stage, rule);
        if shard.journal().hears(kind) {
            let event = refusal(Event::new(kind), guest, question);
            shard.journal().record(
                event.text(Field::Rule, rule.clone()).text(Field::Reply, reply.to_string()),
            );
        }
    }
    verdict
}

/// Who was refused, and what it asked for.
fn refusal(event: Event, guest: &Guest, question: &Question) -> Event {
    let event = guest.sign(event);
    match question {
        Question::Connect => event,
        Question::Hello { name } => event.text(Field::Hello, name.clone()),
        Question::Sender { reverse_path, .. } => {
            event.text(Field::From, format!("<{reverse_path}>"))
        }
        Question::Recipient { reverse_path, forward_path } => event
            .text(Field::From, format!("<{reverse_path}>"))
            .text(Field::To, format!("<{forward_path}>")),
        Question::Verify { text } | Question::Expand { text } => {
            event.text(Field::To, text.clone())
        }
    }
}

/// The body under way: a draft once its first byte has come, and what went wrong with it.
struct Body {
    draft: Option<Draft>,
    failed: Option<CommitError>,
}

impl Body {
    fn append(&mut self, shard: &Shard, bytes: &[u8]) -> bool {
        if self.failed.is_some() {
            return false;
        }
        let draft = self.draft.get_or_insert_with(|| shard.queue().draft());
        draft.append(bytes).is_full()
    }

    /// Streams what is there to disk. A failure is told at the end of the body, which the client
    /// would not hear before.
    async fn make_room(&mut self) {
        let Some(draft) = &mut self.draft else { return };
        if let Err(error) = draft.room().await {
            self.failed = Some(error);
            self.draft = None;
        }
    }
}

async fn commit(
    shard: &Shard,
    guest: &Guest,
    body: &mut Body,
    accepted: Accepted,
) -> Result<mail::MessageId, CommitRefusal> {
    if let Some(error) = body.failed.take() {
        return Err(refuse(error));
    }
    let draft = body.draft.take().unwrap_or_else(|| shard.queue().draft());
    let began = shard.now();
    let now = UnixTime::from_epoch(shard.wall_clock());
    let Accepted { mut envelope, bytes, stuffed_lines, header, .. } = accepted;
    envelope.origin.arrived = now;
    let block = header_block(&shard.smtp(), guest, &envelope, &header, draft.id());
    envelope.utf8 = needs_utf8(&envelope, &header);
    let recipients = envelope.recipients.len() as u64;
    let event = shard.journal().hears(EventKind::MessageAccepted).then(|| {
        guest
            .sign(Event::new(EventKind::MessageAccepted).id(draft.id()))
            .text(Field::Hello, envelope.origin.hello.clone())
            .text(Field::From, format!("<{}>", envelope.reverse_path))
            .number(Field::Recipients, recipients)
            .number(Field::Size, bytes)
            .text(Field::Rule, envelope.origin.rule.clone())
    });
    let id = shard.queue().commit(draft, envelope, block, stuffed_lines).await.map_err(refuse)?;
    shard.count_message(&guest.door.name, bytes, recipients, shard.now().since(began));
    if let Some(event) = event {
        shard.journal().record(event);
    }
    Ok(id)
}

fn refuse(error: CommitError) -> CommitRefusal {
    match error {
        CommitError::Full => CommitRefusal::Full,
        CommitError::Failed => CommitRefusal::Failed,
    }
}
