//! What operators and their machines ask of a running relay.

use crate::peers::{Client, get, sent};
use crate::relay::{Port, Setup, Site, with_each_reactor};
use crate::sink::Sink;
use crate::wait::until;
use rustix::process::Signal;

#[test]
fn metrics_health_and_status_say_what_the_relay_does() {
    with_each_reactor(|reactor| {
        let next = Port::free();
        let sink = Sink::start(&next);
        let site = Site::new(&Setup::new(reactor, &next));
        let relay = site.start();
        assert_eq!(get(site.metrics(), "/healthz").0, 200);
        assert_eq!(get(site.metrics(), "/readyz").0, 200);
        assert_eq!(get(site.metrics(), "/elsewhere").0, 404);
        sent(site.smtp(), "a@client.example", "b@example.net", "Subject: one\r\n\r\n");
        sink.until_count(1);
        for line in [
            "ringpost_messages_received_total{listener=\"mx\"} 1",
            "ringpost_recipients_received_total 1",
            "ringpost_deliveries_total{outcome=\"delivered\",provider=\"other\"} 1",
        ] {
            // Shards publish once a second.
            until(line, || {
                let (status, metrics) = get(site.metrics(), "/metrics");
                assert_eq!(status, 200);
                metrics.lines().any(|found| found == line)
            });
        }
        let status = &site.json(&["status"])[0];
        assert_eq!(status["state"], "running");
        assert_eq!(status["reactor"], reactor);
        assert_eq!(status["hostname"], "relay.example");
        assert_eq!(status["shards"], 2);
        assert_eq!(status["pid"], relay.pid());
        assert_eq!(status["listeners"][0]["name"], "mx");
        let address = format!("127.0.0.1:{}", site.smtp());
        assert_eq!(status["listeners"][0]["addresses"][0], address);
        assert!(site.told(&["status"]).contains("running"));
        let checked = site.operate(&["check"]);
        assert!(checked.status.success(), "what the running relay holds is no error");
        relay.stop();
    });
}

#[test]
fn a_reload_takes_new_domains_and_refuses_a_bad_file_whole() {
    with_each_reactor(|reactor| {
        let next = Port::free();
        let old = Setup::for_strangers(reactor, &next, "[\"old.example\"]");
        let site = Site::new(&old);
        let relay = site.start();
        assert_eq!(rcpt(&site, "a@old.example"), "250");
        assert_eq!(rcpt(&site, "a@new.example"), "554");

        let mut bad = Setup { domains: "[\"new.example\"]", ..old.clone() };
        bad.more = "[smtp]\nhops = 0\n".into();
        site.configure(&bad);
        let refused = site.operate(&["--socket", &socket(&site), "reload"]);
        assert_eq!(refused.status.code(), Some(78));
        let text = String::from_utf8_lossy(&refused.stderr);
        assert!(text.contains("ringpost.toml:") && text.contains("hops"), "{text}");
        assert_eq!(rcpt(&site, "a@old.example"), "250", "the old one stays");
        assert_eq!(rcpt(&site, "a@new.example"), "554", "no part of the bad one is taken");
        until("config.refused in the log", || relay.said().contains("config.refused"));

        site.configure(&Setup { hostname: "other.example", ..old.clone() });
        let refused = site.operate(&["reload"]);
        assert_eq!(refused.status.code(), Some(78));
        let text = String::from_utf8_lossy(&refused.stderr);
        assert!(text.contains("hostname"), "{text}");

        site.configure(&Setup { domains: "[\"new.example\"]", ..old.clone() });
        site.told(&["reload"]);
        assert_eq!(rcpt(&site, "a@new.example"), "250");
        assert_eq!(rcpt(&site, "a@old.example"), "554");
        until("config.reloaded in the log", || relay.said().contains("config.reloaded"));

        site.configure(&Setup { domains: "[\"newest.example\"]", ..old });
        relay.signal(Signal::HUP);
        until("SIGHUP is a reload", || rcpt(&site, "a@newest.example") == "250");
        relay.stop();
    });
}

fn socket(site: &Site) -> String {
    site.path("control.sock").display().to_string()
}

/// The code of the reply to a stranger's RCPT.
fn rcpt(site: &Site, to: &str) -> String {
    let mut client = Client::greeted(site.smtp()).expect("a greeting");
    client.command("MAIL FROM:<x@elsewhere.example>").expect("a reply");
    client.command(&format!("RCPT TO:<{to}>")).expect("a reply")[..3].to_owned()
}

#[test]
fn a_drain_tells_idle_sessions_421_and_ends_well() {
    with_each_reactor(|reactor| {
        for by_signal in [false, true] {
            let site = Site::new(&Setup::new(reactor, &Port::free()));
            let mut relay = site.start();
            let mut idle: Vec<Client> =
                (0..4).map(|_| Client::greeted(site.smtp()).expect("a greeting")).collect();
            if by_signal {
                relay.terminate();
            } else {
                site.told(&["drain"]);
            }
            for client in &mut idle {
                let said = client.rest().expect("a last word");
                assert!(said.starts_with("421 4.3.2 "), "{said:?}");
                assert_eq!(said.lines().count(), 1, "{said:?}");
            }
            // A client that stays is waited for: its last word must not be eaten by a reset.
            drop(idle);
            let status = relay.ended();
            assert!(status.success(), "{status}");
            assert!(Client::connect(site.smtp()).is_err(), "nobody listens");
        }
    });
}

#[test]
fn a_drain_waits_for_a_body_that_is_under_way() {
    with_each_reactor(|reactor| {
        let next = Port::free();
        let site = Site::new(&Setup::new(reactor, &next));
        let mut relay = site.start();
        let mut client = Client::greeted(site.smtp()).expect("a greeting");
        for line in ["MAIL FROM:<a@client.example>", "RCPT TO:<b@example.net>", "DATA"] {
            client.command(line).expect("a reply");
        }
        client.say(b"Subject: in between\r\n").expect("a stream");
        relay.terminate();
        until("readyz says that it drains", || {
            get(site.metrics(), "/readyz") == (503, "draining\n".into())
        });
        client.say(b"\r\ntext\r\n.\r\n").expect("a stream");
        let reply = client.reply().expect("a reply");
        assert!(reply.starts_with("250 2.0.0 Ok: queued as "), "{reply}");
        assert!(client.rest().expect("a last word").starts_with("421 4.3.2 "));
        drop(client);
        assert!(relay.ended().success());

        let sink = Sink::start(&next);
        let relay = site.start();
        // It may have been tried, in vain, before the end.
        site.told(&["queue", "flush", "--all"]);
        let message = sink.until_count(1).remove(0);
        assert_eq!(message.original(), b"Subject: in between\r\n\r\ntext\r\n");
        relay.stop();
    });
}

#[test]
fn sigterm_right_after_ready_is_a_drain() {
    with_each_reactor(|reactor| {
        let site = Site::new(&Setup::new(reactor, &Port::free()));
        for _ in 0..5 {
            let mut relay = site.start();
            relay.terminate();
            let status = relay.ended();
            assert!(status.success(), "no clean end: {status}");
        }
    });
}
