//! What a shard asks.

use crate::cache::Cache;
use crate::request::Replied;
use crate::{AddressAnswer, Answer, Answered, Ask, LookupError, MxAnswer, Reply, Request};
use mail::Domain;
use reactor::{Instant, Reactor, Receiver, Sender, Signal};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::Duration;

/// Questions that one shard may have open at a time.
const OPEN_MAX: usize = 4096;

/// Answers questions of one shard: from its cache, else from the network. Cloning gives another
/// handle to the same one.
///
/// One question about a name is in flight at a time, however many want to know. An answer whose
/// time has run out serves up to an hour longer when no new one can be had.
#[derive(Clone)]
pub struct Resolver {
    core: Rc<Core>,
}

struct Core {
    reactor: Reactor,
    requests: Sender<Request>,
    back: Sender<Replied>,
    patience: Duration,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    cache: Cache,
    in_flight: HashMap<Ask, Rc<Flight>>,
    by_number: BTreeMap<u64, Ask>,
    next: u64,
}

/// A question on its way.
struct Flight {
    landed: Signal,
    result: RefCell<Option<Result<Answer, LookupError>>>,
}

impl Resolver {
    /// A resolver that sends its questions to `requests` and waits up to `patience` for an answer.
    pub fn new(reactor: &Reactor, requests: Sender<Request>, patience: Duration) -> Self {
        let (back, replies) = reactor::channel(OPEN_MAX);
        let core = Rc::new(Core {
            reactor: reactor.clone(),
            requests,
            back,
            patience,
            state: RefCell::default(),
        });
        reactor.spawn(Rc::clone(&core).take_replies(replies));
        Self { core }
    }

    /// Who takes mail for `domain`.
    ///
    /// # Errors
    /// When the name system gives no answer and no older one serves.
    pub async fn mx(&self, domain: &Domain) -> Result<MxAnswer, LookupError> {
        match self.core.ask(Ask::Mx(domain.clone())).await? {
            Answer::Mx(answer) => Ok(answer),
            Answer::Addresses(_) => Err(wrong_kind()),
        }
    }

    /// The addresses of `host`.
    ///
    /// # Errors
    /// When the name system gives no answer and no older one serves.
    pub async fn addresses(&self, host: &Domain) -> Result<AddressAnswer, LookupError> {
        match self.core.ask(Ask::Addresses(host.clone())).await? {
            Answer::Addresses(answer) => Ok(answer),
            Answer::Mx(_) => Err(wrong_kind()),
        }
    }

    /// Answers in the cache.
    pub fn cached(&self) -> usize {
        self.core.state.borrow().cache.len()
    }
}

fn wrong_kind() -> LookupError {
    LookupError::Temporary("the resolver answered another question".into())
}

impl Core {
    async fn ask(&self, ask: Ask) -> Result<Answer, LookupError> {
        let by = self.reactor.now() + self.patience;
        if let Some(answer) = self.state.borrow_mut().cache.fresh(&ask, self.reactor.now()) {
            return Ok(answer);
        }
        let result = match self.flight(&ask) {
            Some(flight) => flight.wait(by).await,
            None => Err(LookupError::Temporary("too many questions are open".into())),
        };
        result.or_else(|error| self.older(&ask).ok_or(error))
    }

    /// The flight that will answer `ask`: one under way, or a new one.
    fn flight(&self, ask: &Ask) -> Option<Rc<Flight>> {
        let mut state = self.state.borrow_mut();
        if let Some(flight) = state.in_flight.get(ask) {
            return Some(Rc::clone(flight));
        }
        if state.by_number.len() >= OPEN_MAX {
            return None;
        }
        let number = state.next;
        state.next += 1;
        let flight =
            Rc::new(Flight { landed: Signal::new(&self.reactor), result: RefCell::new(None) });
        state.in_flight.insert(ask.clone(), Rc::clone(&flight));
        state.by_number.insert(number, ask.clone());
        // Outside of the borrow: a request that finds no room is dropped, and its reply with it,
        // which comes back to us as the answer that nobody answered.
        drop(state);
        let reply = Reply::new(number, self.back.clone());
        drop(self.requests.try_send(Request { question: ask.clone(), reply }));
        Some(flight)
    }

    /// An answer whose time has run out, but not long ago.
    fn older(&self, ask: &Ask) -> Option<Answer> {
        self.state.borrow_mut().cache.stale(ask, self.reactor.now())
    }

    async fn take_replies(self: Rc<Self>, mut replies: Receiver<Replied>) {
        while let Some(Replied { number, result }) = replies.recv(&self.reactor).await {
            self.land(number, result);
        }
    }

    fn land(&self, number: u64, result: Answered) {
        let mut state = self.state.borrow_mut();
        let Some(ask) = state.by_number.remove(&number) else { return };
        let flight = state.in_flight.remove(&ask).expect("numbered while in flight");
        let result = result.map(|(answer, valid)| {
            let now = self.reactor.now();
            state.cache.insert(ask, answer.clone(), valid, now);
            answer
        });
        *flight.result.borrow_mut() = Some(result);
        flight.landed.notify_all();
    }
}

impl Flight {
    async fn wait(&self, by: Instant) -> Result<Answer, LookupError> {
        loop {
            if let Some(result) = self.result.borrow().clone() {
                return result;
            }
            if !self.landed.wait(by).await && self.result.borrow().is_none() {
                return Err(LookupError::Temporary("the resolver did not answer in time".into()));
            }
        }
    }
}
