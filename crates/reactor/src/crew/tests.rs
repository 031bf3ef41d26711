use super::*;
use crate::file::{FileAnswer, FileSystemKind, OpenHow};
use crate::memory::{Part, Slab};
use std::path::{Path, PathBuf};

/// A crew whose alarm can be waited for.
struct Bench {
    crew: Crew,
    alarms: Receiver<()>,
    next: u64,
}

impl Bench {
    fn new(threads: usize) -> Self {
        let (sound, alarms) = crossbeam_channel::unbounded();
        let alarm = move || sound.send(()).expect("the bench outlives its crew");
        Self { crew: Crew::new(threads, Arc::new(alarm)), alarms, next: 0 }
    }

    fn give(&mut self, job: CrewJob) -> Token {
        self.next += 1;
        self.crew.give(Token(self.next), job);
        Token(self.next)
    }

    /// Waits, by the alarm alone, until `count` jobs are done; sorted by token.
    fn wait(&mut self, count: usize) -> Vec<Completion> {
        let mut done = Vec::new();
        while done.len() < count {
            self.alarms.recv().expect("the crew holds the other end");
            self.crew.take(&mut done);
        }
        done.sort_by_key(|completion| completion.token);
        done
    }

    fn call(&mut self, call: FileCall) -> Result<FileAnswer, i32> {
        self.give(CrewJob::Call(Box::new(call)));
        let completion = self.wait(1).remove(0);
        match completion.answer {
            Some(answer) => Ok(*answer),
            None => Err(-completion.result),
        }
    }

    fn open(&mut self, path: &Path, how: OpenHow) -> Descriptor {
        match self.call(FileCall::Open { path: path.into(), how }) {
            Ok(FileAnswer::Opened(descriptor)) => descriptor,
            other => panic!("open gave {other:?}"),
        }
    }

    fn write(&mut self, file: Descriptor, offset: u64, parts: Vec<Part>, durable: bool) -> i32 {
        let gather = Gather::new(parts, 0);
        self.give(CrewJob::Write { file, offset, parts: &raw const *gather, durable });
        self.wait(1)[0].result
    }
}

const NEW: OpenHow = OpenHow { write: true, create: true, exclusive: true, direct: false };

fn fresh() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    (directory, path)
}

#[test]
fn what_was_written_is_read_back() {
    let (_directory, path) = fresh();
    let mut bench = Bench::new(2);
    let file = bench.open(&path, NEW);
    let parts = vec![Part::Bytes(b"hello ".to_vec()), Part::Fixed(b"world")];
    assert_eq!(bench.write(file, 3, parts, true), 11);
    assert_eq!(std::fs::read(&path).unwrap(), b"\0\0\0hello world");

    let mut slab = Slab::new(64);
    let target = slab.as_mut_ptr();
    bench.give(CrewJob::Read { file, offset: 9, target, length: 64 });
    assert_eq!(bench.wait(1)[0].result, 5);
    slab.set_read(5);
    assert_eq!(slab.as_slice(), b"world");

    bench.give(CrewJob::Sync { file });
    assert_eq!(bench.wait(1)[0].result, 0);
    perform::forget(Some(Box::new(FileAnswer::Opened(file))));
}

#[test]
fn a_write_that_fails_says_why() {
    let (_directory, path) = fresh();
    std::fs::write(&path, b"old").unwrap();
    let mut bench = Bench::new(1);
    let file = bench.open(&path, OpenHow::default());
    assert_eq!(bench.write(file, 0, vec![Part::Fixed(b"new")], false), -libc::EBADF);
    perform::forget(Some(Box::new(FileAnswer::Opened(file))));
}

#[test]
fn files_are_made_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (_directory, path) = fresh();
    let mut bench = Bench::new(1);
    let file = bench.open(&path, NEW);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let again = bench.call(FileCall::Open { path: path.clone(), how: NEW });
    assert_eq!(again.unwrap_err(), libc::EEXIST);
    perform::forget(Some(Box::new(FileAnswer::Opened(file))));
}

#[test]
fn zero_fill_makes_a_file_of_zeros_and_keeps_what_lies_before() {
    let (_directory, path) = fresh();
    std::fs::write(&path, b"header and more").unwrap();
    let mut bench = Bench::new(1);
    let file = bench.open(&path, OpenHow { write: true, ..OpenHow::default() });
    let to = (ZEROS * 2 + 100) as u64;
    assert!(matches!(bench.call(FileCall::ZeroFill { file, from: 6, to }), Ok(FileAnswer::Done)));
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(bytes.len() as u64, to);
    assert_eq!(&bytes[..6], b"header");
    assert!(bytes[6..].iter().all(|byte| *byte == 0));
    let length = bench.call(FileCall::Length { file });
    assert!(matches!(length, Ok(FileAnswer::Length(length)) if length == to));
    bench.call(FileCall::Truncate { file, length: 4 }).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"head");
    perform::forget(Some(Box::new(FileAnswer::Opened(file))));
}

const ZEROS: usize = 1 << 20;

#[test]
fn directories_are_made_listed_in_order_and_renamed_in() {
    let (directory, _) = fresh();
    let mut bench = Bench::new(1);
    let at = |name: &str| directory.path().join(name);
    for name in ["b", "a", "c"] {
        bench.call(FileCall::MakeDirectory { path: at(name) }).unwrap();
    }
    bench.call(FileCall::MakeDirectory { path: at("a") }).unwrap();
    std::fs::write(at("plain"), b"").unwrap();
    let in_the_way = bench.call(FileCall::MakeDirectory { path: at("plain") });
    assert_eq!(in_the_way.unwrap_err(), libc::EEXIST);
    bench.call(FileCall::Rename { from: at("plain"), to: at("b2") }).unwrap();
    bench.call(FileCall::SyncDirectory { path: directory.path().into() }).unwrap();
    match bench.call(FileCall::ReadDirectory { path: directory.path().into() }) {
        Ok(FileAnswer::Names(names)) => assert_eq!(names, ["a", "b", "b2", "c"]),
        other => panic!("{other:?}"),
    }
    bench.call(FileCall::Remove { path: at("b2") }).unwrap();
    assert_eq!(bench.call(FileCall::Remove { path: at("b2") }).unwrap_err(), libc::ENOENT);
    let none = bench.call(FileCall::ReadDirectory { path: at("none") });
    assert_eq!(none.unwrap_err(), libc::ENOENT);
}

#[test]
fn a_lock_is_refused_while_another_opening_has_it() {
    let (_directory, path) = fresh();
    let mut bench = Bench::new(1);
    let first = bench.open(&path, NEW);
    let second = bench.open(&path, OpenHow { write: true, ..OpenHow::default() });
    bench.call(FileCall::Lock { file: first }).unwrap();
    let refused = bench.call(FileCall::Lock { file: second });
    assert_eq!(refused.unwrap_err(), libc::EWOULDBLOCK);
    perform::forget(Some(Box::new(FileAnswer::Opened(first))));
    bench.call(FileCall::Lock { file: second }).unwrap();
    perform::forget(Some(Box::new(FileAnswer::Opened(second))));
}

#[test]
fn a_file_system_is_named_by_its_number() {
    let mut bench = Bench::new(1);
    match bench.call(FileCall::FileSystem { path: "/proc".into() }) {
        Ok(FileAnswer::FileSystem(found)) => {
            assert_eq!(found.kind, FileSystemKind::Other(0x9FA0));
            assert!(found.free <= found.bytes);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_job_completes_once_and_threads_stay_within_their_number() {
    let (_directory, path) = fresh();
    let mut bench = Bench::new(3);
    let file = bench.open(&path, NEW);
    let given: Vec<Token> = (0..200).map(|_| bench.give(CrewJob::Sync { file })).collect();
    let done = bench.wait(200);
    assert_eq!(done.iter().map(|completion| completion.token).collect::<Vec<_>>(), given);
    assert!(bench.crew.threads.len() <= 3);
    assert!(!bench.crew.is_busy());
    perform::forget(Some(Box::new(FileAnswer::Opened(file))));
}

#[test]
fn a_dropped_crew_has_done_what_it_was_given() {
    let (_directory, path) = fresh();
    let mut bench = Bench::new(2);
    let file = bench.open(&path, NEW);
    let gathers: Vec<Box<Gather>> =
        (0..50u8).map(|byte| Gather::new(vec![Part::Bytes(vec![byte; 100])], 0)).collect();
    for (index, gather) in gathers.iter().enumerate() {
        let (offset, parts) = (index as u64 * 100, &raw const **gather);
        bench.give(CrewJob::Write { file, offset, parts, durable: false });
    }
    drop(bench.crew);
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(bytes.len(), 5000);
    assert!(bytes.iter().enumerate().all(|(at, byte)| at / 100 == usize::from(*byte)));
    perform::forget(Some(Box::new(FileAnswer::Opened(file))));
}
