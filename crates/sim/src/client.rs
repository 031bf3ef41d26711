//! Clients that send messages and remember what they were promised.

use crate::checkers::Checker;
use crate::checkers::replies::Replies;
use crate::message::Message;
use crate::yard::{CLIENTS, PORT, RELAY, Yard};
use mail::Outcome;
use reactor::{Hangup, Part, Reactor};
use smtp::{ClientOptions, ClientSession, ClientStep, TransactionResult};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use wire::Wire;

/// Messages of one session at most.
const MESSAGES_PER_SESSION: u64 = 8;

/// The clients' machine.
pub(crate) struct Clients {
    reactor: Reactor,
}

impl Clients {
    /// Starts the client tasks.
    pub(crate) fn start(yard: &Rc<Yard>) -> Self {
        let reactor = yard.world.host(CLIENTS).start().reactor();
        let clients = Self { reactor };
        for _ in 0..yard.plan.clients {
            clients.begin(yard);
        }
        clients
    }

    /// Starts one more.
    pub(crate) fn begin(&self, yard: &Rc<Yard>) {
        yard.clients.set(yard.clients.get() + 1);
        self.reactor.spawn(live(Rc::clone(yard), self.reactor.clone()));
    }
}

/// One client: session after session, until there is nothing to send or the trouble is over.
async fn live(yard: Rc<Yard>, reactor: Reactor) {
    while yard.has_more_to_send() {
        let by = reactor.now() + Duration::from_secs(30);
        let address = SocketAddr::new(RELAY, PORT);
        if let Ok(stream) = reactor.connect(address, None, by).await {
            let wire = Wire::new(&reactor, stream);
            let mut client = Client::new(&yard, &reactor);
            match client.converse(&wire).await {
                Ok(()) => wire.close().await,
                Err(Rude) => wire.abort(),
            }
        }
        // Spread over the trouble, so that every blow finds some of them under way.
        let pause = if yard.healthy.get() {
            Duration::from_secs(5)
        } else {
            yard.plan.trouble * yard.plan.clients / yard.plan.messages.max(1)
        };
        reactor.sleep(reactor.now() + yard.time(&(Duration::ZERO..2 * pause))).await;
    }
    yard.clients.set(yard.clients.get() - 1);
}

/// A client hangs up in the middle.
struct Rude;

struct Client<'a> {
    yard: &'a Yard,
    reactor: &'a Reactor,
    session: ClientSession,
    left: u64,
    message: Option<Rc<Message>>,
    /// Reads along.
    replies: Replies,
}

impl<'a> Client<'a> {
    fn new(yard: &'a Yard, reactor: &'a Reactor) -> Self {
        let options = ClientOptions {
            hello: "client.example".into(),
            pipelining: !yard.hits(0.3),
            chunking: yard.hits(0.5),
            ..ClientOptions::default()
        };
        let left = 1 + yard.below(MESSAGES_PER_SESSION);
        let session = ClientSession::new(Rc::new(options));
        Self { yard, reactor, session, left, message: None, replies: Replies::new() }
    }

    async fn converse(&mut self, wire: &Wire) -> Result<(), Rude> {
        loop {
            match self.session.step() {
                ClientStep::Transmit => self.transmit(wire).await,
                ClientStep::Receive { within } => self.receive(wire, within).await,
                ClientStep::Secure | ClientStep::Authenticate(_) | ClientStep::Respond(_) => {
                    unreachable!("the options ask for neither")
                }
                ClientStep::Ready => self.begin(),
                ClientStep::SendBody => self.send_body(wire).await?,
                ClientStep::Finished(result) => self.finish(&result),
                ClientStep::Close(_) => return Ok(()),
            }
        }
    }

    fn begin(&mut self) {
        let number = self.yard.next_number.get();
        if self.left == 0 || !self.yard.has_more_to_send() {
            self.session.quit();
            return;
        }
        self.left -= 1;
        self.yard.next_number.set(number + 1);
        let plan = &self.yard.plan;
        let message = Rc::new(Message::of_size(plan.seed, number, plan.message_bytes));
        self.yard.world.note(&format!("client begins message {number}"));
        self.session.begin(message.transaction());
        self.yard.ledger.borrow_mut().submit(&message);
        self.message = Some(message);
    }

    async fn transmit(&mut self, wire: &Wire) {
        let output = self.session.take_output();
        self.replies.sent(&output);
        let by = self.reactor.now() + Duration::from_secs(300);
        match wire.send(vec![Part::Bytes(output)], by).await {
            Ok(_) => self.session.sent(Vec::new()),
            Err(hangup) => self.session.lost(translate(hangup)),
        }
    }

    async fn receive(&mut self, wire: &Wire, within: Duration) {
        match wire.recv(self.reactor.now() + within).await {
            Ok(bytes) => {
                for what in self.replies.received(&bytes) {
                    self.yard.wrong(Checker::Replies, what);
                }
                for id in self.replies.take_queued() {
                    if !self.yard.ledger.borrow_mut().is_new_id(&id) {
                        self.yard.wrong(Checker::Replies, format!("id {id} is given twice"));
                    }
                }
                self.session.receive(&bytes);
            }
            Err(hangup) => self.session.lost(translate(hangup)),
        }
    }

    /// Sends the body in pieces, now and then with a pause, now and then not to its end.
    async fn send_body(&mut self, wire: &Wire) -> Result<(), Rude> {
        let message = self.message.as_ref().expect("a body belongs to a message");
        let mut rest = &message.body[..];
        let whole = self.yard.hits(0.5);
        // BDAT has told the length: the last byte is the end.
        let by_length = self.session.terminator().is_empty();
        while !rest.is_empty() {
            let most = rest.len() as u64;
            let count = if whole { most } else { 1 + self.yard.below(most) } as usize;
            let (now, later) = rest.split_at(count);
            rest = later;
            if rest.is_empty() && by_length {
                self.yard.ledger.borrow_mut().end_of_data(message.number);
            }
            let by = self.reactor.now() + Duration::from_secs(180);
            if let Err(hangup) = wire.send(vec![Part::Bytes(now.to_vec())], by).await {
                self.session.lost(translate(hangup));
                return Ok(());
            }
            if !self.yard.healthy.get() && self.yard.hits(0.02) {
                return Err(Rude);
            }
            if self.yard.hits(0.1) {
                let pause = self.yard.time(&(Duration::ZERO..Duration::from_secs(5)));
                self.reactor.sleep(self.reactor.now() + pause).await;
            }
        }
        self.yard.ledger.borrow_mut().end_of_data(message.number);
        self.session.body_sent();
        Ok(())
    }

    fn finish(&mut self, result: &TransactionResult) {
        let message = self.message.take().expect("a result belongs to a message");
        let number = message.number;
        for (index, outcome) in result.outcomes.iter().enumerate() {
            let Outcome::Delivered { .. } = outcome else { continue };
            if index >= message.domains.len() {
                self.yard.wrong(Checker::Replies, format!("message {number} is relayed abroad"));
            } else if let Some(spoilt) = message.spoilt {
                let what = format!("message {number} is taken with a {spoilt:?} in it");
                self.yard.wrong(Checker::Replies, what);
            } else {
                self.yard.world.note(&format!("message {number} is promised to {index}"));
                self.yard.ledger.borrow_mut().promise(number, index);
            }
        }
    }
}

fn translate(hangup: Hangup) -> smtp::Hangup {
    match hangup {
        Hangup::Closed => smtp::Hangup::Closed,
        Hangup::TimedOut => smtp::Hangup::TimedOut,
        Hangup::Broken(_) | Hangup::Interrupted => smtp::Hangup::Reset,
    }
}
