//! One session, from greeting to close.
//!
//! Everything that decides is in the session or in `policy`; here bytes and answers are carried
//! between them, the wire and the queue.

use crate::facts::Guest;
use crate::server::Shard;
use mail::{Event, EventKind, Field, Question, UnixTime, Verdict};
use queue::{CommitError, Draft};
use reactor::{Hangup, Part};
use smtp::{Accepted, CommitRefusal, ServerPeer, ServerSession, Step};
use std::rc::Rc;
use std::time::Duration;
use wire::Wire;

/// How long a client may take to read our replies before we give it up.
const SEND_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Serves one client until either side has had enough.
pub(crate) async fn converse(shard: &Shard, wire: Wire, guest: &Guest) {
    let peer = ServerPeer {
        trusted: guest.trusted,
        ..ServerPeer::new(Some(guest.client), Rc::clone(&guest.listener))
    };
    let mut session = ServerSession::new(shard.smtp(), peer);
    session.set_stress(shard.is_stressed());
    let mut body = Body { draft: None, failed: None };
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
                // Boxed: idle sessions need not carry its room.
                let result = Box::pin(commit(shard, guest, &mut body, accepted)).await;
                session.committed(result);
                false
            }
            // None of these is offered by a peer as it is made above; a session that asks for one
            // all the same ends.
            Step::Secure | Step::Authenticate(_) | Step::Introduce(_) => {
                session.lost(smtp::Hangup::Reset);
                false
            }
            Step::Close => break,
        };
        if full {
            // Rare, so boxed: an idle session carries the room of every branch with it.
            Box::pin(body.make_room()).await;
        }
    }
    shard.count_replies(&session.take_replies());
    Box::pin(wire.close()).await;
}

async fn transmit(shard: &Shard, wire: &Wire, session: &mut ServerSession) {
    let mut output = session.take_output();
    if reactor::mutated("replies-swapped") {
        let mut lines: Vec<&[u8]> = output.split_inclusive(|byte| *byte == b'\n').collect();
        lines.reverse();
        output = lines.concat();
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
    let facts = guest.facts(shard.admission());
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
    let Accepted { mut envelope, bytes, stuffed_lines, .. } = accepted;
    envelope.origin.arrived = now;
    let smtp = shard.smtp();
    let trace = mail::Trace { hostname: &smtp.hostname, ..mail::Trace::default() };
    let header = mail::received(&trace, &envelope, draft.id(), now);
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
    let id = shard.queue().commit(draft, envelope, header, stuffed_lines).await.map_err(refuse)?;
    shard.count_message(&guest.listener, bytes, recipients, shard.now().since(began));
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
