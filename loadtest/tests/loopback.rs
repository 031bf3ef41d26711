//! The source against the sink, over loopback: every count is right, whatever is refused.

use loadtest::sink::{self, Extension, Refusal, Sink};
use loadtest::source::{self, Connection, Dialogue, Source};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

const MESSAGES: u64 = 300;

fn sink_at_any_port() -> sink::Options {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    sink::Options { verify: true, ..sink::Options::at(address) }
}

/// Runs both to their end; `change` changes the source's options.
fn run(
    sink: sink::Options,
    change: impl FnOnce(&mut source::Options),
) -> (source::Summary, sink::Summary, sink::Arrivals) {
    let sink = Sink::start(sink, None).unwrap();
    let mut options = source::Options::to(sink.address());
    options.messages = MESSAGES;
    options.sessions = 7;
    change(&mut options);
    let source = Source::start(options, None).unwrap();
    let run = source.run();
    let sent = source.finish().unwrap();
    let arrivals = sink.arrivals(run);
    (sent, sink.stop().unwrap(), arrivals)
}

fn assert_all_whole(sent: &source::Summary, received: &sink::Summary, arrivals: &sink::Arrivals) {
    assert!(sent.is_complete(), "{sent}");
    assert_eq!(sent.counts.sent, MESSAGES);
    assert_eq!(sent.counts.end_of_data.count(), MESSAGES);
    assert_eq!(sent.counts.sessions_lost, 0, "{sent}");
    assert_eq!(received.counts.messages, MESSAGES);
    let found = (arrivals.whole, arrivals.twice, arrivals.damaged, arrivals.missing(MESSAGES));
    assert_eq!(found, (MESSAGES, 0, 0, 0));
}

#[test]
fn every_message_arrives_whole_by_every_dialogue_and_connection() {
    for dialogue in [Dialogue::Classic, Dialogue::Pipelined] {
        for connection in [Connection::Kept, Connection::Each] {
            let (sent, received, arrivals) = run(sink_at_any_port(), |options| {
                options.dialogue = dialogue;
                options.connection = connection;
            });
            assert_all_whole(&sent, &received, &arrivals);
            let sessions = if connection == Connection::Each { MESSAGES } else { 7 };
            assert_eq!(received.counts.sessions, sessions, "{dialogue:?} {connection:?}");
            // A session may still be closing while the next one of its lane is accepted.
            assert!(received.counts.sessions_most <= 14, "{received}");
        }
    }
}

#[test]
fn every_size_of_body_arrives_whole() {
    for size in [0, 1, 79, 100_000] {
        let (sent, received, arrivals) = run(sink_at_any_port(), |options| options.size = size);
        assert_all_whole(&sent, &received, &arrivals);
    }
}

#[test]
fn threads_on_both_sides_share_the_messages() {
    let sink = sink::Options { threads: 2, ..sink_at_any_port() };
    let (sent, received, arrivals) = run(sink, |options| options.threads = 2);
    assert_all_whole(&sent, &received, &arrivals);
}

#[test]
fn without_pipelining_the_source_falls_back() {
    let sink = sink::Options { without: vec![Extension::Pipelining], ..sink_at_any_port() };
    let (sent, received, arrivals) = run(sink, |_| {});
    assert_all_whole(&sent, &received, &arrivals);
}

#[test]
fn refused_messages_are_counted_by_code_and_the_rest_arrive() {
    for dialogue in [Dialogue::Classic, Dialogue::Pipelined] {
        let refuse = vec!["0.2:550 5.1.1 no".parse::<Refusal>().unwrap()];
        let defer = vec!["0.2:450 4.2.0 later".parse::<Refusal>().unwrap()];
        let sink = sink::Options { refuse, defer, ..sink_at_any_port() };
        let (sent, received, arrivals) = run(sink, |options| options.dialogue = dialogue);
        let counts = &sent.counts;
        assert!(!sent.is_complete());
        assert_eq!(counts.accepted + counts.refused_in_all(), MESSAGES, "{sent}");
        let codes: Vec<u16> = counts.refused.keys().copied().collect();
        assert_eq!(codes, [450, 550], "{sent}");
        assert_eq!(counts.sessions_lost, 0, "{sent}");
        assert_eq!(received.counts.messages, counts.accepted);
        assert_eq!(arrivals.whole, counts.accepted);
    }
}

#[test]
fn of_several_recipients_some_may_be_refused() {
    for dialogue in [Dialogue::Classic, Dialogue::Pipelined] {
        let refuse = vec!["0.5:550 5.1.1 no".parse::<Refusal>().unwrap()];
        let sink = sink::Options { refuse, ..sink_at_any_port() };
        let (sent, received, _) = run(sink, |options| {
            options.dialogue = dialogue;
            options.recipients = 3;
        });
        let counts = &sent.counts;
        assert!(counts.recipients_refused > 0, "{sent}");
        assert_eq!(counts.accepted + counts.refused_in_all(), MESSAGES, "{sent}");
        assert_eq!(received.counts.messages, counts.accepted);
    }
}

#[test]
fn an_open_loop_keeps_to_its_schedule_and_counts_the_waiting() {
    let delay = Some(Duration::from_millis(20));
    let sink = sink::Options { delay, ..sink_at_any_port() };
    let (sent, _, arrivals) = run(sink, |options| {
        options.messages = 40;
        options.sessions = 1;
        options.rate = Some(1000.0);
    });
    assert_eq!(arrivals.whole, 40, "{sent}");
    // One session at 20 ms a reply cannot keep up with a message a millisecond: the last one has
    // waited for all those before it, though its own end of data was answered soon.
    assert!(sent.counts.transaction.at(1.0) > Duration::from_millis(400), "{sent}");
    assert!(sent.elapsed >= Duration::from_millis(40 * 20), "{sent}");
}

#[test]
fn a_target_that_is_not_there_ends_the_source() {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    let options = source::Options { sessions: 2, ..source::Options::to(nobody) };
    let sent = Source::start(options, None).unwrap().finish().unwrap();
    assert_eq!((sent.counts.accepted, sent.counts.sessions), (0, 0), "{sent}");
    assert!(sent.counts.first_trouble.is_some_and(|trouble| trouble.starts_with("connect")));
}

#[test]
fn enough_messages_are_told() {
    let (enough, told) = std::sync::mpsc::channel();
    let options = sink::Options { until_messages: Some(MESSAGES), ..sink_at_any_port() };
    let sink = Sink::start(options, Some(enough)).unwrap();
    let mut options = source::Options::to(sink.address());
    options.messages = MESSAGES;
    let source = Source::start(options, None).unwrap();
    told.recv_timeout(Duration::from_secs(60)).expect("all of them come");
    assert!(source.finish().unwrap().is_complete());
    assert_eq!(sink.stop().unwrap().counts.messages, MESSAGES);
}
