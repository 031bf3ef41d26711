//! The dialogues of the pure session, with the relay itself: real sockets, policy, spool.

use crate::dialogue::{Dialogue, Entry, escape};
use crate::peers::Client;
use crate::relay::{Port, Relay, Setup, Site, with_each_reactor};
use crate::sink::Sink;
use crate::wait::until;
use std::collections::BTreeMap;

/// How a client's bytes come.
#[derive(Clone, Copy, Debug)]
enum Cut {
    Whole,
    Bytes,
}

/// Fewer dialogues than this that fit mean that something else is wrong.
const DIALOGUES_MIN: usize = 20;

#[test]
fn dialogues_go_as_written_however_they_are_cut() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../smtp/tests/dialogues/server");
    let dialogues = Dialogue::all(directory);
    let mut by_setup: BTreeMap<(bool, String), Vec<&Dialogue>> = BTreeMap::new();
    let mut skipped = Vec::new();
    for dialogue in &dialogues {
        match sections(dialogue) {
            Some(key) => by_setup.entry(key).or_default().push(dialogue),
            None => skipped.push(dialogue.name.as_str()),
        }
    }
    println!("need a clock, a verdict or a limit that no configuration has: {skipped:?}");
    assert!(dialogues.len() >= DIALOGUES_MIN + skipped.len(), "too few fit");
    with_each_reactor(|reactor| {
        for ((trusted, more), dialogues) in &by_setup {
            let (enders, others): (Vec<&Dialogue>, Vec<_>) =
                dialogues.iter().partition(|dialogue| drains(dialogue));
            for cut in [Cut::Whole, Cut::Bytes] {
                play_all(reactor, (*trusted, more), &others, cut);
                for dialogue in &enders {
                    play_all(reactor, (*trusted, more), &[dialogue], cut);
                }
            }
        }
    });
}

/// Whether the relay ends with the dialogue.
fn drains(dialogue: &Dialogue) -> bool {
    dialogue.entries.contains(&Entry::Event("drain".into()))
}

/// Whether the client is trusted and the `[smtp]` section that a dialogue needs, if a relay can be
/// set so.
fn sections(dialogue: &Dialogue) -> Option<(bool, String)> {
    // These send to domains that no relay may be open for.
    if matches!(dialogue.name.as_str(), "addresses") {
        return None;
    }
    let mut more = String::from("[smtp]\n");
    let mut trusted = false;
    for (key, value) in &dialogue.settings {
        let number: u64 = value.parse().unwrap_or(0);
        match key.as_str() {
            "trusted" => trusted = true,
            "message_bytes" if number >= 64 << 10 => {
                more.push_str(&format!("message_bytes = \"{number}B\"\n"));
            }
            "line_bytes" if number >= 998 => {
                more.push_str(&format!("line_bytes = \"{number}B\"\n"))
            }
            "recipients" if number >= 100 => {
                more.push_str(&format!("recipients_per_message = {number}\n"));
            }
            "hops" | "errors" => more.push_str(&format!("{key} = {number}\n")),
            _ => return None,
        }
    }
    let possible = |entry: &Entry| match entry {
        Entry::Event(event) => event == "drain" || event == "closed",
        Entry::Client(_) | Entry::Server(_) | Entry::Effect(_) => true,
    };
    dialogue.entries.iter().all(possible).then_some((trusted, more))
}

/// Plays dialogues with a relay of their own.
fn play_all(reactor: &'static str, setup: (bool, &str), dialogues: &[&Dialogue], cut: Cut) {
    if dialogues.is_empty() {
        return;
    }
    let (trusted, more) = setup;
    let next = Port::free();
    let sink = Sink::start(&next);
    let mut setup = match trusted {
        true => Setup::new(reactor, &next),
        false => Setup::for_strangers(reactor, &next, "[\"*.example\", \"b\", \"f\"]"),
    };
    setup.more = more.to_owned();
    let site = Site::new(&setup);
    let mut relay = site.start();
    for dialogue in dialogues {
        let before = sink.count();
        play(&site, &relay, dialogue, cut);
        if !drains(dialogue) {
            arrived(&sink, before, dialogue);
        }
    }
    if dialogues.iter().any(|dialogue| drains(dialogue)) {
        assert!(relay.ended().success(), "the drain ends well");
    } else {
        relay.stop();
    }
}

/// Plays one. Panics where they part.
fn play(site: &Site, relay: &Relay, dialogue: &Dialogue, cut: Cut) {
    let mut client = Client::connect(site.smtp()).expect("a connection");
    let mut so_far = Vec::new();
    let mut entries = dialogue.entries.iter().peekable();
    while let Some(entry) = entries.next() {
        match entry {
            Entry::Server(line) => {
                let expected = escape(line.strip_suffix(b"\r\n").unwrap_or(line));
                expect(&mut client, &expected, &mut so_far, (dialogue, cut));
            }
            Entry::Event(event) if event == "drain" => drain(site, relay),
            // "closed": what follows is what nobody hears.
            Entry::Event(_) => return,
            Entry::Effect(effect) if effect == "close" => {
                let rest = client.rest().expect("an end");
                assert_eq!(rest, "", "{} ({cut:?}): more than expected", dialogue.name);
            }
            Entry::Effect(_) => {}
            Entry::Client(bytes) => {
                let mut group = bytes.clone();
                while let Some(Entry::Client(more)) = entries.peek() {
                    group.extend_from_slice(more);
                    entries.next();
                }
                say(&mut client, &group, cut);
            }
        }
    }
}

/// Lets a drain begin in every shard: what is said behind it comes behind it.
fn drain(site: &Site, relay: &Relay) {
    relay.terminate();
    until("nobody accepts", || Client::connect(site.smtp()).is_err());
}

/// A relay that has had enough may close before all is said.
fn say(client: &mut Client, group: &[u8], cut: Cut) {
    match cut {
        Cut::Whole => drop(client.say(group)),
        Cut::Bytes => group.chunks(1).for_each(|byte| drop(client.say(byte))),
    }
}

fn expect(client: &mut Client, expected: &str, so_far: &mut Vec<String>, of: (&Dialogue, Cut)) {
    let (dialogue, cut) = of;
    let said = client.line().map_or_else(|error| format!("({error})"), |s| escape(s.as_bytes()));
    let same = match expected.strip_suffix('*') {
        Some(head) => said.starts_with(head),
        None => said == expected,
    };
    so_far.push(said);
    assert!(same, "{} ({cut:?})\nexpected: {expected}\nactual: {so_far:#?}", dialogue.name);
}

/// Every message that the dialogue commits reaches the next hop, byte for byte.
fn arrived(sink: &Sink, before: usize, dialogue: &Dialogue) {
    let commits: Vec<&str> = dialogue
        .entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Effect(effect) => effect.strip_prefix("commit "),
            Entry::Client(_) | Entry::Server(_) | Entry::Event(_) => None,
        })
        .collect();
    until(&format!("{}: {} messages", dialogue.name, commits.len()), || {
        sink.count() == before + commits.len()
    });
    let received = sink.received().split_off(before);
    for commit in commits {
        let Some((_, body)) = commit.split_once(" body=") else { continue };
        // What follows the body is known to the session alone.
        let body = body.split(" mended=").next().unwrap_or(body);
        let body = body.strip_suffix('*').unwrap_or(body);
        let found = received.iter().any(|message| escape(message.original()).starts_with(body));
        assert!(found, "{}: not among what arrived: {commit}\n{received:?}", dialogue.name);
    }
}
