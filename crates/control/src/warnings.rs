//! Brings the warnings of libraries (hickory, tokio, axum) into the log.

use crate::{Log, clock};
use mail::{Event, EventKind, Field};
use std::fmt::{Debug, Write};
use tracing::field::Visit;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// A layer that writes `library.warned` for each warning and error.
struct Warnings {
    log: Log,
}

/// Takes warnings in on this thread until the guard is dropped.
pub(crate) fn listen(log: Log) -> DefaultGuard {
    tracing::subscriber::set_default(tracing_subscriber::registry().with(Warnings { log }))
}

impl<S> Layer<S> for Warnings
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        *metadata.level() <= tracing::Level::WARN
    }

    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut words = Words(event.metadata().target().to_owned());
        event.record(&mut words);
        let event = Event::new(EventKind::LibraryWarned).text(Field::Reason, words.0);
        self.log.record(clock::wall(), event);
    }
}

/// The fields of an event in one text, the message first as `target: message`.
struct Words(String);

impl Visit for Words {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn Debug) {
        let _ = match field.name() {
            "message" => write!(self.0, ": {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Format, Target};
    use mail::Level;

    #[test]
    fn warnings_of_libraries_become_lines_and_their_chatter_does_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("log");
        let target = Target::File(path.clone());
        let (log, writer) = Log::start(target, Format::Text, Level::Info).expect("a log");
        let guard = listen(log);
        tracing::warn!(target: "hickory", server = 7, "no answer");
        tracing::info!(target: "hickory", "chatter");
        drop(guard);
        writer.join().expect("the writer ends");
        let text = std::fs::read_to_string(path).expect("a file");
        assert!(text.contains("library.warned reason=\"hickory: no answer server=7\""), "{text}");
        assert!(!text.contains("chatter"), "{text}");
    }
}
