//! What is seen of the relay at one moment.

use delivery::DestinationView;
use mail::UnixTime;
use queue::Listed;
use reactor::Instant;
use std::time::Duration;

/// What the options allow, the widest that were in force in this process's life.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bounds {
    /// Sessions of clients, over all shards.
    pub(crate) sessions: u64,
    /// Sessions to next hops, over all shards, before they are shared out.
    pub(crate) outbound: usize,
    /// Sessions to one next hop.
    pub(crate) per_destination: usize,
    /// Messages in the queue of one shard.
    pub(crate) queue_messages: u64,
    /// Bytes of bodies that one shard keeps.
    pub(crate) hot_bytes: u64,
    /// Logs of the spool at most, one a shard that there ever was.
    pub(crate) logs: u64,
    /// When a message is given up, and one without a sender.
    pub(crate) give_up: [Duration; 2],
}

/// The relay at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sight {
    /// When.
    pub(crate) now: Instant,
    /// The relay's wall clock.
    pub(crate) wall: UnixTime,
    /// Everything works, and has been told to go.
    pub(crate) healthy: bool,
    /// What the options allow.
    pub(crate) bounds: Bounds,
    /// Open descriptors of the process.
    pub(crate) descriptors: usize,
    /// Those of them that are connections, in both directions.
    pub(crate) connections: usize,
    /// Files in the spool.
    pub(crate) files: usize,
    /// Bytes of receive buffers that the kernel does not have.
    pub(crate) leased_bytes: u64,
    /// Bytes of slabs.
    pub(crate) slab_bytes: u64,
    /// What no kernel should have been asked for.
    pub(crate) violations: Vec<String>,
    /// Its shards.
    pub(crate) shards: Vec<ShardSight>,
}

/// One shard at that moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct ShardSight {
    /// Its queue.
    pub(crate) listed: Vec<Listed>,
    /// What the queue counts: messages, and recipients, by state.
    pub(crate) counted: ([u64; 3], [u64; 3]),
    /// Where its mail goes.
    pub(crate) destinations: Vec<DestinationView>,
    /// Sessions of clients.
    pub(crate) sessions: u64,
    /// Sessions to next hops.
    pub(crate) outbound: u64,
    /// Tasks.
    pub(crate) tasks: usize,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use mail::MessageId;
    use queue::{ListedRecipient, State};

    /// A message in a listing, with recipients `r0.N@…` and so on, due at once.
    pub(crate) fn listed(number: u64, recipients: u32) -> Listed {
        let recipient = |index: u32| ListedRecipient {
            to: format!("r{index}.{number}@smart.example"),
            hop: "smtp://10.0.0.10:25".into(),
            state: State::Active,
            attempts: 0,
            next: Some(UnixTime(0)),
            reason: None,
        };
        Listed {
            id: MessageId::new(0, 1, number),
            accepted: UnixTime(0),
            bytes: 100,
            from: format!("s{number}@sender.example"),
            state: State::Active,
            recipients: (0..recipients).map(recipient).collect(),
        }
    }

    /// A relay of one shard with this queue, counted rightly.
    pub(crate) fn sight(listed: Vec<Listed>) -> Sight {
        let mut counted = ([0; 3], [0; 3]);
        for message in &listed {
            counted.0[message.state as usize] += 1;
            for recipient in &message.recipients {
                counted.1[recipient.state as usize] += 1;
            }
        }
        Sight {
            shards: vec![ShardSight { listed, counted, ..ShardSight::default() }],
            ..Sight::default()
        }
    }
}
