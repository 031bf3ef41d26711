//! Questions answered off-shard: to the name system, and about who a client is.
//!
//! For: what a shard wants to know about a domain or a host, a cache in front of it, the seam to
//! whoever asks the network, and the seam to whoever keeps accounts. Never here: a socket, a DNS
//! packet, a rule about what an answer means for a message.
//! Start reading at [`Resolver`]; below it lies [`Request`], the seam. [`Script`] is the twin that
//! answers from a table, for tests and the simulation. [`Authenticator`] is the other seam.
#![forbid(unsafe_code)]

mod answer;
mod auth;
mod cache;
mod request;
mod resolver;
mod script;

pub use answer::{AddressAnswer, Answer, Ask, LookupError, MxAnswer, MxHost};
pub use auth::{Account, AuthAnswer, AuthBack, AuthRequest, Authenticator};
pub use auth::{Challenge, Mechanism, Offered, Resume};
pub use request::{Answered, Reply, Request};
pub use resolver::Resolver;
pub use script::Script;
