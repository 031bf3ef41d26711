//! Peers that fall silent: every wait has an end, and a message's time ends it sooner.

mod harness;

use harness::sink::Behaviour;
use harness::{Net, body, smarthost};
use mail::EventKind;
use queue::{Destinations, Retry};
use reactor::sim::Faults;
use std::time::Duration;

const SINK: &str = "192.0.2.25";

/// Where a peer falls silent before the end of data, and how many seconds are waited there: as the
/// options say.
const BEFORE_END: [(&str, u64); 6] =
    [("greeting", 300), ("EHLO", 300), ("MAIL", 300), ("RCPT", 300), ("DATA", 120), ("body", 180)];

fn silent(at: &'static str, trickle: Option<Duration>) -> Behaviour {
    Behaviour { silent_at: at, trickle, ..Behaviour::default() }
}

/// Nothing, or a byte every 50 s: sooner than any deadline.
fn ways() -> [Option<Duration>; 2] {
    [None, Some(Duration::from_secs(50))]
}

/// More than fits between the two ends while one does not read.
fn long_body() -> Vec<u8> {
    body(1, 900 << 10)
}

#[test]
fn every_wait_of_a_session_before_the_end_of_data_has_an_end() {
    for (at, seconds) in BEFORE_END {
        for trickle in ways() {
            let net = Net::new(1, Faults::none());
            let _sink = net.sink(SINK, silent(at, trickle));
            let lives = net.start(&smarthost(SINK), 1);
            net.accept_bodies(&lives[0], vec![long_body()], &["a@example.org"]);
            net.pass(seconds - 1);
            let deferred = || lives[0].heard(EventKind::RecipientDeferred);
            assert_eq!(deferred(), 0, "{at} is not waited for");
            net.run(10, || deferred() == 1);
            net.run(20, || lives[0].delivery.counters().sessions_open == 0);
            assert_eq!(lives[0].delivery.counters().uncertain, 0, "{at}");
        }
    }
}

#[test]
fn the_reply_to_the_end_of_data_is_awaited_for_ten_minutes_and_then_in_doubt() {
    for trickle in ways() {
        let net = Net::new(1, Faults::none());
        let _sink = net.sink(SINK, silent("end", trickle));
        let lives = net.start(&smarthost(SINK), 1);
        net.accept(&lives[0], 1, &["a@example.org"]);
        net.pass(599);
        assert_eq!(lives[0].heard(EventKind::RecipientDeferred), 0);
        net.run(10, || lives[0].heard(EventKind::RecipientDeferred) == 1);
        assert_eq!(lives[0].delivery.counters().uncertain, 1);
    }
}

#[test]
fn nobody_waits_long_for_the_reply_to_quit() {
    for trickle in ways() {
        let net = Net::new(1, Faults::none());
        let sink = net.sink(SINK, silent("QUIT", trickle));
        let lives = net.start(&smarthost(SINK), 1);
        net.accept(&lives[0], 1, &["a@example.org"]);
        net.run(5, || sink.count() == 1);
        net.run(30, || lives[0].delivery.counters().sessions_open == 0);
        assert_eq!(lives[0].heard(EventKind::RecipientDeferred), 0);
    }
}

#[test]
fn an_attempt_in_flight_at_a_silent_peer_ends_when_the_messages_time_is_over() {
    let times = Retry { give_up: Duration::from_secs(60), ..Retry::default() };
    for (at, _) in BEFORE_END {
        let mut net = Net::new(1, Faults::none());
        net.retry = times;
        let _sink = net.sink(SINK, silent(at, None));
        let lives = net.start(&smarthost(SINK), 1);
        net.accept_bodies(&lives[0], vec![long_body()], &["a@example.org"]);
        net.pass(59);
        let expired = || lives[0].heard(EventKind::RecipientExpired);
        assert_eq!(expired(), 0, "{at}");
        net.run(2, || expired() == 1);
        assert_eq!(lives[0].heard(EventKind::RecipientDeferred), 0, "{at}");
        let throttled = lives[0].heard(EventKind::DestinationThrottled);
        assert_eq!(throttled, 0, "the message's time says nothing of the destination ({at})");
    }
}

#[test]
fn a_connection_that_is_never_answered_ends_when_the_messages_time_is_over() {
    let faults = Faults { connect_black_hole: 1.0, ..Faults::none() };
    let mut net = Net::new(1, faults);
    net.retry = Retry { give_up: Duration::from_secs(5), ..Retry::default() };
    let _sink = net.sink(SINK, Behaviour::default());
    let lives = net.start(&smarthost(SINK), 1);
    net.accept(&lives[0], 1, &["a@example.org"]);
    net.pass(4);
    assert_eq!(lives[0].delivery.counters().sessions_open, 1, "it is not being called");
    net.run(3, || lives[0].heard(EventKind::RecipientExpired) == 1);
    net.run(1, || lives[0].delivery.counters().sessions_open == 0);
}

#[test]
fn a_reply_to_the_end_of_data_is_awaited_beyond_the_messages_time() {
    let mut net = Net::new(1, Faults::none());
    net.retry = Retry { give_up: Duration::from_secs(60), ..Retry::default() };
    let end_delay = Duration::from_secs(500);
    let sink = net.sink(SINK, Behaviour { end_delay, ..Behaviour::default() });
    let lives = net.start(&smarthost(SINK), 1);
    net.accept(&lives[0], 1, &["a@example.org"]);
    net.run(600, || sink.count() == 1);
    net.pass(5);
    assert_eq!(lives[0].heard(EventKind::RecipientExpired), 0);
    assert_eq!(lives[0].heard(EventKind::RecipientDelivered), 1);
}

#[test]
fn all_that_waits_for_a_dead_destination_is_given_up_in_time() {
    let mut net = Net::new(1, Faults::none());
    let give_up = Duration::from_secs(3600);
    net.retry = Retry { give_up, ..Retry::default() };
    let lives = net.start(&smarthost(SINK), 1);
    net.accept(&lives[0], 500, &["a@example.org"]);
    net.pass(3590);
    assert_eq!(lives[0].heard(EventKind::RecipientExpired), 0);
    net.run(20, || lives[0].heard(EventKind::RecipientExpired) == 500);
}

#[test]
fn a_suspended_destination_gets_nothing_until_it_is_resumed() {
    let net = Net::new(1, Faults::none());
    let sink = net.sink(SINK, Behaviour::default());
    let lives = net.start(&smarthost(SINK), 1);
    order(&net, &lives[0], false);
    net.accept(&lives[0], 50, &["a@example.org"]);
    net.pass(600);
    assert_eq!((sink.connections(), lives[0].queued()), (0, 50));
    order(&net, &lives[0], true);
    net.run(5, || sink.count() == 50);
}

fn order(net: &Net, life: &harness::Life, resume: bool) {
    let done = std::rc::Rc::new(std::cell::Cell::new(false));
    let (place, delivery) = (std::rc::Rc::clone(&done), life.delivery.clone());
    life.reactor.spawn(async move {
        let which = Destinations::Named(format!("smtp://{SINK}:{}", harness::PORT));
        let obeyed = match resume {
            true => delivery.resume(&which).await,
            false => delivery.suspend(&which).await,
        };
        obeyed.expect("the disk is well");
        place.set(true);
    });
    net.run(5, || done.get());
}
