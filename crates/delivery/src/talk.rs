//! One connection to a host: it carries bytes between a `ClientSession` and the wire.

use crate::encrypt::Manner;
use crate::idle::Call;
use crate::place::Place;
use crate::shard::Shard;
use crate::stint;
use crate::watch::Watch;
use crate::{Extension, ResolvedRoute, TlsWord};
use mail::{EnhancedStatus, Envelope, Event, EventKind, Field, Reason};
use queue::{LoadError, Loaded, Term, Ticket};
use reactor::{Hangup, Instant, Part};
use smtp::{
    ClientOptions, ClientSession, ClientStep, Encryption, Mechanisms, Transaction,
    TransactionResult,
};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;
use wire::Wire;

/// How long we read on after a send has failed: the peer's last words tell more than the failure.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A connection whose peer has greeted us.
pub(crate) struct Talk {
    wire: Wire,
    session: ClientSession,
    desk: Desk,
    watch: Watch,
    /// What ends the attempt that the session is for at present.
    term: Option<Term>,
    /// The host's name: what is asked for in a handshake.
    name: Box<str>,
    /// `name[address]:port`.
    pub(crate) host: Box<str>,
    /// How long it took to get here.
    pub(crate) connecting: Duration,
    /// Transactions so far.
    pub(crate) transactions: u32,
    /// Whether the session has ended, or must.
    over: bool,
    /// Whether the connection is of no use, not even for a goodbye.
    broken: bool,
    /// We have stopped it ourselves.
    stopped: bool,
    /// We have, since the message's time is over.
    expired: bool,
    /// In this transaction: bytes have come.
    heard: bool,
    /// In this transaction: the end of data has gone.
    ended: bool,
    /// How hands are shaken.
    manner: Manner,
    /// The version of TLS; `none` in the clear.
    pub(crate) tls: &'static str,
    /// Why hands could not be shaken.
    unshaken: Option<String>,
}

/// What became of handing a message over.
pub(crate) enum Handed {
    /// The session knows.
    Done(TransactionResult, Rc<Envelope>),
    /// The connection was dead before: nothing is known of the message, and nothing is lost.
    Stale,
    /// We stopped before the end of data; nothing is lost.
    Stopped,
    /// We stopped before the end of data, since the message's time is over.
    Over(TransactionResult),
    /// Our copy cannot be read.
    Unreadable(LoadError),
}

/// A connection in the books of the shard; it leaves them when this is dropped.
struct Desk {
    shard: Rc<Shard>,
    place: Rc<Place>,
    number: u64,
    greeted: bool,
    messages: u32,
}

impl Drop for Desk {
    fn drop(&mut self) {
        if self.greeted {
            self.place.parted();
            self.shard.counters().sample_session(self.messages);
        }
        self.shard.close_connection(self.number);
    }
}

/// Why there is no session.
struct Uncalled {
    reason: Reason,
    /// Whom we called.
    host: Box<str>,
    /// Hands could not be shaken.
    unshaken: bool,
}

/// A session with the host called `name` at `address`, encrypted as its route wants. After a
/// handshake that failed it is called once more, in the next [`Manner`].
///
/// # Errors
/// Why there is no session, and whom we called.
pub(crate) async fn call(
    shard: &Rc<Shard>,
    place: &Rc<Place>,
    name: &str,
    address: SocketAddr,
    term: Term,
) -> Result<Talk, (Reason, Box<str>)> {
    let mut manner = place.manner();
    loop {
        let uncalled = match call_once(shard, place, (name, address), term, manner).await {
            Ok(talk) => {
                if talk.tls != "none" {
                    place.learn_manner(manner);
                }
                return Ok(talk);
            }
            Err(uncalled) => uncalled,
        };
        let next = manner.next(place.route().tls).filter(|_| uncalled.unshaken);
        if uncalled.unshaken {
            note_failure(shard, place, &uncalled, manner, next);
        }
        match next {
            Some(next) => manner = next,
            None => return Err((uncalled.reason, uncalled.host)),
        }
    }
}

fn note_failure(
    shard: &Shard,
    place: &Place,
    uncalled: &Uncalled,
    manner: Manner,
    next: Option<Manner>,
) {
    let then = next.map_or("not tried again".to_owned(), |next| format!("now {}", next.words()));
    let reason = format!("{} ({}; {then})", uncalled.reason, manner.words());
    let event = Event::new(EventKind::TlsFailed)
        .text(Field::Destination, place.hop.as_str())
        .text(Field::Host, uncalled.host.clone())
        .text(Field::Reason, reason);
    shard.journal.record(event);
}

/// Connects to `address` of the host called `name` and waits until a message may be sent.
async fn call_once(
    shard: &Rc<Shard>,
    place: &Rc<Place>,
    (name, address): (&str, SocketAddr),
    term: Term,
    manner: Manner,
) -> Result<Talk, Uncalled> {
    let host: Box<str> = format!("{name}[{}]:{}", address.ip(), address.port()).into();
    let began = shard.now();
    let by = shard.by(began + shard.options().connect_timeout, Some(term));
    let source = source(&place.route().source, address);
    let stream = match shard.reactor.connect(address, source, by).await {
        Ok(stream) => stream,
        Err(error) => {
            shard.counters().count_session("unreachable");
            let reason = Reason::Network(format!("cannot connect to {host}: {}", error.kind()));
            return Err(Uncalled { reason, host, unshaken: false });
        }
    };
    let wire = Wire::new(&shard.reactor, stream);
    let mut talk = Talk::new(shard, place, wire, (name, host), manner);
    talk.term = Some(term);
    let step = talk.advance().await;
    talk.connecting = shard.now().since(began);
    match step {
        ClientStep::Ready => {
            shard.counters().count_session("established");
            talk.desk.greeted = true;
            place.greeted();
            Ok(talk)
        }
        ClientStep::Close(reason) => {
            shard.counters().count_session("refused");
            let host = talk.host.clone();
            let reason = reason.unwrap_or_else(|| Reason::Network("no greeting".into()));
            talk.over = true;
            let unshaken = talk.unshaken.is_some();
            talk.part().await;
            Err(Uncalled { reason, host, unshaken })
        }
        ClientStep::Transmit
        | ClientStep::Receive { .. }
        | ClientStep::Secure
        | ClientStep::Authenticate(_)
        | ClientStep::Respond(_)
        | ClientStep::SendBody
        | ClientStep::Finished(_) => unreachable!("no transaction has begun"),
    }
}

/// When the session begins to encrypt; `able`: there is something to do it with.
fn encryption(route: &ResolvedRoute, manner: Manner, able: bool) -> Encryption {
    match route.tls {
        TlsWord::Off => Encryption::Never,
        TlsWord::Opportunistic if !able || manner == Manner::Clear => Encryption::Never,
        TlsWord::Opportunistic => Encryption::Offered,
        TlsWord::Required | TlsWord::Verify => Encryption::Required,
    }
}

/// The local address to use towards `address`: the first of its family.
fn source(sources: &[IpAddr], address: SocketAddr) -> Option<IpAddr> {
    sources.iter().copied().find(|source| source.is_ipv4() == address.is_ipv4())
}

impl Talk {
    fn new(
        shard: &Rc<Shard>,
        place: &Rc<Place>,
        wire: Wire,
        (name, host): (&str, Box<str>),
        manner: Manner,
    ) -> Self {
        let (all, route) = (shard.options(), place.route());
        let may = |extension| !route.without.contains(&extension);
        let options = ClientOptions {
            hello: route.hello.clone(),
            lmtp: false,
            pipelining: may(Extension::Pipelining),
            chunking: may(Extension::Chunking),
            dsn: may(Extension::Dsn),
            utf8: may(Extension::Smtputf8),
            encryption: encryption(&route, manner, shard.encryptor().is_some()),
            authenticate: route.login.is_some(),
            eight_bit_bounces: all.eight_bit_bounces,
            greeting_timeout: all.greeting_timeout,
            command_timeout: all.command_timeout,
            data_timeout: all.data_timeout,
            end_of_data_timeout: all.end_of_data_timeout,
            ..ClientOptions::default()
        };
        let number = shard.open_connection(wire.interrupter());
        let watch = Watch::new(shard.now(), &all);
        let (shard, place) = (Rc::clone(shard), Rc::clone(place));
        Self {
            wire,
            session: ClientSession::new(Rc::new(options)),
            desk: Desk { shard, place, number, greeted: false, messages: 0 },
            watch,
            term: None,
            name: name.into(),
            host,
            connecting: Duration::ZERO,
            transactions: 0,
            over: false,
            broken: false,
            stopped: false,
            expired: false,
            heard: false,
            ended: false,
            manner,
            tls: "none",
            unshaken: None,
        }
    }

    /// Whether another transaction may begin.
    pub(crate) fn is_ready(&self) -> bool {
        !self.over
    }

    /// Counts a message that the peer took.
    pub(crate) fn count_message(&mut self) {
        self.desk.messages += 1;
    }

    /// Messages that the peer took.
    pub(crate) fn messages(&self) -> u32 {
        self.desk.messages
    }

    /// Hands one message over. Only while [`is_ready`](Self::is_ready).
    pub(crate) async fn hand_over(&mut self, ticket: &Ticket) -> Handed {
        let mut loaded = match self.desk.shard.queue.load(ticket).await {
            Ok(loaded) => loaded,
            Err(error) => return Handed::Unreadable(error),
        };
        self.session.begin(transaction(ticket, &loaded));
        (self.heard, self.ended) = (false, false);
        self.term = Some(ticket.term());
        let (now, options) = (self.desk.shard.now(), self.desk.shard.options());
        self.watch.begin(now, ticket.recipients.len(), loaded.bytes, &options);
        let reused = self.transactions > 0;
        self.transactions += 1;
        loop {
            match self.advance().await {
                ClientStep::SendBody => {
                    if self.desk.shard.is_over(self.term) {
                        self.lose(Hangup::TimedOut);
                    } else {
                        self.send_body(&mut loaded).await;
                    }
                }
                ClientStep::Finished(result) => {
                    self.term = None;
                    self.watch.rest();
                    self.over = !matches!(self.advance().await, ClientStep::Ready);
                    return self.judge(result, reused, loaded.envelope);
                }
                ClientStep::Transmit
                | ClientStep::Receive { .. }
                | ClientStep::Secure
                | ClientStep::Authenticate(_)
                | ClientStep::Respond(_)
                | ClientStep::Ready
                | ClientStep::Close(_) => unreachable!("a transaction ends with Finished"),
            }
        }
    }

    /// Until when to wait for what may take until `by`: not beyond the end of the message's time,
    /// until its end of data is out.
    fn by(&self, by: Instant) -> Instant {
        if self.ended { by } else { self.desk.shard.by(by, self.term) }
    }

    fn judge(&self, result: TransactionResult, reused: bool, envelope: Rc<Envelope>) -> Handed {
        if self.broken && !self.ended && !result.uncertain {
            if reused && !self.heard {
                return Handed::Stale;
            }
            if self.stopped {
                return Handed::Stopped;
            }
            if self.expired {
                return Handed::Over(result);
            }
        }
        Handed::Done(result, envelope)
    }

    /// Sends the body and, with its last block, the terminator, each block in one piece.
    async fn send_body(&mut self, loaded: &mut Loaded) {
        let mut sent = 0;
        loop {
            let mut parts = match loaded.body.next().await {
                Ok(Some(parts)) => parts,
                // The size that we were told was wrong, but nothing is missing.
                Ok(None) => return self.session.body_sent(),
                Err(_) => {
                    self.broken = true;
                    return self.session.body_failed();
                }
            };
            sent += parts.iter().map(|part| part.as_slice().len() as u64).sum::<u64>();
            let last = sent >= loaded.bytes;
            if last {
                parts.push(Part::Fixed(self.session.terminator()));
            }
            let now = self.desk.shard.now();
            let by = self.watch.send_by(now, self.desk.shard.options().data_timeout);
            // Once the terminator is on its way, its reply is awaited.
            let by = if last { by } else { self.by(by) };
            if let Err(hangup) = self.wire.send(parts, by).await {
                return self.fail(hangup).await;
            }
            if last {
                self.ended = true;
                self.watch.ended(self.desk.shard.now());
                return self.session.body_sent_with_terminator();
            }
        }
    }

    /// Carries bytes to and fro until the session wants something else.
    async fn advance(&mut self) -> ClientStep {
        loop {
            match self.session.step() {
                ClientStep::Transmit => self.transmit().await,
                ClientStep::Receive { within } => self.receive(within).await,
                // Boxed, as all that is rare: a session at work need not carry its room.
                ClientStep::Secure => Box::pin(self.secure()).await,
                ClientStep::Authenticate(offered) => self.authenticate(offered),
                ClientStep::Respond(challenge) => self.respond(&challenge),
                step @ (ClientStep::Ready
                | ClientStep::SendBody
                | ClientStep::Finished(_)
                | ClientStep::Close(_)) => return step,
            }
        }
    }

    async fn secure(&mut self) {
        let shard = Rc::clone(&self.desk.shard);
        let Some(encryptor) = shard.encryptor() else {
            return self.give_up("TLS is required, and there is nothing to encrypt with");
        };
        let setup = encryptor.setup(&self.desk.place.route(), self.manner);
        let by = self.by(self.watch.reply_by(shard.options().command_timeout));
        match self.wire.secure_as_client(setup, &self.name, by).await {
            Ok(secured) => {
                shard.counters().count_tls(secured.version);
                self.tls = secured.version;
                self.session.secured();
            }
            Err(failure) => {
                shard.counters().count_tls("failed");
                self.broken = true;
                self.unshaken = Some(failure.to_string());
                self.session.give_up(Reason::Network(failure.to_string()));
            }
        }
    }

    /// A password goes over an encrypted session only, unless the route says that it is in the
    /// clear.
    fn authenticate(&mut self, offered: Mechanisms) {
        let route = self.desk.place.route();
        let safe = self.tls != "none" || route.tls == TlsWord::Off;
        match &route.login {
            Some(login) if safe && offered.plain => {
                let message = format!("\0{}\0{}", login.user, login.password);
                self.session.authenticate("PLAIN", Some(message.as_bytes()));
            }
            Some(_) if safe && offered.login => self.session.authenticate("LOGIN", None),
            Some(_) if !safe => {
                self.give_up("a password goes over TLS only, or write tls = \"off\"")
            }
            Some(_) | None => self.give_up("the next hop offers neither PLAIN nor LOGIN"),
        }
    }

    /// LOGIN asks for the name, then for the password.
    fn respond(&mut self, challenge: &[u8]) {
        let route = self.desk.place.route();
        let asks = |word: &[u8]| {
            challenge.len() >= word.len() && challenge[..word.len()].eq_ignore_ascii_case(word)
        };
        match &route.login {
            Some(login) if asks(b"user") => self.session.respond(login.user.as_bytes()),
            Some(login) if asks(b"pass") => self.session.respond(login.password.as_bytes()),
            Some(_) | None => self.give_up("the next hop asks for what nobody knows"),
        }
    }

    fn give_up(&mut self, text: &str) {
        self.session.give_up(Reason::Policy(EnhancedStatus(4, 7, 0), text.to_owned()));
    }

    async fn transmit(&mut self) {
        let output = self.session.take_output();
        let within = self.desk.shard.options().command_timeout;
        let by = self.by(self.watch.send_by(self.desk.shard.now(), within));
        match self.wire.send(vec![Part::Bytes(output)], by).await {
            Ok(mut parts) => {
                self.watch.sent(self.desk.shard.now());
                match parts.pop() {
                    Some(Part::Bytes(output)) => self.session.sent(output),
                    Some(Part::Slice(_) | Part::Fixed(_)) | None => self.session.sent(Vec::new()),
                }
            }
            Err(hangup) => self.fail(hangup).await,
        }
    }

    async fn receive(&mut self, within: Duration) {
        let by = self.by(self.watch.reply_by(within));
        match self.wire.recv(by).await {
            Ok(bytes) => {
                self.heard = true;
                self.watch.heard(self.desk.shard.now(), &bytes);
                self.session.receive(&bytes);
            }
            // A transfer whose end of data is out is waited for: giving up would duplicate it.
            Err(Hangup::Interrupted) if self.ended || !self.desk.shard.is_draining() => {}
            Err(hangup) => self.lose(hangup),
        }
    }

    /// A send has failed: what the peer had to say comes first.
    async fn fail(&mut self, hangup: Hangup) {
        if hangup != Hangup::TimedOut {
            self.read_to_the_end().await;
        }
        self.lose(hangup);
    }

    async fn read_to_the_end(&mut self) {
        let by = self.desk.shard.now() + LAST_WORDS;
        loop {
            match self.wire.recv(by).await {
                Ok(bytes) => {
                    self.heard = true;
                    self.session.receive(&bytes);
                }
                Err(Hangup::Interrupted) => {}
                Err(Hangup::Closed | Hangup::Broken(_) | Hangup::TimedOut) => return,
            }
        }
    }

    fn lose(&mut self, hangup: Hangup) {
        self.broken = true;
        self.session.lost(match hangup {
            Hangup::Closed => smtp::Hangup::Closed,
            Hangup::Broken(_) => smtp::Hangup::Reset,
            Hangup::TimedOut => {
                self.expired |= !self.ended && self.desk.shard.is_over(self.term);
                smtp::Hangup::TimedOut
            }
            Hangup::Interrupted => {
                self.stopped = true;
                smtp::Hangup::Shutdown
            }
        });
    }

    /// Waits for the next message of its place, as long as `idle` and the permit allow.
    pub(crate) async fn idle(&mut self) -> Option<Ticket> {
        let (shard, place) = (Rc::clone(&self.desk.shard), Rc::clone(&self.desk.place));
        let began = shard.now();
        let until = began + shard.options().idle;
        loop {
            let seat = shard.idle.sit(&place, self.wire.interrupter());
            shard.tell_wanted(&place);
            self.listen(until.min(stint::patience(began, place.idle_contended_since()))).await;
            let call = seat.called();
            drop(seat);
            if call == Call::Mail {
                place.arrived();
            }
            if self.over || call == Call::Leave || shard.is_draining() {
                return None;
            }
            if let Some(ticket) = shard.take(&place) {
                return Some(ticket);
            }
            let patience = stint::patience(began, place.idle_contended_since());
            if shard.now() >= until.min(patience) {
                return None;
            }
        }
    }

    /// Waits until somebody calls, or the peer does what it should not.
    async fn listen(&mut self, by: Instant) {
        match self.wire.recv(by).await {
            Ok(bytes) => {
                // Nobody asked: 421, mostly. The session says that it is over.
                self.session.receive(&bytes);
                self.over = true;
            }
            Err(Hangup::Interrupted | Hangup::TimedOut) => {}
            Err(hangup @ (Hangup::Closed | Hangup::Broken(_))) => {
                self.lose(hangup);
                self.over = true;
            }
        }
    }

    /// Says goodbye where that makes sense, and closes.
    pub(crate) async fn part(mut self) {
        if !self.over && matches!(self.session.step(), ClientStep::Ready) {
            self.session.quit();
            self.advance().await;
        }
        if self.broken {
            self.wire.abort();
        } else {
            // The peer has nothing to do with it any more, nor has our permit.
            let reactor = self.desk.shard.reactor.clone();
            reactor.spawn(self.wire.close());
        }
    }
}

fn transaction(ticket: &Ticket, loaded: &Loaded) -> Transaction {
    let envelope = &loaded.envelope;
    let path = |index: &u32| envelope.recipients[*index as usize].clone();
    let recipients = ticket.recipients.iter().map(path).collect();
    // SIZE is the size without dot-stuffing (RFC 1870 §3).
    let bytes = loaded.bytes.saturating_sub(loaded.stuffed_lines);
    Transaction {
        body: envelope.body,
        utf8: envelope.utf8,
        plain: loaded.stuffed_lines == 0 || reactor::mutated("stuffing-kept"),
        ..Transaction::new(envelope.reverse_path.clone(), recipients, bytes)
    }
}
