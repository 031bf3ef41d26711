//! Ways between hosts that are cut for a time: partitions, and holes that swallow one direction.
//!
//! As in TCP: what is sent into a hole is sent again until the way is open, and arrives late; a
//! sender that hears nothing for a quarter of an hour gives up; resets are sent once and lost.

use super::network::{Phase, Segment, SocketId};
use super::state::{Event, HostId, State};
use crate::time::Instant;
use std::collections::BTreeMap;
use std::time::Duration;

/// When Linux gives a connection up whose bytes nobody acknowledges (tcp_retries2 15).
const SEND_GIVES_UP: Duration = Duration::from_secs(924);

/// Ways that are cut, and until when.
#[derive(Default)]
pub(super) struct Links {
    cut: BTreeMap<(HostId, HostId), Instant>,
}

impl Links {
    /// Cuts the way from one host to another, at least until then.
    pub(super) fn cut(&mut self, from: HostId, to: HostId, until: Instant) {
        let end = self.cut.entry((from, to)).or_insert(until);
        *end = (*end).max(until);
    }

    /// Opens all ways. What was swallowed comes when it would have come.
    pub(super) fn mend(&mut self) {
        self.cut.clear();
    }

    /// When the way opens that is cut at `now`.
    fn opens(&self, from: HostId, to: HostId, now: Instant) -> Option<Instant> {
        self.cut.get(&(from, to)).copied().filter(|until| *until > now)
    }
}

impl State {
    /// When two hosts reach each other, both ways; `None`: they do now.
    pub(super) fn reach(&self, one: HostId, other: HostId) -> Option<Instant> {
        let links = &self.network.links;
        links.opens(one, other, self.now).max(links.opens(other, one, self.now))
    }

    /// When the way from a socket to its peer opens; `None`: it is open, or nobody knows the hosts.
    fn way_opens(&self, from: SocketId, to: SocketId) -> Option<Instant> {
        if self.network.links.cut.is_empty() {
            return None;
        }
        // One of the two may be gone; the other knows both hosts.
        let host = |id: SocketId| self.network.sockets.get(&id).map(|socket| socket.host);
        let remote = |id: SocketId| {
            let remote = self.network.sockets.get(&id)?.remote.ip();
            if remote.is_loopback() { host(id) } else { self.find_host(remote) }
        };
        let from_host = host(from).or_else(|| remote(to))?;
        let to_host = host(to).or_else(|| remote(from))?;
        self.network.links.opens(from_host, to_host, self.now)
    }

    /// How long a segment waits for its way to open; `None`: it never arrives.
    pub(super) fn swallow(
        &mut self,
        from: SocketId,
        to: SocketId,
        segment: &Segment,
    ) -> Option<Duration> {
        let Some(opens) = self.way_opens(from, to) else { return Some(Duration::ZERO) };
        self.trace.event(self.now, "swallowed", &[from.0 as i64, to.0 as i64]);
        match segment {
            Segment::Reset => None,
            Segment::Bytes(_) | Segment::End => self.wait_or_give_up(from, opens),
        }
    }

    /// What was sent again and again arrives when the way opens, unless the sender has given up.
    fn wait_or_give_up(&mut self, sender: SocketId, opens: Instant) -> Option<Duration> {
        let wait = opens.since(self.now);
        if wait < SEND_GIVES_UP {
            return Some(wait);
        }
        self.after(SEND_GIVES_UP, Event::GiveUp { socket: sender });
        None
    }

    /// The receiver has taken bytes: its peer may send as many again, once it hears of it.
    pub(super) fn acknowledge(&mut self, receiver: SocketId, sender: SocketId, count: usize) {
        match self.way_opens(receiver, sender) {
            None => self.acknowledged(sender, count),
            Some(opens) => {
                if let Some(wait) = self.wait_or_give_up(sender, opens) {
                    self.after(wait, Event::Acknowledged { socket: sender, count });
                }
            }
        }
    }

    /// A sender hears that its bytes were taken.
    pub(super) fn acknowledged(&mut self, sender: SocketId, count: usize) {
        let Some(socket) = self.network.socket(sender) else { return };
        socket.outstanding = socket.outstanding.saturating_sub(count);
        if socket.send.is_some() {
            self.wake_sender(sender);
        }
    }

    /// A connection whose bytes nobody acknowledges ends with ETIMEDOUT.
    pub(super) fn give_up(&mut self, id: SocketId) {
        let Some(socket) = self.network.socket(id) else { return };
        if let Phase::Broken(_) = socket.phase {
            return;
        }
        socket.phase = Phase::Broken(libc::ETIMEDOUT);
        self.trace.event(self.now, "gives up", &[id.0 as i64]);
        self.wake_sender(id);
        self.wake_receiver(id);
    }

    /// Cuts one way between two hosts, by chance.
    pub(super) fn dig_hole(&mut self, one: HostId, other: HostId) {
        let until = self.now + self.chance.time(&self.faults.hole_time);
        let (from, to) = if self.chance.hits(0.5) { (one, other) } else { (other, one) };
        self.trace.event(self.now, "hole", &[from.0 as i64, to.0 as i64]);
        self.network.links.cut(from, to, until);
    }
}
