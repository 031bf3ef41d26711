//! Both sessions, played from outside: by dialogues, by each other, and by smugglers.
#![forbid(unsafe_code)]

mod client;
mod dialogue;
mod pair;
mod pathological;
mod receiver;
mod server;
mod smuggling;
mod stage;
mod wire_form;
