//! Invariant: what is read as a path is read again from its own text, as the same path.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::ForwardPath;

fuzz_target!(|text: &str| {
    if let Ok(path) = ForwardPath::parse(text) {
        assert_eq!(ForwardPath::parse(&path.to_string()), Ok(path));
    }
});
