//! How messages share sessions, and what a session that ends costs.

mod harness;

use harness::sink::Behaviour;
use harness::{Net, smarthost};
use mail::EventKind;
use reactor::sim::Faults;
use std::time::Duration;

const SINK: &str = "192.0.2.25";

#[test]
fn many_messages_go_over_a_bounded_number_of_sessions_each_once() {
    let net = Net::new(1, Faults::none());
    let sink = net.sink(SINK, Behaviour::default());
    let lives = net.start(&smarthost(SINK), 1);
    net.accept(&lives[0], 2000, &["a@example.org"]);
    net.run(60, || sink.count() == 2000);
    assert_eq!(sink.distinct(), 2000);
    assert!(sink.open_max() <= 20, "{} sessions at a time", sink.open_max());
    assert!(sink.connections() <= 40, "{} sessions in all", sink.connections());
    net.run(60, || lives[0].queued() == 0);
    assert_eq!(lives[0].heard(EventKind::RecipientDelivered), 2000);
    let counters = lives[0].delivery.counters();
    assert_eq!((counters.delivered, counters.deferred, counters.uncertain), (2000, 0, 0));
}

#[test]
fn everything_arrives_once_in_a_world_of_pieces_and_delays() {
    for seed in 0..8 {
        let net = Net::new(seed, Faults::mild());
        let sink = net.sink(SINK, Behaviour::default());
        let lives = net.start(&smarthost(SINK), 1);
        net.accept(&lives[0], 100, &["a@example.org"]);
        net.run(3600, || lives[0].queued() == 0);
        assert_eq!((sink.count(), sink.distinct()), (100, 100), "seed {seed}");
    }
}

#[test]
fn a_small_body_and_its_terminator_are_one_send() {
    let net = Net::new(1, Faults::none());
    let sink = net.sink(SINK, Behaviour::default());
    let lives = net.start(&smarthost(SINK), 1);
    net.accept(&lives[0], 20, &["a@example.org"]);
    net.run(60, || sink.count() == 20);
    assert!(sink.messages().iter().all(|message| message.pieces == 1));
}

#[test]
fn a_body_of_several_blocks_arrives_whole() {
    let net = Net::new(1, Faults::none());
    let sink = net.sink(SINK, Behaviour::default());
    let lives = net.start(&smarthost(SINK), 1);
    let body = harness::body(7, 900 << 10);
    net.accept_bodies(&lives[0], vec![body.clone()], &["a@example.org"]);
    net.run(60, || sink.count() == 1);
    assert!(sink.messages()[0].body.ends_with(&body));
}

#[test]
fn the_next_message_finds_the_idle_session_and_later_ones_a_new_one() {
    let net = Net::new(1, Faults::none());
    let sink = net.sink(SINK, Behaviour::default());
    let lives = net.start(&smarthost(SINK), 1);
    for count in 1..=5 {
        net.accept(&lives[0], 1, &["a@example.org"]);
        net.run(1, || sink.count() == count);
        net.pass(8);
    }
    assert_eq!(sink.connections(), 1);
    net.pass(11);
    net.accept(&lives[0], 1, &["a@example.org"]);
    net.run(60, || sink.count() == 6);
    assert_eq!(sink.connections(), 2);
}

#[test]
fn a_session_found_dead_when_it_is_reused_defers_nothing() {
    let net = Net::new(1, Faults::none());
    let sink = net.sink(SINK, Behaviour { close_after: 3, ..Behaviour::default() });
    let lives = net.start(&smarthost(SINK), 1);
    net.accept(&lives[0], 100, &["a@example.org"]);
    net.run(60, || lives[0].queued() == 0);
    assert_eq!((sink.count(), sink.distinct()), (100, 100));
    assert_eq!(lives[0].heard(EventKind::RecipientDeferred), 0);
}

#[test]
fn a_peer_that_wants_few_messages_in_a_session_teaches_it_and_defers_nothing() {
    let net = Net::new(1, Faults::none());
    let sink = net.sink(SINK, Behaviour { limit: 5, ..Behaviour::default() });
    let lives = net.start(&smarthost(SINK), 1);
    net.accept(&lives[0], 300, &["a@example.org"]);
    net.run(60, || lives[0].queued() == 0);
    assert_eq!((sink.count(), sink.distinct()), (300, 300));
    assert_eq!(lives[0].heard(EventKind::RecipientDeferred), 0);
    assert_eq!(lives[0].heard(EventKind::DestinationThrottled), 0);
    assert!(sink.limited() <= 10, "{} of 60 sessions had to be told", sink.limited());
}

#[test]
fn a_peer_that_wants_few_sessions_gets_few_and_nothing_is_deferred() {
    let net = Net::new(1, Faults::none());
    let end_delay = Duration::from_millis(10);
    let sink = net.sink(SINK, Behaviour { connections_max: 3, end_delay, ..Behaviour::default() });
    let lives = net.start(&smarthost(SINK), 1);
    net.accept(&lives[0], 1, &["a@example.org"]);
    net.run(5, || sink.count() == 1);
    net.accept(&lives[0], 1000, &["a@example.org"]);
    net.run(60, || lives[0].queued() == 0);
    assert_eq!(sink.count(), 1001);
    assert_eq!(lives[0].heard(EventKind::RecipientDeferred), 0);
    assert_eq!(lives[0].heard(EventKind::DestinationThrottled), 0);
    assert!(sink.connections() < 400, "{} connections", sink.connections());
}

#[test]
fn recipients_over_the_peers_limit_go_at_once_in_further_transactions() {
    let net = Net::new(1, Faults::none());
    let sink = net.sink(SINK, Behaviour { recipients_max: 2, ..Behaviour::default() });
    let lives = net.start(&smarthost(SINK), 1);
    let to = ["a@example.org", "b@example.org", "c@example.org", "d@example.org", "e@example.org"];
    net.accept(&lives[0], 1, &to);
    net.run(5, || lives[0].queued() == 0);
    let taken: usize = sink.messages().iter().map(|message| message.recipients.len()).sum();
    assert_eq!((sink.count(), taken), (3, 5));
    assert_eq!(lives[0].heard(EventKind::RecipientDeferred), 0);
}

#[test]
fn a_refused_recipient_bounces_and_a_refused_message_is_deferred() {
    let net = Net::new(1, Faults::none());
    let sink = net.sink(SINK, Behaviour { end: "451 4.3.0 later", ..Behaviour::default() });
    let lives = net.start(&smarthost(SINK), 1);
    net.accept(&lives[0], 1, &["a@example.org"]);
    net.run(60, || lives[0].heard(EventKind::RecipientDeferred) == 1);
    sink.set(Behaviour { mail: "550 5.7.1 no", ..Behaviour::default() });
    net.run(3600, || lives[0].heard(EventKind::RecipientBounced) == 1);
    assert_eq!(sink.count(), 0);
}

#[test]
fn two_shards_share_one_window_and_both_deliver() {
    let net = Net::new(1, Faults::none());
    let sink = net.sink(SINK, Behaviour::default());
    let lives = net.start(&smarthost(SINK), 2);
    for life in &lives {
        net.accept(life, 1500, &["a@example.org"]);
    }
    net.run(60, || lives.iter().all(|life| life.queued() == 0));
    assert_eq!(sink.count(), 3000);
    assert!(sink.open_max() <= 20, "{} sessions at a time", sink.open_max());
    assert!(sink.connections() <= 40, "{} sessions in all", sink.connections());
    for life in &lives {
        assert_eq!(life.delivery.counters().delivered, 1500);
    }
}

#[test]
fn a_shard_with_mail_gets_permits_from_one_that_holds_them_all() {
    let net = Net::new(1, Faults::none());
    // Slow, so that one shard's mail lasts.
    let slow = Behaviour { end_delay: Duration::from_millis(100), ..Behaviour::default() };
    let sink = net.sink(SINK, slow);
    let lives = net.start(&smarthost(SINK), 2);
    net.accept(&lives[0], 3000, &["a@example.org"]);
    net.pass(3);
    net.accept(&lives[1], 20, &["a@example.org"]);
    net.run(5, || lives[1].queued() == 0);
    assert!(lives[0].queued() > 0, "it waited for the other's mail to end");
    net.run(600, || lives[0].queued() == 0);
    assert_eq!(sink.count(), 3020);
    assert!(sink.open_max() <= 20);
}

#[test]
fn a_drain_waits_for_the_reply_to_an_end_of_data() {
    let net = Net::new(1, Faults::none());
    let slow = Behaviour { end_delay: Duration::from_secs(20), ..Behaviour::default() };
    let sink = net.sink(SINK, slow);
    let lives = net.start(&smarthost(SINK), 1);
    net.accept(&lives[0], 1, &["a@example.org"]);
    net.pass(5);
    let drained = std::rc::Rc::new(std::cell::Cell::new(None));
    let (place, life) = (std::rc::Rc::clone(&drained), lives[0].clone());
    lives[0].reactor.spawn(async move {
        let by = life.reactor.now() + Duration::from_secs(60);
        place.set(Some(life.delivery.drain(by).await));
    });
    net.pass(5);
    assert_eq!(drained.get(), None, "it does not wait");
    net.run(30, || drained.get() == Some(0));
    assert_eq!((sink.count(), lives[0].queued()), (1, 0));
    net.accept(&lives[0], 1, &["a@example.org"]);
    net.pass(60);
    assert_eq!((sink.count(), lives[0].queued()), (1, 1), "it takes mail after the drain");
}
