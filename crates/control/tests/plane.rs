//! The control plane as a whole, with a shard that says what the test wants.

mod world;

use control::Snapshot;
use control::client::ClientError;
use mail::MessageId;
use serde_json::json;
use std::sync::Mutex;
use std::time::Duration;
use world::{start, started};

fn snapshot(failed: bool) -> Snapshot {
    Snapshot {
        server: server::Counters::default(),
        queue: queue::Counters { messages: [1, 2, 3], ..queue::Counters::default() },
        delivery: delivery::Counters::default(),
        reactor: reactor::Counters::default(),
        failed,
    }
}

#[test]
fn messages_are_listed_the_oldest_first_and_acted_upon() {
    let world = started();
    let list = world.get("/queue?to=example.org&limit=10").expect("a list");
    let ids: Vec<_> = list["messages"].as_array().expect("messages").iter().collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0]["id"], MessageId::new(0, 1, 1).to_string());
    assert_eq!(ids[0]["state"], "deferred");
    assert_eq!(list["silent_shards"], json!([]));
    let limited = world.get("/queue?limit=1").expect("a list");
    assert_eq!(limited["messages"].as_array().map(Vec::len), Some(1));
    let done = world.post("/queue/hold", &json!({ "all": true })).expect("it is done");
    assert_eq!(done["messages"], 2);
    world.end();
}

#[test]
fn what_makes_no_sense_is_refused_with_a_reason() {
    let world = started();
    let error = world.post("/queue/remove", &json!({})).expect_err("which?");
    assert!(error.to_string().contains("which messages"), "{error}");
    let error = world.get("/queue?state=asleep").expect_err("no such state");
    assert!(error.to_string().contains("asleep"), "{error}");
    let error = world.get("/queue/0000000000000000").expect_err("no such message");
    assert!(matches!(error, ClientError::Refused { status: 404, .. }), "{error}");
    let error = world.get("/nothing").expect_err("no such path");
    assert!(matches!(error, ClientError::Refused { status: 404, .. }), "{error}");
    world.end();
}

#[test]
fn status_tells_the_version_the_state_and_the_numbers() {
    let world = started();
    world.window.lock().expect("a window").push(snapshot(false));
    let status = world.await_status(|status| status["numbers"]["held"] == 3);
    assert_eq!(status["version"], "9.9.9");
    assert_eq!(status["hostname"], "relay.example");
    assert_eq!(status["state"], "running");
    assert_eq!(status["numbers"]["deferred"], 2);
    world.end();
}

#[test]
fn a_relay_that_drains_is_alive_but_not_ready() {
    let world = started();
    assert!(world.scrape("/healthz").starts_with("HTTP/1.1 200"));
    assert!(world.scrape("/readyz").starts_with("HTTP/1.1 200"));
    world.post("/drain", &json!({})).expect("it drains");
    let answer = world.await_drain();
    assert!(world.scrape("/healthz").starts_with("HTTP/1.1 200"));
    let ready = world.scrape("/readyz");
    assert!(ready.starts_with("HTTP/1.1 503") && ready.ends_with("draining\n"), "{ready}");
    answer(3);
    let socket = world.socket.clone();
    // The directory stays until the end of the test: only the relay may remove its socket.
    let (ended, _directory) = world.join();
    assert_eq!(ended, control::Ended { failure: None, sessions_left: 3 });
    assert!(!socket.exists(), "the socket goes with its relay");
}

#[test]
fn a_refused_reload_is_told_and_shows_in_the_metrics() {
    let verdicts = Mutex::new(vec![Ok(()), Err("line 7: no such key")]);
    let world = start(move || {
        let verdict = verdicts.lock().expect("verdicts").pop().expect("two reloads");
        verdict.map(|()| vec![Box::new(|_: &_| ()) as control::Apply]).map_err(str::to_owned)
    });
    let error = world.post("/reload", &json!({})).expect_err("a bad configuration");
    assert!(error.to_string().contains("line 7"), "{error}");
    assert!(world.scrape("/metrics").contains("ringpost_config_reload_ok 0"));
    let status = world.get("/status").expect("a status");
    assert!(status["problems"][0]["text"].as_str().expect("a text").contains("line 7"));
    world.post("/reload", &json!({})).expect("a good configuration");
    assert!(world.scrape("/metrics").contains("ringpost_config_reload_ok 1"));
    world.end();
}

#[test]
fn a_failed_spool_drains_the_process_and_is_its_end() {
    let world = started();
    world.window.lock().expect("a window").push(snapshot(true));
    let answer = world.await_drain();
    assert!(world.scrape("/readyz").contains("503"));
    answer(0);
    assert!(world.join().0.failure.expect("a reason").contains("disk"));
}

#[test]
fn metrics_are_in_the_text_format_of_prometheus() {
    let world = started();
    let reply = world.scrape("/metrics");
    assert!(reply.contains("content-type: text/plain; version=0.0.4"), "{reply}");
    assert!(reply.contains("ringpost_build_info{version=\"9.9.9\""), "{reply}");
    assert!(reply.contains("process_resident_memory_bytes"), "{reply}");
    world.end();
}

#[test]
fn a_question_of_a_shard_comes_back_with_its_answer_and_is_counted() {
    let world = started();
    let options = reactor::Options { backend: reactor::Backend::Poll, ..Default::default() };
    let (reactor, _) = reactor::Reactor::new(&options).expect("a reactor");
    let requests = world.questions.carry(&reactor);
    let resolver = lookup::Resolver::new(&reactor, requests, Duration::from_secs(20));
    let answer = reactor.run(async move {
        resolver.mx(&mail::Domain::parse("example.org").expect("a domain")).await
    });
    // Nothing listens at the name server's port.
    let lookup::LookupError::Temporary(why) = answer.expect_err("no server");
    assert!(why.contains("example.org"), "{why}");
    let line = "ringpost_dns_lookups_total{kind=\"mx\",result=\"failed\"} 1";
    assert!(world.scrape("/metrics").contains(line));
    reactor.shut_down();
    world.end();
}
