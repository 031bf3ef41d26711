//! The demonstration: source, relay and sink in one process, on loopback, in a directory that is
//! gone afterwards.
//!
//! Start reading at [`run`], which reads like a table of contents.

mod dialogue;
mod ground;
mod metrics;
mod relay;
mod watch;

use crate::clock;
use crate::report;
use crate::sink::{self, Sink};
use crate::source::{self, Source, at_least_one};
use anyhow::Context;
use clap::Args;
use ground::Ground;
use relay::RunningRelay;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc;
use std::time::Duration;
use watch::Watch;

/// What the demonstration does.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Messages in all
    #[arg(long, value_name = "N", default_value_t = 20_000,
          value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub messages: u64,
    /// Bytes of a body
    #[arg(long, value_name = "BYTES", default_value_t = 4096)]
    pub size: usize,
    /// Sessions of the source at a time
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = at_least_one)]
    pub sessions: usize,
    /// Seconds after which it gives up
    #[arg(long, value_name = "S", default_value_t = 120)]
    pub within: u64,
}

/// Runs the demonstration; whether every message was delivered whole, once, in time.
///
/// # Errors
/// When one of the three could not be started or ended.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    let by = clock::now() + Duration::from_secs(options.within);
    let (ticks, told) = mpsc::channel();
    let sink = Sink::start(sink_options(options), Some(ticks.clone())).context("the sink")?;
    let ground = Ground::prepare(sink.address()).context("prepare the demonstration")?;
    let relay = RunningRelay::start(&ground)?;
    introduce(options, &ground, &sink)?;

    let (shown, first) = dialogue::one_message(ground.listen).with_context(|| {
        ground.keep();
        format!("the first message (the relay's log is kept in {})", ground.path().display())
    })?;
    let source = Source::start(source_options(options, &ground), Some(ticks));
    let source = source.context("the source")?;
    let run = source.run();
    let watch = Watch { source: &source, sink: &sink, relay: &relay, wanted: options.messages };
    let watched = watch.until_done(&told, by);
    if !matches!(watched, Ok(true)) {
        ground.keep();
        give_up(options, &ground, &source, &sink)?;
        // Whoever still waits for somebody ends with the process.
        return watched;
    }
    let cpu = clock::process_cpu();
    let sessions = sink.counts();
    let scraped = metrics::scrape(ground.metrics, options.messages + 1);
    let (arrivals, through) = (sink.arrivals(run), sink.through());
    let first_arrived = sink.arrivals(first).whole == 1;
    let drained = relay.drain(&ground);
    let sent = source.finish().context("the source")?;
    let received = sink.stop().context("the sink")?;
    let relay_cpu = cpu.saturating_sub(sent.cpu + received.cpu);
    let outcome = Outcome { sent, received, arrivals, sessions, through, relay_cpu };
    let mut say = std::io::stdout();
    outcome.tell(&mut say, options)?;
    tell_dialogue(&mut say, &shown)?;
    tell_metrics(&mut say, &ground, scraped)?;
    drained?;
    Ok(first_arrived && outcome.is_whole(options.messages))
}

fn sink_options(options: &Options) -> sink::Options {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    // One more: the message whose dialogue is shown.
    let until_messages = Some(options.messages + 1);
    sink::Options { verify: true, until_messages, ..sink::Options::at(address) }
}

fn source_options(options: &Options, ground: &Ground) -> source::Options {
    source::Options {
        sessions: options.sessions,
        messages: options.messages,
        size: options.size,
        to: "reader%d@next.ringpost.test".into(),
        ..source::Options::to(ground.listen)
    }
}

fn introduce(options: &Options, ground: &Ground, sink: &Sink) -> anyhow::Result<()> {
    let mut say = std::io::stdout();
    writeln!(
        say,
        "source ({} sessions) --> ringpost at {} --> sink at {}\n\
         {} messages of {} bytes; each is safe on disk, in {}, before its 250\n\
         while it runs: ringpost status --socket {}; curl http://{}/metrics\n",
        options.sessions,
        ground.listen,
        sink.address(),
        report::count(options.messages),
        report::count(options.size as u64),
        ground.path().display(),
        ground.control.display(),
        ground.metrics
    )?;
    Ok(())
}

/// Says how far it came.
fn give_up(
    options: &Options,
    ground: &Ground,
    source: &Source,
    sink: &Sink,
) -> std::io::Result<()> {
    let counts = source.counts();
    let arrivals = sink.arrivals(source.run());
    let mut say = std::io::stdout();
    writeln!(
        say,
        "\nNot everything arrived: of {} messages {} were accepted, {} refused, {} not answered; \
         {} arrived whole, {} damaged, {} twice",
        options.messages,
        counts.accepted,
        counts.refused_in_all(),
        counts.unanswered,
        arrivals.whole,
        arrivals.damaged,
        arrivals.twice
    )?;
    if let Some(trouble) = &counts.first_trouble {
        writeln!(say, "first trouble: {trouble}")?;
    }
    writeln!(say, "the relay's log and spool are kept in {}", ground.path().display())
}

/// What came of it.
struct Outcome {
    sent: source::Summary,
    received: sink::Summary,
    arrivals: sink::Arrivals,
    /// The sink's counts while the relay still had its sessions.
    sessions: sink::Counts,
    through: crate::latency::Latency,
    relay_cpu: Duration,
}

impl Outcome {
    fn is_whole(&self, wanted: u64) -> bool {
        let arrivals = &self.arrivals;
        self.sent.counts.accepted == wanted
            && arrivals.whole == wanted
            && arrivals.twice + arrivals.damaged == 0
    }

    fn tell(&self, say: &mut impl Write, options: &Options) -> std::io::Result<()> {
        let wanted = options.messages;
        let counts = &self.sent.counts;
        let arrivals = &self.arrivals;
        let accepted = report::count(self.sent.rate() as u64);
        let delivered = report::rate(self.received.counts.messages, self.received.elapsed);
        let cpu = self.relay_cpu.as_secs_f64() * 1e6 / wanted as f64;
        writeln!(say, "\naccepted      {accepted} messages/s, over {} sessions", counts.sessions)?;
        writeln!(
            say,
            "delivered     {} messages/s, over {} sessions, at most {} at a time",
            report::count(delivered as u64),
            self.sessions.sessions,
            self.sessions.sessions_most
        )?;
        writeln!(say, "accept        {}", counts.end_of_data)?;
        writeln!(say, "end to end    {}", self.through)?;
        writeln!(say, "relay's cpu   {cpu:.1} us a message, in and out")?;
        if counts.refused_in_all() + counts.unanswered + counts.sessions_lost > 0 {
            writeln!(say, "refused       {:?}, unanswered {}", counts.refused, counts.unanswered)?;
        }
        if let Some(trouble) = &counts.first_trouble {
            writeln!(say, "first trouble {trouble}")?;
        }
        writeln!(
            say,
            "all delivered, whole and once: {} ({} of {wanted} whole, {} missing, {} twice, {} \
             damaged)",
            if self.is_whole(wanted) { "yes" } else { "NO" },
            arrivals.whole,
            arrivals.missing(wanted),
            arrivals.twice,
            arrivals.damaged
        )
    }
}

fn tell_dialogue(say: &mut impl Write, shown: &[String]) -> std::io::Result<()> {
    writeln!(say, "\nThe dialogue of one message with the relay:")?;
    shown.iter().try_for_each(|line| writeln!(say, "  {line}"))
}

fn tell_metrics(
    say: &mut impl Write,
    ground: &Ground,
    scraped: std::io::Result<Vec<String>>,
) -> std::io::Result<()> {
    writeln!(say, "\nIts metrics were at http://{}/metrics, among them:", ground.metrics)?;
    match scraped {
        Ok(lines) => lines.iter().try_for_each(|line| writeln!(say, "  {line}"))?,
        Err(error) => writeln!(say, "  (they could not be read: {error})")?,
    }
    writeln!(
        say,
        "\nTo look around in a relay that goes on running:\n  \
         ringpost serve --trial --next 127.0.0.1:2600 &\n  \
         ringpost-load sink 127.0.0.1:2600 --verify &\n  \
         ringpost-load source 127.0.0.1:2525\n  \
         ringpost status --socket ./ringpost-control.sock\n  \
         curl http://127.0.0.1:9465/metrics"
    )
}
