//! 250 means durable: a process that dies at the wrong moment loses nothing that got its 250.

use crate::peers::Client;
use crate::relay::{Port, Setup, Site, with_each_reactor};
use crate::sink::Sink;
use crate::wait::until;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Clients at a time.
const CLIENTS: usize = 8;

/// The relay dies after as many 250s.
const ACKNOWLEDGED: usize = 150;

#[test]
fn what_got_its_250_arrives_whole_after_a_kill_in_the_middle() {
    with_each_reactor(|reactor| {
        let next = Port::free();
        let sink = Sink::start(&next);
        let site = Site::new(&Setup::new(reactor, &next));
        let acknowledged = send_until_the_relay_dies(&site);
        let relay = site.start();
        all_arrive(&site, &sink, &acknowledged);
        relay.stop();
    });
}

#[test]
fn what_got_its_250_is_read_from_the_disk_when_nothing_had_left_before_the_kill() {
    with_each_reactor(|reactor| {
        let next = Port::free();
        let site = Site::new(&Setup::new(reactor, &next));
        let acknowledged = send_until_the_relay_dies(&site);
        let sink = Sink::start(&next);
        let relay = site.start();
        // Some had been tried, in vain, and are due later.
        site.told(&["queue", "flush", "--all"]);
        all_arrive(&site, &sink, &acknowledged);
        relay.stop();
    });
}

/// Starts a relay, sends to it, and kills it in the middle: what got a 250.
fn send_until_the_relay_dies(site: &Site) -> Vec<String> {
    let mut relay = site.start();
    let acknowledged = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let acknowledged = &acknowledged;
            scope.spawn(move || send_until_cut_off(site.smtp(), client, acknowledged));
        }
        until("enough 250s", || acknowledged.lock().expect("whole").len() >= ACKNOWLEDGED);
        relay.kill();
    });
    acknowledged.into_inner().expect("no client panics")
}

fn all_arrive(site: &Site, sink: &Sink, acknowledged: &[String]) {
    let mut arrived = BTreeMap::new();
    until("all that got their 250", || {
        arrived = arrivals(sink);
        acknowledged.iter().all(|token| arrived.contains_key(token))
    });
    site.until_queued(0);
    for (token, times) in arrivals(sink) {
        assert!(times <= 2, "{token} arrived {times} times");
    }
}

/// Sends one message after the other, and notes those that got a 250.
fn send_until_cut_off(port: u16, client: usize, acknowledged: &Mutex<Vec<String>>) {
    let Ok(mut session) = Client::greeted(port) else { return };
    for number in 0.. {
        let token = format!("{client}-{number}");
        let sent = session.send("a@client.example", "b@example.net", body(&token).as_bytes());
        match sent {
            Ok(reply) if reply.starts_with("250") => {
                acknowledged.lock().expect("whole").push(token);
            }
            Ok(reply) => panic!("{token}: {reply}"),
            Err(_) => return,
        }
    }
}

/// A body that is a function of its token, of 2 KiB to 200 KiB: some are streamed in chunks.
fn body(token: &str) -> String {
    let number: usize = token.rsplit('-').next().and_then(|n| n.parse().ok()).expect("a number");
    let lines = if number % 10 == 7 { 4000 } else { 40 + number % 200 };
    let mut body = format!("Subject: {token}\r\n\r\n");
    for line in 0..lines {
        body.push_str(&format!("{token} line {line} of {lines}, with some words behind it\r\n"));
    }
    body
}

/// How often each token has arrived; every copy must be whole.
fn arrivals(sink: &Sink) -> BTreeMap<String, usize> {
    let mut arrived = BTreeMap::new();
    for message in sink.received() {
        let original = String::from_utf8(message.original().to_vec()).expect("text");
        let subject = original.strip_prefix("Subject: ").and_then(|text| text.split_once('\r'));
        let token = subject.expect("a subject first").0.to_owned();
        assert!(original == body(&token), "{token} is not what was sent");
        *arrived.entry(token).or_insert(0) += 1;
    }
    arrived
}
