//! Both sessions, played from outside: by dialogues, by each other, and by noise.
#![forbid(unsafe_code)]

mod client;
mod dialogue;
mod server;
mod stage;
