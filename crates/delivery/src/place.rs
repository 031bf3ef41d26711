//! A next hop as one shard sees it: its sessions, its permits, its mail.

use crate::encrypt::Manner;
use crate::{DestinationView, ResolvedRoute};
use mail::NextHop;
use reactor::Instant;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

/// A next hop on this shard; its sessions share it.
pub(crate) struct Place {
    /// Its name.
    pub(crate) hop: NextHop,
    state: RefCell<State>,
}

/// Plain numbers; every method of [`Place`] borrows them for itself alone.
struct State {
    route: Rc<ResolvedRoute>,
    /// Permits, each with the session that has it.
    held: usize,
    /// Sessions that wait for mail, longest first.
    idle: VecDeque<u64>,
    /// Messages due, as far as we know.
    due: usize,
    /// Sessions on their way to one of them.
    coming: usize,
    /// Sessions that the home was told we want.
    told: usize,
    /// Permits that we may keep while others wait.
    keep: usize,
    /// Since when others wait for what is over it.
    contended_since: Option<Instant>,
    window: usize,
    resting_until: Option<Instant>,
    /// Whether the next success is worth telling at once.
    troubled: bool,
    /// Deliveries since the last report.
    cohort: usize,
    /// Sessions that have been greeted.
    established: usize,
    /// What the peer taught us with 421.
    messages_max: u32,
    last_reply: Option<Box<str>>,
    /// How hands could be shaken the last time.
    manner: Manner,
    /// Whether messages are being settled without a session.
    swallowing: bool,
}

impl Place {
    pub(crate) fn new(hop: NextHop, route: Rc<ResolvedRoute>) -> Self {
        let state = State {
            route,
            held: 0,
            idle: VecDeque::new(),
            due: 0,
            coming: 0,
            told: 0,
            keep: usize::MAX,
            contended_since: None,
            window: 0,
            resting_until: None,
            troubled: false,
            cohort: 0,
            established: 0,
            messages_max: u32::MAX,
            last_reply: None,
            manner: Manner::default(),
            swallowing: false,
        };
        Self { hop, state: RefCell::new(state) }
    }

    /// What the hop means at present.
    pub(crate) fn route(&self) -> Rc<ResolvedRoute> {
        Rc::clone(&self.state.borrow().route)
    }

    /// Takes over a changed route.
    pub(crate) fn set_route(&self, route: Rc<ResolvedRoute>) {
        self.state.borrow_mut().route = route;
    }

    /// Notes how many messages are due.
    pub(crate) fn set_due(&self, due: usize) {
        self.state.borrow_mut().due = due;
    }

    /// Whether some message is due that no session is on its way to.
    pub(crate) fn needs_session(&self) -> bool {
        let state = self.state.borrow();
        state.due > state.coming
    }

    /// A session is on its way to a message.
    pub(crate) fn expect(&self) {
        self.state.borrow_mut().coming += 1;
    }

    /// It is there, and looks for one.
    pub(crate) fn arrived(&self) {
        self.state.borrow_mut().coming -= 1;
    }

    /// One message less is due.
    pub(crate) fn took(&self) {
        let mut state = self.state.borrow_mut();
        state.due = state.due.saturating_sub(1);
    }

    /// How many sessions we have use for: one for each message due beside those at work, or those
    /// that we have, or none when all of them wait. What lies between is nobody's concern, so that
    /// a session that waits for a moment costs no word to the home.
    fn wanted(&self) -> usize {
        let state = self.state.borrow();
        let busy = state.held - state.idle.len();
        let alone = state.due.saturating_sub(state.coming);
        let wanted = (busy + alone).min(state.route.sessions);
        match wanted {
            0 => 0,
            _ => wanted.max(state.held),
        }
    }

    /// What to tell the home, when it is news.
    pub(crate) fn news(&self) -> Option<usize> {
        let wanted = self.wanted();
        let told = std::mem::replace(&mut self.state.borrow_mut().told, wanted);
        (told != wanted).then_some(wanted)
    }

    /// A permit was granted, and a session begins with it.
    pub(crate) fn gain(&self) {
        let mut state = self.state.borrow_mut();
        state.held += 1;
        if state.held > state.keep {
            // The home gives no more than may be kept: its word on that is on the way.
            state.keep = state.held;
        }
    }

    /// A session has ended, and its permit goes back. Returns how many we want now.
    pub(crate) fn give_back(&self) -> usize {
        {
            let mut state = self.state.borrow_mut();
            state.held -= 1;
            if state.held <= state.keep {
                state.contended_since = None;
            }
        }
        let wanted = self.wanted();
        self.state.borrow_mut().told = wanted;
        wanted
    }

    /// Notes how many we may keep while others wait. Returns whether that is fewer than we have.
    pub(crate) fn set_keep(&self, keep: usize, now: Instant) -> bool {
        let mut state = self.state.borrow_mut();
        state.keep = keep;
        let contended = state.held > keep;
        state.contended_since = contended.then(|| state.contended_since.unwrap_or(now));
        contended
    }

    /// Since when another shard waits for the permit of a session at work. That none may be kept
    /// was said when all sessions waited for mail: it is not meant for one at work.
    pub(crate) fn contended_since(&self) -> Option<Instant> {
        let state = self.state.borrow();
        state.contended_since.filter(|_| state.keep > 0)
    }

    /// Since when another shard waits for the permit of a session without mail.
    pub(crate) fn idle_contended_since(&self) -> Option<Instant> {
        self.state.borrow().contended_since
    }

    /// Notes how the destination stands.
    pub(crate) fn set_standing(&self, window: usize, resting_until: Option<Instant>) {
        let mut state = self.state.borrow_mut();
        state.window = window;
        state.resting_until = resting_until;
        state.troubled |= resting_until.is_some();
    }

    /// A session waits for mail, in this seat.
    pub(crate) fn sit(&self, seat: u64) {
        self.state.borrow_mut().idle.push_back(seat);
    }

    /// A session waits no longer.
    pub(crate) fn rise(&self, seat: u64) {
        self.state.borrow_mut().idle.retain(|taken| *taken != seat);
    }

    /// The seat of the session that has waited least: so the others come to their end.
    pub(crate) fn last_seated(&self) -> Option<u64> {
        self.state.borrow().idle.back().copied()
    }

    /// The seats of all sessions that wait for mail.
    pub(crate) fn seated(&self) -> Vec<u64> {
        self.state.borrow().idle.iter().copied().collect()
    }

    /// A session has been greeted.
    pub(crate) fn greeted(&self) {
        self.state.borrow_mut().established += 1;
    }

    /// A session has done its work. Returns whether the home should hear of it at once.
    pub(crate) fn is_well_again(&self) -> bool {
        std::mem::take(&mut self.state.borrow_mut().troubled)
    }

    /// A greeted session has ended.
    pub(crate) fn parted(&self) {
        self.state.borrow_mut().established -= 1;
    }

    /// Whether some session has been greeted and has not ended.
    pub(crate) fn is_established(&self) -> bool {
        self.state.borrow().established > 0
    }

    /// Notes a delivered message; the cohort to report, when there is one. A window that cannot
    /// grow needs fewer words.
    pub(crate) fn delivered(&self) -> Option<usize> {
        let mut state = self.state.borrow_mut();
        state.cohort += 1;
        let growing = state.window < state.route.sessions;
        let cohort = if growing { state.held.max(1) } else { 256 };
        (state.cohort >= cohort).then(|| std::mem::take(&mut state.cohort))
    }

    /// Messages that one session may carry.
    pub(crate) fn messages_per_session(&self) -> u32 {
        let state = self.state.borrow();
        state.route.messages_per_session.min(state.messages_max)
    }

    /// The peer has closed after so many: next time we stop before.
    pub(crate) fn learn_limit(&self, messages: u32) {
        self.state.borrow_mut().messages_max = messages.max(1);
    }

    /// How to begin the next handshake.
    pub(crate) fn manner(&self) -> Manner {
        self.state.borrow().manner
    }

    /// Notes what worked. That it had to go in the clear is not remembered: the next session tries
    /// again.
    pub(crate) fn learn_manner(&self, manner: Manner) {
        if manner != Manner::Clear {
            self.state.borrow_mut().manner = manner;
        }
    }

    /// Notes what the peer or the network said last.
    pub(crate) fn note_reply(&self, reply: impl Into<Box<str>>) {
        self.state.borrow_mut().last_reply = Some(reply.into());
    }

    /// Begins to settle messages without a session; `false` when somebody does already.
    pub(crate) fn begin_swallowing(&self) -> bool {
        !std::mem::replace(&mut self.state.borrow_mut().swallowing, true)
    }

    /// Ends it.
    pub(crate) fn end_swallowing(&self) {
        self.state.borrow_mut().swallowing = false;
    }

    /// Whether nothing is lost by forgetting it.
    pub(crate) fn is_unused(&self) -> bool {
        let state = self.state.borrow();
        state.held == 0 && state.due == 0 && state.told == 0 && !state.swallowing
    }

    /// As operators see it.
    pub(crate) fn view(&self) -> DestinationView {
        let state = self.state.borrow();
        DestinationView {
            name: self.hop.to_string(),
            window: state.window,
            sessions: state.held,
            resting_until: state.resting_until,
            last_reply: state.last_reply.as_deref().map(str::to_owned),
            queued: state.due,
        }
    }
}
