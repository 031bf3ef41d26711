//! The relay on a thread of its own.

use super::ground::Ground;
use anyhow::{Context, anyhow};
use config::Config;
use control::client::{Method, call};
use ringpost::relay::{Origin, Relay};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::JoinHandle;

/// A relay that accepts.
pub(super) struct RunningRelay {
    thread: JoinHandle<Result<(), String>>,
}

impl RunningRelay {
    /// Starts it, and waits until its listeners accept.
    pub(super) fn start(ground: &Ground) -> anyhow::Result<Self> {
        let (ready, told) = mpsc::channel();
        let text = ground.text.clone();
        // The control plane stays on the thread that starts the relay.
        let thread = reactor::start_thread("relay", None, move || live(text, &ready));
        let thread = thread.context("start a thread")?;
        match told.recv() {
            Ok(()) => Ok(Self { thread }),
            // The sender is gone: the thread is about to say why.
            Err(mpsc::RecvError) => Err(join(thread).err().unwrap_or_else(|| anyhow!("it ended"))),
        }
    }

    /// Whether it has ended by itself.
    pub(super) fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Drains it and waits for its end.
    pub(super) fn drain(self, ground: &Ground) -> anyhow::Result<()> {
        if !self.has_ended() {
            call(&ground.control, Method::POST, "/drain", None).context("drain the relay")?;
        }
        join(self.thread)
    }
}

fn join(thread: JoinHandle<Result<(), String>>) -> anyhow::Result<()> {
    let ended = thread.join().map_err(|_| anyhow!("the relay has panicked"))?;
    ended.map_err(|text| anyhow!("the relay: {text}"))
}

fn live(text: String, ready: &mpsc::Sender<()>) -> Result<(), String> {
    let origin = Origin::Text { name: PathBuf::from("demo.toml"), text, machine: None };
    let config: Config = origin.load().map_err(|problems| problems.to_string())?;
    let relay = Relay::start(config, origin).map_err(|failure| failure.to_string())?;
    // Whoever waits for it waits for the thread too.
    let ended = relay.run(|| {
        let _ = ready.send(());
    });
    ended.map(drop).map_err(|failure| failure.to_string())
}
