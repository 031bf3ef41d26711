//! A message is given up in every state but held, and never because a clock was wrong.

mod harness;

use harness::*;
use mail::{EventKind, NextHop};
use queue::{Destinations, Filter};
use reactor::sim::Faults;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

/// What the harness gives a message.
const GIVE_UP: Duration = Duration::from_secs(600);

fn machine() -> Machine {
    Machine::new(1, Faults::none())
}

fn named(name: &str) -> Destinations {
    Destinations::Named(name.to_owned())
}

impl Life {
    async fn pass(&self, time: Duration) {
        self.reactor.sleep(self.reactor.now() + time).await;
    }

    fn expired(&self) -> usize {
        self.heard(EventKind::RecipientExpired)
    }
}

#[test]
fn what_is_behind_a_suspended_destination_is_given_up_without_an_attempt() {
    machine().live(|life| async move {
        life.queue.suspend(&named("example.net")).await.expect("the disk is well");
        life.accept("a@example.org", &["b@example.net"], b"x\r\n").await;
        assert!(life.take().is_none(), "it is handed out");
        life.pass(GIVE_UP - Duration::from_secs(2)).await;
        assert_eq!(life.expired(), 0);
        life.pass(Duration::from_secs(4)).await;
        assert_eq!(life.expired(), 1);
        let ticket = life.next().await;
        let report = String::from_utf8(life.read(&ticket).await).expect("ASCII");
        assert!(report.contains("its destination is suspended"), "{report}");
    });
}

#[test]
fn a_destination_suspended_when_its_mail_is_over_already_keeps_none_of_it() {
    machine().live(|life| async move {
        life.accept("a@example.org", &["b@example.net"], b"x\r\n").await;
        life.pass(GIVE_UP * 2).await;
        assert_eq!(life.expired(), 0, "it is to be tried once first");
        life.queue.suspend(&Destinations::All).await.expect("the disk is well");
        life.pass(Duration::from_secs(2)).await;
        assert_eq!(life.expired(), 1);
    });
}

#[test]
fn what_is_behind_a_destination_that_nobody_reaches_is_given_up_without_an_attempt() {
    machine().live(|life| async move {
        let hop = NextHop::new("mx://example.net");
        life.accept("a@example.org", &["b@example.net"], b"x\r\n").await;
        life.queue.note_trouble(&hop, Some("connection refused".into()));
        life.pass(GIVE_UP + Duration::from_secs(2)).await;
        assert_eq!(life.expired(), 1);
        let ticket = life.next().await;
        let report = String::from_utf8(life.read(&ticket).await).expect("ASCII");
        assert!(report.contains("connection refused"), "{report}");
        life.settle(ticket, &delivered());
        life.queue.note_trouble(&hop, Some("connection refused".into()));
        life.accept("a@example.org", &["b@example.net"], b"x\r\n").await;
        life.queue.note_trouble(&hop, None);
        life.pass(GIVE_UP * 2).await;
        assert_eq!(life.expired(), 1, "it is reached again: what waits is tried first");
    });
}

#[test]
fn what_is_suspended_stays_so_over_a_restart_until_it_is_resumed() {
    let machine = machine();
    machine.live(|life| async move {
        life.accept("a@example.org", &["b@example.net"], b"x\r\n").await;
        life.accept("a@example.org", &["c@example.com"], b"x\r\n").await;
        life.queue.suspend(&named("example.net")).await.expect("the disk is well");
        life.queue.suspend(&named("nobody.example")).await.expect("the disk is well");
    });
    machine.live(|life| async move {
        assert!(life.queue.is_suspended(&NextHop::new("mx://example.net")));
        assert_eq!(life.next().await.hop.as_str(), "mx://example.com");
        assert!(life.take().is_none());
        life.queue.resume(&named("mx://example.net")).await.expect("the disk is well");
        assert_eq!(life.next().await.hop.as_str(), "mx://example.net");
    });
    machine.live(|life| async move {
        assert!(!life.queue.is_suspended(&NextHop::new("mx://example.net")));
        assert!(life.queue.is_suspended(&NextHop::new("mx://nobody.example")));
        life.queue.resume(&Destinations::All).await.expect("the disk is well");
        assert!(life.queue.suspended().is_empty());
    });
}

#[test]
fn the_last_of_many_orders_at_once_is_what_a_restart_finds() {
    let machine = machine();
    machine.live(|life| async move {
        let done = std::rc::Rc::new(std::cell::Cell::new(0));
        for number in 0..20 {
            let (queue, done) = (life.queue.clone(), std::rc::Rc::clone(&done));
            life.reactor.spawn(async move {
                let name = named(&format!("d{}.example", number / 2));
                let order = if number % 2 == 0 {
                    queue.suspend(&name).await
                } else {
                    queue.resume(&name).await
                };
                order.expect("the disk is well");
                done.set(done.get() + 1);
            });
        }
        life.queue.suspend(&named("last.example")).await.expect("the disk is well");
        while done.get() < 20 {
            life.pass(Duration::from_millis(1)).await;
        }
    });
    machine.live(|life| async move {
        let suspended = life.queue.suspended();
        assert!(suspended.covers(&NextHop::new("mx://last.example")));
        for number in 0..10 {
            assert!(!suspended.covers(&NextHop::new(&format!("mx://d{number}.example"))));
        }
        let name = named("two\nlines");
        assert!(life.queue.suspend(&name).await.is_err());
    });
}

#[test]
fn what_is_held_is_never_given_up_not_even_in_flight() {
    machine().live(|life| async move {
        life.accept("a@example.org", &["b@example.net"], b"x\r\n").await;
        let ticket = life.next().await;
        assert!(life.queue.gives_up_in(ticket.term()).is_some());
        life.queue.hold(&Filter::everything());
        assert_eq!(life.queue.gives_up_in(ticket.term()), None);
        life.pass(GIVE_UP * 2).await;
        life.settle(ticket, &deferred());
        life.pass(GIVE_UP * 2).await;
        assert_eq!(life.expired(), 0);
        assert_eq!(life.list().len(), 1);
    });
}

#[test]
fn what_comes_back_from_an_attempt_too_late_is_given_up() {
    machine().live(|life| async move {
        life.accept("a@example.org", &["b@example.net"], b"x\r\n").await;
        let ticket = life.next().await;
        assert_eq!(life.queue.gives_up_in(ticket.term()).map(|left| left.as_secs()), Some(599));
        life.pass(GIVE_UP).await;
        assert_eq!(life.queue.gives_up_in(ticket.term()), Some(Duration::ZERO));
        life.settle(ticket, &deferred());
        assert_eq!(life.expired(), 1);
    });
}

#[test]
fn after_a_long_stop_each_message_is_tried_and_then_given_up() {
    let machine = machine();
    machine.live(|life| async move {
        life.accept("a@example.org", &["b@example.net"], b"x\r\n").await;
        life.queue.drain().await;
    });
    machine.world.run(|| false, HOUR * 48);
    machine.live(|life| async move {
        life.pass(HOUR * 2).await;
        assert_eq!(life.expired(), 0, "it was not tried");
        let ticket = life.next().await;
        assert_eq!(life.queue.gives_up_in(ticket.term()), None, "the one attempt is not cut short");
        life.settle(ticket, &deferred());
        assert_eq!(life.expired(), 1);
    });
}

#[test]
fn a_clock_that_was_wrong_at_boot_bounces_nothing() {
    let machine = machine();
    machine.live(|life| async move {
        life.accept("a@example.org", &["b@example.net"], b"x\r\n").await;
        life.queue.drain().await;
    });
    // It is ahead when the relay starts, and nobody can tell that from a long stop.
    machine.host.step_clock(HOUR * 24 * 365);
    machine.live(|life| async move {
        let ticket = life.next().await;
        life.settle(ticket, &deferred());
        life.pass(HOUR / 2).await;
        assert_eq!((life.expired(), life.list().len()), (0, 1));
    });
}

#[test]
fn a_message_taken_before_the_clock_was_set_has_its_whole_time_after_it() {
    let machine = machine();
    let host = machine.host.clone();
    machine.live(|life| async move {
        life.accept("a@example.org", &["b@example.net"], b"x\r\n").await;
        let ticket = life.next().await;
        life.settle(ticket, &deferred());
        let due = life.queue.next_due().expect("it waits").since(life.unix_time());
        // Longer than the hour of mercy; the clock was behind.
        host.step_clock(HOUR * 24 * 365 * 50);
        life.pass(Duration::from_secs(2)).await;
        let later = life.queue.next_due().expect("it waits").since(life.unix_time());
        assert_eq!((due - later).as_secs(), 2, "the step has made it due");
        assert_eq!((life.expired(), life.list().len()), (0, 1));
        let accepted = life.list()[0].accepted;
        assert!(life.unix_time().since(accepted) < Duration::from_secs(10));
        life.accept("a@example.org", &["c@example.com"], b"x\r\n").await;
        life.queue.drain().await;
    });
    machine.live(|life| async move {
        // What the disk says of the clock that was wrong is not believed, since the ids before it
        // are younger. The first of all has nobody before it; its hour of mercy must do.
        let ticket = life.next().await;
        assert_eq!(life.list().len(), 2);
        life.settle(ticket, &deferred());
        assert_eq!(life.expired(), 0);
    });
}
