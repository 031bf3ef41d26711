//! The log: events become lines, on a thread of its own.
//!
//! Shards hand events over by a bounded channel and never wait: what does not fit is dropped and
//! counted, and the next line says how many.

use mail::{Event, Field, Journal, Level, UnixTime, Value};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Events that may wait to be written.
const BACKLOG: usize = 65_536;

/// How often the writer looks for events while there is traffic: how late a line may be.
const LOOK: Duration = Duration::from_millis(20);

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The standard error.
    Stderr,
    /// A file, appended to; reopened when told.
    File(PathBuf),
}

/// The form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `time kind field=value …`, for people.
    Text,
    /// One object, for programs.
    Json,
}

/// The writer's handle: clones go to every thread.
#[derive(Clone)]
pub struct Log {
    lines: SyncSender<(UnixTime, Event)>,
    shared: Arc<Shared>,
    level: Level,
}

struct Shared {
    dropped: AtomicU64,
    reopen: AtomicBool,
}

impl Log {
    /// Opens the target and starts the writer. It ends, with all written, once every handle and
    /// journal is gone: join it then.
    ///
    /// # Errors
    /// When the file cannot be opened or the thread not be started.
    pub fn start(
        target: Target,
        format: Format,
        level: Level,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        let mut output = open(&target)?;
        let (lines, events) = sync_channel(BACKLOG);
        let shared =
            Arc::new(Shared { dropped: AtomicU64::new(0), reopen: AtomicBool::new(false) });
        let seen = Arc::clone(&shared);
        let writer = std::thread::Builder::new().name("log".into()).spawn(move || {
            write_all(
                &events,
                &seen,
                &mut output,
                |shared, output| {
                    if shared.reopen.swap(false, Ordering::Relaxed)
                        && let Ok(fresh) = open(&target)
                    {
                        *output = fresh;
                    }
                },
                format,
            );
        })?;
        Ok((Self { lines, shared, level }, writer))
    }

    /// A journal for the rooms of one thread; `clock` gives the time of each event.
    pub fn journal(&self, clock: impl Fn() -> UnixTime + 'static) -> Journal {
        let log = self.clone();
        Journal::new(self.level, Rc::new(move |event| log.record(clock(), event)))
    }

    /// Records one event, from any thread.
    pub fn record(&self, time: UnixTime, event: Event) {
        if event.kind.level() <= self.level && self.lines.try_send((time, event)).is_err() {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Records one event of now, from a thread without a reactor.
    pub fn note(&self, event: Event) {
        self.record(crate::clock::wall(), event);
    }

    /// Makes the writer open its file again (after a rotation).
    pub fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Relaxed);
    }
}

fn open(target: &Target) -> io::Result<BufWriter<Box<dyn Write + Send>>> {
    let output: Box<dyn Write + Send> = match target {
        Target::Stderr => Box::new(io::stderr()),
        Target::File(path) => {
            Box::new(File::options().append(true).create(true).mode(0o640).open(path)?)
        }
    };
    Ok(BufWriter::with_capacity(64 << 10, output))
}

/// Writes until all senders are gone. A write that fails is dropped: there is nobody to tell.
fn write_all(
    events: &Receiver<(UnixTime, Event)>,
    shared: &Shared,
    output: &mut BufWriter<Box<dyn Write + Send>>,
    reopen: impl Fn(&Shared, &mut BufWriter<Box<dyn Write + Send>>),
    format: Format,
) {
    let mut line = String::with_capacity(512);
    let mut quiet = Duration::ZERO;
    loop {
        reopen(shared, output);
        let next = match events.try_recv() {
            Ok(next) => next,
            Err(TryRecvError::Disconnected) => {
                drop(output.flush());
                return;
            }
            Err(TryRecvError::Empty) => {
                drop(output.flush());
                match pause(events, &mut quiet) {
                    Some(next) => next,
                    None => continue,
                }
            }
        };
        quiet = Duration::ZERO;
        let dropped = shared.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            let note = Event::new(mail::EventKind::LibraryWarned)
                .fixed(Field::Reason, "the log could not keep up: events dropped")
                .number(Field::Count, dropped);
            show(&mut line, next.0, &note, format);
        }
        show(&mut line, next.0, &next.1, format);
        drop(output.write_all(line.as_bytes()));
        line.clear();
    }
}

/// Waits when there is nothing to write. A shard that finds the writer asleep on the channel pays a
/// system call to wake it, for each event of a busy relay; so the writer looks in on its own while
/// there is traffic, and goes to sleep on the channel only after a quiet second.
fn pause(events: &Receiver<(UnixTime, Event)>, quiet: &mut Duration) -> Option<(UnixTime, Event)> {
    if *quiet < Duration::from_secs(1) {
        std::thread::park_timeout(LOOK);
        *quiet += LOOK;
        return None;
    }
    events.recv_timeout(Duration::from_secs(1)).ok()
}

/// Appends one line with its end.
fn show(line: &mut String, time: UnixTime, event: &Event, format: Format) {
    match format {
        Format::Text => text(line, time, event),
        Format::Json => json(line, time, event),
    }
    line.push('\n');
}

fn text(line: &mut String, time: UnixTime, event: &Event) {
    let _ = write!(line, "{} {}", time.rfc3339(), event.kind);
    for (field, value) in &event.fields {
        let _ = write!(line, " {field}=");
        match value {
            Value::Text(text) => word(line, text),
            Value::Fixed(text) => word(line, text),
            Value::Number(number) => drop(write!(line, "{number}")),
            Value::Seconds(seconds) => drop(write!(line, "{seconds:.3}")),
            Value::Id(id) => drop(write!(line, "{id}")),
            Value::Time(time) => line.push_str(&time.rfc3339()),
        }
    }
}

/// A value that needs quotes gets them; whatever could end a line or forge a field is escaped.
fn word(line: &mut String, text: &str) {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '"' && c != '\\';
    if !text.is_empty() && text.chars().all(plain) {
        line.push_str(text);
        return;
    }
    line.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                line.push('\\');
                line.push(c);
            }
            c if c.is_control() || (c.is_whitespace() && c != ' ') => {
                let _ = write!(line, "\\u{{{:x}}}", c as u32);
            }
            c => line.push(c),
        }
    }
    line.push('"');
}

fn json(line: &mut String, time: UnixTime, event: &Event) {
    let mut object = serde_json::Map::new();
    object.insert("time".into(), time.rfc3339().into());
    object.insert("event".into(), event.kind.as_str().into());
    for (field, value) in &event.fields {
        let value = match value {
            Value::Text(text) => (&**text).into(),
            Value::Fixed(text) => (*text).into(),
            Value::Number(number) => (*number).into(),
            Value::Seconds(seconds) => (*seconds).into(),
            Value::Id(id) => id.to_string().into(),
            Value::Time(time) => time.rfc3339().into(),
        };
        object.insert(field.as_str().into(), value);
    }
    line.push_str(&serde_json::Value::Object(object).to_string());
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail::EventKind;

    fn event() -> Event {
        Event::new(EventKind::RecipientDelivered)
            .text(Field::To, "<b@example.org>")
            .seconds(Field::Delay, 0.21)
            .text(Field::Reply, "250 2.0.0 Ok")
    }

    #[test]
    fn a_line_of_text_is_what_the_interface_page_shows() {
        let mut line = String::new();
        show(&mut line, UnixTime(0), &event(), Format::Text);
        assert_eq!(
            line,
            "1970-01-01T00:00:00.000000Z recipient.delivered to=<b@example.org> delay_s=0.210 \
             reply=\"250 2.0.0 Ok\"\n"
        );
    }

    #[test]
    fn nothing_a_peer_sends_can_forge_a_line_or_a_field() {
        let forged = "x\r\n1970 message.accepted id=1\u{2028}\" to=\"";
        for format in [Format::Text, Format::Json] {
            let mut line = String::new();
            let event = Event::new(EventKind::SessionOpened).text(Field::Hello, forged);
            show(&mut line, UnixTime(0), &event, format);
            assert_eq!(line.lines().count(), 1, "{line}");
            assert!(!line.contains('\r') && !line.contains("\" to=\"\n"));
        }
    }

    #[test]
    fn what_was_recorded_is_written_when_the_last_handle_goes() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("log");
        let target = Target::File(path.clone());
        let (log, writer) = Log::start(target, Format::Json, Level::Info).expect("a log");
        log.record(UnixTime(0), event());
        log.record(UnixTime(0), Event::new(EventKind::SessionOpened));
        drop(log);
        writer.join().expect("the writer ends");
        let text = std::fs::read_to_string(path).expect("a file");
        assert_eq!(text.lines().count(), 1, "debug events are not heard at info: {text}");
        assert!(text.contains("\"to\":\"<b@example.org>\""));
    }
}
