//! Mail that waits, and what an operator does with it.

use crate::peers::sent;
use crate::relay::{Port, Relay, Setup, Site, reactors, with_each_reactor};
use crate::sink::Sink;
use crate::wait::{until, until_some};
use serde_json::Value;

/// A relay whose next hop is down, with three messages that have been tried.
fn stranded(reactor: &'static str, next: &Port) -> (Site, Relay, Vec<String>) {
    let site = Site::new(&Setup::new(reactor, next));
    let relay = site.start();
    let ids: Vec<String> = ["bob@example.net", "carol@example.net", "dora@example.org"]
        .iter()
        .map(|to| sent(site.smtp(), "ann@client.example", to, &format!("Subject: {to}\r\n\r\n")))
        .collect();
    until_state(&site, "deferred", 3);
    (site, relay, ids)
}

fn until_state(site: &Site, state: &str, messages: usize) {
    until(&format!("{messages} {state}"), || listed(site, &["--state", state]).len() == messages);
}

fn listed(site: &Site, filter: &[&str]) -> Vec<Value> {
    site.json(&[&["queue", "list"], filter].concat())
}

fn ids_of(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["id"].as_str().expect("an id")).collect()
}

/// Does something to messages; how many were meant.
fn act(site: &Site, arguments: &[&str]) -> Value {
    site.json(&[&["queue"], arguments].concat())[0]["messages"].clone()
}

#[test]
fn mail_for_a_next_hop_that_is_down_is_deferred_and_shown() {
    with_each_reactor(|reactor| {
        let next = Port::free();
        let (site, relay, ids) = stranded(reactor, &next);
        let all = listed(&site, &[]);
        assert_eq!(ids_of(&all), ids, "the oldest first");
        let recipient = &all[0]["recipients"][0];
        assert_eq!(recipient["to"], "bob@example.net");
        assert_eq!(recipient["state"], "deferred");
        assert_eq!(recipient["hop"], format!("smtp://127.0.0.1:{}", next.number()));
        let reason = recipient["reason"].as_str().expect("a reason");
        assert!(reason.to_lowercase().contains("refused"), "{reason}");
        assert!(recipient["next"].is_string(), "no time of the next attempt: {recipient}");
        assert_eq!(ids_of(&listed(&site, &["--to", "example.org"])), [&*ids[2]]);
        assert_eq!(ids_of(&listed(&site, &["--to", "carol@example.net"])), [&*ids[1]]);
        assert!(listed(&site, &["--older", "1h"]).is_empty());

        let shown = &site.json(&["queue", "show", &ids[1]])[0];
        assert_eq!(shown["from"], "ann@client.example");
        assert_eq!(shown["origin"]["hello"], "client.example");
        let header = shown["header"].as_str().expect("a header");
        assert!(header.contains("Received: from client.example"), "{header}");

        let summary = &site.json(&["queue", "summary"])[0];
        assert_eq!((&summary["messages"], &summary["deferred"]), (&3.into(), &3.into()));
        assert_eq!(summary["hops"][0]["recipients"], 3);
        let text = site.told(&["queue", "list"]);
        assert!(ids.iter().all(|id| text.contains(id)), "{text}");
        relay.stop();
    });
}

#[test]
fn an_operator_holds_releases_removes_and_flushes() {
    with_each_reactor(|reactor| {
        let next = Port::free();
        let (site, relay, ids) = stranded(reactor, &next);
        assert_eq!(act(&site, &["hold", &ids[0]]), 1);
        until_state(&site, "held", 1);
        assert_eq!(act(&site, &["remove", "--to", "example.org"]), 1);
        site.until_queued(2);
        let sink = Sink::start(&next);
        act(&site, &["flush", "--all"]);
        assert_eq!(sink.until_count(1)[0].to, ["carol@example.net"]);
        site.until_queued(1);
        assert_eq!(sink.count(), 1, "the held and the removed stay where they are");
        assert_eq!(ids_of(&listed(&site, &["--state", "held"])), [&*ids[0]]);
        assert_eq!(act(&site, &["release", "--all"]), 1);
        act(&site, &["flush", "--all"]);
        assert_eq!(sink.until_count(2)[1].to, ["bob@example.net"]);
        site.until_queued(0);
        relay.stop();
    });
}

#[test]
fn deferred_and_held_mail_survives_a_restart() {
    with_each_reactor(|reactor| {
        let next = Port::free();
        let (site, relay, ids) = stranded(reactor, &next);
        act(&site, &["hold", &ids[2]]);
        until_state(&site, "held", 1);
        relay.stop();
        let relay = site.start();
        assert_eq!(ids_of(&listed(&site, &[])), ids);
        assert_eq!(ids_of(&listed(&site, &["--state", "held"])), [&*ids[2]]);
        let sink = Sink::start(&next);
        act(&site, &["flush", "--all"]);
        let mut to: Vec<_> = sink.until_count(2).into_iter().flat_map(|m| m.to).collect();
        to.sort();
        assert_eq!(to, ["bob@example.net", "carol@example.net"]);
        site.until_queued(1);
        relay.stop();
    });
}

#[test]
fn an_action_that_names_no_message_does_nothing() {
    with_each_reactor(|reactor| {
        let next = Port::free();
        let (site, relay, _) = stranded(reactor, &next);
        let code = |arguments: &[&str]| site.operate(arguments).status.code();
        assert_eq!(code(&["queue", "remove"]), Some(64));
        assert_eq!(code(&["queue", "remove", "--all"]), Some(64), "nobody to ask");
        assert_eq!(code(&["queue", "show", "no-id"]), Some(65));
        assert_eq!(listed(&site, &[]).len(), 3);
        assert_eq!(act(&site, &["remove", "--all", "--yes"]), 3);
        site.until_queued(0);
        relay.stop();
        assert_eq!(code(&["queue", "list"]), Some(69), "nobody runs");
    });
}

/// Both kernel interfaces wait at the same time, as rests grow longer and longer.
#[test]
fn a_flush_ends_the_rest_of_a_destination_whether_it_names_messages_or_all() {
    std::thread::scope(|scope| {
        for reactor in reactors() {
            for by_id in [true, false] {
                scope.spawn(move || flush_ends_the_rest(reactor, by_id));
            }
        }
    });
}

fn flush_ends_the_rest(reactor: &'static str, by_id: bool) {
    let next = Port::free();
    let (site, relay, ids) = stranded(reactor, &next);
    let sink = Sink::start(&next);
    let which = if by_id { ids[0].as_str() } else { "--all" };
    act(&site, &["flush", which]);
    sink.until_count(1);
    let (rested_until, delivered) = until_some("the delivery in the log", || {
        let said = relay.said();
        let throttled = said.lines().rfind(|line| line.contains(" destination.throttled "))?;
        let (_, next) = throttled.rsplit_once("next=")?;
        let delivered = said.lines().find(|line| line.contains(" recipient.delivered "))?;
        Some((next.to_owned(), delivered.split(' ').next()?.to_owned()))
    });
    // Times of one form compare as texts.
    assert!(delivered < rested_until, "flush {which}: only at {delivered}, when the rest was over");
    relay.stop();
}
