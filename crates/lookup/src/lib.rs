//! Questions to the name system, answered off-shard.
//!
//! For: what a shard wants to know about a domain or a host, a cache in front of it, and the seam
//! to whoever asks the network. Never here: a socket, a DNS packet, a rule about what an answer
//! means for a message.
//! Start reading at [`Resolver`]; below it lies [`Request`], the seam. [`Script`] is the twin that
//! answers from a table, for tests and the simulation.
#![forbid(unsafe_code)]

mod answer;
mod cache;
mod request;
mod resolver;
mod script;

pub use answer::{AddressAnswer, Answer, Ask, LookupError, MxAnswer, MxHost};
pub use request::{Answered, Reply, Request};
pub use resolver::Resolver;
pub use script::Script;
