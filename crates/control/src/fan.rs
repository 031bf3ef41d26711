//! Asks all shards, waits for all of them, and says who did not answer.

use crate::order::{Answer, Order};
use reactor::Sender;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long a shard may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The shards, as the control plane reaches them.
pub(crate) struct Shards {
    orders: Vec<Sender<Order>>,
}

/// What the shards said.
pub(crate) struct Answers<T> {
    /// The answers, in the order of the shards.
    pub(crate) given: Vec<T>,
    /// The numbers of shards that did not answer.
    pub(crate) silent: Vec<usize>,
}

impl Shards {
    pub(crate) fn new(orders: Vec<Sender<Order>>) -> Self {
        Self { orders }
    }

    /// Gives each shard the order that `order` makes, and waits a few seconds.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        order: impl FnMut(Answer<T>) -> Order,
    ) -> Answers<T> {
        self.ask_within(PATIENCE, order).await
    }

    /// Gives each shard the order that `order` makes, and waits until `patience` has passed.
    pub(crate) async fn ask_within<T: Send + 'static>(
        &self,
        patience: Duration,
        mut order: impl FnMut(Answer<T>) -> Order,
    ) -> Answers<T> {
        let by = tokio::time::Instant::now() + patience;
        let mut waiting = Vec::with_capacity(self.orders.len());
        for sender in &self.orders {
            let (answer, answered) = oneshot::channel();
            let answer = Box::new(move |value| {
                // Nobody waits any more once the time is over.
                drop(answer.send(value));
            });
            // An order that finds no room is dropped, and its answer with it: the shard is silent.
            drop(sender.try_send(order(answer)));
            waiting.push(answered);
        }
        let mut answers = Answers { given: Vec::new(), silent: Vec::new() };
        for (shard, answered) in waiting.into_iter().enumerate() {
            match tokio::time::timeout_at(by, answered).await {
                Ok(Ok(value)) => answers.given.push(value),
                Ok(Err(_)) | Err(_) => answers.silent.push(shard),
            }
        }
        answers
    }

    /// Gives each shard an order of its own, for which nobody waits; the numbers of those that
    /// could not be reached come back.
    pub(crate) fn tell(&self, orders: impl IntoIterator<Item = Order>) -> Vec<usize> {
        let told = self.orders.iter().zip(orders).enumerate();
        told.filter_map(|(shard, (sender, order))| sender.try_send(order).err().map(|_| shard))
            .collect()
    }

    /// Gives one shard an order; whether it was reached.
    pub(crate) fn give(&self, shard: usize, order: Order) -> bool {
        self.orders[shard].try_send(order).is_ok()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.orders.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(shards: &Shards) -> Answers<queue::Summary> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let order = |answer| Order::Summary { answer };
        runtime.block_on(shards.ask_within(Duration::from_secs(2), order))
    }

    #[test]
    fn shards_that_do_not_answer_are_named() {
        let (alive, mut inbox) = reactor::channel(1);
        let (stuck, _kept) = reactor::channel(1);
        let (gone, receiver) = reactor::channel(1);
        drop(receiver);
        let answering = std::thread::Builder::new().spawn(move || {
            loop {
                match inbox.try_recv() {
                    Some(Order::Summary { answer }) => {
                        return answer(queue::Summary { held: 7, ..queue::Summary::default() });
                    }
                    Some(_) => panic!("nothing else was asked"),
                    None => std::thread::yield_now(),
                }
            }
        });
        let answers = ask(&Shards::new(vec![stuck, alive, gone]));
        answering.expect("a thread").join().expect("it answers");
        assert_eq!(answers.silent, [0, 2]);
        assert_eq!(answers.given.len(), 1);
        assert_eq!(answers.given[0].held, 7);
    }
}
