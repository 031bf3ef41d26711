//! The relay is open to nobody.

use crate::peers::{Client, swaks};
use crate::relay::{Port, Setup, Site, with_each_reactor};
use crate::sink::Sink;

#[test]
fn a_stranger_may_send_to_our_domains_only() {
    with_each_reactor(|reactor| {
        let next = Port::free();
        let sink = Sink::start(&next);
        let domains = "[\"ours.example\", \"*.ours.example\"]";
        let site = Site::new(&Setup::for_strangers(reactor, &next, domains));
        let relay = site.start();
        let mut client = Client::greeted(site.smtp()).expect("a greeting");
        let mut ask = |line: &str| client.command(line).expect("a reply");
        assert_eq!(ask("MAIL FROM:<x@elsewhere.example>"), "250 2.1.0 Ok");
        for refused in [
            "b@elsewhere.example",
            "b@notours.example",
            "b@ours.example.net",
            "b%elsewhere.example@elsewhere.example",
            "\"b@ours.example\"@elsewhere.example",
            "b@[127.0.0.1]",
        ] {
            let reply = ask(&format!("RCPT TO:<{refused}>"));
            assert!(reply.starts_with("554 5.7.1 "), "{refused}: {reply}");
        }
        assert_eq!(ask("RCPT TO:<b@ours.example>"), "250 2.1.5 Ok");
        assert_eq!(ask("RCPT TO:<b@Deep.OURS.example>"), "250 2.1.5 Ok");
        assert_eq!(ask("QUIT"), "221 2.0.0 Bye");
        drop(client);
        swaks(site.smtp(), &["--from", "x@elsewhere.example", "--to", "b@ours.example"]);
        assert_eq!(sink.until_count(1)[0].to, ["b@ours.example"]);
        relay.stop();
    });
}
