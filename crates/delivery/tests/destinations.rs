//! Where messages go, and what happens when nobody is there.

mod harness;

use delivery::{Pattern, Route, Via};
use harness::sink::Behaviour;
use harness::{Net, ip, routed, smarthost};
use lookup::{Answer, Ask, MxAnswer};
use mail::{Domain, EventKind, Field, NextHop, Value};
use queue::Filter;
use reactor::sim::Faults;

fn text(event: &mail::Event, wanted: Field) -> String {
    let found = event.fields.iter().find(|(field, _)| *field == wanted);
    match found {
        Some((_, Value::Text(text))) => text.to_string(),
        other => panic!("{wanted} is {other:?}"),
    }
}

#[test]
fn the_log_says_who_took_it() {
    let mut net = Net::new(1, Faults::none());
    net.script = net.script.clone().mx("example.org", &[(10, "mx.example.org")]);
    net.script = net.script.clone().host("mx.example.org", &[ip("192.0.2.25")]);
    let _sink = net.sink("192.0.2.25", Behaviour::default());
    let lives = net.start(&routed(Vec::new()), 1);
    net.accept(&lives[0], 1, &["a@example.org"]);
    net.run(60, || lives[0].heard(EventKind::RecipientDelivered) == 1);
    let events = lives[0].events.borrow();
    let event = events.iter().find(|event| event.kind == EventKind::RecipientDelivered);
    let event = event.expect("just heard");
    assert_eq!(text(event, Field::To), "<a@example.org>");
    assert_eq!(text(event, Field::Host), "mx.example.org[192.0.2.25]:2525");
    assert_eq!(text(event, Field::Status), "2.0.0");
    assert_eq!(text(event, Field::Reply), "250 2.0.0 Ok: queued");
}

#[test]
fn the_next_host_takes_what_the_preferred_one_does_not() {
    let mut net = Net::new(1, Faults::none());
    net.script = net
        .script
        .clone()
        .mx(
            "example.org",
            &[(10, "down.example.org"), (20, "busy.example.org"), (30, "up.example.org")],
        )
        .host("down.example.org", &[ip("192.0.2.30")])
        .host("busy.example.org", &[ip("192.0.2.31")])
        .host("up.example.org", &[ip("192.0.2.32")]);
    let busy = Behaviour { greeting: "421 4.3.2 not now", ..Behaviour::default() };
    let _busy = net.sink("192.0.2.31", busy);
    let up = net.sink("192.0.2.32", Behaviour::default());
    let lives = net.start(&routed(Vec::new()), 1);
    net.accept(&lives[0], 10, &["a@example.org"]);
    net.run(60, || up.count() == 10);
    assert_eq!(lives[0].heard(EventKind::RecipientDeferred), 0);
}

#[test]
fn what_can_never_be_delivered_bounces_at_once_with_all_that_waits() {
    let net = Net::new(1, Faults::none());
    let null = Ask::Mx(Domain::parse("null.example").expect("a domain"));
    net.script.answer(null, Answer::Mx(MxAnswer::NullMx));
    let lives = net.start(&routed(Vec::new()), 1);
    net.accept(&lives[0], 50, &["a@gone.example", "b@null.example"]);
    net.run(60, || lives[0].heard(EventKind::RecipientBounced) == 100);
    let events = lives[0].events.borrow();
    let bounces = events.iter().filter(|event| event.kind == EventKind::RecipientBounced);
    let mut statuses: Vec<String> = bounces.map(|event| text(event, Field::Status)).collect();
    statuses.sort();
    statuses.dedup();
    assert_eq!(statuses, ["5.1.10", "5.1.2"]);
    assert!(net.script.asked() < 20, "asked {} times", net.script.asked());
}

#[test]
fn a_resolver_that_fails_defers() {
    let net = Net::new(1, Faults::none());
    net.script.fail(Ask::Mx(Domain::parse("example.org").expect("a domain")), "SERVFAIL");
    let lives = net.start(&routed(Vec::new()), 1);
    net.accept(&lives[0], 1, &["a@example.org"]);
    net.run(60, || lives[0].heard(EventKind::RecipientDeferred) == 1);
    assert_eq!(lives[0].heard(EventKind::RecipientBounced), 0);
    assert_eq!(lives[0].heard(EventKind::DestinationThrottled), 1);
}

#[test]
fn one_dead_destination_holds_up_nobody() {
    let mut net = Net::new(1, Faults::none());
    net.script = net.script.clone().host("dead.example", &[ip("192.0.2.40")]);
    net.script = net.script.clone().host("alive.example", &[ip("192.0.2.41")]);
    let alive = net.sink("192.0.2.41", Behaviour::default());
    let lives = net.start(&routed(Vec::new()), 1);
    net.accept(&lives[0], 500, &["a@dead.example"]);
    net.accept(&lives[0], 500, &["a@alive.example"]);
    net.run(5, || alive.count() == 500);
    // The message at hand of each session that tried is deferred, the others stay due.
    let deferred = lives[0].heard(EventKind::RecipientDeferred);
    assert!((1..=12).contains(&deferred), "{deferred} deferred");
    assert!(lives[0].heard(EventKind::DestinationThrottled) >= 1);
}

#[test]
fn a_destination_that_comes_back_gets_its_mail_after_the_rest() {
    let net = Net::new(1, Faults::none());
    let lives = net.start(&smarthost("192.0.2.25"), 1);
    net.accept(&lives[0], 200, &["a@example.org"]);
    net.pass(20);
    let sink = net.sink("192.0.2.25", Behaviour::default());
    net.run(60, || sink.count() >= 150);
    net.run(600, || lives[0].queued() == 0);
    assert_eq!((sink.count(), sink.distinct()), (200, 200));
    assert_eq!(lives[0].heard(EventKind::DestinationRecovered), 1);
}

#[test]
fn a_flush_ends_the_rest() {
    let net = Net::new(1, Faults::none());
    let lives = net.start(&smarthost("192.0.2.25"), 1);
    net.accept(&lives[0], 50, &["a@example.org"]);
    // By now the rest takes minutes.
    net.pass(400);
    let sink = net.sink("192.0.2.25", Behaviour::default());
    net.pass(1);
    assert_eq!(sink.count(), 0);
    lives[0].queue.flush(&Filter::everything());
    // As an operator's order does; it must not take the news from the loop that waits for it.
    lives[0].queue.due(mail::UnixTime::from_epoch(lives[0].reactor.wall_clock()));
    lives[0].delivery.flush(&[NextHop::new("smtp://192.0.2.25:2525")]);
    net.run(5, || sink.count() == 50);
}

#[test]
fn a_greeting_with_421_throttles_and_defers_only_what_was_tried() {
    let net = Net::new(1, Faults::none());
    let busy = Behaviour { greeting: "421 4.3.2 not now", ..Behaviour::default() };
    let sink = net.sink("192.0.2.25", busy);
    let lives = net.start(&smarthost("192.0.2.25"), 1);
    net.accept(&lives[0], 100, &["a@example.org"]);
    net.pass(1);
    assert!(lives[0].heard(EventKind::RecipientDeferred) <= 6);
    sink.set(Behaviour::default());
    net.run(30, || sink.count() >= 90);
}

#[test]
fn mail_without_a_next_hop_is_kept_until_it_has_one() {
    let net = Net::new(1, Faults::none());
    let sink = net.sink("192.0.2.25", Behaviour::default());
    let hold = routed(vec![Route::new(vec![Pattern::Any], Via::Hold)]);
    let lives = net.start(&hold, 1);
    net.accept(&lives[0], 10, &["a@example.org"]);
    net.pass(3600);
    assert_eq!(lives[0].heard(EventKind::RecipientDeferred), 10, "deferred once each");
    assert_eq!(lives[0].queued(), 10);
    let onward = smarthost("192.0.2.25");
    lives[0].delivery.reload(std::rc::Rc::new(onward.clone()));
    lives[0].queue.reroute(delivery::Delivery::router(&onward));
    lives[0].queue.flush(&Filter::everything());
    net.run(60, || sink.count() == 10);
}

#[test]
fn what_a_route_discards_counts_as_delivered() {
    let net = Net::new(1, Faults::none());
    let discard = routed(vec![Route::new(vec![Pattern::Any], Via::Discard)]);
    let lives = net.start(&discard, 1);
    net.accept(&lives[0], 200, &["a@example.org"]);
    net.run(60, || lives[0].queued() == 0);
    assert_eq!(lives[0].heard(EventKind::RecipientDelivered), 200);
}

#[test]
fn the_total_of_sessions_is_kept_and_idle_ones_make_room() {
    let mut net = Net::new(1, Faults::none());
    let mut sinks = Vec::new();
    for n in 0..10 {
        let address = format!("192.0.2.{}", 100 + n);
        net.script = net.script.clone().host(&format!("d{n}.example"), &[ip(&address)]);
        sinks.push(net.sink(&address, Behaviour::default()));
    }
    let options = delivery::Options { sessions: 3, ..routed(Vec::new()) };
    let lives = net.start(&options, 1);
    for n in 0..10 {
        net.accept(&lives[0], 5, &[&format!("a@d{n}.example")]);
    }
    net.run(60, || {
        assert!(lives[0].delivery.counters().sessions_open <= 3);
        sinks.iter().all(|sink| sink.count() == 5)
    });
}
