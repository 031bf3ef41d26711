//! Each fault happens when it is asked for, and happens the same way for the same seed.

use super::*;
use crate::sim::Faults;

type Change = fn(&mut Faults);

/// Every fault by itself, in a world in which nothing else goes wrong and no time varies: so a hash
/// that differs from that world's shows that the fault had its effect.
const EACH: &[(&str, Change)] = &[
    ("latency", |faults| faults.latency.end *= 1000),
    ("latency_tail", |faults| faults.latency_tail = 0.3),
    ("stall", |faults| faults.stall = 0.3),
    ("reset", |faults| faults.reset = 0.1),
    ("connect_refused", |faults| faults.connect_refused = 0.5),
    ("connect_black_hole", |faults| faults.connect_black_hole = 0.5),
    ("hole", |faults| faults.hole = 0.5),
    ("window_bytes", |faults| faults.window_bytes = 100),
    ("short_send", |faults| faults.short_send = 0.5),
    ("short_receive", |faults| faults.short_receive = 0.5),
    ("multishot_end", |faults| faults.multishot_end = 0.5),
    ("no_buffers", |faults| faults.no_buffers = 0.5),
    ("queue_entries", |faults| faults.queue_entries = 1),
    ("partial_enter", |faults| faults.partial_enter = 0.9),
    ("completion_delay", |faults| faults.completion_delay.end *= 1000),
    ("cancel_races", |faults| faults.cancel_races = 0.5),
    ("interrupted", |faults| faults.interrupted = 0.5),
    ("no_descriptors", |faults| faults.no_descriptors = 0.2),
    ("shortage", |faults| faults.shortage = 0.2),
    ("write_time", |faults| faults.write_time.end *= 100),
    ("slow_write", |faults| faults.slow_write = 0.3),
    ("hang", |faults| faults.hang = 0.3),
    ("without_fua", |faults| faults.without_fua = true),
    ("write_fails", |faults| faults.write_fails = 0.3),
    ("disk_breaks", |faults| faults.disk_breaks = 0.3),
    ("no_space", |faults| faults.no_space = 0.3),
    ("over_quota", |faults| faults.over_quota = 0.3),
    ("short_write", |faults| faults.short_write = 0.3),
    ("read_fails", |faults| faults.read_fails = 0.3),
    ("short_read", |faults| faults.short_read = 0.9),
    ("sync_fails", |faults| faults.sync_fails = 0.3),
    ("open_fails", |faults| faults.open_fails = 0.3),
    ("rename_fails", |faults| faults.rename_fails = 0.3),
    ("remove_fails", |faults| faults.remove_fails = 0.3),
    ("directory_sync_fails", |faults| faults.directory_sync_fails = 0.3),
    ("misdirected", |faults| faults.misdirected = 0.3),
    ("late_write", |faults| faults.late_write = 1.0),
];

#[test]
fn each_fault_happens_and_happens_the_same_way_for_a_seed() {
    for (name, change) in EACH {
        let mut faults = Faults::none();
        change(&mut faults);
        let mut happened = false;
        for seed in 0..5 {
            let hash = a_bit_of_everything(seed, faults.clone());
            assert_eq!(hash, a_bit_of_everything(seed, faults.clone()), "{name}, seed {seed}");
            happened |= hash != a_bit_of_everything(seed, Faults::none());
        }
        assert!(happened, "{name} changes nothing");
    }
}

/// Connections, deadlines, files, a death and a loss of power; nothing is asked of the outcome.
fn a_bit_of_everything(seed: u64, faults: Faults) -> u64 {
    let world = World::new(seed, faults);
    let alpha = world.host(ALPHA);
    let server = alpha.start();
    patient_echo(&server.reactor());
    let client = world.host(BETA).start().reactor();
    let done = Rc::new(Cell::new(0));
    for number in 0..4 {
        let (ours, count) = (client.clone(), Rc::clone(&done));
        client.spawn(async move {
            drop(ask_echo(ours.clone(), 25, vec![number; 2_000]).await);
            // Whether a reply came in time is chance.
            let _ = give_up_on_a_reply(ours).await;
            count.set(count.get() + 1);
        });
    }
    assert!(world.run(|| done.get() == 4, 24 * HOUR), "the clients do not end");
    let writer = alpha.start();
    let reactor = writer.reactor();
    let ended = work_on_files(&world, &reactor);
    note(&world, &ended);
    let ours = reactor.clone();
    reactor.spawn(async move { drop(write_page(ours, b'l', true).await) });
    world.run(|| false, Duration::from_micros(250));
    writer.kill();
    world.run(|| false, HOUR);
    note(&world, &format!("{:?}", page(&alpha).map(|page| page.len())));
    alpha.lose_power();
    world.end();
    world.hash()
}

fn note(world: &World, text: &str) {
    world.note(text);
}

/// As [`echo`], but errors of accept do not end it.
fn patient_echo(reactor: &Reactor) {
    let listener = reactor.listen(SocketAddr::new(ALPHA, 25), false).expect("a free port");
    let ours = reactor.clone();
    reactor.spawn(async move {
        loop {
            let Ok(stream) = listener.accept().await else {
                ours.sleep(ours.now() + Duration::from_millis(10)).await;
                continue;
            };
            ours.spawn(async move {
                while let Ok(lease) = stream.recv(Instant::NEVER).await {
                    let bytes = vec![Part::Bytes(lease.to_vec())];
                    drop(lease);
                    if stream.send(bytes, Instant::NEVER).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
}

/// Closes a connection about when an answer comes, with its receive still armed.
async fn give_up_on_a_reply(reactor: Reactor) -> Result<(), Hangup> {
    let by = reactor.now() + Duration::from_secs(10);
    let stream = reactor.connect(SocketAddr::new(ALPHA, 25), None, by).await?;
    stream.send(vec![Part::Fixed(b"hello")], by).await?;
    let soon = reactor.now() + Duration::from_micros(104);
    stream.recv(soon).await.map(drop)
}

/// Calls of every kind; gives what came of them as text.
fn work_on_files(world: &World, reactor: &Reactor) -> String {
    let ours = reactor.clone();
    finish(world, reactor, async move {
        let mut text = String::new();
        for round in 0..4 {
            let outcome = one_round(&ours, round).await;
            text.push_str(&format!("{:?} ", outcome.map_err(|error| error.kind())));
        }
        text
    })
}

async fn one_round(reactor: &Reactor, round: u8) -> std::io::Result<usize> {
    let (one, other) = (Path::new("/var/one"), Path::new("/var/other"));
    let file = reactor.open(one, WRITABLE).await?;
    file.zero_fill(0, 16384).await?;
    file.write(vec![Part::Bytes(vec![round; 8192])], 4096, true).await?;
    file.write(vec![Part::Bytes(vec![round; 8192])], 16384, false).await?;
    file.sync().await?;
    let read = file.read(Slab::new(16384), 0, 16384).await?.len();
    reactor.rename(one, other).await?;
    reactor.sync_directory(Path::new("/var")).await?;
    reactor.remove(other).await?;
    Ok(read)
}
