//! The load generator: a source that outruns the relay, a sink that outruns the source, and the
//! demonstration that puts the relay between them.
//!
//! For: sending and receiving SMTP at speed over the reactor, counting what became of every
//! message, and showing it.
//! Never here: a decision of the relay. Source and sink have small dialogues of their own, on
//! bytes, so that what is measured is the relay and not its measure.
//! Start reading at [`demo::run`], then [`source::Source`] and [`sink::Sink`].
#![forbid(unsafe_code)]

pub mod cli;
mod clock;
pub mod demo;
pub mod latency;
mod report;
pub mod sink;
pub mod source;
pub mod stamp;
pub mod target;
