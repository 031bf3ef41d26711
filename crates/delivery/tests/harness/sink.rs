//! A next hop that takes messages, or does what else it is told.

use reactor::{Hangup, Instant, Part, Reactor, Stream};
use std::cell::{Cell, Ref, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

/// What a sink does. It may be changed while it runs.
#[derive(Clone)]
pub(crate) struct Behaviour {
    /// Said first.
    pub(crate) greeting: &'static str,
    /// Said to MAIL.
    pub(crate) mail: &'static str,
    /// Recipients taken in a transaction; the others get 452 4.5.3.
    pub(crate) recipients_max: usize,
    /// Said to the end of data.
    pub(crate) end: &'static str,
    /// How long it takes to say that.
    pub(crate) end_delay: Duration,
    /// Connections at a time; the next gets 421 for a greeting.
    pub(crate) connections_max: usize,
    /// After so many messages the next MAIL gets 421 and a close.
    pub(crate) limit: usize,
    /// After so many messages the connection is closed without a word.
    pub(crate) close_after: usize,
    /// The command at which it says nothing more, or `greeting`, `body` (which it does not even
    /// read) or `end`.
    pub(crate) silent_at: &'static str,
    /// When it is silent, it sends the bytes of a reply that never ends, this far apart.
    pub(crate) trickle: Option<Duration>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            greeting: "220 sink.example ESMTP",
            mail: "250 2.1.0 Ok",
            recipients_max: usize::MAX,
            end: "250 2.0.0 Ok: queued",
            end_delay: Duration::ZERO,
            connections_max: usize::MAX,
            limit: usize::MAX,
            close_after: usize::MAX,
            silent_at: "",
            trickle: None,
        }
    }
}

/// A handle to a sink.
#[derive(Clone)]
pub(crate) struct Sink {
    book: Rc<Book>,
}

struct Book {
    reactor: Reactor,
    behaviour: RefCell<Behaviour>,
    messages: RefCell<Vec<Message>>,
    connections: Cell<usize>,
    open: Cell<usize>,
    open_max: Cell<usize>,
    limited: Cell<usize>,
}

/// A message that a sink has answered for.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) connection: usize,
    pub(crate) recipients: Vec<String>,
    /// Without the terminator.
    pub(crate) body: Vec<u8>,
    /// Pieces in which body and terminator came.
    pub(crate) pieces: usize,
}

impl Sink {
    pub(crate) fn start(reactor: &Reactor, address: String, behaviour: Behaviour) -> Self {
        let book = Book {
            reactor: reactor.clone(),
            behaviour: RefCell::new(behaviour),
            messages: RefCell::default(),
            connections: Cell::new(0),
            open: Cell::new(0),
            open_max: Cell::new(0),
            limited: Cell::new(0),
        };
        let sink = Self { book: Rc::new(book) };
        let listener = reactor.listen(address.parse().expect("an address"), false);
        let listener = listener.expect("the port is free");
        let book = Rc::clone(&sink.book);
        reactor.spawn(async move {
            while let Ok(stream) = listener.accept().await {
                let number = book.connections.replace(book.connections.get() + 1);
                let task = Rc::clone(&book);
                book.reactor.spawn(async move { task.serve(stream, number).await });
            }
        });
        sink
    }

    pub(crate) fn set(&self, behaviour: Behaviour) {
        *self.book.behaviour.borrow_mut() = behaviour;
    }

    pub(crate) fn messages(&self) -> Ref<'_, Vec<Message>> {
        self.book.messages.borrow()
    }

    /// How many there are, each once.
    pub(crate) fn distinct(&self) -> usize {
        self.messages().iter().map(|message| &message.body).collect::<BTreeSet<_>>().len()
    }

    pub(crate) fn count(&self) -> usize {
        self.messages().len()
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.book.connections.get()
    }

    /// How often MAIL got 421.
    pub(crate) fn limited(&self) -> usize {
        self.book.limited.get()
    }

    /// The most at one time.
    pub(crate) fn open_max(&self) -> usize {
        self.book.open_max.get()
    }
}

impl Book {
    async fn serve(&self, stream: Stream, number: usize) {
        self.open.set(self.open.get() + 1);
        self.open_max.set(self.open_max.get().max(self.open.get()));
        // However it ends, it ends.
        let _ = self.talk(&stream, number).await;
        self.open.set(self.open.get() - 1);
    }

    fn now(&self) -> Behaviour {
        self.behaviour.borrow().clone()
    }

    async fn talk(&self, stream: &Stream, number: usize) -> Result<(), Hangup> {
        let mut lines = Lines { stream, input: Vec::new(), pieces: 0 };
        if self.open.get() > self.now().connections_max {
            say(stream, "421 4.7.0 too many connections").await?;
            return Ok(());
        }
        self.perhaps_fall_silent("greeting", stream).await?;
        say(stream, self.now().greeting).await?;
        if !self.now().greeting.starts_with('2') {
            return Ok(());
        }
        let (mut taken, mut recipients) = (0, Vec::new());
        loop {
            let line = lines.next().await?;
            let verb = line.split([':', ' ']).next().unwrap_or_default();
            self.perhaps_fall_silent(verb, stream).await?;
            let reply = match verb {
                "EHLO" => "250-sink.example\r\n250-PIPELINING\r\n250 ENHANCEDSTATUSCODES",
                "MAIL" if taken >= self.now().limit => {
                    self.limited.set(self.limited.get() + 1);
                    say(stream, "421 4.7.0 too many messages in this session").await?;
                    return Ok(());
                }
                "MAIL" => self.now().mail,
                "RCPT" if recipients.len() >= self.now().recipients_max => "452 4.5.3 too many",
                "RCPT" => {
                    recipients.push(line);
                    "250 2.1.5 Ok"
                }
                "DATA" if recipients.is_empty() => "554 5.5.1 no valid recipients",
                "DATA" => {
                    say(stream, "354 go on").await?;
                    self.perhaps_fall_silent("body", stream).await?;
                    let body = lines.body().await?;
                    self.perhaps_fall_silent("end", stream).await?;
                    let recipients = std::mem::take(&mut recipients);
                    self.take(Message {
                        connection: number,
                        recipients,
                        body,
                        pieces: lines.pieces,
                    })
                    .await;
                    taken += 1;
                    say(stream, self.now().end).await?;
                    if taken >= self.now().close_after {
                        return Ok(());
                    }
                    continue;
                }
                "QUIT" => {
                    say(stream, "221 2.0.0 Bye").await?;
                    return Ok(());
                }
                _ => "250 2.0.0 Ok",
            };
            say(stream, reply).await?;
        }
    }

    /// Says nothing from here on, if it is to.
    async fn perhaps_fall_silent(&self, at: &str, stream: &Stream) -> Result<(), Hangup> {
        if self.now().silent_at != at {
            return Ok(());
        }
        let Some(pause) = self.now().trickle else {
            self.reactor.sleep(Instant::NEVER).await;
            return Ok(());
        };
        for byte in b"250-".iter().chain(std::iter::repeat(&b'x')) {
            self.reactor.sleep(self.reactor.now() + pause).await;
            stream.send(vec![Part::Bytes(vec![*byte])], Instant::NEVER).await?;
        }
        Ok(())
    }

    async fn take(&self, message: Message) {
        let Behaviour { end, end_delay, .. } = self.now();
        self.reactor.sleep(self.reactor.now() + end_delay).await;
        if end.starts_with('2') {
            self.messages.borrow_mut().push(message);
        }
    }
}

async fn say(stream: &Stream, reply: &str) -> Result<(), Hangup> {
    let reply = format!("{reply}\r\n").into_bytes();
    stream.send(vec![Part::Bytes(reply)], Instant::NEVER).await.map(drop)
}

struct Lines<'a> {
    stream: &'a Stream,
    input: Vec<u8>,
    /// Receives during the last body.
    pieces: usize,
}

impl Lines<'_> {
    async fn next(&mut self) -> Result<String, Hangup> {
        let end = self.until(b"\r\n").await?;
        let line: Vec<u8> = self.input.drain(..end).collect();
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    async fn body(&mut self) -> Result<Vec<u8>, Hangup> {
        self.pieces = 0;
        let end = self.until(b"\r\n.\r\n").await?;
        let mut body: Vec<u8> = self.input.drain(..end).collect();
        body.truncate(body.len() - 3);
        Ok(body)
    }

    /// Where the first `mark` ends, once it is there.
    async fn until(&mut self, mark: &[u8]) -> Result<usize, Hangup> {
        let mut searched = 0;
        loop {
            let from = searched;
            let found = self.input[from..].windows(mark.len()).position(|window| window == mark);
            if let Some(at) = found {
                return Ok(from + at + mark.len());
            }
            searched = self.input.len().saturating_sub(mark.len());
            let bytes = self.stream.recv(Instant::NEVER).await?;
            self.pieces += 1;
            self.input.extend_from_slice(&bytes);
        }
    }
}
