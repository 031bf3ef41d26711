//! What files and directories promise.

use crate::bench::{Bench, Promise, bytes, pattern, try_once};
use reactor::{FileSystemKind, OpenHow, Part, Slab, SlabSlice};
use std::cell::Cell;
use std::future::Future;
use std::io::ErrorKind;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

pub(crate) const PROMISES: &[Promise] = &[
    ("what is written is read", what_is_written_is_read),
    ("a read ends at the end of the file", a_read_ends_at_the_end_of_the_file),
    ("many parts are one write", many_parts_are_one_write),
    ("writes in flight together all land", writes_in_flight_together_all_land),
    ("more writes than a queue takes all land", more_writes_than_a_queue_takes_all_land),
    ("a dropped write lands", a_dropped_write_lands),
    ("zero-fill makes zeros and length", zero_fill_makes_zeros_and_length),
    ("truncate sets the length", truncate_sets_the_length),
    ("direct writes are read directly", direct_writes_are_read_directly),
    ("opening follows its flags", opening_follows_its_flags),
    ("rename replaces", rename_replaces),
    ("what is not there is not found", what_is_not_there_is_not_found),
    ("a file opened for reading takes no write", a_file_opened_for_reading_takes_no_write),
    ("a directory lists its names in order", a_directory_lists_its_names_in_order),
    ("a lock is held by one file", a_lock_is_held_by_one_file),
    ("a held file keeps its lock", a_held_file_keeps_its_lock),
    ("a dropped open leaves nothing", a_dropped_open_leaves_nothing),
    ("a file system says what it is", a_file_system_says_what_it_is),
];

const NEW: OpenHow = OpenHow { write: true, create: true, exclusive: true, direct: false };
const OLD: OpenHow = OpenHow { write: true, create: false, exclusive: false, direct: false };

fn what_is_written_is_read(bench: &Bench) {
    let (reactor, path) = (bench.reactor.clone(), bench.directory.join("file"));
    bench.run(async move {
        let file = Bench::file(&reactor, path.clone()).await;
        file.write(bytes("hello"), 0, true).await.unwrap();
        file.write(bytes("world"), 6, false).await.unwrap();
        file.sync().await.unwrap();
        assert_eq!(file.length().await.unwrap(), 11);
        let slab = file.read(Slab::new(100), 0, 11).await.unwrap();
        assert_eq!(slab.as_slice(), b"hello\0world");
        drop(file);
        let file = reactor.open(&path, OpenHow::default()).await.unwrap();
        let slab = file.read(slab, 6, 3).await.unwrap();
        assert_eq!(slab.as_slice(), b"wor");
        let error = file.write(bytes("x"), 0, false).await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(9), "it is open for reading only (EBADF)");
    });
}

fn a_read_ends_at_the_end_of_the_file(bench: &Bench) {
    let (reactor, path) = (bench.reactor.clone(), bench.directory.join("file"));
    bench.run(async move {
        let file = Bench::file(&reactor, path).await;
        file.write(bytes(pattern(5000)), 0, false).await.unwrap();
        let slab = file.read(Slab::new(8192), 4000, 8192).await.unwrap();
        assert_eq!(slab.as_slice(), &pattern(5000)[4000..]);
        let slab = file.read(slab, 5000, 8192).await.unwrap();
        assert!(slab.is_empty());
    });
}

fn many_parts_are_one_write(bench: &Bench) {
    let (reactor, path) = (bench.reactor.clone(), bench.directory.join("file"));
    bench.run(async move {
        let file = Bench::file(&reactor, path).await;
        let whole = pattern(9000);
        let parts = whole.chunks(3).map(|piece| Part::Bytes(piece.to_vec())).collect();
        file.write(parts, 100, true).await.unwrap();
        assert_eq!(file.length().await.unwrap(), 9100);
        let slab = file.read(Slab::new(9000), 100, 9000).await.unwrap();
        assert_eq!(slab.as_slice(), whole);
        file.write(Vec::new(), 0, true).await.unwrap();
    });
}

fn writes_in_flight_together_all_land(bench: &Bench) {
    let (reactor, path) = (bench.reactor.clone(), bench.directory.join("file"));
    bench.run(async move {
        let file = Rc::new(Bench::file(&reactor, path).await);
        let done = Rc::new(Cell::new(0));
        for block in 0..32u64 {
            let (file, count) = (Rc::clone(&file), Rc::clone(&done));
            reactor.spawn(async move {
                let durable = block % 2 == 0;
                file.write(bytes(vec![block as u8; 4096]), block * 4096, durable).await.unwrap();
                count.set(count.get() + 1);
            });
        }
        while done.get() < 32 {
            reactor.sleep(reactor.now() + Duration::from_millis(1)).await;
        }
        let slab = file.read(Slab::new(32 * 4096), 0, 32 * 4096).await.unwrap();
        for (block, written) in slab.as_slice().chunks(4096).enumerate() {
            assert!(written.iter().all(|byte| usize::from(*byte) == block), "block {block}");
        }
    });
}

fn more_writes_than_a_queue_takes_all_land(bench: &Bench) {
    const WRITES: usize = 3000;
    let (reactor, path) = (bench.reactor.clone(), bench.directory.join("file"));
    bench.run(async move {
        let file = Bench::file(&reactor, path).await;
        let whole = pattern(WRITES * 16);
        let mut writes: Vec<_> = whole
            .chunks(16)
            .enumerate()
            .map(|(place, piece)| Box::pin(file.write(bytes(piece), place as u64 * 16, false)))
            .collect();
        // All of them at once: they are submitted in one turn.
        std::future::poll_fn(|context| {
            writes.retain_mut(|write| write.as_mut().poll(context).is_pending());
            if writes.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        drop(writes);
        let slab = file.read(Slab::new(whole.len()), 0, whole.len()).await.unwrap();
        assert!(slab.as_slice() == whole);
    });
}

fn a_dropped_write_lands(bench: &Bench) {
    let (reactor, path) = (bench.reactor.clone(), bench.directory.join("file"));
    bench.run(async move {
        let file = Bench::file(&reactor, path.clone()).await;
        let mut slab = Slab::new(1 << 20);
        slab.append(&pattern(1 << 20));
        let slab = Rc::new(slab);
        for half in [0..1 << 19, 1 << 19..1 << 20] {
            let offset = half.start as u64;
            let part = Part::Slice(SlabSlice::new(Rc::clone(&slab), half));
            assert!(try_once(file.write(vec![part], offset, true)).await.is_none());
        }
        drop(file);
        while reactor.descriptors() > 0 {
            reactor.sleep(reactor.now() + Duration::from_millis(1)).await;
        }
        assert_eq!(Rc::strong_count(&slab), 1, "the memory came back before the file was closed");
        let file = reactor.open(&path, OLD).await.unwrap();
        let read = file.read(Slab::new(1 << 20), 0, 1 << 20).await.unwrap();
        assert!(read.as_slice() == slab.as_slice());
    });
}

fn zero_fill_makes_zeros_and_length(bench: &Bench) {
    let (reactor, path) = (bench.reactor.clone(), bench.directory.join("file"));
    bench.run(async move {
        let file = Bench::file(&reactor, path).await;
        file.write(bytes(vec![1; 8192]), 0, false).await.unwrap();
        file.zero_fill(4096, 3 << 20).await.unwrap();
        assert_eq!(file.length().await.unwrap(), 3 << 20);
        let slab = file.read(Slab::new(3 << 20), 0, 3 << 20).await.unwrap();
        assert!(slab.as_slice()[..4096].iter().all(|byte| *byte == 1));
        assert!(slab.as_slice()[4096..].iter().all(|byte| *byte == 0));
        assert_eq!(slab.len(), 3 << 20);
    });
}

fn truncate_sets_the_length(bench: &Bench) {
    let (reactor, path) = (bench.reactor.clone(), bench.directory.join("file"));
    bench.run(async move {
        let file = Bench::file(&reactor, path).await;
        file.write(bytes(pattern(10_000)), 0, false).await.unwrap();
        file.truncate(4000).await.unwrap();
        assert_eq!(file.length().await.unwrap(), 4000);
        file.truncate(6000).await.unwrap();
        let slab = file.read(Slab::new(8192), 0, 8192).await.unwrap();
        assert_eq!(&slab.as_slice()[..4000], &pattern(10_000)[..4000]);
        assert_eq!(&slab.as_slice()[4000..], [0; 2000]);
    });
}

fn direct_writes_are_read_directly(bench: &Bench) {
    let (reactor, directory) = (bench.reactor.clone(), bench.directory.clone());
    bench.run(async move {
        let kind = reactor.file_system(&directory).await.unwrap().kind;
        let direct = OpenHow { direct: true, ..NEW };
        let file = match reactor.open(&directory.join("file"), direct).await {
            Ok(file) => file,
            // Some file systems cannot.
            Err(_) if !matches!(kind, FileSystemKind::Ext | FileSystemKind::Xfs) => return,
            Err(error) => panic!("{error}"),
        };
        file.zero_fill(0, 64 * 1024).await.unwrap();
        let mut slab = Slab::new(8192);
        slab.append(&pattern(5000));
        slab.pad_to(4096);
        let slab = Rc::new(slab);
        let part = Part::Slice(SlabSlice::new(Rc::clone(&slab), 0..slab.len()));
        file.write(vec![part], 4096, true).await.unwrap();
        let read = file.read(Slab::new(16 * 1024), 4096, 8192).await.unwrap();
        assert_eq!(read.as_slice(), slab.as_slice());
        assert_eq!(file.length().await.unwrap(), 64 * 1024);
    });
}

fn opening_follows_its_flags(bench: &Bench) {
    let (reactor, path) = (bench.reactor.clone(), bench.directory.join("file"));
    bench.run(async move {
        let error = reactor.open(&path, OLD).await.err().expect("it does not exist");
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let file = reactor.open(&path, NEW).await.unwrap();
        file.write(bytes("kept"), 0, false).await.unwrap();
        let error = reactor.open(&path, NEW).await.err().expect("it exists");
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        let again = reactor.open(&path, OpenHow { exclusive: false, ..NEW }).await.unwrap();
        assert_eq!(again.length().await.unwrap(), 4, "opening never truncates");
    });
}

fn what_is_not_there_is_not_found(bench: &Bench) {
    let (reactor, directory) = (bench.reactor.clone(), bench.directory.clone());
    bench.run(async move {
        let (missing, nowhere) = (directory.join("missing"), directory.join("no/where"));
        drop(Bench::file(&reactor, directory.join("file")).await);
        let kinds = [
            reactor.open(&missing, OLD).await.err().map(|error| error.kind()),
            reactor.open(&nowhere, NEW).await.err().map(|error| error.kind()),
            reactor.remove(&missing).await.err().map(|error| error.kind()),
            reactor.rename(&missing, &directory.join("file")).await.err().map(|e| e.kind()),
            reactor.rename(&directory.join("file"), &nowhere).await.err().map(|e| e.kind()),
            reactor.read_directory(&missing).await.err().map(|error| error.kind()),
            reactor.sync_directory(&missing).await.err().map(|error| error.kind()),
        ];
        assert_eq!(kinds, [Some(ErrorKind::NotFound); 7]);
    });
}

fn a_file_opened_for_reading_takes_no_write(bench: &Bench) {
    let (reactor, path) = (bench.reactor.clone(), bench.directory.join("file"));
    bench.run(async move {
        drop(Bench::file(&reactor, path.clone()).await);
        let file = reactor.open(&path, OpenHow::default()).await.unwrap();
        let error = file.write(bytes("no"), 0, false).await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(9), "EBADF");
    });
}

fn rename_replaces(bench: &Bench) {
    let (reactor, directory) = (bench.reactor.clone(), bench.directory.clone());
    bench.run(async move {
        let (old, new) = (directory.join("old"), directory.join("new"));
        let file = Bench::file(&reactor, old.clone()).await;
        file.write(bytes("fresh"), 0, true).await.unwrap();
        Bench::file(&reactor, new.clone()).await.write(bytes("stale"), 0, true).await.unwrap();
        reactor.rename(&old, &new).await.unwrap();
        reactor.sync_directory(&directory).await.unwrap();
        assert_eq!(reactor.read_directory(&directory).await.unwrap(), ["new"]);
        let found = reactor.open(&new, OLD).await.unwrap();
        let slab = found.read(Slab::new(5), 0, 5).await.unwrap();
        assert_eq!(slab.as_slice(), b"fresh");
        let error = reactor.rename(&old, &new).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    });
}

fn a_directory_lists_its_names_in_order(bench: &Bench) {
    let (reactor, directory) = (bench.reactor.clone(), bench.directory.clone());
    bench.run(async move {
        let inside = directory.join("log");
        reactor.make_directory(&inside).await.unwrap();
        reactor.make_directory(&inside).await.unwrap();
        assert!(reactor.read_directory(&inside).await.unwrap().is_empty());
        for name in ["b", "a", "d", "c"] {
            drop(Bench::file(&reactor, inside.join(name)).await);
        }
        reactor.remove(&inside.join("d")).await.unwrap();
        reactor.sync_directory(&inside).await.unwrap();
        assert_eq!(reactor.read_directory(&inside).await.unwrap(), ["a", "b", "c"]);
        let error = reactor.remove(&inside.join("d")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let error = reactor.read_directory(&directory.join("none")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    });
}

fn a_lock_is_held_by_one_file(bench: &Bench) {
    let (reactor, path) = (bench.reactor.clone(), bench.directory.join("LOCK"));
    bench.run(async move {
        let first = Bench::file(&reactor, path.clone()).await;
        let second = reactor.open(&path, OLD).await.unwrap();
        assert!(first.try_lock().await.unwrap());
        assert!(!second.try_lock().await.unwrap());
        assert!(first.try_lock().await.unwrap(), "it has it already");
        drop(first);
        while reactor.descriptors() > 1 {
            reactor.sleep(reactor.now() + Duration::from_millis(1)).await;
        }
        while !second.try_lock().await.unwrap() {
            reactor.sleep(reactor.now() + Duration::from_millis(1)).await;
        }
    });
}

fn a_held_file_keeps_its_lock(bench: &Bench) {
    let (reactor, path) = (bench.reactor.clone(), bench.directory.join("LOCK"));
    bench.run(async move {
        let first = Bench::file(&reactor, path.clone()).await;
        assert!(first.try_lock().await.unwrap());
        reactor.hold(first.shared()).unwrap();
        let segment = Bench::file(&reactor, path.with_extension("other")).await;
        reactor.hold(segment.shared()).unwrap();
        drop(first);
        while reactor.descriptors() > 1 {
            reactor.sleep(reactor.now() + Duration::from_millis(1)).await;
        }
        let second = reactor.open(&path, OLD).await.unwrap();
        for _ in 0..10 {
            assert!(!second.try_lock().await.unwrap(), "the kernel holds it");
        }
    });
}

fn a_dropped_open_leaves_nothing(bench: &Bench) {
    let (reactor, path) = (bench.reactor.clone(), bench.directory.join("LOCK"));
    bench.run(async move {
        let file = Bench::file(&reactor, path.clone()).await;
        for _ in 0..20 {
            assert!(try_once(reactor.open(&path, OLD)).await.is_none());
        }
        // Calls are begun in their order, so this ends after them.
        for _ in 0..4 {
            file.length().await.unwrap();
        }
    });
}

fn a_file_system_says_what_it_is(bench: &Bench) {
    let (reactor, directory) = (bench.reactor.clone(), bench.directory.clone());
    bench.run(async move {
        let file_system = reactor.file_system(&directory).await.unwrap();
        assert!(file_system.free > 0 && file_system.free <= file_system.bytes);
        assert!(!file_system.read_only);
    });
}
