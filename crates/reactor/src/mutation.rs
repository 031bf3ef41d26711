//! Faults of our own, made on purpose, so that a checker can be seen to find them.
//!
//! A *mutation* is a place where the code does the wrong thing while its name is chosen:
//! `if reactor::mutated("generation-not-checked") { … }`. Without the feature `mutations` the
//! question is the constant `false` and nothing of it is left in the program; no package but `sim`
//! asks for the feature. The list of names, and which checker finds each, is in
//! `docs/SIMULATION.md`.

#[cfg(feature = "mutations")]
mod chosen {
    use std::cell::Cell;

    thread_local! {
        /// The simulation runs all shards of a world on one thread.
        static CHOSEN: Cell<Option<&'static str>> = const { Cell::new(None) };
    }

    /// Chooses the mutation of this thread; `None`: the code is right.
    pub fn mutate(name: Option<&'static str>) {
        CHOSEN.set(name);
    }

    /// Whether the mutation of this name is chosen.
    pub fn mutated(name: &str) -> bool {
        CHOSEN.get() == Some(name)
    }
}

#[cfg(feature = "mutations")]
pub use chosen::{mutate, mutated};

/// Whether the mutation of this name is chosen: never, in a program without the feature.
#[cfg(not(feature = "mutations"))]
#[inline(always)]
pub const fn mutated(_name: &str) -> bool {
    false
}
