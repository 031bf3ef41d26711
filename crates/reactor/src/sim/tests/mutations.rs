//! Each fault made on purpose in this crate shows in what a checker may ask for.

use super::*;
use crate::mutate;

/// Runs `work` with a mutation chosen and without; the thread is left as it was.
fn with_and_without<T>(name: &'static str, work: impl Fn() -> T) -> (T, T) {
    mutate(Some(name));
    let with = work();
    mutate(None);
    (with, work())
}

#[test]
fn a_lock_that_is_not_held_is_had_while_writes_still_land() {
    let (with, without) = with_and_without("lock-not-held", || {
        (0..50).filter(|seed| something_lands_after_the_lock_was_had(*seed)).count()
    });
    assert!(with > 5, "{with}");
    assert_eq!(without, 0);
}

#[test]
fn a_lease_that_is_not_given_back_is_counted() {
    let (with, without) = with_and_without("lease-held", || {
        let world = World::new(1, Faults::none());
        let (process, client, stream) = connected(&world, async |_, stream| {
            drop(stream.recv(Instant::NEVER).await);
        });
        let send =
            async move { stream.send(vec![Part::Fixed(b"x")], Instant::NEVER).await.is_ok() };
        assert!(finish(&world, &client, send));
        world.run(|| false, Duration::from_secs(1));
        let leased = process.leased_bytes();
        world.end();
        leased
    });
    assert_eq!((with, without), (16 * 1024, 0));
}

#[test]
fn a_descriptor_that_is_freed_too_early_is_noted() {
    let (with, without) = with_and_without("cancel-frees-early", || {
        let world = World::new(1, Faults::none());
        let (_, client, stream) = connected(&world, async |reactor, stream| {
            reactor.sleep(Instant::NEVER).await;
            drop(stream);
        });
        let soon = client.now() + Duration::from_millis(1);
        finish(&world, &client, async move { stream.recv(soon).await.map(drop) })
            .expect_err("nothing comes");
        world.run(|| false, Duration::from_secs(1));
        let noted = world.violations().len();
        world.end();
        noted
    });
    assert_eq!((with, without), (1, 0));
}
