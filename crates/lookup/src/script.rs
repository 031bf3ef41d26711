//! The twin that answers from a table.

use crate::{AddressAnswer, Answer, Answered, Ask, LookupError, MxAnswer, MxHost};
use crate::{Request, Resolver};
use mail::Domain;
use reactor::{Reactor, Receiver};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

/// How long scripted answers are valid.
const VALID: Duration = Duration::from_secs(300);

/// A table of answers, for tests and the simulation. What is not in it does not exist. Cloning
/// gives another handle to the same table, which may change while it is asked.
#[derive(Clone, Default)]
pub struct Script {
    table: Rc<RefCell<BTreeMap<Ask, Answered>>>,
    asked: Rc<Cell<u64>>,
}

impl Script {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives `domain` MX records. Panics when a name is none: scripts are written by us.
    #[must_use]
    pub fn mx(self, domain: &str, hosts: &[(u16, &str)]) -> Self {
        let host = |&(preference, name): &(u16, &str)| MxHost { preference, name: parsed(name) };
        let hosts = hosts.iter().map(host).collect();
        self.answer(Ask::Mx(parsed(domain)), Answer::Mx(MxAnswer::Hosts(hosts)));
        self
    }

    /// Gives `host` addresses, and, unless it has MX records, makes it its own mail host. Panics
    /// when the name is none.
    #[must_use]
    pub fn host(self, host: &str, addresses: &[IpAddr]) -> Self {
        let name = parsed(host);
        let answer = Answer::Addresses(AddressAnswer::Addresses(addresses.to_vec()));
        self.answer(Ask::Addresses(name.clone()), answer);
        let implicit = Ok((Answer::Mx(MxAnswer::Implicit), VALID));
        self.table.borrow_mut().entry(Ask::Mx(name)).or_insert(implicit);
        self
    }

    /// Sets one answer.
    pub fn answer(&self, ask: Ask, answer: Answer) {
        self.table.borrow_mut().insert(ask, Ok((answer, VALID)));
    }

    /// Makes one question fail.
    pub fn fail(&self, ask: Ask, why: &str) {
        self.table.borrow_mut().insert(ask, Err(LookupError::Temporary(why.into())));
    }

    /// Questions that reached the table.
    pub fn asked(&self) -> u64 {
        self.asked.get()
    }

    /// A resolver over this table, on the same reactor.
    pub fn resolver(&self, reactor: &Reactor) -> Resolver {
        let (requests, inbox) = reactor::channel(1024);
        reactor.spawn(self.clone().serve(reactor.clone(), inbox));
        Resolver::new(reactor, requests, Duration::from_secs(5))
    }

    /// Answers requests until nobody can ask any more.
    pub async fn serve(self, reactor: Reactor, mut inbox: Receiver<Request>) {
        while let Some(request) = inbox.recv(&reactor).await {
            self.asked.set(self.asked.get() + 1);
            let known = self.table.borrow().get(&request.question).cloned();
            let result = known.unwrap_or_else(|| Ok((absent(&request.question), VALID)));
            request.reply.send(result);
        }
    }
}

fn absent(question: &Ask) -> Answer {
    match question {
        Ask::Mx(_) => Answer::Mx(MxAnswer::NoSuchDomain),
        Ask::Addresses(_) => Answer::Addresses(AddressAnswer::NoSuchDomain),
    }
}

fn parsed(name: &str) -> Domain {
    Domain::parse(name).expect("a script has good names")
}
