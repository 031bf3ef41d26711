//! Tests of the whole log, in a simulated world.

mod basics;
mod crashes;
mod records;
mod seals;
mod space;
mod support;
