//! The log, for people and for programs.

use crate::peers::{Client, sent};
use crate::relay::{Port, Setup, Site, with_each_reactor};
use crate::sink::Sink;
use crate::wait::until_some;
use serde_json::Value;

#[test]
fn the_log_for_people_has_a_line_for_each_turn_of_a_message() {
    with_each_reactor(|reactor| {
        let next = Port::free();
        let sink = Sink::start(&next);
        let site = Site::new(&Setup::new(reactor, &next));
        let relay = site.start();
        let id = sent(site.smtp(), "a@client.example", "b@example.net", "Subject: x\r\n\r\n");
        sink.until_count(1);
        let line_of = |event: &str| {
            until_some(event, || {
                let said = relay.said();
                let line = said.lines().find(|line| line.contains(&format!(" {event} id={id} ")));
                line.map(str::to_owned)
            })
        };
        let accepted = line_of("message.accepted");
        for field in ["listener=mx", "client=127.0.0.1", "from=<a@client.example>", "recipients=1"]
        {
            assert!(accepted.contains(field), "no {field}: {accepted}");
        }
        let delivered = line_of("recipient.delivered");
        let host = format!("[127.0.0.1]:{}", next.number());
        for field in ["to=<b@example.net>", &host, "delay_s=0.", "status=2.0.0"] {
            assert!(delivered.contains(field), "no {field}: {delivered}");
        }
        assert!(delivered.contains("reply=\"250 2.0.0 Taken\""), "{delivered}");
        relay.stop();
    });
}

#[test]
fn the_log_for_programs_is_one_object_a_line_and_nothing_a_peer_says_can_forge_one() {
    with_each_reactor(|reactor| {
        let next = Port::free();
        let sink = Sink::start(&next);
        let mut setup = Setup::new(reactor, &next);
        setup.more = "[log]\ntarget = \"file:LOG\"\nformat = \"json\"\n".into();
        let site = Site::new(&setup);
        let log = site.path("log");
        setup.more = setup.more.replace("LOG", &log.display().to_string());
        site.configure(&setup);
        let relay = site.start();
        let mut client = Client::connect(site.smtp()).expect("a connection");
        client.reply().expect("a greeting");
        client.command("EHLO c.example\",\"event\":\"forged").expect("a reply");
        client.command("HELO client.example").expect("a reply");
        let from = "\"a\\\"b event=forged\"@client.example";
        let reply = client.send(from, "b@example.net", b"Subject: x\r\n\r\n").expect("replies");
        let id = reply.rsplit(' ').next().expect("a last word").to_owned();
        sink.until_count(1);
        let delivered = until_some("the delivery in the log", || {
            lines(&log).into_iter().find(|line| line["event"] == "recipient.delivered")
        });
        assert_eq!(delivered["id"], id.as_str());
        assert_eq!(delivered["to"], "<b@example.net>");
        assert_eq!(delivered["status"], "2.0.0");
        assert_eq!(delivered["reply"], "250 2.0.0 Taken");
        assert!(delivered["delay_s"].is_number(), "{delivered}");
        drop(client);
        relay.stop();
        let lines = lines(&log);
        assert!(lines.iter().all(|line| line["event"] != "forged"));
        assert!(lines.iter().all(|line| line["time"].as_str().is_some_and(is_utc)));
        let accepted = lines.iter().find(|line| line["event"] == "message.accepted");
        assert_eq!(accepted.expect("it was accepted")["from"], format!("<{from}>"));
    });
}

/// The whole lines of a log, each parsed: a line that is no object fails the test.
fn lines(log: &std::path::Path) -> Vec<Value> {
    let text = std::fs::read_to_string(log).expect("a log");
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    whole.lines().map(parse).collect()
}

/// RFC 3339 with microseconds.
fn is_utc(time: &str) -> bool {
    time.len() == "2026-01-01T00:00:00.000000Z".len() && time.ends_with('Z')
}
