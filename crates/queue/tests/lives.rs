//! The life of messages over restarts, on a simulated disk that behaves.

mod harness;

use harness::*;
use mail::{EventKind, UnixTime};
use queue::{Admission, Filter, State};
use reactor::sim::Faults;
use std::time::Duration;

fn machine() -> Machine {
    Machine::new(1, Faults::none())
}

#[test]
fn a_delivered_message_is_gone_after_a_restart() {
    let machine = machine();
    machine.live(|life| async move {
        life.accept("a@example.org", &["b@example.net"], &body(1, 4000)).await;
        let ticket = life.next().await;
        assert_eq!((ticket.attempt, ticket.recipients.as_slice()), (1, &[0][..]));
        assert_eq!(life.read(&ticket).await, whole(&body(1, 4000)));
        life.settle(ticket, &delivered());
        assert_eq!(life.list(), []);
        life.queue.drain().await;
    });
    machine.live(|life| async move {
        assert_eq!(life.list(), []);
        assert!(life.take().is_none());
        assert_eq!(life.queue.counters().live_bytes, 0);
    });
}

#[test]
fn an_accepted_message_is_there_after_a_kill() {
    let machine = machine();
    let id = machine.live(|life| async move {
        life.accept("a@example.org", &["b@example.net", "c@example.com"], &body(1, 4000)).await
    });
    machine.live(move |life| async move {
        let [listed] = life.list().try_into().expect("one message");
        assert_eq!((listed.id, listed.state, listed.recipients.len()), (id, State::Active, 2));
        for _ in 0..2 {
            let ticket = life.next().await;
            assert_eq!(ticket.recipients.len(), 1);
            assert_eq!(life.read(&ticket).await, whole(&body(1, 4000)));
            life.settle(ticket, &delivered());
        }
        assert_eq!(life.list(), []);
    });
}

#[test]
fn a_deferred_recipient_keeps_its_due_time_and_attempts_over_a_restart() {
    let machine = machine();
    let before = machine.live(|life| async move {
        life.accept("a@example.org", &["b@example.net", "c@example.net"], b"x\r\n").await;
        let ticket = life.next().await;
        let outcomes = vec![(0, deferred()), (1, delivered())];
        life.queue.settle(ticket, outcomes, None);
        life.queue.drain().await;
        assert_eq!(life.heard(EventKind::RecipientDeferred), 1);
        life.list()
    });
    let due = before[0].recipients[0].next.expect("it waits");
    assert_eq!(before[0].state, State::Deferred);
    assert!(due.since(before[0].accepted) >= Duration::from_secs(48));
    machine.live(move |life| async move {
        assert_eq!(life.list(), before);
        assert_eq!(life.queue.next_due(), Some(due));
        let ticket = life.next().await;
        assert!(life.unix_time() >= due);
        assert_eq!((ticket.attempt, ticket.recipients.as_slice()), (2, &[0][..]));
    });
}

#[test]
fn who_is_not_mentioned_is_due_again_at_once() {
    machine().live(|life| async move {
        life.accept("a@example.org", &["b@example.net", "c@example.net"], b"x\r\n").await;
        let ticket = life.next().await;
        life.queue.settle(ticket, vec![(1, delivered())], None);
        let ticket = life.next().await;
        assert_eq!((ticket.attempt, ticket.recipients.as_slice()), (1, &[0][..]));
    });
}

#[test]
fn a_report_is_queued_once_and_tells_who_failed_and_why() {
    let machine = machine();
    machine.live(|life| async move {
        let mail = b"Subject: hi\r\n..dot: x\r\n\r\n..dotted\r\n";
        life.accept("a@example.org", &["b@example.net", "c@example.net"], mail).await;
        let ticket = life.next().await;
        life.queue.settle(ticket, vec![(0, bounced()), (1, delivered())], None);
        life.queue.drain().await;
        assert_eq!(life.heard(EventKind::RecipientBounced), 1);
        assert_eq!(life.heard(EventKind::DsnSent), 1);
        assert_eq!(life.list().len(), 1);
    });
    machine.live(|life| async move {
        let [listed] = life.list().try_into().expect("the report alone");
        assert_eq!((listed.from.as_str(), listed.recipients[0].to.as_str()), ("", "a@example.org"));
        let ticket = life.next().await;
        let loaded = life.queue.load(&ticket).await.expect("the report is whole");
        assert_eq!(loaded.stuffed_lines, 2);
        let report = String::from_utf8(life.read(&ticket).await).expect("ASCII");
        for line in [
            "Final-Recipient: rfc822; b@example.net\r\n",
            "Status: 5.1.1\r\n",
            "Subject: hi\r\n..dot: x\r\n\r\n..dotted\r\n",
        ] {
            assert!(report.contains(line), "{line} in {report}");
        }
        assert!(!report.contains("c@example.net"));
        life.settle(ticket, &delivered());
        life.queue.drain().await;
    });
    machine.live(|life| async move { assert_eq!(life.list(), []) });
}

#[test]
fn a_long_message_is_returned_without_its_body() {
    machine().live(|life| async move {
        life.accept("a@example.org", &["b@example.net"], &body(1, 300_000)).await;
        let ticket = life.next().await;
        life.settle(ticket, &bounced());
        life.queue.drain().await;
        let ticket = life.next().await;
        let report = String::from_utf8(life.read(&ticket).await).expect("ASCII");
        assert!(report.contains("Subject: number 1\r\n"));
        assert!(report.contains("text/rfc822-headers"));
        assert!(report.len() < 10_000);
    });
}

#[test]
fn nothing_bounces_a_bounce() {
    machine().live(|life| async move {
        life.accept("", &["b@example.net"], b"x\r\n").await;
        let ticket = life.next().await;
        life.settle(ticket, &bounced());
        life.queue.drain().await;
        assert_eq!(life.list(), []);
        assert_eq!(life.heard(EventKind::DsnDropped), 1);
        let counters = life.queue.counters();
        assert_eq!((counters.dsn_sent, counters.dsn_dropped), (0, 1));
    });
}

#[test]
fn a_body_of_three_mebibytes_goes_in_chunks_and_comes_back_whole() {
    let machine = machine();
    let long = body(7, 3 << 20);
    let sent = long.clone();
    machine.live(|life| async move {
        life.accept("a@example.org", &["b@example.net"], &sent).await;
        let ticket = life.next().await;
        assert_eq!(life.read(&ticket).await, whole(&sent));
        life.queue.give_back(ticket);
    });
    machine.live(move |life| async move {
        let ticket = life.next().await;
        let mut loaded = life.queue.load(&ticket).await.expect("the message is whole");
        while let Some(parts) = loaded.body.next().await.expect("the message is whole") {
            let bytes: usize = parts.iter().map(|part| part.as_slice().len()).sum();
            assert!(bytes <= (256 << 10) + HEADER.len());
        }
        assert_eq!(life.read(&ticket).await, whole(&long));
        life.settle(ticket, &delivered());
        life.queue.drain().await;
    });
    machine.live(|life| async move {
        assert_eq!(life.queue.counters().live_bytes, 0);
    });
}

#[test]
fn a_message_whose_session_has_ended_during_its_commit_is_scheduled_all_the_same() {
    machine().live(|life| async move {
        let commit = {
            let mut draft = life.queue.draft();
            fill(&mut draft, &body(1, 4000)).await;
            let envelope = envelope("a@example.org", &["b@example.net"]);
            life.queue.commit(draft, envelope, HEADER.to_vec(), 0)
        };
        // Its future is polled once, so that the write is under way, and dropped.
        let mut commit = Box::pin(commit);
        let begun = std::future::poll_fn(|task| {
            std::task::Poll::Ready(commit.as_mut().poll(task).is_pending())
        });
        assert!(begun.await, "there was nothing to wait for");
        drop(commit);
        let ticket = life.next().await;
        assert_eq!(life.read(&ticket).await, whole(&body(1, 4000)));
        life.settle(ticket, &delivered());
        life.queue.drain().await;
        assert_eq!(life.queue.counters().live_bytes, 0);
    });
}

#[test]
fn a_thousand_outcomes_with_long_reasons_are_recorded_and_reported_whole() {
    let machine = machine();
    let reply = || mail::Reply { code: 450, status: None, text: "x".repeat(2000).into() };
    machine.live(move |life| async move {
        let to: Vec<String> = (0..1000).map(|n| format!("user{n}@example.net")).collect();
        let to: Vec<&str> = to.iter().map(String::as_str).collect();
        life.accept("a@example.org", &to, &body(1, 60_000)).await;
        let ticket = life.next().await;
        assert_eq!(ticket.recipients.len(), 1000);
        let reason = mail::Reason::Peer(reply());
        let not_before = UnixTime(0);
        life.settle(ticket, &mail::Outcome::Deferred { reason, not_before });
        life.queue.drain().await;
        assert_eq!(life.list()[0].recipients.len(), 1000);
    });
    machine.live(move |life| async move {
        let [listed] = life.list().try_into().expect("the message");
        assert!(listed.recipients.iter().all(|one| one.reason.is_some() && one.attempts == 1));
        let ticket = life.next().await;
        let reason = mail::Reason::Peer(mail::Reply { code: 550, ..reply() });
        life.settle(ticket, &mail::Outcome::Bounced { reason });
        life.queue.drain().await;
        assert!(life.list().iter().all(|one| one.from.is_empty()), "reports alone are left");
        assert_eq!(life.heard(EventKind::DsnSent), life.list().len());
    });
    machine.live(|life| async move {
        let mut reported = 0;
        let reports = life.list().len();
        for _ in 0..reports {
            let ticket = life.next().await;
            let report = String::from_utf8(life.read(&ticket).await).expect("ASCII");
            reported += report.matches("Final-Recipient: ").count();
            life.settle(ticket, &delivered());
        }
        assert_eq!(reported, 1000, "each is reported once, in {reports} reports");
    });
}

#[test]
fn a_draft_that_is_dropped_leaves_nothing_behind() {
    let machine = machine();
    machine.live(|life| async move {
        let mut draft = life.queue.draft();
        fill(&mut draft, &body(7, 1 << 20)).await;
        let id = draft.id();
        draft.clear();
        assert!(draft.is_empty() && draft.id() != id);
        life.queue.drain().await;
    });
    machine.live(|life| async move { assert_eq!(life.list(), []) });
}

#[test]
fn what_is_held_stays_held_over_a_restart_and_goes_when_released() {
    let machine = machine();
    machine.live(|life| async move {
        life.accept("a@example.org", &["b@example.net"], b"x\r\n").await;
        assert_eq!(life.queue.hold(&Filter::everything()), 1);
        assert!(life.take().is_none());
        life.queue.drain().await;
    });
    machine.live(|life| async move {
        assert_eq!(life.list()[0].state, State::Held);
        // Longer than it would be given up after.
        life.reactor.sleep(life.reactor.now() + Duration::from_secs(700)).await;
        assert!(life.take().is_none());
        assert_eq!(life.queue.counters().messages, [0, 0, 1]);
        assert_eq!(life.queue.release(&Filter::everything()), 1);
        life.queue.drain().await;
    });
    machine.live(|life| async move {
        assert_eq!(life.list()[0].state, State::Active);
        assert!(life.take().is_some());
    });
}

#[test]
fn what_is_held_in_flight_is_held_once_it_is_deferred() {
    let machine = machine();
    machine.live(|life| async move {
        life.accept("a@example.org", &["b@example.net"], b"x\r\n").await;
        let ticket = life.next().await;
        assert_eq!(life.queue.hold(&Filter::everything()), 1);
        life.settle(ticket, &deferred());
        assert_eq!(life.list()[0].state, State::Held);
        assert_eq!(life.queue.next_due(), None);
        life.queue.drain().await;
    });
    machine.live(|life| async move { assert_eq!(life.list()[0].state, State::Held) });
}

#[test]
fn what_is_removed_is_gone_without_a_report() {
    let machine = machine();
    machine.live(|life| async move {
        life.accept("a@example.org", &["b@example.net"], b"x\r\n").await;
        life.accept("a@example.org", &["c@example.com"], b"x\r\n").await;
        let filter = Filter { to: Some("example.net".to_owned()), ..Filter::default() };
        let flying = life.next().await;
        assert_eq!(life.queue.remove(&filter), 1);
        assert_eq!(life.queue.remove(&Filter::default()), 0, "nothing was asked for");
        // Its attempt ends after it was removed.
        life.settle(flying, &deferred());
        assert_eq!(life.list().len(), 1);
        life.queue.drain().await;
    });
    machine.live(|life| async move {
        let [listed] = life.list().try_into().expect("the other message");
        assert_eq!(listed.recipients[0].to, "c@example.com");
        assert_eq!(life.heard(EventKind::DsnSent), 0);
    });
}

#[test]
fn what_is_removed_in_flight_is_not_reported_when_it_bounces() {
    let machine = machine();
    machine.live(|life| async move {
        life.accept("a@example.org", &["b@example.net"], b"x\r\n").await;
        let ticket = life.next().await;
        assert_eq!(life.queue.remove(&Filter::everything()), 1);
        life.settle(ticket, &bounced());
        life.queue.drain().await;
        assert_eq!(life.list(), []);
    });
    machine.live(|life| async move { assert_eq!(life.list(), []) });
}

#[test]
fn a_clock_that_jumps_ahead_gives_nothing_up_for_an_hour() {
    let machine = machine();
    let host = machine.host.clone();
    machine.live(|life| async move {
        life.accept("a@example.org", &["b@example.net"], b"x\r\n").await;
        let ticket = life.next().await;
        life.settle(ticket, &deferred());
        host.step_clock(Duration::from_secs(24 * 60 * 60));
        life.reactor.sleep(life.reactor.now() + Duration::from_secs(3500)).await;
        assert_eq!(life.heard(EventKind::RecipientExpired), 0);
        life.reactor.sleep(life.reactor.now() + Duration::from_secs(200)).await;
        assert_eq!(life.heard(EventKind::RecipientExpired), 1);
    });
}

#[test]
fn a_disk_that_fails_is_told_and_nothing_more_is_taken() {
    let machine = machine();
    let host = machine.host.clone();
    let id = machine.live(|life| async move {
        let id = life.accept("a@example.org", &["b@example.net"], b"x\r\n").await;
        host.break_disk(true);
        let envelope = envelope("a@example.org", &["b@example.net"]);
        let draft = life.queue.draft();
        let committed = life.queue.commit(draft, envelope, HEADER.to_vec(), 0).await;
        assert_eq!(committed, Err(queue::CommitError::Failed));
        assert_eq!(life.queue.admission(), Admission::Failed);
        assert!(life.queue.failed());
        // What was taken before is still there, and draining does not wait for ever.
        let ticket = life.next().await;
        life.settle(ticket, &bounced());
        life.queue.drain().await;
        host.break_disk(false);
        id
    });
    machine.live(move |life| async move {
        let listed = life.list();
        assert!(listed.iter().any(|one| one.id == id));
        // The refused message may have landed all the same, but no report of what is still queued.
        assert!(listed.iter().all(|one| one.from == "a@example.org"));
    });
}

#[test]
fn what_waited_too_long_is_given_up_with_a_report() {
    machine().live(|life| async move {
        life.accept("a@example.org", &["b@example.net"], b"x\r\n").await;
        let accepted = life.unix_time();
        while life.heard(EventKind::RecipientExpired) == 0 {
            let ticket = life.next().await;
            if ticket.hop.as_str() != "mx://example.net" {
                life.queue.give_back(ticket);
                break;
            }
            life.settle(ticket, &deferred());
        }
        let ticket = life.next().await;
        let late = life.unix_time().since(accepted);
        assert!((600..=601).contains(&late.as_secs()), "{late:?}");
        let report = String::from_utf8(life.read(&ticket).await).expect("ASCII");
        assert!(report.contains("Status: 5.4.7"), "{report}");
        assert!(report.contains("no route to host"));
    });
}

#[test]
fn what_no_attempt_is_made_for_is_given_up_too() {
    machine().live(|life| async move {
        life.accept("a@example.org", &["b@example.net"], b"x\r\n").await;
        let ticket = life.next().await;
        life.settle(ticket, &deferred());
        // Nobody takes it any more.
        life.reactor.sleep(life.reactor.now() + Duration::from_secs(602)).await;
        assert_eq!(life.heard(EventKind::RecipientExpired), 1);
        let [report] = life.list().try_into().expect("the report alone");
        assert_eq!(report.from, "");
    });
}

#[test]
fn a_flush_makes_deferred_messages_due_now() {
    machine().live(|life| async move {
        life.accept("a@example.org", &["b@example.net"], b"x\r\n").await;
        let ticket = life.next().await;
        life.settle(ticket, &deferred());
        assert!(life.take().is_none());
        let other = Filter { hop: Some("mx://example.com".to_owned()), ..Filter::default() };
        assert_eq!(life.queue.flush(&other), 0);
        assert_eq!(life.queue.flush(&Filter::everything()), 1);
        assert_eq!(life.take().expect("due now").attempt, 2);
    });
}

#[test]
fn new_routes_hold_for_what_waits() {
    machine().live(|life| async move {
        life.accept("a@example.org", &["b@example.net", "c@example.com"], b"x\r\n").await;
        life.queue.reroute(std::rc::Rc::new(|_, _| mail::NextHop::new("smtp://192.0.2.25:25")));
        let mut recipients = 0;
        while recipients < 2 {
            let ticket = life.next().await;
            assert_eq!(ticket.hop.as_str(), "smtp://192.0.2.25:25");
            recipients += ticket.recipients.len();
        }
    });
}

#[test]
fn whoever_waits_is_woken_by_a_new_message_and_by_time() {
    machine().live(|life| async move {
        assert!(life.take().is_none());
        let sender = life.clone();
        life.reactor.spawn(async move {
            sender.reactor.sleep(sender.reactor.now() + Duration::from_secs(5)).await;
            sender.accept("a@example.org", &["b@example.net"], b"x\r\n").await;
        });
        let began = life.reactor.now();
        life.queue.wait(began + Duration::from_secs(3)).await;
        assert_eq!(life.reactor.now().since(began), Duration::from_secs(3));
        let ticket = life.next().await;
        assert_eq!(life.reactor.now().since(began).as_secs(), 5);
        life.settle(ticket, &deferred());
        let due = life.queue.next_due().expect("it waits");
        assert_eq!(life.next().await.attempt, 2);
        let late = life.unix_time().since(due);
        assert!(life.unix_time() >= due && late < Duration::from_millis(2), "{late:?}");
    });
}

#[test]
fn whoever_leaves_due_messages_alone_is_not_woken_by_them() {
    machine().live(|life| async move {
        life.accept("a@example.org", &["b@example.net"], b"x\r\n").await;
        assert_eq!(life.queue.due(life.unix_time()).len(), 1);
        let began = life.reactor.now();
        life.queue.wait(began + Duration::from_secs(60)).await;
        assert_eq!(life.reactor.now().since(began), Duration::from_secs(60));
        let ticket = life.take().expect("still due");
        life.queue.give_back(ticket);
        life.queue.wait(reactor::Instant::NEVER).await;
        assert_eq!(life.reactor.now().since(began), Duration::from_secs(60));
    });
}

#[test]
fn the_queue_says_when_it_is_full() {
    let machine = machine();
    let process = machine.host.start();
    let mut options = options(std::path::Path::new("/spool"));
    options.queue_messages = 2;
    let done = machine.begin(&process, options, |life| async move {
        assert_eq!(life.queue.admission(), Admission::Open);
        life.accept("a@example.org", &["b@example.net"], b"x\r\n").await;
        life.accept("a@example.org", &["b@example.net"], b"x\r\n").await;
        assert_eq!(life.queue.admission(), Admission::QueueFull);
        let ticket = life.next().await;
        life.settle(ticket, &delivered());
        assert_eq!(life.queue.admission(), Admission::Open);
    });
    assert!(machine.world.run(|| done.borrow().is_some(), LIMIT));
}

#[test]
fn the_disk_says_when_it_is_full() {
    let machine = machine();
    let process = machine.host.start();
    let mut options = options(std::path::Path::new("/spool"));
    options.spool_free = queue::SpoolFree::Percent(50);
    let host = machine.host.clone();
    let done = machine.begin(&process, options, |life| async move {
        assert_eq!(life.queue.admission(), Admission::Open);
        let disk = life.reactor.file_system(std::path::Path::new("/spool")).await;
        host.fill_disk(disk.expect("a disk").bytes * 3 / 5);
        life.reactor.sleep(life.reactor.now() + Duration::from_secs(2)).await;
        assert_eq!(life.queue.admission(), Admission::DiskFull);
    });
    assert!(machine.world.run(|| done.borrow().is_some(), LIMIT));
}

#[test]
fn a_message_can_be_shown_and_counted() {
    machine().live(|life| async move {
        let mail = b"Subject: hi\r\n\r\nbody\r\n";
        let id = life.accept("a@example.org", &["b@example.net"], mail).await;
        let shown = life.queue.show(id).await.expect("it is there");
        assert_eq!(shown.header, [HEADER, b"Subject: hi\r\n"].concat());
        assert_eq!(shown.envelope.expect("readable").origin.hello.as_ref(), "client.example");
        assert_eq!(shown.expires, shown.listed.accepted.plus(Duration::from_secs(600)));
        let later = UnixTime(shown.listed.accepted.0 + 12 * 60 * 1_000_000);
        let summary = life.queue.summary(later);
        assert_eq!((summary.messages, summary.active), (1, 1));
        assert_eq!(summary.hops[0].hop.as_str(), "mx://example.net");
        assert_eq!(summary.hops[0].ages[2], 1);
        let counters = life.queue.counters();
        assert_eq!((counters.messages, counters.recipients), ([1, 0, 0], [1, 0, 0]));
        assert!(!counters.commit_seconds.is_empty());
        assert!(life.queue.counters().commit_seconds.is_empty(), "handed out once");
    });
}

#[test]
fn logs_of_other_shards_are_adopted_when_there_are_fewer() {
    let machine = machine();
    let id = {
        let process = machine.host.start();
        let reactor = process.reactor();
        let cell = std::rc::Rc::new(std::cell::RefCell::new(None));
        let place = std::rc::Rc::clone(&cell);
        reactor.clone().spawn(async move {
            let spool = options(std::path::Path::new("/spool"));
            let life = Life::begin(&reactor, spool, 1, 2).await;
            let id = life.accept("a@example.org", &["b@example.net"], b"x\r\n").await;
            *place.borrow_mut() = Some(id);
        });
        assert!(machine.world.run(|| cell.borrow().is_some(), LIMIT));
        process.kill();
        cell.take().expect("just seen")
    };
    assert_eq!(id.log(), 1);
    machine.live(move |life| async move {
        let ticket = life.next().await;
        assert_eq!(ticket.id, id);
        life.settle(ticket, &delivered());
        let new = life.accept("a@example.org", &["b@example.net"], b"x\r\n").await;
        assert_eq!(new.log(), 0);
        life.queue.drain().await;
    });
    machine.live(move |life| async move {
        assert_eq!(life.list().len(), 1);
    });
}
