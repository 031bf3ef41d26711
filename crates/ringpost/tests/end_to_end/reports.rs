//! What cannot be delivered comes back to its sender, once, and never in answer to a report.

use crate::peers::{sent, swaks};
use crate::relay::{Port, Setup, Site, with_each_reactor};
use crate::sink::Sink;
use crate::wait::until;

fn nobody_here(recipient: &str) -> Option<&'static str> {
    recipient.starts_with("nobody@").then_some("550 5.1.1 No such user here")
}

#[test]
fn a_refused_recipient_is_reported_to_the_sender() {
    with_each_reactor(|reactor| {
        let next = Port::free();
        let sink = Sink::refusing(&next, nobody_here);
        let site = Site::new(&Setup::new(reactor, &next));
        let relay = site.start();
        let recipients = "bob@example.net,nobody@example.net";
        swaks(site.smtp(), &["--from", "ann@client.example", "--to", recipients]);
        let received = sink.until_count(2);
        site.until_queued(0);
        let original = received.iter().find(|message| !message.from.is_empty());
        assert_eq!(original.expect("the message itself").to, ["bob@example.net"]);
        let report = received.iter().find(|message| message.from.is_empty()).expect("a report");
        assert_eq!(report.to, ["ann@client.example"]);
        let text = report.text();
        for part in [
            "multipart/report; report-type=delivery-status",
            "Auto-Submitted: auto-replied",
            "Reporting-MTA: dns; relay.example",
            "Final-Recipient: rfc822; nobody@example.net",
            "Action: failed",
            "Status: 5.1.1",
            "550 5.1.1 No such user here",
        ] {
            assert!(text.contains(part), "no {part:?} in\n{text}");
        }
        assert!(!text.contains("rfc822; bob@example.net"), "bob has it\n{text}");
        assert_eq!(sink.count(), 2, "one message and one report");
        relay.stop();
    });
}

#[test]
fn nothing_is_reported_to_a_null_reverse_path() {
    with_each_reactor(|reactor| {
        let next = Port::free();
        let sink = Sink::refusing(&next, nobody_here);
        let site = Site::new(&Setup::new(reactor, &next));
        let relay = site.start();
        let id = sent(site.smtp(), "", "nobody@example.net", "Subject: a report\r\n\r\n");
        let bounced = format!("recipient.bounced id={id}");
        until("the bounce in the log", || relay.said().contains(&bounced));
        site.until_queued(0);
        // Whatever is accepted behind it arrives behind it.
        sent(site.smtp(), "ann@client.example", "bob@example.net", "Subject: last\r\n\r\n");
        let received = sink.until_count(1);
        assert_eq!(received.len(), 1, "a report was sent: {received:?}");
        assert_eq!(received[0].to, ["bob@example.net"]);
        assert!(relay.said().contains("dsn.dropped"), "the log says so");
        relay.stop();
    });
}
