//! A spool looked at from outside, and messages that go from one relay to another as files.

use crate::peers::{Client, sent};
use crate::relay::{Port, Relay, Setup, Site, with_each_reactor};
use crate::sink::Sink;
use crate::wait::until;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::SystemTime;

/// A body in wire form whose second half is streamed, with lines that begin with dots.
fn long_body() -> String {
    format!("Subject: long\r\n\r\n{}", "..dotted\r\nplain words in a line\r\n".repeat(9_000))
}

/// A relay whose next hop is down, with three messages: short, long, and held.
fn stranded(reactor: &'static str, next: &Port) -> (Site, Relay, Vec<String>) {
    let site = Site::new(&Setup::new(reactor, next));
    let relay = site.start();
    let bodies = ["Subject: short\r\n\r\nmarked-body\r\n".to_owned(), long_body(), held_body()];
    let ids: Vec<String> = bodies
        .iter()
        .map(|body| sent(site.smtp(), "ann@client.example", "bob@example.net", body))
        .collect();
    until("all have been tried", || {
        site.json(&["queue", "list", "--state", "deferred"]).len() == 3
    });
    site.told(&["queue", "hold", &ids[2]]);
    until("one is held", || site.json(&["queue", "list", "--state", "held"]).len() == 1);
    (site, relay, ids)
}

fn held_body() -> String {
    "Subject: held\r\n\r\ntext\r\n".into()
}

/// Every file of a spool with its bytes and the time of its last change.
fn files(directory: &Path) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        let metadata = path.metadata().expect("a file");
        if metadata.is_dir() {
            found.extend(files(&path));
        } else {
            let bytes = std::fs::read(&path).expect("a file");
            found.insert(path, (bytes, metadata.modified().expect("a time")));
        }
    }
    found
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

/// Checks a spool, and holds that nothing was changed by it.
fn check(site: &Site, arguments: &[&str]) -> Output {
    let spool = site.spool().display().to_string();
    let before = files(site.spool());
    let output = site.operate(&[&["spool", "check", &spool], arguments].concat());
    assert!(files(site.spool()) == before, "the check has changed something");
    output
}

/// The names in a directory with this ending, sorted.
fn names(directory: &Path, ending: &str) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(ending)).collect();
    names.sort();
    names
}

#[test]
fn a_check_says_clean_then_names_the_message_that_damage_costs() {
    with_each_reactor(|reactor| {
        let (site, relay, ids) = stranded(reactor, &Port::free());
        let spool = site.spool().display().to_string();
        let live = site.operate(&["spool", "check", &spool]);
        assert_eq!(live.status.code(), Some(0), "{}", text(&live.stdout));
        let errors = text(&live.stderr);
        assert!(errors.contains("LOCK") && errors.contains(&relay.pid().to_string()), "{errors}");
        relay.stop();

        let clean = check(&site, &[]);
        let said = text(&clean.stdout);
        assert_eq!(clean.status.code(), Some(0), "{said}");
        assert!(said.contains("\nclean\n") && said.contains("3 live messages"), "{said}");

        damage(site.spool(), b"marked-body");
        let damaged = check(&site, &[]);
        let said = text(&damaged.stdout);
        assert_eq!(damaged.status.code(), Some(65), "{said}");
        assert!(said.contains(&format!("costs message {}", ids[0])), "{said}");
        let json = check(&site, &["--json"]);
        assert_eq!(json.status.code(), Some(65));
        let lines = text(&json.stdout);
        let objects: Vec<Value> =
            lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let damage: Vec<&Value> =
            objects.iter().filter_map(|file| file["damage"].as_array()).flatten().collect();
        assert_eq!(damage.len(), 1);
        assert_eq!((&damage[0]["cost"], &damage[0]["id"]), (&"message".into(), &(*ids[0]).into()));
        assert_eq!(objects.last().expect("a summary")["summary"]["live_messages"], 3);
    });
}

/// Flips a bit of the one place where `text` is on disk.
fn damage(spool: &Path, text: &[u8]) {
    let mut hits = 0;
    for (path, (mut bytes, _)) in files(spool) {
        if let Some(place) = bytes.windows(text.len()).position(|window| window == text) {
            bytes[place] ^= 1;
            std::fs::write(&path, bytes).expect("a segment");
            hits += 1;
        }
    }
    assert_eq!(hits, 1, "the text is on disk once");
}

#[test]
fn a_dump_tells_the_records_of_a_message_and_prints_it_when_asked() {
    with_each_reactor(|reactor| {
        let (site, relay, ids) = stranded(reactor, &Port::free());
        relay.stop();
        let spool = site.spool().display().to_string();
        let all = site.told(&["spool", "dump", &spool]);
        assert!(ids.iter().all(|id| all.contains(&format!("message {id}"))), "{all}");
        let one = site.told(&["spool", "dump", &spool, "--id", &ids[2]]);
        assert!(one.contains(&format!("{} is live", ids[2])), "{one}");
        assert!(one.contains(": held") && one.contains("last held"), "{one}");
        assert!(!one.contains(&ids[0]), "only what is about it: {one}");
        let records = site.json(&["spool", "dump", &spool, "--id", &ids[1]]);
        let kinds: Vec<&str> = records.iter().filter_map(|one| one["kind"].as_str()).collect();
        assert!(kinds.contains(&"chunk") && kinds.contains(&"message"), "{kinds:?}");
        assert_eq!(records.last().expect("its life")["live"], true);
        let body = site.operate(&["spool", "dump", &spool, "--id", &ids[1], "--body"]);
        let plain = long_body().replace("\r\n..", "\r\n.");
        assert!(text(&body.stdout).ends_with(&plain), "not as a mail program reads it");
        let code = |arguments: &[&str]| site.operate(arguments).status.code();
        assert_eq!(code(&["spool", "dump", &spool, "--id", "no-id"]), Some(65));
        assert_eq!(code(&["spool", "dump", &spool, "--body"]), Some(64), "of which message?");
        let unknown = ["spool", "dump", &spool, "--id", "000000000000zzzz", "--body"];
        assert_eq!(code(&unknown), Some(65));
    });
}

/// What an export has written is taken by another relay and delivered there as it was sent.
fn moves(reactor: &'static str, running: bool) {
    let (old, relay, ids) = stranded(reactor, &Port::free());
    let mut relay = Some(relay);
    if !running {
        relay.take().expect("just started").stop();
    }
    let directory = old.path("export");
    let place = directory.display().to_string();
    let told = &old.json(&["queue", "export", &place])[0];
    assert_eq!((&told["exported"], &told["failed"]), (&3.into(), &0.into()), "{told}");
    let mut expected: Vec<String> = ids.iter().map(|id| format!("{id}.json")).collect();
    expected.sort();
    assert_eq!(names(&directory, ".json"), expected);
    assert_eq!(names(&directory, "").len(), 6, "nothing is left over");
    envelopes_are_whole(&directory, &ids);
    let again = &old.json(&["queue", "export", &place])[0];
    assert_eq!((&again["exported"], &again["there_before"]), (&0.into(), &3.into()), "{again}");
    if let Some(relay) = relay {
        assert_eq!(old.json(&["queue", "list"]).len(), 3, "the queue is as it was");
        relay.stop();
    }

    let next = Port::free();
    let new = Site::new(&Setup::new(reactor, &next));
    let relay = running.then(|| new.start());
    let imported = new.json(&["queue", "import", &place]);
    assert_eq!(imported.last().expect("a count")["imported"], 3);
    let mut was: Vec<&str> = imported.iter().filter_map(|one| one["was"].as_str()).collect();
    was.sort_unstable();
    let mut sorted: Vec<&str> = ids.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    assert_eq!(was, sorted);
    assert_eq!(names(&directory, ".imported").len(), 3);
    let nothing = new.json(&["queue", "import", &place]);
    assert_eq!(nothing[0]["imported"], 0, "twice doubles nothing");

    let relay = relay.unwrap_or_else(|| new.start());
    let listed = new.json(&["queue", "list"]);
    assert_eq!(listed.len(), 3);
    assert!(listed.iter().all(|one| one["recipients"][0]["attempts"] == 1), "{listed:?}");
    let sink = Sink::start(&next);
    new.told(&["queue", "flush", "--all"]);
    sink.until_count(2);
    new.until_queued(1);
    new.told(&["queue", "release", "--all"]);
    new.told(&["queue", "flush", "--all"]);
    let arrived = sink.until_count(3);
    new.until_queued(0);
    for body in ["Subject: short\r\n\r\nmarked-body\r\n".to_owned(), long_body(), held_body()] {
        let same = arrived.iter().filter(|message| message.original() == body.as_bytes());
        assert_eq!(same.count(), 1, "as it was sent, once");
    }
    for message in &arrived {
        assert_eq!((&*message.from, &*message.to[0]), ("ann@client.example", "bob@example.net"));
        let traces = message.text().matches("Received: ").count();
        assert_eq!(traces, 1, "a relay that carries files is no hop");
    }
    relay.stop();
}

fn envelopes_are_whole(directory: &Path, ids: &[String]) {
    for (id, held) in ids.iter().zip([false, false, true]) {
        let text = std::fs::read(directory.join(format!("{id}.json"))).expect("an envelope");
        let words: Value = serde_json::from_slice(&text).expect("JSON");
        assert_eq!((&words["id"], &words["from"]), (&(**id).into(), &"ann@client.example".into()));
        let recipient = &words["recipients"][0];
        assert_eq!(
            (&recipient["to"], &recipient["attempts"]),
            (&"bob@example.net".into(), &1.into())
        );
        assert_eq!(recipient["held"], held);
        assert!(recipient["reason"].as_str().is_some_and(|why| why.contains("efused")), "{words}");
        assert_eq!(words["origin"]["hello"], "client.example");
        let eml = std::fs::read(directory.join(format!("{id}.eml"))).expect("a message");
        assert!(eml.starts_with(b"Received: "));
        assert_eq!(words["bytes"], eml.len());
    }
}

#[test]
fn mail_moves_to_another_relay_while_neither_runs() {
    with_each_reactor(|reactor| moves(reactor, false));
}

#[test]
fn mail_moves_to_another_relay_while_both_run() {
    with_each_reactor(|reactor| moves(reactor, true));
}

#[test]
fn bad_files_are_named_and_cost_no_other_message() {
    with_each_reactor(|reactor| {
        let (old, relay, ids) = stranded(reactor, &Port::free());
        let directory = old.path("export");
        let place = directory.display().to_string();
        old.told(&["queue", "export", &place]);
        relay.stop();
        let put = |name: &str, text: &[u8]| {
            std::fs::write(directory.join(name), text).expect("a file can be written");
        };
        put("broken.json", b"{ no JSON");
        put("lonely.json", &std::fs::read(directory.join(format!("{}.json", ids[2]))).expect("it"));
        put(&format!("{}.eml", ids[0]), b"Subject: unix\n\ntext\n");
        put("doubtful.importing", b"{}");
        for running in [true, false] {
            let new = Site::new(&Setup::new(reactor, &Port::free()));
            let relay = running.then(|| new.start());
            let output = new.operate(&["queue", "import", &place]);
            let errors = text(&output.stderr);
            assert_eq!(output.status.code(), Some(65), "{errors}");
            for word in ["broken.json", "lonely.json", &ids[0], "LF alone", "doubtful.importing"] {
                assert!(errors.contains(word), "{word} in {errors}");
            }
            assert!(text(&output.stdout).contains("imported 2 messages"), "{output:?}");
            for id in &ids[1..] {
                let imported = directory.join(format!("{id}.imported"));
                std::fs::rename(imported, directory.join(format!("{id}.json"))).expect("renamed");
            }
            assert!(directory.join(format!("{}.json", ids[0])).exists(), "it may be mended");
            let relay = relay.unwrap_or_else(|| new.start());
            assert_eq!(new.json(&["queue", "list"]).len(), 2);
            relay.stop();
        }
    });
}

#[test]
fn a_spool_that_a_relay_has_is_left_to_the_relay() {
    with_each_reactor(|reactor| {
        let site = Site::new(&Setup::new(reactor, &Port::free()));
        let relay = site.start();
        let spool = site.spool().display().to_string();
        let out = site.path("export").display().to_string();
        std::fs::create_dir(site.path("in")).expect("a directory");
        let into = site.path("in").display().to_string();
        let export = site.operate(&["queue", "export", &out, "--spool", &spool]);
        assert_eq!(export.status.code(), Some(75), "{}", text(&export.stderr));
        let import = site.operate(&["queue", "import", &into, "--spool", &spool]);
        assert_eq!(import.status.code(), Some(75), "{}", text(&import.stderr));
        relay.stop();
        let code = |arguments: &[&str]| site.operate(arguments).status.code();
        assert_eq!(code(&["queue", "export", &out, "--spool", &spool]), Some(0));
        assert_eq!(code(&["queue", "import", "nowhere"]), Some(64));
        assert_eq!(code(&["spool", "check", &into]), Some(74), "no spool");
    });
}

#[test]
fn a_large_message_goes_through_the_control_socket_piece_by_piece() {
    with_each_reactor(|reactor| {
        let next = Port::free();
        let site = Site::new(&Setup::new(reactor, &next));
        let relay = site.start();
        let line = "sixty-two characters and a line end make sixty-four bytes here\r\n";
        let body = format!("Subject: large\r\n\r\n{}", line.repeat(200_000));
        let mut client = Client::greeted(site.smtp()).expect("a greeting");
        let reply = client.send("ann@client.example", "bob@example.net", body.as_bytes());
        assert!(reply.expect("a reply").starts_with("250"));
        until("it has been tried", || {
            site.json(&["queue", "list", "--state", "deferred"]).len() == 1
        });
        let place = site.path("export").display().to_string();
        site.told(&["queue", "export", &place]);
        site.told(&["queue", "remove", "--all", "--yes"]);
        site.until_queued(0);
        site.told(&["queue", "import", &place]);
        let sink = Sink::start(&next);
        site.told(&["queue", "flush", "--all"]);
        assert!(sink.until_count(1)[0].original() == body.as_bytes(), "not what was sent");
        relay.stop();
    });
}
