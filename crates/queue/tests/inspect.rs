//! A spool looked at from outside: what is live, what damage costs, and that looking changes
//! nothing; messages that leave one spool and come into another.

mod harness;

use harness::*;
use mail::{Envelope, MessageId, Notify, RecipientRequest, StatusRequest, UnixTime};
use queue::inspect::{Cost, FileKind, LogReport, Says, Spool};
use queue::{ExportStep, Filter, ImportError, Portable, State};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Every file of a spool with its bytes and the time of its last change.
fn files(spool: &Path) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
    let mut found = BTreeMap::new();
    let mut directories = vec![spool.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            let metadata = path.metadata().expect("a file");
            if metadata.is_dir() {
                directories.push(path);
            } else {
                let bytes = std::fs::read(&path).expect("a file");
                found.insert(path, (bytes, metadata.modified().expect("a time")));
            }
        }
    }
    found
}

/// Examines log 0, and holds that nothing was changed by it.
fn examine(spool: &Path) -> LogReport {
    let before = files(spool);
    let found = Spool::find(spool).expect("a spool");
    let report = found.examine(0).expect("a log");
    found.dump(0, &mut |_| {}).expect("a log");
    let mut export = found.export();
    while !matches!(export.step(), Ok(ExportStep::Over) | Err(_)) {}
    assert!(files(spool) == before, "looking has changed something");
    report
}

fn damage_of(report: &LogReport) -> Vec<(&'static str, Cost)> {
    let damage = report.files.iter().flat_map(|file| &file.damage);
    damage.map(|damage| (damage.reason, damage.cost)).collect()
}

/// Flips a bit of the one place where `text` is on disk.
fn flip(spool: &Path, text: &[u8]) {
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

/// A spool with three messages, each with a mark in its body; the middle one is `bytes` long.
fn three(spool: &Path, bytes: usize) -> Vec<MessageId> {
    live_on_disk(spool, move |life| async move {
        let mut ids = Vec::new();
        for (mark, bytes) in [("mark-one", 500), ("mark-two", bytes), ("mark-three", 500)] {
            let mail = [&body(7, bytes), mark.as_bytes(), b"\r\n"].concat();
            ids.push(life.accept("a@example.org", &["b@example.net"], &mail).await);
        }
        // More batches behind the last message: it is certain, and no torn tail.
        for _ in 0..2 {
            life.queue.hold(&Filter { ids: vec![ids[2]], ..Filter::default() });
            life.queue.drain().await;
            life.queue.release(&Filter { ids: vec![ids[2]], ..Filter::default() });
            life.queue.drain().await;
        }
        ids
    })
}

/// All that an export says, message by message.
fn exported(spool: &Path) -> Vec<(Portable, Result<Vec<u8>, String>)> {
    let mut export = Spool::find(spool).expect("a spool").export();
    let mut messages = Vec::new();
    loop {
        let step = export.step().expect("a log");
        if collect(step, &mut messages) {
            return messages;
        }
    }
}

/// Takes one step in; `true` at the end.
fn collect(step: ExportStep, messages: &mut Vec<(Portable, Result<Vec<u8>, String>)>) -> bool {
    match step {
        ExportStep::Message(message) => messages.push((*message, Ok(Vec::new()))),
        ExportStep::Bytes(bytes) => {
            let (_, so_far) = messages.last_mut().expect("a message has begun");
            so_far.as_mut().expect("it is whole so far").extend(bytes);
        }
        ExportStep::Whole => {}
        ExportStep::Broken { id, reason } => match messages.last_mut() {
            Some((message, bytes)) if message.id == id => *bytes = Err(reason),
            Some(_) | None => panic!("{id} has not begun: {reason}"),
        },
        ExportStep::Over => return true,
    }
    false
}

#[test]
fn a_spool_that_is_well_is_clean_and_says_what_is_live() {
    let spool = tempfile::tempdir().expect("a directory");
    let ids = three(spool.path(), 300_000);
    let report = examine(spool.path());
    assert_eq!(damage_of(&report), []);
    assert_eq!((report.live_messages, report.live_recipients), (3, 3));
    let live: u64 = report.files.iter().map(|file| file.live_messages).sum();
    assert_eq!(live, 3);
    let bytes: u64 = report.files.iter().map(|file| file.live_bytes).sum();
    assert!(bytes > 301_000, "{bytes}");
    let used: Vec<_> = report.files.iter().filter(|file| file.batches > 0).collect();
    assert!(!used.is_empty() && used.iter().all(|file| file.start == 1), "{:?}", report.files);
    assert!(used.iter().map(|file| file.records).sum::<u64>() >= 3 + 4);
    let spool = Spool::find(spool.path()).expect("a spool");
    for id in ids {
        assert!(spool.life(id).expect("a log").is_live());
    }
}

#[test]
fn damage_in_a_body_names_its_message_and_no_other() {
    for (mark, index, bytes) in [("mark-two", 1, 500), ("mark-two", 1, 300_000), ("mark-one", 0, 9)]
    {
        let spool = tempfile::tempdir().expect("a directory");
        let ids = three(spool.path(), bytes);
        flip(spool.path(), mark.as_bytes());
        let report = examine(spool.path());
        let costs: Vec<Cost> = damage_of(&report).into_iter().map(|(_, cost)| cost).collect();
        assert_eq!(costs, [Cost::Message(ids[index])], "{mark}, {bytes}");
        let messages = exported(spool.path());
        assert_eq!(messages.len(), 3);
        for (message, bytes) in messages {
            assert_eq!(bytes.is_ok(), message.id != ids[index], "{:?}", bytes.err());
        }
    }
}

#[test]
fn damage_in_a_record_is_told_with_the_id_that_it_names() {
    let spool = tempfile::tempdir().expect("a directory");
    let id = live_on_disk(spool.path(), |life| async move {
        let id = life.accept("marked@example.org", &["b@example.net"], &body(1, 500)).await;
        let other = life.accept("other@example.org", &["b@example.net"], &body(2, 500)).await;
        for _ in 0..2 {
            life.queue.hold(&Filter { ids: vec![other], ..Filter::default() });
            life.queue.drain().await;
        }
        life.accept("last@example.org", &["b@example.net"], &body(3, 500)).await;
        id
    });
    // The address is in the record of the batch, and perhaps once more in a seal's list.
    for (path, (mut bytes, _)) in files(spool.path()) {
        let text = b"marked@example.org";
        if let Some(place) = bytes.windows(text.len()).position(|window| window == text) {
            bytes[place] ^= 1;
            std::fs::write(&path, bytes).expect("a segment");
        }
    }
    let report = examine(spool.path());
    match damage_of(&report).as_slice() {
        [("a record does not verify", Cost::Perhaps(found) | Cost::Message(found))] => {
            assert_eq!(*found, id);
        }
        other => panic!("{other:?}"),
    }
}

/// A life that drains until its segment is sealed, for which the next one must be ready.
async fn live_to_a_seal(life: Life, spool: PathBuf) -> MessageId {
    let id = life.accept("a@example.org", &["b@example.net"], &body(1, 500)).await;
    let sealed = || {
        let report = Spool::find(&spool).expect("a spool").examine(0).expect("a log");
        report.files.iter().any(|file| file.kind == FileKind::Sealed)
    };
    for _ in 0..1000 {
        life.queue.drain().await;
        if sealed() {
            return id;
        }
        life.reactor.sleep(life.reactor.now() + std::time::Duration::from_millis(20)).await;
    }
    panic!("no drain has sealed the segment");
}

#[test]
fn a_record_that_is_lost_under_a_seal_is_named_for_certain_and_a_lost_seal_costs_nothing() {
    for in_seal in [false, true] {
        let spool = tempfile::tempdir().expect("a directory");
        let path = spool.path().to_owned();
        let id = live_on_disk(spool.path(), |life| live_to_a_seal(life, path));
        live_on_disk(spool.path(), |life| async move { life.queue.drain().await });
        let before = examine(spool.path());
        let sealed = |kind: &FileKind| *kind == FileKind::Sealed;
        let first = before.files.iter().find(|file| sealed(&file.kind) && file.live_messages > 0);
        let Some(first) = first else { panic!("a drain seals: {:?}", before.files) };
        let path = spool.path().join("log-00").join(&first.name);
        let mut bytes = std::fs::read(&path).expect("a segment");
        let bits = id.to_bits().to_le_bytes();
        // The first record of the id is the message; the seal lists it once more at the end.
        let places = bytes.windows(16).enumerate().filter(|(_, window)| *window == bits);
        let places: Vec<usize> = places.map(|(place, _)| place).collect();
        assert!(places.len() >= 2, "{places:?}");
        bytes[if in_seal { places[places.len() - 1] } else { places[0] }] ^= 1;
        std::fs::write(&path, bytes).expect("a segment");
        let damage = damage_of(&examine(spool.path()));
        let expected = match in_seal {
            true => ("the seal does not verify", Cost::Nothing),
            false => ("a record does not verify", Cost::Message(id)),
        };
        assert_eq!(damage, [expected]);
    }
}

#[test]
fn a_torn_tail_is_told_and_is_no_damage() {
    let spool = tempfile::tempdir().expect("a directory");
    live_on_disk(spool.path(), |life| async move {
        life.accept("a@example.org", &["b@example.net"], &body(1, 500)).await;
        life.accept("a@example.org", &["b@example.net"], b"the-last-one\r\n").await;
    });
    flip(spool.path(), b"the-last-one");
    let report = examine(spool.path());
    assert_eq!(damage_of(&report), []);
    assert_eq!(report.live_messages, 1);
    let torn: Vec<_> = report.files.iter().filter(|file| file.torn_batches > 0).collect();
    assert_eq!(torn.len(), 1);
    assert!(torn[0].torn_at.is_some());
}

#[test]
fn headless_foreign_short_and_newer_files_are_told_for_what_they_are() {
    let spool = tempfile::tempdir().expect("a directory");
    three(spool.path(), 500);
    let log = spool.path().join("log-00");
    let segment = log.join("segment-00000001");
    let whole = std::fs::read(&segment).expect("the first segment");
    let put = |name: &str, bytes: &[u8]| std::fs::write(log.join(name), bytes).expect("written");
    put("core.1234", b"");
    put("spare-00000009", &[0; 4096]);
    put("segment-0000000A", b"a name that we would not give");
    put("segment-000000f0", &whole);
    put("segment-000000f1", &[0; 8192]);
    put("segment-000000f2", &whole[..100]);
    let mut newer = whole.clone();
    newer[8..12].copy_from_slice(&99_u32.to_le_bytes());
    let checksum = crc32c::crc32c(&newer[..12]);
    newer[12..16].copy_from_slice(&checksum.to_le_bytes());
    put("segment-000000f3", &newer);
    let mut headless = whole.clone();
    // Both copies of the header.
    headless[20] ^= 1;
    headless[2048 + 20] ^= 1;
    put("segment-000000f4", &headless);

    let report = examine(spool.path());
    let kind = |name: &str| {
        let file = report.files.iter().find(|file| file.name == name);
        file.unwrap_or_else(|| panic!("{name} is not told of")).kind.clone()
    };
    assert_eq!(kind("core.1234"), FileKind::Foreign);
    assert_eq!(kind("spare-00000009"), FileKind::Spare);
    assert_eq!(kind("segment-0000000A"), FileKind::Foreign);
    assert_eq!(kind("segment-000000f0"), FileKind::Misplaced);
    assert_eq!(kind("segment-000000f1"), FileKind::Unfinished);
    assert_eq!(kind("segment-000000f2"), FileKind::Unfinished);
    assert_eq!(kind("segment-000000f3"), FileKind::Version(99));
    assert_eq!(kind("segment-000000f4"), FileKind::Headless);
    assert_eq!(report.live_messages, 3, "what is told apart costs nothing");
}

#[test]
fn a_segment_that_is_cut_short_costs_what_lay_behind_the_cut() {
    let spool = tempfile::tempdir().expect("a directory");
    let ids = three(spool.path(), 200_000);
    // The next start writes down where the first segment ends.
    live_on_disk(spool.path(), |life| async move {
        life.accept("a@example.org", &["b@example.net"], &body(9, 500)).await;
    });
    let segment = spool.path().join("log-00/segment-00000001");
    let file = std::fs::OpenOptions::new().write(true).open(&segment).expect("the first segment");
    file.set_len(8192 + 4096).expect("cut");
    drop(file);
    let report = examine(spool.path());
    assert!(!damage_of(&report).is_empty(), "{report:?}");
    let found = Spool::find(spool.path()).expect("a spool");
    assert!(found.life(ids[0]).expect("a log").is_live(), "what lies before the cut is there");
    assert!(!found.life(ids[2]).expect("a log").is_live(), "what lay behind it is not");
}

#[test]
fn a_directory_that_is_no_spool_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("letter.txt"), "hello").expect("a file");
    assert!(Spool::find(directory.path()).is_err());
    assert!(Spool::find(&directory.path().join("nowhere")).is_err());
}

#[test]
fn a_running_relay_is_seen_by_its_lock() {
    let spool = tempfile::tempdir().expect("a directory");
    let path = spool.path().to_owned();
    live_on_disk(spool.path(), |_| async move {
        let holder = Spool::find(&path).expect("a spool").holder();
        assert_eq!(holder, Some(std::process::id()));
    });
    assert_eq!(Spool::find(spool.path()).expect("a spool").holder(), None);
}

/// A number out of `state`, below `bound`.
fn draw(state: &mut u64, bound: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % bound
}

/// What a queue and a look from outside must agree on: id, and of each recipient its address,
/// attempts and reason.
type Standing = (String, Vec<(String, u32, Option<String>, bool)>);

#[test]
fn a_look_from_outside_finds_what_a_start_recovers() {
    for seed in 1..=4 {
        let spool = tempfile::tempdir().expect("a directory");
        for generation in 0..3 {
            live_on_disk(spool.path(), move |life| busy(life, seed * 100 + generation));
        }
        let mut outside: Vec<Standing> = exported(spool.path())
            .into_iter()
            .map(|(message, bytes)| {
                bytes.expect("nothing is damaged");
                let to = message.envelope.recipients.iter().map(ToString::to_string);
                let standing = to.zip(&message.waiting).map(|(to, waiting)| {
                    let reason = waiting.reason.as_deref().map(str::to_owned);
                    (to, waiting.attempts, reason, waiting.held)
                });
                (message.id.to_string(), standing.collect())
            })
            .collect();
        outside.sort();
        let mut inside: Vec<Standing> = live_on_disk(spool.path(), |life| async move {
            let listed = life.list().into_iter().map(|message| {
                let held = message.state == State::Held;
                let standing = message.recipients.into_iter();
                let standing = standing.map(|one| (one.to, one.attempts, one.reason, held));
                (message.id.to_string(), standing.collect())
            });
            listed.collect()
        });
        inside.sort();
        assert!(!inside.is_empty(), "seed {seed}");
        assert_eq!(outside, inside, "seed {seed}");
    }
}

/// A life in which messages come, go, wait, fail and are held.
async fn busy(life: Life, seed: u64) {
    let mut state = seed;
    for _ in 0..40 {
        let bytes = if draw(&mut state, 8) == 0 { 150_000 } else { 700 };
        let to: &[&str] = match draw(&mut state, 3) {
            0 => &["b@example.net"],
            1 => &["b@example.net", "c@example.net"],
            _ => &["b@example.net", "d@example.com"],
        };
        let id = life.accept("a@example.org", to, &body(seed, bytes)).await;
        if draw(&mut state, 5) == 0 {
            life.queue.hold(&Filter { ids: vec![id], ..Filter::default() });
        }
        if draw(&mut state, 9) == 0 {
            life.queue.remove(&Filter { ids: vec![id], ..Filter::default() });
        }
        if draw(&mut state, 2) == 0
            && let Some(ticket) = life.take()
        {
            let outcome =
                [delivered(), deferred(), bounced()][draw(&mut state, 3) as usize].clone();
            life.settle(ticket, &outcome);
        }
    }
    life.queue.drain().await;
}

#[test]
fn a_message_comes_into_another_spool_as_it_was() {
    let (from, into) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("another"));
    let long =
        [b"Subject: long\r\n\r\n".as_slice(), &b"..stuffed\r\nplain\r\n".repeat(12_000)].concat();
    let wire = long.clone();
    let sent = live_on_disk(from.path(), move |life| async move {
        let mut draft = life.queue.draft();
        fill(&mut draft, &wire).await;
        let mut envelope = envelope("a@example.org", &["b@example.net", "c@example.net"]);
        envelope.utf8 = true;
        envelope.origin.user = Some("ann".into());
        envelope.origin.trusted = true;
        envelope.request = Some(Box::new(StatusRequest {
            returned: Some(mail::Returned::Headers),
            envelope_id: Some("id".into()),
            recipients: vec![
                RecipientRequest { notify: Some(Notify::default()), original: None },
                RecipientRequest { notify: None, original: Some("rfc822;c@example.net".into()) },
            ],
        }));
        let header = HEADER.to_vec();
        life.queue.commit(draft, envelope.clone(), header, 12_000).await.expect("room");
        let ticket = life.take().expect("due");
        life.queue.settle(ticket, vec![(0, delivered()), (1, deferred())], None);
        life.queue.drain().await;
        envelope
    });
    let [(message, bytes)] = <[_; 1]>::try_from(exported(from.path())).expect("one message");
    let bytes = bytes.expect("it is whole");
    let plain = [HEADER, &long.replace_all(b"..stuffed", b".stuffed")].concat();
    assert!(bytes == plain, "the bytes are those of a file");
    assert_eq!(message.bytes, Some(plain.len() as u64));
    assert_eq!(message.envelope, without_first(&sent));
    assert_eq!(message.waiting.len(), 1);
    assert_eq!(message.waiting[0].attempts, 1);
    assert!(message.waiting[0].reason.is_some() && message.waiting[0].next > UnixTime(0));

    let given = message.clone();
    live_on_disk(into.path(), move |life| async move {
        let mut import = life.queue.import();
        for piece in plain.chunks(70_001) {
            import.append(piece).await.expect("room");
        }
        let id = import.commit(&given).await.expect("room");
        // It is where it stood, and durable: the next life finds it.
        let listed = life.list();
        assert_eq!((listed[0].id, listed[0].accepted), (id, given.accepted));
        assert_eq!(listed[0].recipients[0].attempts, 1);
        assert_eq!(listed[0].bytes, (HEADER.len() + long.len()) as u64);
    });
    let [(again, bytes_again)] = <[_; 1]>::try_from(exported(into.path())).expect("one message");
    assert!(bytes_again.expect("it is whole") == bytes);
    assert_eq!(Portable { id: message.id, ..again }, message);
}

/// `envelope` with its second recipient only.
fn without_first(envelope: &Envelope) -> Envelope {
    let mut left = envelope.clone();
    left.recipients.remove(0);
    left.request.as_mut().expect("asked").recipients.remove(0);
    left
}

trait ReplaceAll {
    fn replace_all(&self, what: &[u8], with: &[u8]) -> Vec<u8>;
}

impl ReplaceAll for Vec<u8> {
    fn replace_all(&self, what: &[u8], with: &[u8]) -> Vec<u8> {
        let text = std::str::from_utf8(self).expect("ASCII");
        let what = std::str::from_utf8(what).expect("ASCII");
        text.replace(what, std::str::from_utf8(with).expect("ASCII")).into_bytes()
    }
}

#[test]
fn a_running_queue_exports_what_a_look_from_outside_finds() {
    let spool = tempfile::tempdir().expect("a directory");
    let running = live_on_disk(spool.path(), |life| async move {
        busy(life.clone(), 17).await;
        let mut export = life.queue.export();
        let mut messages = Vec::new();
        while !collect(export.next().await, &mut messages) {}
        messages
    });
    let mut running: Vec<_> = running.into_iter().map(comparable).collect();
    let mut outside: Vec<_> = exported(spool.path()).into_iter().map(comparable).collect();
    running.sort_by_key(|(message, _)| message.id);
    outside.sort_by_key(|(message, _)| message.id);
    assert!(running.len() > 3);
    assert!(running == outside);
}

/// Without times that only the schedule has: what is due at once is due since it came.
fn comparable(
    (mut message, bytes): (Portable, Result<Vec<u8>, String>),
) -> (Portable, Result<Vec<u8>, String>) {
    for waiting in &mut message.waiting {
        if waiting.attempts == 0 {
            waiting.next = UnixTime(0);
        }
    }
    (message, bytes)
}

#[test]
fn what_is_no_message_is_not_taken_and_leaves_nothing() {
    let spool = tempfile::tempdir().expect("a directory");
    let message = Portable {
        id: MessageId::new(0, 1, 1),
        accepted: UnixTime(1),
        envelope: envelope("a@example.org", &["b@example.net"]),
        waiting: vec![queue::Waiting::default()],
        bytes: Some(10),
    };
    live_on_disk(spool.path(), move |life| async move {
        let malformed = |result: Result<_, ImportError>, word: &str| match result {
            Err(ImportError::Malformed(why)) => assert!(why.contains(word), "{why}"),
            Ok(()) | Err(_) => panic!("taken without {word}"),
        };
        let mut import = life.queue.import();
        malformed(import.append(b"a\nb").await, "LF alone");
        let mut import = life.queue.import();
        import.append(b"too short").await.expect("room");
        malformed(import.commit(&message).await.map(drop), "9 bytes");
        let none = Portable { bytes: None, ..message.clone() };
        malformed(life.queue.import().commit(&none).await.map(drop), "empty");
        let mut nobody = none.clone();
        nobody.envelope.recipients.clear();
        nobody.waiting.clear();
        malformed(life.queue.import().commit(&nobody).await.map(drop), "no recipient");
        assert_eq!(life.list(), []);
    });
    assert_eq!(examine(spool.path()).live_messages, 0);
}

#[test]
fn a_dump_tells_every_record_and_why_a_message_is_over() {
    let spool = tempfile::tempdir().expect("a directory");
    let (gone, left) = live_on_disk(spool.path(), |life| async move {
        let gone = life.accept("a@example.org", &["b@example.net"], &body(1, 150_000)).await;
        let ticket = life.take().expect("due");
        life.settle(ticket, &delivered());
        let left = life.accept("a@example.org", &["b@example.net"], &body(2, 500)).await;
        let ticket = life.take().expect("due");
        life.settle(ticket, &bounced());
        life.queue.drain().await;
        (gone, left)
    });
    let found = Spool::find(spool.path()).expect("a spool");
    let mut told = Vec::new();
    let unreadable = found.dump(0, &mut |seen| {
        told.push(match &seen.says {
            Says::Message(message) => format!("message {}", message.id),
            Says::Chunk(id) => format!("chunk {id}"),
            Says::Outcomes { id, changes, report, .. } => {
                let report = if report.is_some() { " with report" } else { "" };
                format!("{} {id}{report}", changes[0].what)
            }
            Says::Damaged(_) => "damaged".to_owned(),
        });
    });
    assert!(unreadable.expect("a log").is_empty());
    for line in [
        format!("chunk {gone}"),
        format!("message {gone}"),
        format!("delivered {gone}"),
        format!("message {left}"),
        format!("bounced {left} with report"),
    ] {
        assert!(told.contains(&line), "{line} in {told:?}");
    }
    let life = found.life(gone).expect("a log");
    assert!(!life.is_live());
    let one = &life.recipients[0];
    assert_eq!((one.to.as_str(), one.standing.done), ("b@example.net", true));
    assert_eq!(one.last.as_ref().expect("told why").change.what, "delivered");
    let unknown = found.life(MessageId::new(0, 77, 1)).expect("a log");
    assert!(unknown.recipients.is_empty());
}
