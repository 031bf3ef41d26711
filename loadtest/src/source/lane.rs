//! One session after another, and the messages that go over them.

use super::counts::Counts;
use super::letters::Letters;
use super::line::{Line, Lost};
use super::replies::Reply;
use super::{Connection, Dialogue, Plan};
use reactor::{Instant, Part, Reactor};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Sessions in a row that may be lost without a reply to an end of data.
const TRIES: u32 = 6;

/// The pause behind the first lost session; it doubles with each.
const PAUSE: Duration = Duration::from_millis(20);

/// The message at hand.
#[derive(Clone, Copy)]
struct Current {
    number: u64,
    /// When its transaction began, or should have begun.
    started: Instant,
    /// Its envelope went out behind the message before it.
    ahead: bool,
}

/// What the target says to an envelope.
enum Verdict {
    /// Go on with the message.
    Go,
    /// It takes no message; the transaction is still open if `reset`.
    Refused { reply: Reply, reset: bool },
}

/// Carries messages until the plan has no more.
pub(super) struct Lane {
    reactor: Reactor,
    plan: Arc<Plan>,
    letters: Rc<Letters>,
    counts: Arc<Mutex<Counts>>,
    current: Option<Current>,
    /// Memory for the next message.
    spare: Vec<Part>,
}

impl Lane {
    pub(super) fn new(
        reactor: Reactor,
        plan: Arc<Plan>,
        letters: Rc<Letters>,
        counts: Arc<Mutex<Counts>>,
    ) -> Self {
        Self { reactor, plan, letters, counts, current: None, spare: Vec::new() }
    }

    /// Runs until all messages have gone, or the target cannot be had.
    pub(super) async fn run(mut self) {
        self.current = self.claim();
        let mut lost_in_a_row = 0;
        while self.current.is_some() && lost_in_a_row < TRIES {
            let before = self.counts().accepted;
            let Err(lost) = self.session().await else { continue };
            let went_on = self.counts().accepted > before;
            self.note_loss(&lost);
            lost_in_a_row = if went_on { 0 } else { lost_in_a_row + 1 };
            let pause = PAUSE * 2u32.pow(lost_in_a_row);
            self.reactor.sleep(self.reactor.now() + pause).await;
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_loss(&mut self, lost: &Lost) {
        if let Some(current) = &mut self.current {
            current.ahead = false;
        }
        let mut counts = self.counts();
        counts.sessions_lost += 1;
        counts.trouble(&lost.to_string());
    }

    /// The next message of the plan.
    fn claim(&self) -> Option<Current> {
        let (number, due) = self.plan.claim()?;
        Some(Current { number, started: due.unwrap_or_default(), ahead: false })
    }

    /// One session, with as many messages as it may have.
    async fn session(&mut self) -> Result<(), Lost> {
        if self.plan.options.connection == Connection::Each {
            self.await_due().await;
        }
        let mut line = Line::open(&self.reactor, self.plan.options.target).await?;
        self.counts().sessions += 1;
        while self.current.is_some() {
            self.await_due().await;
            self.carry(&mut line).await?;
            if self.plan.options.connection == Connection::Each {
                break;
            }
        }
        line.quit().await;
        Ok(())
    }

    /// Waits until the current message is due; one without a schedule is due at once, which sets
    /// when it was started.
    async fn await_due(&mut self) {
        let Some(current) = &mut self.current else { return };
        let now = self.reactor.now();
        if current.started == Instant::default() {
            current.started = now;
        } else if current.started > now {
            let due = current.started;
            self.reactor.sleep(due).await;
        }
    }

    /// One transaction.
    async fn carry(&mut self, line: &mut Line) -> Result<(), Lost> {
        let current = self.current.expect("a session goes on while there is one");
        match self.envelope(line, current).await? {
            Verdict::Go => self.message(line, current).await,
            Verdict::Refused { reply, reset } => {
                self.counts().refuse(&reply);
                self.current = self.claim();
                if reset {
                    line.command(b"RSET\r\n".to_vec()).await?;
                }
                Ok(())
            }
        }
    }

    async fn envelope(&mut self, line: &mut Line, current: Current) -> Result<Verdict, Lost> {
        if !self.pipelines(line) {
            return self.envelope_by_steps(line, current.number).await;
        }
        if !current.ahead {
            let mut envelope = Vec::new();
            self.letters.envelope(current.number, &mut envelope);
            line.send(vec![Part::Bytes(envelope)]).await?;
        }
        let mail = line.reply().await?;
        let mut refused = None;
        let mut refusals = 0;
        for _ in 0..self.letters.recipients() {
            let reply = line.reply().await?;
            if !reply.is_positive() {
                refusals += 1;
                refused.get_or_insert(reply);
            }
        }
        let data = line.reply().await?;
        self.judge(line, mail, (refused, refusals), data).await
    }

    async fn judge(
        &mut self,
        line: &mut Line,
        mail: Reply,
        (refused, refusals): (Option<Reply>, usize),
        data: Reply,
    ) -> Result<Verdict, Lost> {
        let none_left = refusals == self.letters.recipients();
        let reply = match (mail.is_positive(), refused) {
            (false, _) => mail,
            (true, Some(reply)) if none_left => reply,
            (true, _) if data.code == 354 => {
                self.counts().recipients_refused += refusals as u64;
                return Ok(Verdict::Go);
            }
            (true, _) => data.clone(),
        };
        let reset = data.code != 354;
        if !reset {
            // It wants a message for nobody (RFC 2920 §3.1): an empty one.
            line.command(b".\r\n".to_vec()).await?;
        }
        Ok(Verdict::Refused { reply, reset })
    }

    async fn envelope_by_steps(&mut self, line: &mut Line, number: u64) -> Result<Verdict, Lost> {
        let mut command = Vec::new();
        self.letters.mail(&mut command);
        let reply = line.command(command).await?;
        if !reply.is_positive() {
            return Ok(Verdict::Refused { reply, reset: false });
        }
        let mut refused = None;
        let mut refusals = 0;
        for index in 0..self.letters.recipients() {
            let mut command = Vec::new();
            self.letters.recipient(number, index, &mut command);
            let reply = line.command(command).await?;
            if !reply.is_positive() {
                refusals += 1;
                refused.get_or_insert(reply);
            }
        }
        if let (Some(reply), true) = (refused, refusals == self.letters.recipients()) {
            return Ok(Verdict::Refused { reply, reset: true });
        }
        let reply = line.command(b"DATA\r\n".to_vec()).await?;
        if reply.code != 354 {
            return Ok(Verdict::Refused { reply, reset: true });
        }
        self.counts().recipients_refused += refusals as u64;
        Ok(Verdict::Go)
    }

    /// Sends the message, and the next envelope behind it where that is allowed: everything up to
    /// the next DATA is one group (RFC 2920 §3.1), one write and one round trip.
    async fn message(&mut self, line: &mut Line, current: Current) -> Result<(), Lost> {
        let now = self.reactor.now();
        self.current = self.claim();
        let mut next = None;
        if self.pipelines(line)
            && self.plan.options.connection == Connection::Kept
            && let Some(following) = self.current.as_mut().filter(|next| next.started <= now)
        {
            following.ahead = true;
            if following.started == Instant::default() {
                following.started = now;
            }
            next = Some(following.number);
        }
        let spare = std::mem::take(&mut self.spare);
        let parts = self.letters.compose(current.number, now, next, spare);
        self.counts().sent += 1;
        let reply = match line.send(parts).await {
            Ok(parts) => {
                self.spare = parts;
                line.reply().await
            }
            Err(lost) => Err(lost),
        };
        let now_replied = self.reactor.now();
        let mut counts = self.counts();
        match &reply {
            Ok(reply) if reply.is_positive() => {
                counts.accepted += 1;
                counts.end_of_data.record(now_replied.since(now));
                counts.transaction.record(now_replied.since(current.started));
            }
            Ok(reply) => counts.refuse(reply),
            Err(_) => counts.unanswered += 1,
        }
        reply.map(drop)
    }

    fn pipelines(&self, line: &Line) -> bool {
        self.plan.options.dialogue == Dialogue::Pipelined && line.pipelining()
    }
}
