//! Limits that an operator sets, and the replies that scripts rely on when they are reached.

use crate::peers::{Client, sent};
use crate::relay::{Port, Relay, Setup, Site, reactors, with_each_reactor};
use crate::sink::Sink;

/// A relay that is strict with strangers.
fn strict(reactor: &'static str, next: &Port) -> (Site, Relay) {
    let mut setup = Setup::for_strangers(reactor, next, "[\"ours.example\"]");
    setup.more = "[smtp]\nmessage_bytes = \"64KiB\"\nrecipients_per_message = 100\nerrors = 3\n\
                  [limits]\nsessions_per_client = 4\n"
        .into();
    let site = Site::new(&setup);
    let relay = site.start();
    (site, relay)
}

#[test]
fn a_message_that_is_too_big_is_refused_by_its_size_and_by_its_bytes() {
    with_each_reactor(|reactor| {
        let (site, relay) = strict(reactor, &Port::free());
        let mut client = Client::greeted(site.smtp()).expect("a greeting");
        let reply = client.command("MAIL FROM:<x@client.example> SIZE=65537").expect("a reply");
        assert!(reply.starts_with("552 5.3.4 "), "{reply}");
        let body = "words in a line\r\n".repeat(5000);
        let reply = client.send("x@client.example", "b@ours.example", body.as_bytes());
        let reply = reply.expect("the refusal is heard to its end");
        assert!(reply.starts_with("552 5.3.4 "), "{reply}");
        sent(site.smtp(), "x@client.example", "b@ours.example", "Subject: small\r\n\r\n");
        drop(client);
        relay.stop();
    });
}

#[test]
fn recipients_over_the_limit_are_deferred_and_the_others_served() {
    with_each_reactor(|reactor| {
        let next = Port::free();
        let sink = Sink::start(&next);
        let (site, relay) = strict(reactor, &next);
        let mut client = Client::greeted(site.smtp()).expect("a greeting");
        client.command("MAIL FROM:<x@client.example>").expect("a reply");
        for number in 0..100 {
            let reply = client.command(&format!("RCPT TO:<b{number}@ours.example>"));
            assert_eq!(reply.expect("a reply"), "250 2.1.5 Ok");
        }
        let reply = client.command("RCPT TO:<last@ours.example>").expect("a reply");
        assert!(reply.starts_with("452 4.5.3 "), "{reply}");
        client.command("DATA").expect("a reply");
        let reply = client.command("Subject: to many\r\n\r\ntext\r\n.").expect("a reply");
        assert!(reply.starts_with("250 "), "{reply}");
        site.until_queued(0);
        let to: Vec<String> = sink.received().into_iter().flat_map(|message| message.to).collect();
        assert_eq!(to.len(), 100, "each recipient once");
        drop(client);
        relay.stop();
    });
}

#[test]
fn a_stranger_that_comes_or_errs_too_often_is_shown_the_door() {
    with_each_reactor(|reactor| {
        let (site, relay) = strict(reactor, &Port::free());
        let mut open: Vec<Client> =
            (0..4).map(|_| Client::greeted(site.smtp()).expect("a greeting")).collect();
        let mut fifth = Client::connect(site.smtp()).expect("a connection");
        let said = fifth.rest().expect("a last word");
        assert!(said.starts_with("421 4.7.0 "), "{said:?}");
        let client = &mut open[0];
        let replies: Vec<String> =
            (0..4).map(|_| client.command("FROB").expect("a reply")).collect();
        assert!(replies[2].starts_with("500 5.5.2 "), "{replies:?}");
        assert!(replies[3].starts_with("421 4.7.0 "), "{replies:?}");
        assert_eq!(client.rest().expect("a close"), "");
        drop((open, fifth));
        relay.stop();
    });
}

/// Slow: the silence behind a false end of data that is answered lasts 10 s. Both kernel
/// interfaces wait at the same time.
#[test]
fn a_client_that_waits_behind_a_false_end_of_data_is_refused_after_a_while() {
    std::thread::scope(|scope| {
        for reactor in reactors() {
            scope.spawn(move || {
                let (site, relay) = strict(reactor, &Port::free());
                let mut client = Client::greeted(site.smtp()).expect("a greeting");
                client.command("MAIL FROM:<x@client.example>").expect("a reply");
                client.command("RCPT TO:<b@ours.example>").expect("a reply");
                client.command("DATA").expect("a reply");
                client.say(b"text\n.\n").expect("a stream");
                let reply = client.reply().expect("a reply");
                assert!(reply.starts_with("550 5.5.2 "), "{reply}");
                assert_eq!(client.rest().expect("a close"), "");
                drop(client);
                site.until_queued(0);
                relay.stop();
            });
        }
    });
}
