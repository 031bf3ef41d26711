//! Records and batches as bytes.

use super::support::{body_of, envelope, header_of, message};
use crate::spool::batch::Batch;
use crate::spool::codec::Malformed;
use crate::spool::fate::{Fate, Place};
use crate::spool::layout::{BLOCK, FRAME, Frame, Generation};
use crate::spool::record::{Record, decode_message_of, encode_message, encode_outcomes, kind};
use crate::spool::scan::scan;
use crate::spool::segments::{Segment, Segments};
use crate::spool::{Change, HotBudget, Outcomes, Pin, SegmentId, Standing};
use mail::{
    BodyKind, MessageId, Notify, Protocol, RecipientRequest, Returned, StatusRequest, UnixTime,
};
use proptest::prelude::*;
use reactor::sim::{Faults, World};

const GENERATION: Generation = Generation(0xfeed);

fn framed(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut record = vec![0; FRAME];
    record.extend_from_slice(payload);
    let frame = Frame { payload: payload.len() as u32, kind, ..Frame::default() };
    frame.write(GENERATION, &mut record);
    record
}

#[test]
fn a_message_is_read_as_it_was_written() {
    let id = MessageId::new(5, 6, 7);
    let envelope = envelope(3);
    let standings = [
        Standing::default(),
        Standing { done: true, ..Standing::default() },
        Standing {
            held: true,
            attempts: 4,
            next: UnixTime(1 << 50),
            reason: Some("450 4.2.0 später".into()),
            done: false,
        },
    ];
    let mut new = message(id, &envelope, b"Header: block\r\n", b"body");
    new.standings = &standings;
    let mut payload = Vec::new();
    encode_message(&mut payload, &new, true);
    let record = framed(kind::MESSAGE, &payload);
    let read = decode_message_of(&record).expect("whole");
    assert_eq!((read.id, read.envelope, read.standings), (id, envelope, standings.to_vec()));
    assert_eq!((read.accepted, read.stuffed_lines, read.size), (UnixTime(99), 3, 19));
    assert_eq!(&record[read.header], b"Header: block\r\nbody");
}

#[test]
fn outcomes_are_read_as_they_were_written() {
    let reason = Some("450 busy".into());
    let standing = Standing { held: true, attempts: 7, next: UnixTime(8), reason, done: false };
    let changes = [
        (0, Change::Delivered),
        (1, Change::Deferred { next: UnixTime(5), attempts: 2, reason: "busy".into() }),
        (2, Change::Bounced),
        (3, Change::Held),
        (4, Change::Released { next: UnixTime(6) }),
        (900, Change::Removed),
        (5, Change::Standing(Standing { done: true, ..Standing::default() })),
        (6, Change::Standing(standing)),
    ];
    let outcomes =
        Outcomes { id: MessageId::new(1, 2, 3), segment: SegmentId(4), changes: &changes };
    let mut payload = Vec::new();
    encode_outcomes(&mut payload, &outcomes);
    let record = framed(kind::OUTCOMES, &payload);
    let frame = Frame::read(&record).expect("whole");
    let Ok(Record::Outcomes(read, None)) = Record::decode(&frame, &record) else {
        panic!("another record")
    };
    assert_eq!((read.id, read.segment), (outcomes.id, outcomes.segment));
    assert_eq!(read.changes, changes);
    let bytes_max: usize = changes.iter().map(|(_, change)| 8 + change.bytes_max()).sum();
    assert!(payload.len() <= 24 + bytes_max, "{} are over {bytes_max}", payload.len());
}

#[test]
fn an_envelope_that_asks_for_everything_is_read_as_it_was_written() {
    let clients = [None, Some("192.0.2.7:25"), Some("[2001:db8::1]:4000")];
    for (number, client) in (0..).zip(clients) {
        let mut envelope = envelope(3);
        envelope.utf8 = number % 2 == 0;
        envelope.body = if number == 1 { BodyKind::SevenBit } else { BodyKind::EightBitMime };
        envelope.origin.client = client.map(|client| client.parse().expect("an address"));
        envelope.origin.protocol = [Protocol::Smtp, Protocol::Esmtp, Protocol::Local][number];
        envelope.origin.user = (number > 0).then(|| "grüße@example.org".into());
        envelope.origin.secured = number == 0;
        envelope.origin.trusted = number == 1;
        let returned = [None, Some(Returned::Full), Some(Returned::Headers)][number];
        let envelope_id = (number == 2).then(|| "QQ+2B314159".into());
        let notify = Some(Notify { success: true, failure: number == 0, delay: number == 1 });
        let original = Some("rfc822;Bob+40example.com".into());
        let recipients = vec![
            RecipientRequest::default(),
            RecipientRequest { notify: Some(Notify::default()), original: None },
            RecipientRequest { notify, original },
        ];
        envelope.request = Some(Box::new(StatusRequest { returned, envelope_id, recipients }));
        let mut payload = Vec::new();
        let new = message(MessageId::new(0, 1, 2), &envelope, b"Header: block\r\n", b"");
        encode_message(&mut payload, &new, false);
        assert!(FRAME + payload.len() <= new.record_bytes_max());
        let read = decode_message_of(&framed(kind::MESSAGE, &payload)).expect("whole");
        assert_eq!(read.envelope, envelope);
    }
}

#[test]
fn what_was_over_stays_over_whatever_is_said_later() {
    let later = [
        Change::Deferred { next: UnixTime(5), attempts: 2, reason: "busy".into() },
        Change::Held,
        Change::Released { next: UnixTime(6) },
        Change::Standing(Standing { attempts: 3, ..Standing::default() }),
    ];
    for end in [Change::Delivered, Change::Bounced, Change::Removed] {
        let mut standing = Standing { attempts: 1, held: true, ..Standing::default() };
        standing.change(end);
        for change in &later {
            standing.change(change.clone());
            assert_eq!(standing, Standing { done: true, ..Standing::default() });
        }
    }
}

#[test]
fn a_standing_that_is_carried_along_replaces_what_went_before() {
    let reason = Some("450 busy".into());
    let carried = Standing { attempts: 9, next: UnixTime(7), reason, ..Standing::default() };
    let mut standing = Standing { held: true, attempts: 1, ..Standing::default() };
    standing.change(Change::Standing(carried.clone()));
    assert_eq!(standing, carried);
    standing.change(Change::Standing(Standing { done: true, held: true, ..carried }));
    assert_eq!(standing, Standing { done: true, ..Standing::default() });
}

/// A batch of a message of each length, as it lies in a segment behind one header block.
fn segment_with(lengths: &[usize]) -> Vec<u8> {
    let world = World::new(1, Faults::none());
    let reactor = world.host("192.0.2.1".parse().expect("good")).start().reactor();
    let segments = Segments::new(&reactor);
    segments.insert(SegmentId(1), Segment::new(GENERATION, 0));
    let mut batch = Batch::new(Fate::new(&reactor));
    for (index, length) in lengths.iter().enumerate() {
        let id = MessageId::new(0, 1, index as u64);
        let (header, body) = (header_of(id), body_of(id, *length));
        batch.add_message(&message(id, &envelope(1), &header, &body));
    }
    let place = Place {
        segment: SegmentId(1),
        generation: GENERATION,
        offset: BLOCK as u32,
        sequence: 1,
        durable_through: 0,
        pin: Pin::new(&segments, SegmentId(1)),
    };
    let built = batch.build(place, &HotBudget::new(0), &mut None);
    let mut bytes = vec![0; BLOCK];
    built.parts.iter().for_each(|part| bytes.extend_from_slice(part.as_slice()));
    assert_eq!(bytes.len(), BLOCK + built.bytes as usize);
    bytes
}

#[test]
fn a_batch_is_found_whole_small_or_large() {
    for lengths in [&[10][..], &[16_384], &[16_385], &[90_000, 0, 70_000, 1], &[5; 40]] {
        let bytes = segment_with(lengths);
        let found = scan(&bytes, GENERATION, BLOCK, bytes.len()).batches;
        assert_eq!(found.len(), 1, "{lengths:?}");
        assert!(found[0].is_whole(), "{lengths:?}");
        for (index, (offset, frame)) in found[0].records.iter().enumerate() {
            let id = MessageId::new(0, 1, index as u64);
            let read = decode_message_of(&bytes[*offset as usize..]).expect("whole");
            assert_eq!(read.id, id);
            let body = &bytes[frame.body_at as usize..][..frame.body_bytes as usize];
            assert!(frame.body_bytes == 0 || body == body_of(id, lengths[index]), "{lengths:?}");
        }
    }
}

#[test]
fn a_lone_small_message_takes_one_block() {
    assert_eq!(segment_with(&[2000]).len(), 2 * BLOCK);
}

#[test]
fn every_flipped_byte_of_a_batch_is_noticed_but_in_its_padding() {
    let bytes = segment_with(&[300, 20]);
    let used = {
        let batch = &scan(&bytes, GENERATION, BLOCK, bytes.len()).batches[0];
        let (_, last) = batch.records[1];
        (last.body_at + last.body_bytes) as usize
    };
    for at in BLOCK..used {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x10;
        let found = scan(&flipped, GENERATION, BLOCK, flipped.len()).batches;
        assert!(found.is_empty() || !found[0].is_whole(), "byte {at}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_record_or_an_error(
        payload in prop::collection::vec(any::<u8>(), 0..400),
        kind in 0..6u8,
    ) {
        let record = framed(kind, &payload);
        let frame = Frame::read(&record).expect("a frame");
        let _: Result<Record, Malformed> = Record::decode(&frame, &record);
    }

    #[test]
    fn a_mangled_message_is_a_message_or_an_error(at in 0..200usize, byte: u8, cut in 0..300usize) {
        let mut payload = Vec::new();
        let envelope = envelope(2);
        let whole = message(MessageId::new(0, 1, 2), &envelope, b"h", b"");
        encode_message(&mut payload, &whole, false);
        let length = payload.len();
        payload[at % length] = byte;
        payload.truncate(length.min(cut));
        let record = framed(kind::MESSAGE, &payload);
        let _ = decode_message_of(&record);
    }

    #[test]
    fn any_segment_is_scanned_without_a_panic(
        edits in prop::collection::vec((0..40_000usize, any::<u8>()), 0..20),
    ) {
        let mut bytes = segment_with(&[300, 20_000]);
        for (at, byte) in edits {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        scan(&bytes, GENERATION, BLOCK, bytes.len());
    }
}
