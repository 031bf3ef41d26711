//! Chance from a seed.

use std::time::Duration;

/// The seed of every run that is not told another one.
const SEED: u64 = 4;

/// Numbers that look random (splitmix64). What it came from is printed when a test fails.
pub(crate) struct Chance {
    seed: u64,
    state: u64,
}

impl Chance {
    /// A row of numbers for the test that is called `name`.
    pub(crate) fn of(name: &str) -> Self {
        let seed = number("REAL_DISK_SEED").unwrap_or(SEED);
        let mix = |state: u64, byte: u8| (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self { seed, state: name.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, mix) }
    }

    /// A number in `from..to`.
    pub(crate) fn within(&mut self, from: u64, to: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        from + (z ^ (z >> 31)) % (to - from)
    }

    /// Lets a while below `most` pass. Not in place of a condition: this moment is the input.
    pub(crate) fn moment(&mut self, most: Duration) {
        let micros = u64::try_from(most.as_micros()).expect("short");
        std::thread::park_timeout(Duration::from_micros(self.within(0, micros)));
    }
}

impl Drop for Chance {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("again with REAL_DISK_SEED={}", self.seed);
        }
    }
}

/// Cuts of each kind on each file system: 20 in all, unless `REAL_DISK_ROUNDS` says more.
pub(crate) fn rounds(usual: u64) -> u64 {
    number("REAL_DISK_ROUNDS").unwrap_or(usual)
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error}")))
}
