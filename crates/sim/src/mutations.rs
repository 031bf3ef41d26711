//! Faults of our own, made on purpose, and which checker finds each.
//!
//! A checker that cannot fail proves nothing. Each has at least one mutation of the code that it
//! finds (`sim --mutations`, with the feature `mutations`); the places are where the code asks
//! [`reactor::mutated`].

use crate::Checker;

/// A fault of our own.
#[derive(Clone, Copy, Debug)]
pub struct Mutation {
    /// Its name, as the place in the code has it.
    pub name: &'static str,
    /// What the code does wrong then.
    pub fault: &'static str,
    /// Who finds it: any of these.
    pub finders: &'static [Checker],
    /// A seed that finds it. Any change to the code shifts events, so the search goes on from it.
    pub seed: u64,
    /// Within so many seeds from there it is found, with a wide margin.
    pub within: u64,
}

const fn mutation(
    name: &'static str,
    fault: &'static str,
    finders: &'static [Checker],
    (seed, within): (u64, u64),
) -> Mutation {
    Mutation { name, fault, finders, seed, within }
}

/// All of them.
pub const MUTATIONS: &[Mutation] = &[
    mutation(
        "lock-not-held",
        "the ring does not hold the spool's lock: it dies with the process, but its writes land",
        &[Checker::Lost, Checker::Damage, Checker::Panic],
        (0, 1000),
    ),
    mutation(
        "dsn-in-own-record",
        "a report is written after the outcomes that it reports, in a record of its own",
        &[Checker::Lost],
        (0, 1000),
    ),
    mutation(
        "outcome-not-written",
        "what became of a recipient is known, and never written down",
        &[Checker::Twice],
        (0, 1000),
    ),
    mutation(
        "hot-body-of-another",
        "a body in memory is taken from where the next one lies",
        &[Checker::Stranger],
        (0, 1000),
    ),
    mutation(
        "stuffing-kept",
        "a body with stuffed dots goes out by length as it lies",
        &[Checker::Content],
        (0, 1000),
    ),
    mutation(
        "generation-not-checked",
        "bytes of an earlier use of a segment verify",
        &[Checker::Lost, Checker::Damage, Checker::Twice, Checker::Content, Checker::Panic],
        (0, 1000),
    ),
    mutation(
        "250-before-earlier-write",
        "a commit is answered when its own write is durable, whatever became of earlier ones",
        &[Checker::Lost],
        (0, 1000),
    ),
    mutation(
        "block-written-twice",
        "a batch is written once more while it is answered already",
        &[Checker::Lost, Checker::Damage, Checker::Kernel],
        (0, 1000),
    ),
    mutation(
        "outcome-dropped-with-its-segment",
        "compaction leaves outcomes behind whose messages still lie elsewhere",
        &[Checker::Twice],
        (0, 1000),
    ),
    mutation(
        "piece-not-checked",
        "what is read is sent without a look at its checksum",
        &[Checker::Content],
        (0, 1000),
    ),
    mutation(
        "log-adopted-twice",
        "every shard takes over every log that is not its own",
        &[Checker::States],
        (0, 1000),
    ),
    mutation(
        "dead-segment-kept",
        "a segment in which nothing lives stays",
        &[Checker::Space],
        (0, 1000),
    ),
    mutation(
        "replies-swapped",
        "replies to pipelined commands go out last first",
        &[Checker::Replies],
        (0, 1000),
    ),
    mutation("strangers-relayed", "every client is trusted", &[Checker::Replies], (0, 1000)),
    mutation(
        "sessions-not-counted",
        "`limits.sessions` is not looked at",
        &[Checker::Limits],
        (0, 1000),
    ),
    mutation(
        "window-ignored",
        "a destination gets three times the sessions that its route allows",
        &[Checker::Limits],
        (0, 1000),
    ),
    mutation(
        "lease-held-across-await",
        "received bytes are kept while the session waits for other things",
        &[Checker::Memory],
        (0, 1000),
    ),
    mutation("lease-held", "a receive buffer is never given back", &[Checker::Memory], (0, 1000)),
    mutation(
        "hot-budget-ignored",
        "bodies stay in memory whatever the budget says",
        &[Checker::Memory],
        (0, 1000),
    ),
    mutation(
        "descriptor-kept",
        "a connection that was to be closed stays open",
        &[Checker::Descriptors],
        (0, 1000),
    ),
    mutation(
        "cancel-frees-early",
        "a descriptor is closed while its cancelled receive is in flight",
        &[Checker::Kernel],
        (0, 1000),
    ),
    mutation(
        "settle-twice",
        "an attempt that comes back is counted in twice",
        &[Checker::Accounting, Checker::Panic],
        (0, 1000),
    ),
    mutation(
        "permit-forgotten",
        "the permit for a session is granted, and nobody uses it",
        &[Checker::Progress],
        (0, 1000),
    ),
    mutation(
        "held-expires",
        "a message that an operator holds is given up",
        &[Checker::Expiry],
        (0, 1000),
    ),
    mutation(
        "expiry-forgets-in-flight",
        "an attempt goes on when the time of its message is over",
        &[Checker::Expiry],
        (0, 1000),
    ),
    mutation(
        "chance-from-outside",
        "something depends on what is not the seed's",
        &[Checker::Repeat],
        (0, 100),
    ),
];

/// Makes the code of this thread do what the mutation of this name says; `None`: what is right.
/// Whether that can be had: only with the feature `mutations`.
#[cfg(feature = "mutations")]
pub fn choose(name: Option<&'static str>) -> bool {
    reactor::mutate(name);
    true
}

/// Makes the code of this thread do what the mutation of this name says; `None`: what is right.
/// Whether that can be had: only with the feature `mutations`.
#[cfg(not(feature = "mutations"))]
pub fn choose(name: Option<&'static str>) -> bool {
    name.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_checker_has_a_mutation_and_no_name_stands_twice() {
        let names: BTreeSet<&str> = MUTATIONS.iter().map(|mutation| mutation.name).collect();
        assert_eq!(names.len(), MUTATIONS.len());
        for checker in Checker::ALL {
            let found = MUTATIONS.iter().any(|mutation| mutation.finders.contains(&checker));
            assert!(found, "{}: {}", checker.name(), checker.promise());
        }
    }
}
