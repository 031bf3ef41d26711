//! Clients that send all the time, and remember what they were promised.

use crate::peers::Client;
use crate::wait::until;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

/// Clients at a time.
pub(crate) const CLIENTS: usize = 8;

/// So many refusals in a row, of sessions that the kernel spreads over two threads, are of both.
const REFUSALS: usize = 50;

/// How long a client waits before it calls again: short against the start of a relay.
const CALL_AGAIN: Duration = Duration::from_millis(5);

/// The sender; reports go there.
pub(crate) const SENDER: &str = "sender@client.example";

/// A recipient that is taken at once.
pub(crate) const TAKEN: &str = "taken@example.net";

/// A recipient that is deferred as long as the sink of [`defer`] is there.
pub(crate) const DEFERRED: &str = "deferred@example.net";

/// A recipient that is refused for good, so that the sender gets a report.
pub(crate) const REFUSED: &str = "refused@example.net";

/// How a next hop answers while the load is on: mail of every kind then waits in the queue.
pub(crate) fn defer(to: &str) -> Option<&'static str> {
    match to {
        DEFERRED | SENDER => Some("450 4.2.1 Later"),
        _ => refuse(to),
    }
}

/// How a next hop answers afterwards.
pub(crate) fn refuse(to: &str) -> Option<&'static str> {
    (to == REFUSED).then_some("550 5.1.1 Nobody")
}

/// One recipient of one message, as `TOKEN RECIPIENT`. That of a refused one is the report.
pub(crate) type Key = String;

/// The recipients of a message are a function of its token.
pub(crate) fn recipients(token: &str) -> &'static [&'static str] {
    match number_of(token) % 6 {
        0 | 1 => &[TAKEN],
        2 | 3 => &[DEFERRED],
        4 => &[TAKEN, DEFERRED],
        _ => &[REFUSED, DEFERRED],
    }
}

/// What must have arrived in the end.
pub(crate) fn keys(token: &str) -> impl Iterator<Item = Key> {
    recipients(token).iter().map(move |to| format!("{token} {to}"))
}

/// A body that is a function of its token, of 2 KiB to 250 KiB: some are streamed in chunks.
pub(crate) fn body(token: &str) -> String {
    let number = number_of(token);
    let lines = if number % 20 == 7 { 4000 } else { 40 + number % 200 };
    let mut body = format!("X-Token: {token}\r\n\r\n");
    for line in 0..lines {
        body.push_str(&format!("{token} line {line} of {lines}, with some words behind it\r\n"));
    }
    body
}

fn number_of(token: &str) -> usize {
    token.rsplit('-').next().and_then(|number| number.parse().ok()).expect("a number at the end")
}

/// A 250.
struct Promise {
    client: usize,
    token: String,
    id: String,
    epoch: u64,
}

/// The clients of one spell of load, and what they were told.
pub(crate) struct Load {
    name: String,
    promises: Mutex<Vec<Promise>>,
    /// Replies that were neither 250 nor the end of a connection.
    refusals: Mutex<Vec<String>>,
    epoch: AtomicU64,
    ended: AtomicBool,
}

impl Load {
    /// `name` begins all tokens; it must be another one at each spell.
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            promises: Mutex::default(),
            refusals: Mutex::default(),
            epoch: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        }
    }

    /// Runs the clients while `work` runs, however that ends.
    pub(crate) fn during<T>(&self, port: u16, work: impl FnOnce() -> T) -> T {
        std::thread::scope(|scope| {
            for client in 0..CLIENTS {
                scope.spawn(move || self.send_on(port, client));
            }
            let ended = Ending(self);
            let result = work();
            drop(ended);
            result
        })
    }

    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    /// How many messages have got a 250.
    pub(crate) fn count(&self) -> u64 {
        self.promises().len() as u64
    }

    /// Waits for as many, or for something else than a 250.
    pub(crate) fn until_count(&self, count: u64) {
        until(&format!("{count} promises"), || {
            self.count() >= count || !self.refusals().is_empty()
        });
    }

    /// Waits until the relay has stopped taking mail, in each of its threads: one can be full
    /// before another.
    pub(crate) fn until_refused(&self) {
        let (mut taken, mut before) = (0, 0);
        until("nothing is taken any more", || {
            let refused = self.refusals().len();
            if self.count() != taken {
                (taken, before) = (self.count(), refused);
            }
            refused - before >= REFUSALS
        });
    }

    /// What was promised.
    pub(crate) fn keys(&self) -> BTreeSet<Key> {
        self.promises().iter().flat_map(|promise| keys(&promise.token)).collect()
    }

    /// The ids that were given out.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.promises().iter().map(|promise| promise.id.clone()).collect()
    }

    pub(crate) fn refusals(&self) -> Vec<String> {
        self.refusals.lock().expect("no client panics").clone()
    }

    /// Waits until each client has got a 250 for a message that it began after the call.
    ///
    /// A 250 waits for every earlier write of its log. What a next hop had taken before the call is
    /// then recorded on disk, for clients and messages of a session share a log.
    pub(crate) fn until_all_promised_again(&self) {
        let epoch = self.epoch.fetch_add(1, Ordering::Relaxed) + 1;
        until("each client has got another 250", || {
            let promises = self.promises();
            let recent = promises.iter().rev().take_while(|promise| promise.epoch >= epoch);
            let clients: BTreeSet<usize> = recent.map(|promise| promise.client).collect();
            clients.len() == CLIENTS
        });
    }

    fn promises(&self) -> MutexGuard<'_, Vec<Promise>> {
        self.promises.lock().expect("no client panics")
    }

    fn send_on(&self, port: u16, client: usize) {
        let mut session = None;
        for number in 0.. {
            if self.ended.load(Ordering::Relaxed) {
                return;
            }
            let epoch = self.epoch.load(Ordering::Relaxed);
            let token = format!("{}-{client}-{number}", self.name);
            let Some(reply) = send(&mut session, port, &token) else {
                session = None;
                std::thread::park_timeout(CALL_AGAIN);
                continue;
            };
            match reply.strip_prefix("250 2.0.0 Ok: queued as ") {
                Some(id) => {
                    let id = id.to_owned();
                    self.promises().push(Promise { client, token, id, epoch });
                }
                None => {
                    self.refusals.lock().expect("no client panics").push(reply);
                    session = None;
                    std::thread::park_timeout(CALL_AGAIN);
                }
            }
        }
    }
}

/// Ends a load when dropped: the clients' scope waits for them even when a test fails.
struct Ending<'a>(&'a Load);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The deciding reply to one message; `None` when there is no connection, or no longer.
fn send(session: &mut Option<Client>, port: u16, token: &str) -> Option<String> {
    if session.is_none() {
        *session = Client::greeted(port).ok();
    }
    transact(session.as_mut()?, token).ok()
}

/// One transaction: the reply to its end, or the first refusal before.
pub(crate) fn transact(client: &mut Client, token: &str) -> std::io::Result<String> {
    let rcpt = recipients(token).iter().map(|to| format!("RCPT TO:<{to}>"));
    let lines = std::iter::once(format!("MAIL FROM:<{SENDER}>")).chain(rcpt);
    for line in lines.chain(["DATA".into()]) {
        let reply = client.command(&line)?;
        if reply.starts_with(['4', '5']) {
            return Ok(format!("{line}: {reply}"));
        }
    }
    client.say(body(token).as_bytes())?;
    client.say(b".\r\n")?;
    client.reply()
}
