//! Carries messages between shards, and loses none.

use crate::home::HomeMessage;
use reactor::Sender;
use std::cell::RefCell;
use std::collections::VecDeque;

/// The way to the other shards. A message that finds a full channel waits here: a lost permit would
/// be lost for ever.
pub(crate) struct Post {
    peers: Vec<Sender<HomeMessage>>,
    waiting: RefCell<Vec<VecDeque<HomeMessage>>>,
}

impl Post {
    /// `peers` by shard number; our own is never used.
    pub(crate) fn new(peers: Vec<Sender<HomeMessage>>) -> Self {
        let waiting = peers.iter().map(|_| VecDeque::new()).collect();
        Self { peers, waiting: RefCell::new(waiting) }
    }

    /// Sends `message` to `shard`, behind what waits.
    pub(crate) fn send(&self, shard: usize, message: HomeMessage) {
        self.waiting.borrow_mut()[shard].push_back(message);
        self.push(shard);
    }

    /// Tries again what waits; whether something still does.
    pub(crate) fn retry(&self) -> bool {
        (0..self.peers.len()).for_each(|shard| self.push(shard));
        self.is_waiting()
    }

    /// Whether something waits.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.borrow().iter().any(|waiting| !waiting.is_empty())
    }

    fn push(&self, shard: usize) {
        let waiting = &mut self.waiting.borrow_mut()[shard];
        while let Some(message) = waiting.pop_front() {
            if let Err(message) = self.peers[shard].try_send(message) {
                waiting.push_front(message);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destination::Change;
    use crate::home::Content;
    use mail::NextHop;

    #[test]
    fn a_full_channel_delays_messages_and_keeps_their_order() {
        let (sender, mut receiver) = reactor::channel(2);
        let post = Post::new(vec![sender]);
        for number in 0..5 {
            let hop = NextHop::new("discard");
            post.send(0, HomeMessage { hop, content: Content::Tell(Change::Grant(number)) });
        }
        let mut arrived = Vec::new();
        while let Some(HomeMessage { content: Content::Tell(Change::Grant(n)), .. }) =
            receiver.try_recv()
        {
            arrived.push(n);
            post.retry();
        }
        assert_eq!(arrived, [0, 1, 2, 3, 4]);
        assert!(!post.is_waiting());
    }
}
