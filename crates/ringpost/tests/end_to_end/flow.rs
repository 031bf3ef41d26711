//! Much mail, through and out, on few sessions.

use crate::peers::{smtp_source, swaks};
use crate::relay::{Port, Setup, Site, with_each_reactor};
use crate::sink::Sink;
use std::collections::BTreeSet;

#[test]
fn what_a_load_generator_sends_arrives_over_few_sessions() {
    with_each_reactor(|reactor| {
        let next = Port::free();
        let sink = Sink::start(&next);
        let site = Site::new(&Setup::new(reactor, &next));
        let relay = site.start();
        let load = ["-s", "20", "-m", "2000", "-l", "4096", "-d"];
        let envelope = ["-f", "a@client.example", "-t", "b@example.net"];
        smtp_source(site.smtp(), &[&load[..], &envelope[..]].concat());
        sink.until_count(2000);
        site.until_queued(0);
        let received = sink.received();
        assert_eq!(received.len(), 2000, "each arrives once");
        for message in &received {
            assert_eq!((message.from.as_str(), message.to.len()), ("a@client.example", 1));
            assert_eq!(message.to[0], "b@example.net");
            assert!(message.original().len() >= 4096, "cut: {}", message.text());
        }
        let ids: BTreeSet<String> =
            received.iter().map(|message| trace_id(&message.text())).collect();
        assert_eq!(ids.len(), 2000, "each has an id of its own");
        assert!(sink.open_max() <= 20, "{} sessions at a time", sink.open_max());
        assert!(sink.sessions() <= 40, "{} sessions", sink.sessions());
        relay.stop();
    });
}

/// The id in the trace header.
fn trace_id(text: &str) -> String {
    let after = text.split_once(" id ").expect("an id in the trace header").1;
    after.chars().take_while(char::is_ascii_alphanumeric).collect()
}

#[test]
fn a_message_of_swaks_arrives_as_it_was_sent() {
    with_each_reactor(|reactor| {
        let next = Port::free();
        let sink = Sink::start(&next);
        let site = Site::new(&Setup::new(reactor, &next));
        let relay = site.start();
        let body = "one line\\n.a line with a dot\\n..\\nthe last";
        let envelope = ["--from", "ann@client.example", "--to", "bob@example.net"];
        let words = ["--body", body, "--header", "Subject: with swaks"];
        let dialogue = swaks(site.smtp(), &[&envelope[..], &words[..]].concat());
        assert!(dialogue.contains("250 2.0.0 Ok: queued as "), "{dialogue}");
        let message = sink.until_count(1).remove(0);
        assert_eq!(message.from, "ann@client.example");
        assert_eq!(message.to, ["bob@example.net"]);
        let text = message.text();
        assert!(text.contains("\r\nSubject: with swaks\r\n"), "{text}");
        let sent = "one line\r\n..a line with a dot\r\n...\r\nthe last\r\n";
        assert!(text.contains(sent), "{text}");
        relay.stop();
    });
}
